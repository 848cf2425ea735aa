"""Families `ice`, `mux`, `bundle`: one port or more, and which candidates."""

from answering import FULL, LITE, Answer
from bodies import BODIES
from sequences import FROM, TO, Sequence, answer, call, offer, pairs, words

ICE = {
    "remove": {"ICE": "remove"},
    "force": {"ICE": "force"},
    "default": {"ICE": "default"},
    "optional": {"ICE": "optional"},
    "force-relay": {"ICE": "force-relay"},
    "bogus": {"ICE": "bogus"},
    "lower-case-key": {"ice": "remove"},
    "lite-forward": {"ICE": "force", "ICE-lite": "forward"},
    "lite-backward": {"ICE-lite": "backward"},
    "lite-both": {"ICE": "force", "ICE-lite": "both"},
    "lite-off": {"ICE": "force", "ICE-lite": "off"},
    "reject": words("reject-ICE"),
    "reject-other-way-round": words("ICE-reject"),
    "trickle": {"ICE": "force", "flags": ["trickle-ICE"]},
}
MUX = {
    "none": {},
    "offer": {"rtcp-mux": ["offer"]},
    "require": {"rtcp-mux": ["require"]},
    "demux": {"rtcp-mux": ["demux"]},
    "accept": {"rtcp-mux": ["accept"]},
    "reject": {"rtcp-mux": ["reject"]},
}
BUNDLE = {
    "accept": {"bundle": ["accept"]},
    "offer": {"bundle": ["offer"]},
    "require": {"bundle": ["require"]},
    "strict": {"bundle": ["strict"]},
    "reject": {"bundle": ["reject"]},
    "word-accept": words("BUNDLE-accept"),
    "word-offer": words("BUNDLE-offer"),
}


def sequences():
    yield from ice()
    yield from mux()
    yield from bundle()


def ice():
    for name, flags in ICE.items():
        for sdp in ("plain", "ice", "ice-mux", "ice-lite", "meta-dtls"):
            yield call(f"ice/{name}@{sdp}", flags, sdp)
    for sdp in ("ice-srflx", "ice-no-candidates", "ice-trickle", "ice-mismatch", "ice-session-credentials", "browser"):
        for name in ("remove", "force", "optional"):
            yield call(f"ice/{name}@{sdp}", ICE[name], sdp)
    for how, kind in (("full", FULL), ("lite", LITE), ("none", None)):
        for name in ("force", "default", "remove"):
            for sdp in ("plain", "ice"):
                yield call(f"ice/{name}@{sdp}-answered-{how}", ICE[name], sdp, how=Answer(ice=kind))
    for name in ("remove", "force", "reject"):
        yield call(f"ice/{name}-in-answer@ice", {}, "ice", back=ICE[name])
        yield call(f"ice/{name}-in-answer@plain", {}, "plain", back=ICE[name])
        yield call(f"ice/{name}-both", ICE[name], "ice", back=ICE[name])
    restart = Answer(ice=FULL)
    for sdp in ("ice", "ice-mux", "ice-lite"):
        yield Sequence(f"ice/re-offer-unchanged@{sdp}", [offer(sdp), answer(), offer(sdp, to=TO), answer()])
        yield Sequence(f"ice/re-offer-by-callee@{sdp}", [
            offer(sdp), answer(), offer(sdp, tag=TO, to=FROM), answer(tag=TO, to=FROM)])
    restarted = BODIES["ice"].replace("callerUf", "otherUfr")
    yield Sequence("ice/restart-by-caller", [offer("ice"), answer(), offer(restarted, to=TO), answer(how=restart)])
    yield Sequence("ice/re-offer-forgets-ice", [offer("ice"), answer(), offer("plain", to=TO), answer()])
    yield Sequence("ice/re-offer-brings-ice", [offer("plain"), answer(), offer("ice", to=TO), answer()])
    yield Sequence("ice/force-falls-back", [
        offer("plain", ICE["force"]), answer(how=Answer(ice=None)), offer("plain", ICE["force"], to=TO), answer(how=Answer(ice=None))])
    yield Sequence("ice/force-again", [
        offer("plain", ICE["force"]), answer(), offer("plain", ICE["force"], to=TO), answer(), offer("plain", to=TO), answer()])
    yield Sequence("ice/reset", [
        offer("plain", ICE["force"]), answer(how=Answer(ice=None)), offer("plain", {**ICE["force"], **words("reset")}, to=TO), answer()])
    yield Sequence("ice/fragment-of-an-unknown-call", [
        offer("a=ice-ufrag:callerUf\r\na=mid:0\r\na=candidate:1 1 UDP 2130706431 127.0.70.1 41000 typ host\r\n", words("fragment"))])


def mux():
    for name, flags in MUX.items():
        for sdp in ("plain", "mux"):
            for taken in (True, False):
                yield call(f"mux/{name}@{sdp}-{'accepted' if taken else 'refused'}", flags, sdp, how=Answer(mux=taken))
        if flags:
            yield call(f"mux/{name}-in-answer@mux", {}, "mux", back=flags)
            yield call(f"mux/{name}-in-answer@plain", {}, "plain", back=flags)
            yield Sequence(f"mux/{name}-over-re-offer@mux", [offer("mux", flags), answer(), offer("mux", flags, to=TO), answer()])
            yield Sequence(f"mux/{name}-forgotten-in-re-offer", [offer("mux", flags), answer(), offer("mux", to=TO), answer()])
            yield Sequence(f"mux/{name}-re-offer-by-callee", [
                offer("mux", flags), answer(), offer("plain", tag=TO, to=FROM), answer(tag=TO, to=FROM)])
    for name, flags in pairs({name: flags for name, flags in MUX.items() if flags}):
        for sdp in ("plain", "mux"):
            yield call(f"mux/{name}@{sdp}", flags, sdp)
    for sdp in ("ice", "ice-mux", "av-mux", "sdes-mux", "dtls", "rtcp-attribute-same-port"):
        for name in ("offer", "require", "demux", "accept"):
            yield call(f"mux/{name}@{sdp}", MUX[name], sdp)
    for word in ("rtcp-mux-offer", "rtcp-mux-require", "rtcp-mux-demux", "rtcp-mux-accept", "rtcp-mux-reject"):
        yield call(f"mux/word-{word}", words(word), "mux")
    yield call("mux/comma-string", {"rtcp-mux": "offer,require"})


def bundle():
    for name, flags in BUNDLE.items():
        for sdp in ("av-bundle", "browser-video", "meta-dtls"):
            yield call(f"bundle/{name}@{sdp}", flags, sdp)
        yield call(f"bundle/{name}-in-answer", {}, "av-bundle", back=flags)
    for sdp in ("av-mids", "plain", "av-bundle-only", "av-lip-sync"):
        for name in ("accept", "offer"):
            yield call(f"bundle/{name}@{sdp}", BUNDLE[name], sdp)
    yield Sequence("bundle/re-offer", [offer("av-bundle", BUNDLE["accept"]), answer(), offer("av-bundle", BUNDLE["accept"], to=TO),
                                       answer()])
    yield call("bundle/answer-does-not-bundle", BUNDLE["accept"], "av-bundle", how=Answer(mux=False))
