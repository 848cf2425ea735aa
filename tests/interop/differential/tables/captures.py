"""Family `captures`: the calls that OpenSIPS and Kamailio were recorded to place, one for each set of flags.

The requests are the recorded ones, byte for byte; two calls that ask for the same in the same order are one sequence.
"""

import glob
import os
import sys

from sequences import Sequence, Step

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "..", "..", "data", "ng")
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "demo"))

from relay import bdecode_at  # noqa: E402

# What makes one call another without asking for anything else.
NAMES = {"sdp", "call-id", "from-tag", "to-tag", "via-branch", "received-from", "command"}


def sequences():
    known = set()
    for path in sorted(glob.glob(os.path.join(DATA, "*.exchanges"))):
        file = os.path.basename(path).removesuffix(".exchanges")
        if file.startswith("direct"):
            continue
        for call in calls(path).values():
            asked = repr([(request["command"], {key: value for key, value in request.items() if key not in NAMES},
                           set(request) & NAMES, shape(request.get("sdp", ""))) for _, _, request in call])
            if asked in known:
                continue
            known.add(asked)
            title = call[0][0].split("-", 1)[1].rsplit("-", 1)[0]
            yield Sequence(f"captures/{file.split('+')[0]}-{title}-{call[0][0].split('-')[0]}-{file.rsplit('-', 1)[1]}", [
                Step({"command": request["command"]}, raw=raw, call=request["call-id"], sdp=request.get("sdp"),
                     outcome=request["command"] in ("delete", "query"))
                for _, raw, request in call])


def shape(sdp):
    """What kind of description it is, without its numbers."""
    return [line.split(":")[0].split(" ")[0] for line in sdp.splitlines()]


def calls(path):
    """The recorded requests of a file by Call-ID, in their order."""
    found = {}
    for name, datagram in requests(path):
        payload = datagram.partition(b" ")[2]
        try:
            request = bdecode_at(payload, 0)[0]
        except (ValueError, IndexError):
            continue
        if isinstance(request, dict) and "call-id" in request and "command" in request:
            found.setdefault(request["call-id"], []).append((name, payload, request))
    return found


def requests(path):
    with open(path, "rb") as file:
        while header := file.readline().decode():
            direction, name, length = header.split()
            datagram = file.read(int(length))
            file.read(1)
            if direction == ">":
                yield name, datagram
