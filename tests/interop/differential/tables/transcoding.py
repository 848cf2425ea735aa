"""Family `transcoding`: two sides that share no codec, or are kept from the one they share."""

from answering import Answer
from sequences import TO, Sequence, answer, call, offer, words

OPUS = {"codec": {"transcode": ["opus/48000/2"]}}
# Flags of the offer, the body that is offered, and what the other side takes of it.
CALLS = {
    "opus-to-PCMA": ({"codec": {"transcode": ["PCMA"]}}, "opus", ["PCMA"]),
    "opus-to-PCMA-events": ({"codec": {"transcode": ["PCMA"]}}, "opus", ["PCMA", "telephone-event"]),
    "opus-to-two-PCMU": ({"codec": {"transcode": ["PCMA", "PCMU"]}}, "opus", ["PCMU", "telephone-event"]),
    "opus-to-both": ({"codec": {"transcode": ["PCMA"]}}, "opus", ["opus", "PCMA"]),
    "opus-to-both-reversed": ({"codec": {"transcode": ["PCMA"]}}, "opus", ["PCMA", "opus"]),
    "opus-masked": ({"codec": {"mask": ["opus"], "transcode": ["PCMA", "PCMU"]}}, "opus", ["PCMU", "telephone-event"]),
    "opus-stripped": ({"codec": {"strip": ["opus"], "transcode": ["PCMA"]}}, "opus", ["PCMA", "telephone-event"]),
    "opus-consumed": ({"codec": {"consume": ["opus"], "transcode": ["G722"]}}, "opus", ["G722", "telephone-event"]),
    "meta-to-PCMA": ({"codec": {"transcode": ["PCMA"]}, "transport-protocol": "RTP/AVP", "ICE": "remove"}, "meta-dtls", ["PCMA", "telephone-event"]),
    "plain-to-opus": (OPUS, "plain", ["opus", "telephone-event"]),
    "plain-to-opus-alone": (OPUS, "plain", ["opus"]),
    "plain-to-common": (OPUS, "plain", ["PCMU", "telephone-event"]),
    "plain-to-opus-and-common": (OPUS, "plain", ["opus", "PCMA", "telephone-event"]),
    "plain-masked": ({"codec": {"mask": ["all"], "transcode": ["opus/48000/2", "telephone-event"]}}, "plain", ["opus", "telephone-event"]),
    "PCMU-masked": ({"codec": {"mask": ["PCMU"], "transcode": ["G722"]}}, "plain", ["G722", "telephone-event"]),
    "PCMU-masked-PCMA-taken": ({"codec": {"mask": ["PCMU"], "transcode": ["G722"]}}, "plain", ["PCMA", "telephone-event"]),
    "PCMU-consumed-PCMA-taken": ({"codec": {"consume": ["PCMU"]}}, "plain", ["PCMA", "telephone-event"]),
    "PCMU-accepted-PCMA-taken": ({"codec": {"accept": ["PCMU"]}}, "plain", ["PCMA", "telephone-event"]),
    "PCMA-accepted-PCMU-taken": ({"codec": {"accept": ["PCMA"]}}, "plain", ["PCMU", "telephone-event"]),
    "all-accepted-PCMA-taken": ({"codec": {"accept": ["all"]}}, "plain", ["PCMA", "telephone-event"]),
    "always-PCMA-taken": (words("always-transcode"), "plain", ["PCMA", "telephone-event"]),
    "always-PCMU-taken": (words("always-transcode"), "plain", ["PCMU", "telephone-event"]),
    "always-many": (words("always-transcode"), "many-codecs", ["PCMA", "telephone-event"]),
    "allow": (words("allow-transcoding"), "plain", ["PCMA", "telephone-event"]),
    "set": ({"codec": {"set": ["opus/48000/2/24000"], "transcode": ["opus"]}}, "plain", ["opus", "telephone-event"]),
    "bitrate": ({"codec": {"transcode": ["opus/48000/2/24000"]}}, "plain", ["opus", "telephone-event"]),
    "parameters": ({"codec": {"transcode": ["opus/48000/2///useinbandfec--1"]}}, "plain", ["opus", "telephone-event"]),
    "L16": ({"codec": {"transcode": ["L16/8000"]}}, "plain", ["L16"]),
    "L16-16000": ({"codec": {"transcode": ["L16/16000"]}}, "opus", ["L16"]),
    "ptime": ({"codec": {"transcode": ["PCMA"]}, "ptime": 40}, "opus", ["PCMA"]),
    "unknown": ({"codec": {"transcode": ["foo"]}}, "plain", ["PCMU", "telephone-event"]),
}


def sequences():
    for name, (flags, sdp, taken) in CALLS.items():
        yield call(f"transcoding/{name}", flags, sdp, how=Answer(codecs=taken))
        if name in ("opus-to-both-reversed", "plain-to-opus", "plain-to-common"):
            yield call(f"transcoding/{name}-single", flags, sdp, how=Answer(codecs=taken), back=words("single-codec"))
    yield call("transcoding/words", words("codec-mask-opus", "codec-transcode-PCMA", "transcode-PCMU"), "opus",
               how=Answer(codecs=["PCMU", "telephone-event"]))
    # The other side answers with what it was never offered.
    yield call("transcoding/unasked", {}, "opus", how="""v=0\r
o=callee 1 1 IN IP4 127.0.70.2\r
s=-\r
c=IN IP4 127.0.70.2\r
t=0 0\r
m=audio 50000 RTP/AVP 8 101\r
a=rtpmap:101 telephone-event/8000\r
""")
    for name, second in (("same", "opus"), ("plain", "plain")):
        yield Sequence(f"transcoding/re-offer-{name}", [
            offer("opus", {"codec": {"transcode": ["PCMA"]}}), answer(how=Answer(codecs=["PCMA"])),
            offer(second, {"codec": {"transcode": ["PCMA"]}}, to=TO), answer(how=Answer(codecs=["PCMA"]))])
    yield Sequence("transcoding/re-offer-from-callee", [
        offer("opus", {"codec": {"transcode": ["PCMA"]}}), answer(how=Answer(codecs=["PCMA"])),
        offer("plain", tag=TO, to="caller-tag"), answer(tag=TO, to="caller-tag", how=Answer(codecs=["opus", "PCMU"]))])
