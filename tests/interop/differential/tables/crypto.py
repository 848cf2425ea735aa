"""Families `transport`, `sdes`, `dtls`, `osrtp`: which protocol, and who says which keys."""

from answering import Answer
from bodies import BODIES, KEYS, META_DTLS
from sequences import FROM, TO, Sequence, answer, call, offer, pairs, words

PROTOCOLS = ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"]
SAVP = {"transport-protocol": "RTP/SAVP"}
SDES_ONLY = {**SAVP, "DTLS": "off"}
TO_DTLS = {"transport-protocol": "UDP/TLS/RTP/SAVPF", "SDES": ["off"]}
TO_PLAIN = {"transport-protocol": "RTP/AVP"}

SDES = {
    "pad": {"SDES": ["pad"]},
    "lifetime": {"SDES": ["lifetime"]},
    "nonew": {"SDES": ["nonew"]},
    "static": {"SDES": ["static"]},
    "prefer": {"SDES": ["prefer"]},
    "only-80": {"SDES": ["only-AES_CM_128_HMAC_SHA1_80"]},
    "only-32": {"SDES": ["only-AES_CM_128_HMAC_SHA1_32"]},
    "no-80": {"SDES": ["no-AES_CM_128_HMAC_SHA1_80"]},
    "no-gcm": {"SDES": ["no-AEAD_AES_256_GCM", "no-AEAD_AES_128_GCM"]},
    "order": {"SDES": ["order:AES_CM_128_HMAC_SHA1_32;AES_CM_128_HMAC_SHA1_80;"]},
    "unencrypted-srtcp": {"SDES": ["unencrypted_srtcp"]},
    "bogus": {"SDES": ["bogus"]},
}
DTLS = {
    "off": {"DTLS": "off"},
    "no": {"DTLS": "no"},
    "disable": {"DTLS": "disable"},
    "disabled-list": {"DTLS": ["disabled"]},
    "passive": {"DTLS": "passive"},
    "active": {"DTLS": "active"},
    "reverse-passive": {"DTLS-reverse": "passive"},
    "lower-case": {"dtls": "passive"},
    "fingerprint-sha-1": {"DTLS-fingerprint": "SHA-1"},
    "fingerprint-sha-384": {"DTLS-fingerprint": "SHA-384"},
    "fingerprint-sha-512": {"DTLS-fingerprint": "sha-512"},
    "fingerprint-bogus": {"DTLS-fingerprint": "MD9"},
    "no-tls-id": words("no-tls-id"),
    "bogus": {"DTLS": "bogus"},
}


def sequences():
    yield from transport()
    yield from sdes()
    yield from dtls()
    yield from osrtp()


def transport():
    for protocol in [*PROTOCOLS, "rtp/savp", "FOO/BAR", "accept"]:
        for sdp in ("plain", "avpf", "sdes", "dtls"):
            yield call(f"transport/{protocol}@{sdp}", {"transport-protocol": protocol}, sdp)
    for protocol in ("RTP/AVP", "RTP/AVPF", "accept"):
        for sdp in ("plain", "sdes", "dtls"):
            yield call(f"transport/{protocol}-in-answer@{sdp}", {}, sdp, back={"transport-protocol": protocol})
    for protocol in PROTOCOLS[:4]:
        yield call(f"transport/answered-with-{protocol}", sdp="avpf", how=Answer(protocol=protocol))
    yield call("transport/word-SAVP", words("RTP/SAVP"))
    yield call("transport/key-with-space", {"transport protocol": "RTP/AVPF"})
    for before, after in (("RTP/SAVP", None), (None, "RTP/SAVP"), ("RTP/SAVP", "RTP/AVP"), ("RTP/AVPF", None),
                          ("UDP/TLS/RTP/SAVPF", None)):
        yield Sequence(f"transport/re-offer-{before}-then-{after}", [
            offer("plain", {"transport-protocol": before}), answer(), offer("plain", {"transport-protocol": after}, to=TO), answer()])


def sdes():
    for name, flags in SDES.items():
        yield call(f"sdes/{name}", {**SDES_ONLY, **flags})
        yield call(f"sdes/{name}@sdes", {**SDES_ONLY, **flags}, "sdes")
        yield call(f"sdes/{name}-in-answer@sdes", SDES_ONLY, "sdes", back=flags)
        yield call(f"sdes/{name}-to-plain-and-back@sdes", {**TO_PLAIN, **flags}, "sdes", back=flags)
    few = ("pad", "lifetime", "only-80", "no-80", "order", "nonew", "prefer")
    for name, flags in pairs({key: SDES[key] for key in few}):
        yield call(f"sdes/{name}", {**SDES_ONLY, **flags}, "sdes")
    for sdp in [name for name in BODIES if name.startswith("sdes-")]:
        yield call(f"sdes/to-sdes@{sdp}", SDES_ONLY, sdp)
        yield call(f"sdes/to-plain@{sdp}", TO_PLAIN, sdp)
    for suite in KEYS:
        yield call(f"sdes/answered-{suite}", SDES_ONLY, "sdes-many", how=Answer(suite=suite))
        yield call(f"sdes/only-{suite}", {**SAVP, "DTLS": "off", "SDES": [f"only-{suite}"]})
    for word in ("SDES-off", "SDES-pad", "SDES-nonew", "SDES-only-AES_CM_128_HMAC_SHA1_80", "SDES-no-AES_CM_128_HMAC_SHA1_32",
                 "pad-crypto", "SDES-lifetime", "SDES-prefer", "SDES-unencrypted_srtcp"):
        yield call(f"sdes/word-{word}", {**SDES_ONLY, **words(word)}, "sdes")
    for name in ("off", "no", "disable", "disabled"):
        yield call(f"sdes/{name}-leaves-dtls", {**SAVP, "SDES": [name]})
    yield call("sdes/off-in-answer", SAVP, "dtls-and-sdes", back={"SDES": ["off"]})
    yield call("sdes/prefer@dtls-and-sdes", {**TO_PLAIN, "SDES": ["prefer"]}, "dtls-and-sdes")
    yield call("sdes/prefer-in-answer@dtls-and-sdes", TO_PLAIN, "dtls-and-sdes", back={"SDES": ["prefer"]})
    yield call("sdes/dtls-off-in-answer@dtls-and-sdes", TO_PLAIN, "dtls-and-sdes", back={"DTLS": "off"})
    yield call("sdes/answer-without-keys", SDES_ONLY, how=Answer(sdes=False))
    yield call("sdes/answer-plain", SDES_ONLY, how=Answer(sdes=False, protocol="RTP/AVP"))
    yield call("sdes/savp-without-keys-to-plain", TO_PLAIN, "savp-without-keys")
    yield call("sdes/keys-are-the-partners", SDES_ONLY, "sdes", how=Answer(suite="AES_CM_128_HMAC_SHA1_80"))
    rekeyed = BODIES["sdes"].replace("inline:AAEC", "inline:zzEC")
    for name, second in (("same-keys", "sdes"), ("new-key", rekeyed), ("fewer-suites", "sdes-savpf"), ("other-order", "sdes-tags")):
        yield Sequence(f"sdes/re-offer-{name}", [offer("sdes", SDES_ONLY), answer(), offer(second, SDES_ONLY, to=TO), answer()])
        yield Sequence(f"sdes/re-offer-{name}-to-plain", [offer("sdes", TO_PLAIN), answer(), offer(second, TO_PLAIN, to=TO), answer()])
    yield Sequence("sdes/re-offer-by-callee", [
        offer("sdes", SDES_ONLY), answer(), offer("sdes", SDES_ONLY, tag=TO, to=FROM), answer(tag=TO, to=FROM)])
    yield Sequence("sdes/plain-callee-re-offers", [
        offer("sdes", TO_PLAIN), answer(), offer("plain", SDES_ONLY, tag=TO, to=FROM), answer(tag=TO, to=FROM)])
    yield Sequence("sdes/answer-changes-key", [
        offer("plain", SDES_ONLY), answer(), offer("plain", SDES_ONLY, to=TO),
        answer(how=Answer(key="yyECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"))])


def dtls():
    for name, flags in DTLS.items():
        for sdp in ("dtls", "dtls-active", "dtls-passive"):
            yield call(f"dtls/{name}-to-plain@{sdp}", {**TO_PLAIN, **flags}, sdp)
        yield call(f"dtls/{name}-to-dtls", {**TO_DTLS, **flags})
        yield call(f"dtls/{name}-in-answer@dtls", TO_PLAIN, "dtls", back=flags)
        yield call(f"dtls/{name}-savp@plain", {**SAVP, **flags})
    for sdp in [name for name in BODIES if name.startswith("dtls")]:
        yield call(f"dtls/to-plain@{sdp}", TO_PLAIN, sdp)
        yield call(f"dtls/to-dtls@{sdp}", TO_DTLS, sdp)
    for setup in ("active", "passive", "actpass", "holdconn"):
        yield call(f"dtls/answered-{setup}", TO_DTLS, how=Answer(setup=setup))
        yield call(f"dtls/answered-{setup}@dtls", {}, "dtls", how=Answer(setup=setup))
    yield call("dtls/answered-plain", TO_DTLS, how=Answer(dtls=False, sdes=False, protocol="RTP/AVP"))
    yield call("dtls/answered-with-sdes", SAVP, how=Answer(dtls=False))
    yield call("dtls/answered-with-dtls", SAVP, how=Answer(sdes=False))
    yield call("dtls/everything-off", {**SAVP, "DTLS": "off", "SDES": ["off"]})
    changed = BODIES["dtls"].replace("AB:AB", "AA:AB")
    for name, second in (("unchanged", "dtls"), ("new-fingerprint", changed), ("other-role", "dtls-active"), ("plain", "plain"),
                         ("tls-id", "dtls-tls-id")):
        yield Sequence(f"dtls/re-offer-{name}", [offer("dtls", TO_PLAIN), answer(), offer(second, TO_PLAIN, to=TO), answer()])
        yield Sequence(f"dtls/re-offer-{name}-through", [offer("dtls"), answer(), offer(second, to=TO), answer()])
    yield Sequence("dtls/plain-callee-re-offers", [
        offer("dtls", TO_PLAIN), answer(), offer("plain", TO_DTLS, tag=TO, to=FROM), answer(tag=TO, to=FROM)])
    yield Sequence("dtls/plain-callee-re-offers-saying-nothing", [
        offer("dtls", TO_PLAIN), answer(), offer("plain", tag=TO, to=FROM), answer(tag=TO, to=FROM)])
    whatsapp = {**TO_PLAIN, "ICE": "remove", "rtcp-mux": ["demux"], "replace": ["origin"], "bundle": ["accept"],
                "flags": ["strip-extmap", "sdp-attr-remove-audio-ssrc", "sdp-attr-remove-none-msid-semantic"]}
    back = {"replace": ["origin"], "flags": ["no-rtcp-attribute", "no-tls-id"]}
    yield call("dtls/whatsapp-calls", whatsapp, "meta-dtls", back)
    yield call("dtls/whatsapp-calls-active", whatsapp, META_DTLS.replace("actpass", "active"), back)
    yield call("dtls/whatsapp-called", {
        "transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"], "rtcp-mux": ["offer", "require"],
        "flags": ["generate-mid", "no-rtcp-attribute", "no-tls-id"], "replace": ["origin"]}, "opus", how=Answer(ice="lite"))
    yield call("sdes/whatsapp-called", {**SDES_ONLY, "ICE": "remove", "flags": ["SDES-only-AES_CM_128_HMAC_SHA1_80"],
                                        "replace": ["origin"]}, "opus")
    for first in ("webrtc", "plain"):
        for second in ("webrtc", "plain"):
            to = words("WebRTC") if second == "webrtc" else {**TO_PLAIN, "ICE": "remove", "rtcp-mux": ["demux"]}
            yield call(f"dtls/{first}-to-{second}-by-words", to, "browser" if first == "webrtc" else "plain")


def osrtp():
    for name in ("offer", "offer-RFC", "offer-legacy", "accept", "accept-RFC", "accept-legacy"):
        for sdp in ("plain", "osrtp", "sdes"):
            yield call(f"osrtp/{name}@{sdp}", {**TO_PLAIN, "OSRTP": [name]} if sdp != "osrtp" else {"OSRTP": [name]}, sdp)
        yield call(f"osrtp/{name}-in-answer", {}, "osrtp", back={"OSRTP": [name]})
        yield call(f"osrtp/word-{name}", words(f"OSRTP-{name}"))
    yield call("osrtp/passes", {}, "osrtp")
    yield call("osrtp/passes-answered-plain", {}, "osrtp", how=Answer(sdes=False, dtls=False))
    yield call("osrtp/dtls-passes", {}, "osrtp-dtls")
    yield call("osrtp/offer-answered-plain", {"OSRTP": ["offer"]}, how=Answer(sdes=False, dtls=False))
    yield call("osrtp/offer-with-dtls-off", {"OSRTP": ["offer"], "DTLS": "off"})
