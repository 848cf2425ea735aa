"""Families `errors` and `encodings`: what is wrong with a request, and the ways of writing the same."""

from bodies import BODIES
from sequences import FROM, TO, Sequence, Step, answer, call, command, offer, words

PLAIN = BODIES["plain"]

SPELLINGS = {
    "transport-protocol": ("RTP/AVPF", ["transport protocol", "transport_protocol"]),
    "ICE": ("force", ["ice"]),
    "rtcp-mux": (["require"], ["rtcp mux", "rtcp_mux", "RTCP-mux"]),
    "address-family": ("IP6", ["address family", "address_family"]),
    "media-address": ("192.0.2.1", ["media address", "media_address"]),
    "direction": (["internal", "external"], []),
    "replace": (["origin"], []),
    "sdp-attr": ({"audio": {"add": ["X:1"]}}, ["sdp attr", "SDP-attr"]),
    "DTLS-fingerprint": ("sha-1", ["DTLS fingerprint", "dtls-fingerprint"]),
    "ptime-reverse": (40, ["ptime reverse"]),
    "received-from": (["IP4", "127.0.70.9"], ["received from"]),
    "sdp-media-remove": (["video"], ["sdp media remove", "sdp_media_remove"]),
    "TOS": (184, ["tos"]),
    "rtpp-flags": ("replace-origin generate-mid", ["rtpp_flags", "rtpp flags"]),
    "flags": (["generate-mid"], []),
}
FLAG_SPELLINGS = ["generate-mid", "generate mid", "generate_mid", "Generate-MID", "trust-address", "trust address",
                  "no-rtcp-attribute", "no rtcp attribute", "original-sendrecv", "original sendrecv", "loop-protect", "loop protect",
                  "replace-origin", "replace origin", "replace-session-connection", "ICE-remove", "ICE-force", "DTLS-off", "DTLS-passive",
                  "SDES-off", "media-address=192.0.2.1", "transport-protocol=RTP/AVPF", "RTP/AVPF", "rtcp-mux=require", "unknown-word",
                  "unknown-key=value", "direction=external"]
RTPP_FLAGS = ["replace-origin", "trust-address replace-origin generate-mid", "transport-protocol=RTP/AVPF", "RTP/AVPF", "RTP/SAVP",
              "ICE=force", "ICE=remove", "rtcp-mux-require", "rtcp-mux=[offer require]", "rtcp-mux-offer rtcp-mux-require",
              "direction=internal direction=external", "internal external", "codec-strip-PCMU", "codec=[strip=[PCMU]]",
              "codec-strip=PCMU", "SDES=[only-AES_CM_128_HMAC_SHA1_80 pad] transport-protocol=RTP/SAVP DTLS=off",
              "sdp-attr=[audio=[add=[X--1]]]", "media-address=192.0.2.1", "label=caller", "to-tag=x", "no-such-word", "key=value",
              "DTLS=off SDES-off transport-protocol=RTP/AVP", "address-family=IP6", "ptime=40", "via-branch=b1", "",
              "replace=[origin SDP-version]", "codec=[", "  replace-origin   generate-mid  ", "loop-protect no-rtcp-attribute"]


def sequences():
    yield from errors()
    yield from encodings()


def errors():
    yield Sequence("errors/nothing", [Step({"command": "raw"}, raw=b"d7:call-idCALL-IDe")])
    yield Sequence("errors/unknown-command", [command("explode"), command("PING"), command("block_DTMF"), command("")])
    yield Sequence("errors/ping", [command("ping"), command("ping", json=True), command("ping", {"x": "y"})])
    for name, raw in (("empty-dictionary", b"de"), ("broken", b"d7:command4:pin"), ("list", b"le"), ("text", b"hello"),
                      ("json-broken", b'{"command":'), ("json-list", b'["x"]'), ("json-empty", b"{}"), ("bencode-trailing", b"d7:command4:pingeXYZ"),
                      ("json-trailing", b'{"command":"ping"}x'), ("integer", b"i1e"), ("no-command", b"d3:foo3:bare"),
                      ("command-is-a-list", b"d7:commandl4:pingee"), ("command-is-a-number", b"d7:commandi1ee"),
                      ("command-twice", b"d7:command4:ping7:command4:liste"), ("negative-length", b"d7:command-4:pinge"),
                      ("huge-length", b"d7:command99999:pinge"), ("integer-key", b"di1e1:x7:command4:pinge")):
        yield Sequence(f"errors/raw-{name}", [Step({"command": "raw"}, raw=raw)])
    for missing in ("sdp", "call-id", "from-tag"):
        gone = {missing: "OMIT"}
        made = offer("plain", gone if missing != "sdp" else {})
        made.sdp = None if missing == "sdp" else made.sdp
        yield Sequence(f"errors/offer-without-{missing}", [made])
    yield Sequence("errors/offer-without-anything", [Step({"command": "offer", "call-id": "OMIT"})])
    yield Sequence("errors/answer-without-to-tag", [offer("plain"), answer({"to-tag": "OMIT"})])
    yield Sequence("errors/answer-without-from-tag", [offer("plain"), answer({"from-tag": "OMIT"})])
    yield Sequence("errors/answer-of-an-unknown-call", [answer(how="plain")])
    yield Sequence("errors/answer-of-an-unknown-tag", [offer("plain"), answer(tag="nobody")])
    yield Sequence("errors/tags-are-equal", [offer("plain", to=FROM), offer("plain"), answer(to=FROM)])
    yield Sequence("errors/empty-from-tag", [offer("plain", tag="")])
    yield Sequence("errors/empty-call-id", [offer("plain", {"call-id": ""})])
    for name, text in (("empty", ""), ("garbage", "hello"), ("no-media", BODIES["no-media"]), ("no-version", PLAIN[5:]),
                       ("no-connection", BODIES["no-connection"]), ("no-port", PLAIN.replace("audio 40000", "audio x")),
                       ("short-media-line", PLAIN.replace(" RTP/AVP 0 8 101", "")), ("big-port", PLAIN.replace("40000", "99999")),
                       ("bad-address", PLAIN.replace("c=IN IP4 127.0.70.1", "c=IN IP4 300.1.1.1")),
                       ("name-for-address", PLAIN.replace("c=IN IP4 127.0.70.1", "c=IN IP4 phone.invalid")),
                       ("bad-network", PLAIN.replace("c=IN", "c=XX")), ("bad-family", PLAIN.replace("c=IN IP4", "c=IN IP5")),
                       ("bad-origin", PLAIN.replace("o=caller 1000 1", "o=caller")), ("bad-version", PLAIN.replace("v=0", "v=1")),
                       ("line-without-equals", PLAIN.replace("s=call", "scall")), ("unknown-line", PLAIN.replace("s=call\r\n", "s=call\r\nx=y\r\n")),
                       ("bad-rtpmap", PLAIN.replace("PCMU/8000", "PCMU")), ("no-formats", PLAIN.replace(" 0 8 101", "")),
                       ("not-numbers", PLAIN.replace("RTP/AVP 0 8 101", "RTP/AVP a b")), ("payload-200", PLAIN.replace("101", "200")),
                       ("media-after-blank", PLAIN.replace("m=audio", "\r\nm=audio")), ("space-before", " " + PLAIN),
                       ("lone-cr", PLAIN.replace("\r\n", "\r")), ("no-last-line-end", PLAIN[:-2]), ("many-sections", PLAIN + "m=audio 40002 RTP/AVP 0\r\n" * 40)):
        yield Sequence(f"errors/sdp-{name}", [offer(text)])
    yield Sequence("errors/answer-with-bad-sdp", [offer("plain"), answer(how="hello"), answer(how="v=0\r\n"), answer(of=0)])
    yield Sequence("errors/bad-re-offer-leaves-the-call", [offer("plain"), answer(), offer("hello", to=TO), offer("plain", to=TO), answer()])
    yield Sequence("errors/loop", [offer("loop"), offer("loop", words("loop-protect"))])
    for name in ("answer", "delete", "query", "start recording", "block media", "play media", "subscribe request"):
        yield Sequence(f"errors/{name.replace(' ', '-')}-without-call-id", [command(name, {"call-id": "OMIT"})])


def encodings():
    for sdp in ("plain", "meta-dtls", "sdes", "unknown-attributes"):
        yield call(f"encodings/json@{sdp}", {"flags": ["trust-address"], "replace": ["origin"]}, sdp, json=True)
    for key, (value, others) in SPELLINGS.items():
        for spelling in [key, *others]:
            yield Sequence(f"encodings/spelled-{spelling}", [offer("av", {spelling: value})])
    for word in FLAG_SPELLINGS:
        yield Sequence(f"encodings/flag-{word}", [offer("plain", words(word))])
    for text in RTPP_FLAGS:
        yield Sequence(f"encodings/rtpp-flags-{text or 'empty'}", [offer("plain", {"rtpp-flags": text})])
    yield call("encodings/flags-as-a-string", {"flags": "trust-address,generate-mid"})
    yield call("encodings/flags-as-a-string-json", {"flags": "trust-address,generate-mid"}, json=True)
    yield call("encodings/replace-as-a-string", {"replace": "origin,session-connection"})
    yield call("encodings/sdes-as-a-string", {"SDES": "only-AES_CM_128_HMAC_SHA1_80,pad", "transport-protocol": "RTP/SAVP", "DTLS": "off"})
    yield call("encodings/flags-as-a-number", {"flags": 3})
    yield call("encodings/flags-as-a-dictionary", {"flags": {"generate-mid": 1}})
    yield call("encodings/flags-of-numbers", {"flags": [1, 2]})
    yield call("encodings/unknown-keys", {"foo": "bar", "bar": ["x"], "baz": {"y": "z"}, "n": 3})
    yield call("encodings/json-booleans", {"flags": ["trust-address"], "record-call": False, "foo": None}, json=True)
    sdp = PLAIN.encode()
    text = b"%d:%s" % (len(sdp), sdp)
    yield Sequence("encodings/later-key-wins", [Step({"command": "raw offer"}, raw=(
        b"d7:command5:offer7:call-idCALL-ID8:from-tag1:a3:ICE6:remove3:ICE5:force3:sdp" + text + b"e"))])
    yield Sequence("encodings/command-last-sdp-first", [Step({"command": "raw offer"}, raw=(
        b"d3:sdp" + text + b"5:flagsl13:trust-addresse7:call-idCALL-ID8:from-tag1:a7:command5:offere"))])
    yield Sequence("encodings/bytes-that-are-no-utf-8", [Step({"command": "raw offer"}, raw=(
        b"d3:sdp" + text + b"7:call-idCALL-ID8:from-tag2:\xff\xfe7:command5:offere"))])
    yield Sequence("encodings/supports-load-limit", [offer("plain", {"supports": ["load limit"]})])
    yield Sequence("encodings/trailing-bytes", [Step({"command": "raw offer"}, raw=(
        b"d3:sdp" + text + b"7:call-idCALL-ID8:from-tag1:a7:command5:offereTRAILING"))])
