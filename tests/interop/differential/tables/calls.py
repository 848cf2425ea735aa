"""Families `delete` and `query`: what a call says about itself, and how it ends."""

from answering import Answer
from sequences import FROM, TO, Sequence, answer, command, offer, words

UP = [offer("plain", silent=True), answer(silent=True)]

DELETE = {
    "whole": {},
    "whole-without-delay": {"delete-delay": 0},
    "whole-with-delay": {"delete-delay": 5},
    "delay-with-space": {"delete delay": 0},
    "delay-string": {"delete-delay": "0"},
    "delay-negative": {"delete-delay": -1},
    "by-from-tag": {"from-tag": FROM},
    "by-callee": {"from-tag": TO},
    "empty-from-tag": {"from-tag": ""},
    "unknown-from-tag": {"from-tag": "nobody"},
    "unknown-from-tag-fatal": {"from-tag": "nobody", **words("fatal")},
    "both-tags": {"from-tag": FROM, "to-tag": TO},
    "both-tags-honoured": {"from-tag": FROM, "to-tag": TO, **words("to-tag")},
    "unknown-to-tag-honoured": {"from-tag": FROM, "to-tag": "nobody", **words("to-tag")},
    "unknown-to-tag-ignored": {"from-tag": FROM, "to-tag": "nobody"},
    "unknown-branch": {"from-tag": FROM, "via-branch": "nowhere"},
    "branch-without-from-tag": {"via-branch": "br0"},
    "fast": words("fast"),
    "fast-by-tag": {"from-tag": FROM, **words("fast")},
}


def sequences():
    for name, keys in DELETE.items():
        yield Sequence(f"delete/{name}", [*UP, command("delete", keys), command("delete", keys), command("query", from_tag=FROM)])
        yield Sequence(f"delete/{name}-unanswered", [offer("plain", silent=True), command("delete", keys), command("list")])
    yield Sequence("delete/unknown-call", [command("delete"), command("delete", words("fatal")), command("delete", from_tag="x")])
    yield Sequence("delete/re-offer-cancels-it", [
        *UP, command("delete", {"delete-delay": 5}), offer("plain", to=TO), answer(), command("query")])
    yield Sequence("delete/branch-of-two", [
        offer("plain", via_branch="b1", silent=True), offer("plain", via_branch="b2", silent=True),
        command("delete", from_tag=FROM, via_branch="b1"), answer(to="B2", via_branch="b2", of=1), command("query")])
    yield Sequence("delete/offered-again", [*UP, command("delete"), offer("plain"), answer()])
    yield from query()


def query():
    for sdp, flags in (("plain", {}), ("av", {}), ("meta-dtls", {"transport-protocol": "RTP/AVP", "ICE": "remove"}),
                       ("sdes", {}), ("ice", {}), ("mux", {}), ("dtls", {}), ("t38", {}), ("sendonly", {}), ("second-rejected", {}),
                       ("plain-labelled", {"label": "A"}), ("ipv6", {}), ("plain-meta", {"metadata": "a=b"}),
                       ("plain-to-webrtc", {"transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"]}),
                       ("plain-to-sdes", {"transport-protocol": "RTP/SAVP", "DTLS": "off"})):
        body = sdp.split("-to-")[0].removesuffix("-labelled").removesuffix("-meta") if sdp.startswith("plain") else sdp
        yield Sequence(f"query/{sdp}-unanswered", [offer(body, flags, silent=True), command("query")])
        yield Sequence(f"query/{sdp}", [
            offer(body, flags, silent=True), answer({"label": "B"} if "label" in flags else {}, silent=True), command("query")])
    for name, keys in (("from-tag", {"from-tag": FROM}), ("to-tag", {"to-tag": TO}), ("both-tags", {"from-tag": FROM, "to-tag": TO}),
                       ("unknown-tag", {"from-tag": "nobody"}), ("unknown-to-tag", {"to-tag": "nobody"})):
        yield Sequence(f"query/{name}", [*UP, command("query", keys)])
    yield Sequence("query/unknown-call", [command("query")])
    yield Sequence("query/json", [*UP, command("query", json=True)])
    yield Sequence("query/forks", [
        offer("plain", via_branch="b1", silent=True), offer("plain", via_branch="b2", silent=True),
        answer(to="B1", via_branch="b1", of=0, silent=True), command("query", from_tag=FROM), command("query", to_tag="B1")])
    yield Sequence("query/aliases", [
        offer("plain", silent=True), answer(to="B1", silent=True), answer(to="B2", of=0, silent=True),
        command("query", from_tag="B1"), command("query", from_tag="B2")])
    yield Sequence("query/hold", [*UP, offer("sendonly", to=TO, silent=True), answer(how=Answer(direction="recvonly"), silent=True),
                                  command("query")])
    yield Sequence("query/list", [*UP, command("list"), command("list", limit=0), command("list", limit="1"),
                                  command("list", limit=-1), command("list", limit="x")])
