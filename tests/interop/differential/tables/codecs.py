"""Families `codecs` and `ptime`."""

from answering import Answer
from sequences import TO, Sequence, answer, call, offer, pairs, words

PLAIN_OPERATIONS = {
    "strip-PCMU": {"codec": {"strip": ["PCMU"]}},
    "strip-two": {"codec": {"strip": ["PCMU", "telephone-event"]}},
    "strip-lower-case": {"codec": {"strip": ["pcmu"]}},
    "strip-with-rate": {"codec": {"strip": ["PCMU/8000"]}},
    "strip-by-number": {"codec": {"strip": ["0"]}},
    "strip-unknown": {"codec": {"strip": ["foo"]}},
    "strip-all": {"codec": {"strip": ["all"]}},
    "strip-all-except": {"codec": {"strip": ["all"], "except": ["PCMA"]}},
    "strip-all-offer": {"codec": {"strip": ["all"], "offer": ["PCMA", "PCMU"]}},
    "strip-full": {"codec": {"strip": ["full"], "except": ["PCMA"]}},
    "offer-alone": {"codec": {"offer": ["PCMA"]}},
    "except-alone": {"codec": {"except": ["PCMA"]}},
    "ignore": {"codec": {"ignore": ["PCMU"]}},
    "mask-event": {"codec": {"mask": ["telephone-event"]}},
    "accept": {"codec": {"accept": ["PCMU"]}},
    "consume-unused": {"codec": {"consume": ["foo"]}},
    "set": {"codec": {"set": ["PCMU/8000"]}},
    "not-a-dictionary": {"codec": "strip"},
    "empty": {"codec": {}},
    "unknown-operation": {"codec": {"enlarge": ["PCMU"]}},
}
TRANSCODING = {
    "transcode-PCMA-offered": {"codec": {"transcode": ["PCMA"]}},
    "transcode-opus": {"codec": {"transcode": ["opus/48000/2"]}},
    "transcode-G722": {"codec": {"transcode": ["G722"]}},
    "mask-all-opus": {"codec": {"mask": ["all"], "transcode": ["opus/48000/2", "telephone-event"]}},
    "mask-PCMU-transcode-G722": {"codec": {"mask": ["PCMU"], "transcode": ["G722"]}},
    "consume": {"codec": {"consume": ["PCMU"], "transcode": ["PCMA"]}},
}
WORDS = ["codec-strip-PCMU", "codec-strip-all", "codec-except-PCMA", "codec-offer-PCMA", "codec-mask-telephone-event",
         "codec-accept-PCMU", "codec-ignore-PCMU", "single-codec", "static-codecs", "reuse-codecs", "no-codec-renegotiation",
         "allow-transcoding", "allow-no-codec-media", "allow-asymmetric-codecs", "asymmetric-codecs"]


def sequences():
    for name, flags in {**PLAIN_OPERATIONS, **TRANSCODING}.items():
        yield call(f"codecs/{name}", flags)
    for name in ("strip-PCMU", "strip-all", "strip-all-except", "strip-all-offer", "offer-alone", "strip-by-number"):
        yield call(f"codecs/{name}@many-codecs", PLAIN_OPERATIONS[name], "many-codecs")
        yield call(f"codecs/{name}-in-answer", {}, back=PLAIN_OPERATIONS[name])
    few = ("strip-PCMU", "offer-alone", "except-alone", "mask-event", "accept")
    for name, flags in pairs({key: PLAIN_OPERATIONS[key] for key in few}):
        yield call(f"codecs/{name}", flags, "many-codecs")
    for word in WORDS:
        yield call(f"codecs/word-{word}", words(word), "many-codecs")
        yield call(f"codecs/word-{word}-in-answer", {}, "many-codecs", back=words(word))
    yield call("codecs/words-strip-all-except", words("codec-strip-all", "codec-except-PCMA"), "many-codecs")
    yield call("codecs/strip-opus@meta", {"codec": {"strip": ["opus"]}, "transport-protocol": "RTP/AVP", "ICE": "remove"}, "meta-dtls")
    for taken in (["PCMA"], ["PCMU", "PCMA"], ["PCMA", "telephone-event"], ["telephone-event", "PCMU"], ["PCMU"]):
        yield call(f"codecs/answered-{'-'.join(taken)}", how=Answer(codecs=taken))
        yield call(f"codecs/answered-{'-'.join(taken)}-single", how=Answer(codecs=taken), back=words("single-codec"))
    yield call("codecs/answered-renumbered", how="""v=0\r
o=callee 1 1 IN IP4 127.0.70.2\r
s=-\r
c=IN IP4 127.0.70.2\r
t=0 0\r
m=audio 50000 RTP/AVP 0 96\r
a=rtpmap:96 telephone-event/8000\r
""")
    yield call("codecs/answered-unoffered", how="""v=0\r
o=callee 1 1 IN IP4 127.0.70.2\r
s=-\r
c=IN IP4 127.0.70.2\r
t=0 0\r
m=audio 50000 RTP/AVP 0 9\r
""")
    yield call("codecs/opus-renumbered", sdp="opus", how="""v=0\r
o=callee 1 1 IN IP4 127.0.70.2\r
s=-\r
c=IN IP4 127.0.70.2\r
t=0 0\r
m=audio 50000 RTP/AVP 96 97\r
a=rtpmap:96 opus/48000/2\r
a=rtpmap:97 telephone-event/8000\r
""")
    for name, second in (("fewer", "static-without-rtpmap"), ("others", "opus"), ("more", "many-codecs"), ("same", "plain")):
        for word in (None, "static-codecs", "reuse-codecs"):
            yield Sequence(f"codecs/re-offer-{name}{'-' + word if word else ''}", [
                offer("plain"), answer(), offer(second, words(word) if word else {}, to=TO), answer()])
    for sdp in ("many-codecs", "upper-case-codecs", "fmtp-styles", "red", "static-without-rtpmap", "browser"):
        yield call(f"codecs/first-alone@{sdp}", {"transport-protocol": "RTP/AVP", "ICE": "remove"}, sdp,
                   how=Answer(codecs=["opus", "PCMU"]))
    yield from ptime()


def ptime():
    for name, flags in {"40": {"ptime": 40}, "string": {"ptime": "30"}, "reverse": {"ptime-reverse": 40}, "reverse-spaces":
                        {"ptime reverse": 40}, "both": {"ptime": 30, "ptime-reverse": 40}, "same": {"ptime": 20}, "zero":
                        {"ptime": 0}, "bogus": {"ptime": "x"}}.items():
        for sdp in ("plain", "no-ptime", "maxptime"):
            yield call(f"ptime/{name}@{sdp}", flags, sdp)
    yield call("ptime/in-answer", {}, back={"ptime": 40})
    yield call("ptime/answered-30", how=Answer(ptime=30))
    yield call("ptime/forced-and-answered-30", {"ptime": 40}, how=Answer(ptime=30))
    yield call("ptime/repacketize", {"repacketize": 40})
    yield call("ptime/repacketize-word", words("repacketize=40"))
    yield Sequence("ptime/re-offer", [offer("plain", {"ptime": 40}), answer(), offer("plain", to=TO), answer()])
