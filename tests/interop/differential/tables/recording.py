"""Family `media`, the part in which calls are recorded: what is compared is the files."""

from sequences import words

OPUS = ["m=audio {port} RTP/AVP 111", "a=rtpmap:111 opus/48000/2"]
MUX = ["m=audio {port} RTP/AVP 0", "a=rtcp-mux"]


def scripts():
    """Names, scripts, and the families of the two peers' addresses."""
    for name, media, families in (("plain", None, "44"), ("opus", OPUS, "44"), ("mux", MUX, "44"), ("ipv6", None, "66"), ("mixed", None, "46")):
        def script(call, media=media, family=families[1]):
            call.offer(media, record_call="yes", metadata="who:what|why", **({"address-family": "IP6"} if family == "6" else {}))
            call.answer(media)
            call.talk_and_report()
            call.note_recordings()
        yield f"recording-{name}", script, tuple(families)
    yield "recording-started-and-stopped", started_and_stopped, ("4", "4")
    yield "recording-described-later", described_later, ("4", "4")
    yield "recording-blocked", blocked, ("4", "4")
    yield "recording-never-answered", early, ("4", "4")
    yield "recording-odd-packets", odd, ("4", "4")


def started_and_stopped(call):
    call.offer()
    call.answer()
    call.talk()
    for _ in range(2):
        call.order({"command": "start recording"})
        call.talk_and_report()
        call.order({"command": "stop recording"})
        call.talk()
    call.note_recordings()


def described_later(call):
    call.offer()
    call.answer()
    call.order({"command": "start recording", "metadata": "first"})
    call.talk()
    call.offer(by="callee", metadata="second")
    call.answer(by="caller", to="caller")
    call.talk()
    call.note_recordings()


def blocked(call):
    call.offer(record_call="on")
    call.answer()
    call.order({"command": "block media", "from-tag": "caller", **words("directional")})
    call.talk()
    call.note_recordings()


def early(call):
    call.offer(flags=["record-call"])
    call.send("callee")
    call.note_recordings()


def odd(call):
    call.offer(record_call="yes")
    call.answer()
    for options in ({"payload_type": 99}, {"raw": b"no RTP at all, but long enough"}, {"raw": b"\x80\x00"}, {"raw": b"\x80\x00\x00\x01"}, {"size": 1200},
                    {"size": 0}, {"first_byte": 0xA0, "tail": b"\0\0\0\4"}):
        call.send("caller", count=1, **options)
    call.listen()
    call.note_recordings()
