"""Families `layout`, `replace`, `hold`, `streams`, `sdp-attr`: what the written description looks like."""

from answering import Answer
from bodies import BODIES, T38, VIDEO, body, g711
from sequences import FROM, TO, Sequence, answer, call, offer, pairs, words

REPLACE = {name: {"replace": [name]} for name in (
    "origin", "session-connection", "SDP-version", "username", "session-name", "zero-address", "force-increment-sdp-ver",
    "origin-full", "bogus")}

SHAPE = {
    "generate-mid": words("generate-mid"),
    "no-rtcp-attribute": words("no-rtcp-attribute"),
    "full-rtcp-attribute": words("full-rtcp-attribute"),
    "original-sendrecv": words("original-sendrecv"),
    "strip-extmap": words("strip-extmap"),
    "loop-protect": words("loop-protect"),
    "label": {"label": "caller"},
    "replace-origin": {"replace": ["origin"]},
    "media-remove-video": {"sdp-media-remove": ["video"]},
    "no-tls-id": words("no-tls-id"),
}

SDP_ATTR = {
    "add-session": {"none": {"add": ["X-added:1"]}},
    "add-global": {"global": {"add": ["X-added:1"]}},
    "add-audio": {"audio": {"add": ["X-added:1", "a=X-second:2"]}},
    "add-video": {"video": {"add": ["X-added:1"]}},
    "remove-one-rtpmap": {"audio": {"remove": ["rtpmap:101"]}},
    "remove-fmtp": {"audio": {"remove": ["fmtp"]}},
    "remove-direction": {"audio": {"remove": ["sendrecv"]}},
    "remove-ptime": {"audio": {"remove": ["ptime:20"]}},
    "remove-rtcp": {"audio": {"remove": ["rtcp"]}},
    "remove-unknown": {"audio": {"remove": ["X-vendor"]}},
    "remove-other-case": {"audio": {"remove": ["x-VENDOR"]}},
    "remove-session": {"none": {"remove": ["X-session", "tool"]}},
    "remove-of-other-type": {"video": {"remove": ["ptime"]}},
    "substitute-direction": {"audio": {"substitute": [["sendrecv", "sendonly"]]}},
    "substitute-line": {"audio": {"substitute": [["ptime:20", "ptime:40"]]}},
    "substitute-session": {"none": {"substitute": [["X-session:1", "X-session:2"]]}},
    "several": {"audio": {"add": ["X-a:1"], "remove": ["fmtp:101"], "substitute": [["ptime:20", "maxptime:20"]]}},
    "both-levels": {"none": {"add": ["X-n:1"]}, "audio": {"add": ["X-a:1"]}},
}

# Not every body makes sense answered; these are offered alone, in `errors`.
NOT_HERE = {"no-media", "loop"}


def sequences():
    for name in BODIES:
        if name not in NOT_HERE:
            yield call(f"layout/{name}", sdp=name)
    yield from replace()
    yield from shape()
    yield from sdp_attr()
    yield from hold()
    yield from streams()


def replace():
    for name, flags in REPLACE.items():
        yield call(f"replace/{name}", flags, back=flags)
    for name, flags in pairs({name: REPLACE[name] for name in (
            "origin", "SDP-version", "username", "session-name", "zero-address", "session-connection")}):
        yield call(f"replace/{name}", flags, back=flags)
    for sdp in ("no-origin", "ipv6", "origin-domain-name", "zero-connection", "first-rejected", "zero-origin", "big-origin"):
        yield call(f"replace/origin@{sdp}", REPLACE["origin"], sdp, back=REPLACE["origin"])
    both = {"replace": ["origin", "session-connection"]}
    yield call("replace/usual-of-scripts", {**both, **words("trust-address")}, "meta-dtls", both)
    other = BODIES["plain"].replace("o=caller 1000 1", "o=changed 7 9").replace("s=call", "s=renamed")
    for name in ("SDP-version", "username", "session-name", "origin", "force-increment-sdp-ver"):
        flags = REPLACE[name]
        yield Sequence(f"replace/{name}-over-re-offers", [
            offer("plain", flags), answer(flags), offer("plain", flags, to=TO), answer(flags),
            offer(other, flags, to=TO), answer(flags, how=Answer(version=5)), offer(other, flags, to=TO)])


def shape():
    for name, flags in SHAPE.items():
        for sdp in ("plain", "extmap", "av-mids", "sendonly"):
            yield call(f"layout/{name}@{sdp}", flags, sdp, back=flags)
    for name, flags in pairs({key: SHAPE[key] for key in (
            "generate-mid", "no-rtcp-attribute", "original-sendrecv", "strip-extmap", "loop-protect", "replace-origin")}):
        yield call(f"layout/{name}", flags, "av-mids", back=flags)


def sdp_attr():
    for name, edits in SDP_ATTR.items():
        yield call(f"sdp-attr/{name}", {"sdp-attr": edits}, "unknown-attributes")
    for name in ("several", "both-levels", "add-video"):
        yield call(f"sdp-attr/{name}@av", {"sdp-attr": SDP_ATTR[name]}, "av", back={"sdp-attr": SDP_ATTR[name]})
    yield call("sdp-attr/remove-ssrc@meta", {"sdp-attr": {"audio": {"remove": ["ssrc"]}, "none": {"remove": ["msid-semantic"]}}},
               "meta-dtls")
    for word in ("sdp-attr-add-audio-X-added:1", "sdp-attr-remove-audio-ptime:20", "sdp-attr-remove-none-X-session",
                 "sdp-attr-substitute-audio-sendrecv>sendonly"):
        yield call(f"sdp-attr/word-{word}", words(word), "unknown-attributes")
    yield call("sdp-attr/unknown-command", {"sdp-attr": {"audio": {"enlarge": ["x"]}}})
    yield call("sdp-attr/no-dictionary", {"sdp-attr": "x"})
    yield call("sdp-attr/section-no-dictionary", {"sdp-attr": {"audio": ["x"]}})


def hold():
    directions = ("sendonly", "recvonly", "inactive", "sendrecv")
    for direction in directions:
        for back in directions:
            yield call(f"hold/{direction}-answered-{back}", sdp=direction, how=Answer(direction=back))
    for name in ("sendonly", "inactive", "zero-connection", "zero-connection-sendonly", "session-sendonly"):
        back = {"sendonly": "recvonly", "inactive": "inactive"}.get(name, "recvonly")
        for side, tags in (("caller", (FROM, TO)), ("callee", (TO, FROM))):
            yield Sequence(f"hold/{name}-by-{side}-and-back", [
                offer("plain"), answer(),
                offer(name, tag=tags[0], to=tags[1]), answer(tag=tags[0], to=tags[1], how=Answer(direction=back)),
                offer("plain", tag=tags[0], to=tags[1]), answer(tag=tags[0], to=tags[1])])
    yield call("hold/answer-with-zero-connection", how=Answer(zero=True))
    for name in ("zero-connection", "zero-connection-sendonly", "zero-connection-inactive", "ipv6-zero", "zero-media-connection"):
        for flags in ({}, {"replace": ["zero-address"]}, words("original-sendrecv")):
            label = "-".join(flags.get("replace", flags.get("flags", ["as-is"])))
            yield call(f"hold/{name}@{label}", flags, name)


def streams():
    av = body(g711(), VIDEO)
    yield call("streams/av-first-answered-alone", sdp="av", how=Answer(first=1))
    for rejected in ((0,), (1,), (0, 1)):
        yield call(f"streams/av-answer-rejects-{rejected}", sdp="av", how=Answer(reject=rejected))
    yield call("streams/answer-rejects-the-only-one", how=Answer(reject=(0,)))
    grown = [("video-added", "plain", "av"), ("video-removed", "av", "second-rejected"), ("video-back", "second-rejected", "av"),
             ("audio-removed", "av", "first-rejected"), ("fax-added", "plain", "audio-t38"), ("to-fax", "plain", "t38"),
             ("from-fax", "t38", "plain"), ("to-video", "plain", "video"), ("fewer-sections", "av", "plain"),
             ("all-rejected-later", "plain", "all-rejected"), ("back-from-rejected", "all-rejected", "plain")]
    for name, before, after in grown:
        yield Sequence(f"streams/re-offer-{name}", [offer(before), answer(), offer(after, to=TO), answer()])
    for sdp in ("av", "two-audio", "audio-t38", "msrp", "data-channel", "text"):
        for name, flags in (("savp", {"transport-protocol": "RTP/SAVP"}), ("ice", {"ICE": "force"}),
                            ("mux", {"rtcp-mux": ["require"]}), ("remove-video", {"sdp-media-remove": ["video", "image"]})):
            yield call(f"streams/{sdp}@{name}", flags, sdp)
    yield call("streams/media-remove-not-a-list", {"sdp-media-remove": "video"}, "av")
    yield call("streams/media-remove-everything", {"sdp-media-remove": ["audio"]}, "plain")
    yield call("streams/five-sections", sdp=body(g711(), VIDEO, T38, g711(0), VIDEO.replace("40100", "40900")))
    yield Sequence("streams/callee-adds-video", [offer("plain"), answer(), offer(av, tag=TO, to=FROM), answer(tag=TO, to=FROM)])
