"""The relay under demonstration: tandem, or Debian's rtpengine in its place.

Both get the same options and the same NG requests; that is the point.
"""

import os
import random
import socket

from processes import Part

PORTS_PER_RELAY = 200

# What Debian's rtpengine does that Meta would not like. With it in tandem's place the demo says so
# and goes on: the calls are there to show that scripts and simulator are not made to fit us.
KNOWN_OF_RTPENGINE = {
    "the business acts as controlled ICE agent":
        "rtpengine 10.5 begins a user-initiated call in the controlled role, and changes it after Meta's 487",
}


class Relay:
    def __init__(self, run, kind, binary, ports, options=(), interfaces=("pub/127.0.0.1", "priv/127.0.0.1")):
        self.kind = kind
        self.known = KNOWN_OF_RTPENGINE if kind == "rtpengine" else {}
        self.ng = ("127.0.0.1", ports.relay_ng)
        first = ports.relay_media
        self.part = Part(
            kind,
            [binary, "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=6",
             "--delete-delay=0",
             *(f"--interface={interface}" for interface in interfaces),
             f"--listen-ng=127.0.0.1:{ports.relay_ng}",
             f"--port-min={first}", f"--port-max={first + PORTS_PER_RELAY - 1}", *options],
            run,
        )
        self.part.wait_until(lambda: (self.ask({"command": "ping"}) or {}).get("result") == "pong")

    def calls(self):
        """The Call-IDs that the relay holds."""
        answer = self.ask({"command": "list", "limit": 100}) or {}
        return answer.get("calls")

    def ask(self, request, seconds=0.5):
        """One NG exchange over UDP; None when nobody answers."""
        cookie = f"{os.getpid()}_{random.randrange(1 << 40)}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(seconds)
            try:
                sock.connect(self.ng)
                sock.send(cookie.encode() + b" " + bencode(request))
                reply = sock.recv(65535)
            except OSError:
                return None
        return bdecode(reply.split(b" ", 1)[1])


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(key) + bencode(item) for key, item in value.items()) + b"e"


def bdecode(data):
    return bdecode_at(data, 0)[0]


def bdecode_at(data, at):
    kind = data[at:at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if kind in (b"l", b"d"):
        items, at = [], at + 1
        while data[at:at + 1] != b"e":
            item, at = bdecode_at(data, at)
            items.append(item)
        return (items if kind == b"l" else dict(zip(items[::2], items[1::2]))), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1:end].decode(errors="replace"), end
