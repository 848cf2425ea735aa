"""Family `media`: calls with packets. A script is a function of a `Call`; its log is what is compared."""

import prompts
import securing
from media import AUDIO, PACKETS
from sequences import words
from tables import recording

PLAIN = {"flags": ["trust-address"]}
MUX = [*AUDIO, "a=rtcp-mux"]
OPUS = ["m=audio {port} RTP/AVP 111 126", "a=rtpmap:111 opus/48000/2", "a=rtpmap:126 telephone-event/8000"]
TWO = [*AUDIO, "m=video {rtcp} RTP/AVP 96", "a=rtpmap:96 VP8/90000"]
V6 = ("6", "6")


def scripts(with_security=False):
    """Names, scripts, and the families of the two peers' addresses."""
    if with_security:
        yield from secured()
    yield from codecs()
    yield from headers()
    yield from learning()
    yield from multiplexing()
    yield from reports()
    yield from holding()
    yield from restricting()
    yield from changing()
    yield from recording.scripts()
    yield from playing()
    yield from pressing()
    yield from subscribing()


def simple(offered=None, answered=None, before=None, after=None, **flags):
    """Offer, answer, both talk."""
    def script(call):
        call.offer(offered, **{key: value for key, value in (before or flags).items()})
        call.answer(answered, **(after or {}))
        call.talk_and_report()
    return script


def codecs():
    yield "plain", simple(), ("4", "4")
    yield "ipv6", simple(), V6
    yield "ipv6-to-ipv4", simple(before={"address-family": "IP4"}), ("6", "4")
    yield "ipv4-to-ipv6", simple(before={"address-family": "IP6"}), ("4", "6")
    yield "two-interfaces", simple(before={"direction": ["internal", "external"]}), ("4", "4")
    yield "interfaces-swapped", simple(before={"direction": ["pub", "priv"]}), ("4", "4")
    for name, number, lines, step in (
            ("PCMA", 8, AUDIO, 160), ("telephone-event", 101, AUDIO, 0), ("opus", 111, OPUS, 960),
            ("G722", 9, ["m=audio {port} RTP/AVP 9"], 160), ("G729", 18, ["m=audio {port} RTP/AVP 18"], 160),
            ("comfort-noise", 13, ["m=audio {port} RTP/AVP 0 13"], 160), ("unknown-type", 50, AUDIO, 160),
            ("iLBC", 97, ["m=audio {port} RTP/AVP 97", "a=rtpmap:97 iLBC/8000"], 240)):
        def script(call, number=number, lines=lines, step=step):
            call.offer(lines)
            call.answer(lines)
            call.talk(payload_type=number, step=step, size=40)
        yield f"codec-{name}", script, ("4", "4")
    yield "two-sections", two_sections, ("4", "4")
    yield "t38", fax, ("4", "4")


def two_sections(call):
    call.offer(TWO)
    call.answer(TWO)
    call.send("caller", payload_type=96, section=1)
    call.send("callee", section=0)
    call.listen()


def fax(call):
    lines = ["m=image {port} udptl t38", "a=T38FaxVersion:0"]
    call.offer(lines)
    call.answer(lines)
    call.send("caller", raw=b"\x00\x01\x02udptl of the caller")
    call.send("callee", raw=b"\x00\x01\x02udptl of the callee")
    call.listen()


def headers():
    for name, options in (
            ("marker-everywhere", {"marker": range(PACKETS)}), ("no-marker", {"marker": ()}), ("big-packets", {"size": 1200}),
            ("empty-payload", {"size": 0}), ("extension", {"first_byte": 0x90, "header": b"\xbe\xde\x00\x01\x10\x05\x00\x00"}),
            ("contributors", {"first_byte": 0x81, "header": b"\x00\x00\x00\x09"}),
            ("padding", {"first_byte": 0xa0, "tail": b"\0\0\0\4"}), ("version-1", {"first_byte": 0x40}),
            ("timestamp-stands", {"step": 0}), ("timestamp-leaps", {"step": 90000})):
        def script(call, options=options):
            call.offer()
            call.answer()
            call.talk(**options)
        yield f"header-{name}", script, ("4", "4")
    for name, raw in (("rubbish", b"hello"), ("one-byte", b"\x80"), ("short-header", b"\x80\x00\x00\x01"), ("dtls-record", b"\x16\xfe\xfd" + b"\0" * 30)):
        def script(call, raw=raw):
            call.offer()
            call.answer()
            call.send("caller", raw=raw, count=3)
            call.listen("rubbish: ")
            call.talk()
        yield f"stray-{name}", script, ("4", "4")


def learning():
    for mode in ("default", "heuristic", "immediate", "delayed", "off"):
        flags = {} if mode == "default" else words(f"endpoint-learning-{mode}")

        def script(call, flags=flags):
            call.offer(**flags)
            call.answer(**flags)
            call.send("caller", elsewhere=True)
            call.listen("learning: ")
            call.talk()
        yield f"learning-{mode}", script, ("4", "4")
    for word in ("asymmetric", "strict-source", "media-handover", "port-latching", "pierce-NAT", "NAT-wait", "symmetric", "recrypt",
                 "no-port-latching", "unidirectional", "SIP-source-address", "trust-address"):
        flags = {**words(word), "received-from": ["IP4", "127.0.0.1"]} if word.startswith("SIP") else words(word)

        def script(call, flags=flags):
            call.offer(**flags)
            call.answer(**flags)
            call.talk()
            call.send("callee", elsewhere=True)
            call.listen("elsewhere: ")
            call.send("caller")
            call.listen("afterwards: ")
        if not word.startswith("SIP"):
            yield f"flag-{word}", script, ("4", "4")


def multiplexing():
    for name, offered, answered, flags, back in (
            ("both", MUX, MUX, {}, {}), ("refused", MUX, AUDIO, {}, {}), ("demux", MUX, AUDIO, {"rtcp-mux": ["demux"]}, {}),
            ("offer", AUDIO, MUX, {"rtcp-mux": ["offer"]}, {}), ("require", AUDIO, MUX, {"rtcp-mux": ["require"]}, {}),
            ("offer-refused", AUDIO, AUDIO, {"rtcp-mux": ["offer"]}, {}), ("accept", MUX, AUDIO, {"rtcp-mux": ["accept"]}, {}),
            ("reject", MUX, MUX, {"rtcp-mux": ["reject"]}, {})):
        def script(call, offered=offered, answered=answered, flags=flags, back=back):
            call.offer(offered, **flags)
            call.answer(answered, **back)
            for by, lines in (("caller", offered), ("callee", answered)):
                call.send(by, count=3)
                peer = getattr(call, by)
                call.send_rtcp(by, on_rtp_port=bool(peer.relay and peer.relay[0]["mux"]))
            call.listen()
        yield f"mux-{name}", script, ("4", "4")


def reports():
    import struct
    from media import SSRC
    packets = {
        "receiver-report": struct.pack("!BBHI", 0x80, 201, 1, SSRC["caller"]),
        "bye": struct.pack("!BBHI", 0x80, 201, 1, SSRC["caller"]) + struct.pack("!BBHI", 0x81, 203, 1, SSRC["caller"]),
        "feedback": struct.pack("!BBHIII", 0x81, 205, 3, SSRC["caller"], SSRC["callee"], 0x00010000),
        "picture-loss": struct.pack("!BBHII", 0x81, 206, 2, SSRC["caller"], SSRC["callee"]),
        "application": struct.pack("!BBHI", 0x80, 204, 2, SSRC["caller"]) + b"test",
        "broken": b"\x80\xc8\x00\x50abcd",
    }
    for name, packet in packets.items():
        for proto in ("AVP", "AVPF"):
            def script(call, packet=packet, proto=proto):
                lines = [line.replace("RTP/AVP", f"RTP/{proto}") for line in AUDIO]
                call.offer(lines)
                call.answer(lines)
                call.send("caller", count=2)
                call.send("callee", count=2)
                call.send_rtcp("caller", packet)
                call.listen()
            yield f"rtcp-{name}-{proto}", script, ("4", "4")

    def avpf_to_avp(call):
        call.offer([line.replace("RTP/AVP", "RTP/AVPF") for line in AUDIO], **{"transport-protocol": "RTP/AVP"})
        call.answer()
        call.send("caller", count=2)
        call.send_rtcp("caller", packets["feedback"])
        call.send_rtcp("caller")
        call.listen()
    yield "rtcp-feedback-towards-AVP", avpf_to_avp, ("4", "4")


def holding():
    for name, direction, answered in (("sendonly", "sendonly", "recvonly"), ("recvonly", "recvonly", "sendonly"),
                                      ("inactive", "inactive", "inactive")):
        def script(call, direction=direction, answered=answered):
            call.offer([*AUDIO, f"a={direction}"])
            call.answer([*AUDIO, f"a={answered}"])
            call.talk_and_report()
        yield f"hold-{name}", script, ("4", "4")

        def later(call, direction=direction, answered=answered):
            call.offer()
            call.answer()
            call.talk()
            call.offer([*AUDIO, f"a={direction}"])
            call.answer([*AUDIO, f"a={answered}"])
            for by in ("caller", "callee"):
                call.send(by)
            call.listen("held: ")
            call.offer()
            call.answer()
            call.talk()
        yield f"hold-{name}-and-back", later, ("4", "4")

    def zero(call):
        call.offer()
        call.answer()
        call.talk()
        call.offer([AUDIO[0], "c=IN IP4 0.0.0.0", AUDIO[1]])
        call.answer([*AUDIO, "a=recvonly"])
        for by in ("caller", "callee"):
            call.send(by)
        call.listen("held: ")
    yield "hold-zero-address", zero, ("4", "4")

    def rejected(call):
        call.offer()
        call.answer(["m=audio 0 RTP/AVP 0"])
        call.send("caller")
        call.listen()
    yield "answer-rejects", rejected, ("4", "4")


def restricting():
    whole, caller = {}, {"from-tag": "caller", **words("directional")}
    for name in ("media", "DTMF"):
        for title, keys in (("whole", whole), ("caller", caller)):
            def script(call, name=name, keys=keys):
                call.offer()
                call.answer()
                call.order({"command": f"block {name}", **keys})
                call.talk_and_report()
                call.send("caller", payload_type=101, size=4, step=0)
                call.listen("keys: ")
                call.order({"command": f"unblock {name}", **keys})
                call.talk()
                call.send("caller", payload_type=101, size=4, step=0)
                call.listen("keys: ")
            yield f"block-{name}-{title}", script, ("4", "4")

    for title, keys in (("whole", whole), ("caller", caller)):
        def silence(call, keys=keys):
            call.offer()
            call.answer()
            call.order({"command": "silence media", **keys})
            call.talk()
            call.order({"command": "unsilence media", **keys})
            call.talk()
        yield f"silence-{title}", silence, ("4", "4")


def changing():
    def early(call):
        call.offer()
        call.send("callee")
        call.listen("before the answer: ")
        call.answer()
        call.talk()
    yield "before-the-answer", early, ("4", "4")

    def gone(call):
        call.offer()
        call.answer()
        call.talk()
        call.order({"command": "delete", "delete-delay": 0})
        call.talk()
    yield "after-delete", gone, ("4", "4")

    def delayed(call):
        call.offer()
        call.answer()
        call.order({"command": "delete", "delete-delay": 30})
        call.talk()
    yield "after-delete-with-delay", delayed, ("4", "4")

    def again(call):
        call.offer()
        call.answer()
        call.talk()
        call.offer()
        call.answer()
        call.talk()
    yield "re-offer", again, ("4", "4")

    def by_callee(call):
        call.offer()
        call.answer()
        call.talk()
        call.offer(by="callee")
        call.answer(by="caller", to="caller")
        call.talk()
    yield "re-offer-by-callee", by_callee, ("4", "4")

    def strip(call):
        call.offer(codec={"strip": ["PCMU"]})
        call.answer(["m=audio {port} RTP/AVP 8 101", AUDIO[1]])
        call.talk(payload_type=8)
    yield "codec-stripped", strip, ("4", "4")

    def renumbered(call):
        call.offer(OPUS)
        call.answer(["m=audio {port} RTP/AVP 96 97", "a=rtpmap:96 opus/48000/2", "a=rtpmap:97 telephone-event/8000"])
        call.send("caller", payload_type=111, step=960)
        call.send("callee", payload_type=96, step=960)
        call.send("caller", payload_type=126, size=4, step=0)
        call.listen()
    yield "payload-types-renumbered", renumbered, ("4", "4")

    def drop(call):
        call.offer(**{"drop-traffic": "start"})
        call.answer()
        call.talk()
    yield "drop-traffic", drop, ("4", "4")

    def elsewhere_then_home(call):
        call.offer()
        call.answer()
        call.talk()
        call.send("caller", elsewhere=True)
        call.listen("elsewhere: ")
        call.talk()
    yield "source-moves-later", elsewhere_then_home, ("4", "4")


def playing():
    """What the caller hears of a recording, and the callee meanwhile."""
    for name, number, lines, file in (("PCMU", 0, AUDIO, "tone.wav"), ("PCMU-stereo", 0, AUDIO, "stereo.wav"),
                                      ("PCMA", 8, ["m=audio {port} RTP/AVP 8"], "tone.wav"), ("opus", 111, OPUS, "tone.wav")):
        def script(call, number=number, lines=lines, file=file):
            call.offer(lines)
            call.answer(lines)
            call.talk(payload_type=number)
            call.order({"command": "play media", "from-tag": "caller", "file": prompts.file(file)})
            call.send("caller", payload_type=number)
            call.listen("playing: ")
            call.talk(payload_type=number)
        yield f"play-{name}", script, ("4", "4")

    def stopped(call):
        call.offer()
        call.answer()
        call.talk()
        call.order({"command": "play media", "from-tag": "caller", "file": prompts.file("tone.wav")})
        call.order({"command": "stop media", "from-tag": "caller"})
        call.talk()
    yield "play-stopped", stopped, ("4", "4")


def pressing():
    """Keys that the relay presses in the name of a party."""
    flags = words("inject-DTMF")
    for name, keys in (("one", {"code": "5"}), ("long", {"code": "#", "duration": 400}), ("loud", {"code": 3, "volume": -3})):
        def script(call, keys=keys):
            call.offer(**flags)
            call.answer(**flags)
            call.talk()
            call.order({"command": "play DTMF", "from-tag": "caller", **keys})
            # An event is paced by the media that it interrupts.
            for _ in range(4):
                call.send("caller", count=8, pace=0.02)
            call.listen("keys: ")
        yield f"play-DTMF-{name}", script, ("4", "4")


def subscribing():
    """A third party hears what is said, and disturbs nobody."""
    for name, keys in (("caller", {"from-tag": "caller"}), ("callee", {"from-tag": "callee"}), ("all", words("all"))):
        def script(call, keys=keys):
            call.offer()
            call.answer()
            call.talk()
            call.subscribe(**keys)
            call.send("caller", pace=0.02)
            call.send("callee", pace=0.02)
            call.listen("heard: ")
            call.send("caller", payload_type=101, size=4, step=0)
            call.listen("keys: ")
            call.order({"command": "unsubscribe", "to-tag": "monitor"})
            call.talk()
        yield f"subscribe-{name}", script, ("4", "4")

    # A listener that takes another codec than the two who speak.
    for spoken, heard in ((0, 8), (8, 0)):
        def script(call, spoken=spoken, heard=heard):
            media = [f"m=audio {{port}} RTP/AVP {spoken}"]
            codec = {"transcode": ["PCMA" if heard == 8 else "PCMU"]}
            call.offer(media)
            call.answer(media)
            call.talk(payload_type=spoken)
            call.subscribe([f"m=audio {{port}} RTP/AVP {heard}"], words("allow-transcoding"), codec=codec, **{"from-tag": "caller"})
            call.send("caller", payload_type=spoken, pace=0.02)
            call.send("callee", payload_type=spoken, pace=0.02)
            call.listen("heard: ")
            call.order({"command": "unsubscribe", "to-tag": "monitor"})
            call.talk(payload_type=spoken)
        yield f"subscribe-transcoded-{spoken}-to-{heard}", script, ("4", "4")


def secured():
    secure = [line.replace("RTP/AVP", "RTP/SAVP") for line in AUDIO]
    to_plain, to_secure = {"transport-protocol": "RTP/AVP"}, {"transport-protocol": "RTP/SAVP", "DTLS": "off"}

    def speaks_secure(call, offered, suite):
        call.offer([*secure, securing.line(suite, securing.KEYS)], **offered)

    def answers_secure(call, suite):
        tag = securing.tag_of(suite, call.callee.description)
        call.answer([*secure, securing.line(suite, securing.CALLEE_KEYS, tag)])
        securing.secure(call.callee, suite, securing.CALLEE_KEYS)

    for suite in securing.PROFILES:
        def to_phone(call, suite=suite):
            speaks_secure(call, to_plain, suite)
            call.answer()
            securing.secure(call.caller, suite, securing.KEYS)
            call.talk()
        yield f"sdes-to-plain-{suite}", to_phone, ("4", "4")

        def from_phone(call, suite=suite):
            call.offer(**to_secure)
            answers_secure(call, suite)
            call.talk()
        yield f"plain-to-sdes-{suite}", from_phone, ("4", "4")

        def through(call, suite=suite):
            speaks_secure(call, to_secure, suite)
            answers_secure(call, suite)
            securing.secure(call.caller, suite, securing.KEYS)
            call.talk()
        yield f"sdes-to-sdes-{suite}", through, ("4", "4")

    def between_suites(call):
        speaks_secure(call, to_secure, "AES_CM_128_HMAC_SHA1_80")
        answers_secure(call, "AEAD_AES_128_GCM")
        securing.secure(call.caller, "AES_CM_128_HMAC_SHA1_80", securing.KEYS)
        call.talk()
    yield "sdes-to-another-suite", between_suites, ("4", "4")

    def wrong_key(call):
        speaks_secure(call, to_plain, "AES_CM_128_HMAC_SHA1_80")
        call.answer()
        securing.secure(call.caller, "AES_CM_128_HMAC_SHA1_80", securing.CALLEE_KEYS)
        call.talk()
    yield "sdes-wrong-key", wrong_key, ("4", "4")
