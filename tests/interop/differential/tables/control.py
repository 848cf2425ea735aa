"""Families `block`, `subscribe`, `recording`, `playing`: commands to a call that stands."""

import prompts
from answering import Answer
from bodies import BODIES
from sequences import FROM, TO, Sequence, answer, command, offer, words

UP = [offer("plain", {"label": "A"}, silent=True), answer({"label": "B"}, silent=True)]

SELECTIONS = {
    "whole": {},
    "from-tag": {"from-tag": FROM},
    "directional": {"from-tag": FROM, **words("directional")},
    "directional-callee": {"from-tag": TO, **words("directional")},
    "directional-unknown": {"from-tag": "nobody", **words("directional")},
    "label": {"label": "A"},
    "label-unknown": {"label": "nobody"},
    "address": {"address": "127.0.70.1"},
    "address-unknown": {"address": "127.0.70.99"},
    "address-bogus": {"address": "nonsense"},
    "all-word": words("all"),
    "all-key": {"all": "all"},
}
FLOWS = {
    "to-tag": {"from-tag": FROM, "to-tag": TO, **words("directional")},
    "to-label": {"label": "A", "to-label": "B"},
    "unknown-to-tag": {"from-tag": FROM, "to-tag": "nobody", **words("directional")},
    "unknown-to-label": {"label": "A", "to-label": "nobody"},
}
BLOCKS = ["block DTMF", "unblock DTMF", "block media", "unblock media", "silence media", "unsilence media", "start forwarding",
          "stop forwarding"]


def sequences():
    for name in BLOCKS:
        for selection, keys in SELECTIONS.items():
            yield Sequence(f"block/{name.replace(' ', '-')}@{selection}", [*UP, command(name, keys)])
        yield Sequence(f"block/{name.replace(' ', '-')}@unknown-call", [command(name)])
    for name in ("block media", "unblock media", "silence media", "unsilence media"):
        for selection, keys in FLOWS.items():
            yield Sequence(f"block/{name.replace(' ', '-')}@flow-{selection}", [*UP, command(name, keys)])
    for name in ("block media", "block DTMF", "silence media"):
        keys = SELECTIONS["directional"]
        yield Sequence(f"block/{name.replace(' ', '-')}-shows-in-query", [
            *UP, command(name, keys), command("query"), command(name.replace("block", "unblock").replace("silence", "unsilence"), keys),
            command("query")])
    for mode in ("drop", "silence", "tone", "random", "zero", "DTMF", "off", "bogus"):
        keys = {"DTMF-security": mode, "digit": "#", "frequency": "800", "volume": "-20"}
        yield Sequence(f"block/security-{mode}", [*UP, command("block DTMF", keys), command("unblock DTMF")])
    trigger = {"trigger": "*1", "trigger-end": "#", "trigger-end-time": "500", "trigger-end-digits": "4",
               "DTMF-security-trigger": "drop", "DTMF-security-trigger-end": "off"}
    yield Sequence("block/trigger", [*UP, command("block DTMF", trigger), command("block DTMF", {"trigger": "x"}),
                                     command("block DTMF", {"DTMF-delay": "100"}), command("unblock DTMF")])
    yield from recording_and_playing()
    yield from subscribe()


def recording_and_playing():
    for name in ("start recording", "stop recording", "pause recording"):
        title = name.replace(" ", "-")
        yield Sequence(f"recording/{title}", [*UP, command(name)])
        yield Sequence(f"recording/{title}-with-tag", [*UP, command(name, {"from-tag": FROM, "metadata": "x"})])
        yield Sequence(f"recording/{title}@unknown-call", [command(name)])
    start = command("start recording")
    yield Sequence("recording/start-twice", [*UP, start, start, again()])
    yield Sequence("recording/stopped-and-started", [*UP, start, again(), command("stop recording"), again(), start, again()])
    yield Sequence("recording/stop-without-start", [*UP, command("stop recording"), again()])
    for title, keys in (("yes", {"record-call": "yes"}), ("on", {"record-call": "on"}), ("word", words("record-call")),
                        ("spaced", {"record call": "yes"}), ("no", {"record-call": "no"}), ("metadata", {"record-call": "yes", "metadata": "a:b|c"})):
        yield Sequence(f"recording/offer-{title}", [offer("plain", keys), answer(), again()])
        yield Sequence(f"recording/answer-{title}", [offer("plain"), answer(keys), again()])
    yield Sequence("recording/answer-ends-it", [offer("plain", {"record-call": "yes"}), answer({"record-call": "no"}), again()])
    for title, keys in (("folder", {"recording-dir": "/etc"}), ("file", {"output-destination": "/etc/x"}), ("up", {"recording-path": "../x"})):
        yield Sequence(f"recording/outside-{title}", [*UP, command("start recording", keys)])
    yield Sequence("recording/discard", [*UP, start, command("stop recording", words("discard-recording")), again()])
    yield Sequence("recording/stop-with-pause", [*UP, command("start recording"), command("stop recording", words("pause"))])
    for name, keys in (("no-party", {}), ("no-source", {"from-tag": FROM}), ("missing-file", {"from-tag": FROM, "file": "/nowhere.wav"}),
                       ("unknown-tag", {"from-tag": "nobody", "file": "/nowhere.wav"}), ("all-no-source", words("all"))):
        yield Sequence(f"playing/play-media-{name}", [*UP, command("play media", keys)])
        yield Sequence(f"playing/stop-media-{name}", [*UP, command("stop media", keys)])
    tone, stereo = prompts.file("tone.wav"), prompts.file("stereo.wav")
    for name, keys in (("wav", {"file": tone}), ("stereo", {"file": stereo}), ("repeat", {"file": tone, "repeat-times": 3}),
                       ("repeat-as-text", {"file": tone, "repeat-times": "3"}), ("repeat-never", {"file": tone, "repeat-times": 0}),
                       ("start-pos", {"file": tone, "start-pos": 200}), ("start-pos-behind", {"file": tone, "start-pos": 500}), ("to-tag", {"file": tone, "to-tag": TO}),
                       ("folder", {"file": prompts.FOLDER}), ("rubbish", {"file": prompts.file("rubbish.wav")}),
                       ("empty-file", {"file": prompts.file("empty.wav")}), ("no-name", {"file": ""}), ("no-blob", {"blob": ""}),
                       ("rubbish-blob", {"blob": "hello"}), ("database", {"db-id": 3}), ("database-text", {"db-id": "x"}),
                       ("file-and-blob", {"file": "/nowhere.wav", "blob": "hello"})):
        yield Sequence(f"playing/{name}", [
            *UP, command("play media", {"from-tag": FROM, **keys}), command("stop media", {"from-tag": FROM}),
            command("stop media", {"from-tag": TO})])
    for name, keys in (("directional", {"from-tag": TO, **words("directional")}), ("label", {"label": "B"}),
                       ("address", {"address": "127.0.70.1"}), ("label-unknown", {"label": "nobody"}), ("all-word", words("all")),
                       ("all-key", {"all": "all"})):
        yield Sequence(f"playing/select-{name}", [*UP, command("play media", {"file": tone, **keys}), command("stop media", keys)])
    for name, body in (("video", "video"), ("inactive", "inactive")):
        if body in BODIES:
            yield Sequence(f"playing/{name}", [
                offer(body, silent=True), answer(silent=True), command("play media", {"from-tag": FROM, "file": tone})])
    for name, keys in (("no-party", {"code": "1"}), ("no-code", {"from-tag": FROM}), ("bad-code", {"from-tag": FROM, "code": "99"}),
                       ("letter", {"from-tag": FROM, "code": "#"}), ("number", {"from-tag": FROM, "code": 5}),
                       ("unknown-tag", {"from-tag": "nobody", "code": "1"})):
        yield Sequence(f"playing/play-DTMF-{name}", [*UP, command("play DTMF", keys)])
    for name in ("play media", "stop media", "play DTMF"):
        yield Sequence(f"playing/{name.replace(' ', '-')}@unknown-call", [command(name, {"from-tag": FROM, "code": "1", "file": "/x"})])


def again():
    """The same offer once more."""
    return offer("plain", to=TO)


def subscribe():
    for name, keys in (("from-tag", {"from-tag": FROM}), ("callee", {"from-tag": TO}), ("all", words("all")),
                       ("from-tags", {"from-tags": [FROM, TO]}), ("label", {"label": "A"}), ("siprec", words("all", "siprec")),
                       ("inactive", {"from-tag": FROM, **words("inactive")}), ("to-tag", {"from-tag": FROM, "to-tag": "subscriber"}),
                       ("savp", {"from-tag": FROM, "transport-protocol": "RTP/SAVP", "DTLS": "off"}), ("nobody", {}),
                       ("unknown-tag", {"from-tag": "nobody"}), ("ice", {"from-tag": FROM, "ICE": "force"}),
                       ("strip", {"from-tag": FROM, "codec": {"strip": ["PCMU"]}}), ("interface", {"from-tag": FROM, "interface": "external"})):
        yield Sequence(f"subscribe/request-{name}", [*UP, command("subscribe request", keys)])
    whole = [
        *UP, command("subscribe request", {"from-tag": FROM, "to-tag": "subscriber"}),
        _subscribe_answer(), command("query"), command("unsubscribe", {"to-tag": "subscriber"}), command("query")]
    yield Sequence("subscribe/whole", whole)
    yield Sequence("subscribe/whole-all", [
        *UP, command("subscribe request", {"to-tag": "subscriber", **words("all", "siprec")}), _subscribe_answer(),
        command("unsubscribe", {"to-tag": "subscriber"})])
    yield Sequence("subscribe/twice", [*whole[:4], command("subscribe request", {"from-tag": TO, "to-tag": "subscriber"})])
    yield Sequence("subscribe/answer-of-nobody", [*UP, command("subscribe answer", {"to-tag": "nobody", "sdp": "v=0\r\n"})])
    yield Sequence("subscribe/unsubscribe-nobody", [*UP, command("unsubscribe", {"to-tag": "nobody"})])
    for name in ("subscribe request", "subscribe answer", "unsubscribe"):
        yield Sequence(f"subscribe/{name.replace(' ', '-')}@unknown-call", [command(name, {"from-tag": FROM, "to-tag": "x"})])


def _subscribe_answer():
    step = command("subscribe answer", {"to-tag": "subscriber"})
    step.sdp = Answer(address="127.0.70.4", port=52000, direction="recvonly")
    return step
