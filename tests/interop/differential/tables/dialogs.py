"""Families `re-offer`, `forks`, `early`: more than one offer and one answer."""

from answering import Answer
from bodies import BODIES
from sequences import FROM, TO, Sequence, answer, command, offer, words

MOVED = {
    "unchanged": {},
    "port": {"port": 50600},
    "address": {"address": "127.0.70.8"},
    "both": {"port": 50600, "address": "127.0.70.8"},
}


def sequences():
    yield from re_offer()
    yield from forks()
    yield from early()


def re_offer():
    for name, how in MOVED.items():
        for flags in ([], ["port-latching"], ["reset"]):
            label = "-".join([name, *flags])
            yield Sequence(f"re-offer/answer-moves-{label}", [
                offer("plain"), answer(), offer("plain", words(*flags), to=TO), answer(words(*flags), how=Answer(**how))])
    moved = {"unchanged": BODIES["plain"], "port": BODIES["plain"].replace("40000", "40600"),
             "address": BODIES["plain"].replace("127.0.70.1", "127.0.70.7"),
             "both": BODIES["plain"].replace("127.0.70.1", "127.0.70.7").replace("40000", "40600"),
             "zero": BODIES["zero-connection"], "sendonly": BODIES["sendonly"]}
    for name, text in moved.items():
        for side, tags in (("caller", (FROM, TO)), ("callee", (TO, FROM))):
            yield Sequence(f"re-offer/{side}-moves-{name}", [
                offer("plain"), answer(), offer(text, tag=tags[0], to=tags[1]), answer(tag=tags[0], to=tags[1])])
        yield Sequence(f"re-offer/moves-{name}-and-returns", [
            offer("plain"), answer(), offer(text, to=TO), answer(), offer("plain", to=TO), answer()])
    yield Sequence("re-offer/without-to-tag", [offer("plain"), answer(), offer("plain"), answer()])
    yield Sequence("re-offer/before-any-answer", [offer("plain"), offer("plain"), answer()])
    yield Sequence("re-offer/before-any-answer-other-port", [offer("plain"), offer(moved["port"]), answer()])
    yield Sequence("re-offer/unanswered-then-by-callee", [
        offer("plain"), answer(), offer("plain", to=TO), offer("plain", tag=TO, to=FROM), answer(tag=TO, to=FROM)])
    yield Sequence("re-offer/five-times", [step for _ in range(5) for step in (offer("plain", to=TO), answer())])
    yield Sequence("re-offer/sides-take-turns", [
        offer("plain"), answer(), offer("plain", tag=TO, to=FROM), answer(tag=TO, to=FROM),
        offer("plain", to=TO), answer(), offer("plain", tag=TO, to=FROM), answer(tag=TO, to=FROM)])
    yield Sequence("re-offer/late-offer", [
        offer("plain", tag=TO, to=FROM), answer(tag=TO, to=FROM)])
    yield Sequence("re-offer/local-answer-of-scripts", [
        offer("meta-dtls", {"transport-protocol": "RTP/AVP", "ICE": "remove", "rtcp-mux": ["demux"]}), answer(),
        offer("sendonly", {"transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"]}, tag=TO, to=FROM),
        answer({"transport-protocol": "RTP/AVP", "ICE": "remove"}, tag=TO, to=FROM, how="meta-dtls-passive")])
    for sdp in ("av", "meta-dtls", "browser", "sdes", "ice-dtls", "t38", "mux"):
        yield Sequence(f"re-offer/same-again@{sdp}", [offer(sdp), answer(), offer(sdp, to=TO), answer()])
        yield Sequence(f"re-offer/by-callee@{sdp}", [offer(sdp), answer(), offer(sdp, tag=TO, to=FROM), answer(tag=TO, to=FROM)])


def forks():
    second = Answer(address="127.0.70.3", port=50200)
    yield Sequence("forks/two-branches", [
        offer("plain", via_branch="b1"), offer("plain", via_branch="b2"),
        answer(to="B1", via_branch="b1", of=0), answer(to="B2", via_branch="b2", of=1, how=second)])
    yield Sequence("forks/two-branches-second-answers", [
        offer("plain", via_branch="b1"), offer("plain", via_branch="b2"), answer(to="B2", via_branch="b2", of=1, how=second)])
    yield Sequence("forks/two-branches-answers-without-branch", [
        offer("plain", via_branch="b1"), offer("plain", via_branch="b2"), answer(to="B1", of=1)])
    yield Sequence("forks/branches-of-two-kinds", [
        offer("plain", via_branch="b1"), offer("plain", {"transport-protocol": "RTP/SAVP", "DTLS": "off"}, via_branch="b2"),
        answer(to="B2", via_branch="b2", of=1), answer(to="B1", via_branch="b1", of=0)])
    yield Sequence("forks/three-branches-re-offer-to-one", [
        offer("plain", via_branch="b1"), offer("plain", via_branch="b2"), offer("plain", via_branch="b3"),
        answer(to="B3", via_branch="b3", of=2), offer("plain", to="B3"), answer(to="B3")])
    yield Sequence("forks/two-tags-one-branch", [offer("plain"), answer(to="B1"), answer(to="B2", of=0)])
    yield Sequence("forks/two-tags-other-address", [offer("plain"), answer(to="B1"), answer(to="B2", of=0, how=second)])
    yield Sequence("forks/two-tags-back-to-the-first", [
        offer("plain"), answer(to="B1"), answer(to="B2", of=0, how=second), answer(to="B1", of=0)])
    yield Sequence("forks/final-then-another", [
        offer("plain"), answer({"sip-message-type": "sip_reply", "sip-code": 200}, to="B1"), answer(to="B2", of=0, how=second)])
    yield Sequence("forks/new-branch-flag", [offer("plain"), answer(to="B1"), answer(words("new-branch"), to="B2", of=0, how=second)])
    yield Sequence("forks/dtls-two-tags", [
        offer("plain", {"transport-protocol": "UDP/TLS/RTP/SAVPF", "SDES": ["off"]}), answer(to="B1"),
        answer(to="B2", of=0, how=second)])
    yield Sequence("forks/serial-new-branch-after-failure", [
        offer("plain", via_branch="b1"), branch_ends("b1"), offer("plain", via_branch="b2"), answer(to="B2", via_branch="b2", of=2)])
    yield Sequence("forks/re-offer-of-caller-before-answer-with-branch", [
        offer("plain", via_branch="b1"), offer("plain", via_branch="b1"), answer(to="B1", via_branch="b1")])
    yield Sequence("forks/br0-in-delete-alone", [offer("plain"), answer(), branch_ends("br0")])


def branch_ends(branch):
    return command("delete", from_tag=FROM, via_branch=branch)


def early():
    for sdp, flags in (("plain", {}), ("meta-dtls", {"transport-protocol": "RTP/AVP", "ICE": "remove"}),
                       ("plain-to-webrtc", {"transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"]}),
                       ("plain-to-sdes", {"transport-protocol": "RTP/SAVP", "DTLS": "off"})):
        body = sdp.removesuffix("-to-webrtc").removesuffix("-to-sdes")
        yield Sequence(f"early/183-and-200@{sdp}", [offer(body, flags), answer(), answer(of=0)])
        yield Sequence(f"early/183-and-200-moved@{sdp}", [
            offer(body, flags), answer(), answer(of=0, how=Answer(port=50600, address="127.0.70.8"))])
        yield Sequence(f"early/183-then-re-offer@{sdp}", [offer(body, flags), answer(), offer(body, flags, to=TO), answer()])
        yield Sequence(f"early/183-and-200-other-codec@{sdp}", [
            offer(body, flags), answer(), answer(of=0, how=Answer(codecs=["PCMA", "opus"]))])
