"""The two relays: the same command line, but for addresses of their own, and one NG client for both."""

import json
import os
import select
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "demo"))

from processes import Part  # noqa: E402
from relay import bdecode, bencode  # noqa: E402

NG_PORT = 2223
# Beyond this an answer is lost, and the request is sent again as proxies do.
PATIENCE_SECONDS = 1.0
TRIES = 5


class NoAddresses(Exception):
    """Every set of addresses is in use."""


def reserved_network():
    """Two numbers N such that nobody on this machine runs relays on 127.0.N.x, and the sockets that reserve them."""
    for number in range(71, 250, 2):
        lock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            lock.bind((f"127.0.{number}.1", NG_PORT))
            lock.listen()
            return number, lock
        except OSError:
            lock.close()
    raise NoAddresses("no free addresses between 127.0.71.1 and 127.0.249.1")


class RelayUnderTest:
    """One of the two, with its interfaces, and its side of every exchange."""

    def __init__(self, kind, binary, number, run, wrapper=()):
        self.kind, self.prefix = kind, f"127.0.{number}."
        self.address = (self.prefix + "1", NG_PORT)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect(self.address)
        self.cookies = 0
        self.spool = os.path.join(run, f"{kind}-recordings")
        os.makedirs(self.spool)
        interfaces = ["internal/{}1", "internal/::1", "external/{}2", "external/{}3", "natted/{}4!203.0.113.4", "pub/{}5",
                      "priv/{}6", "pool:1/{}7", "pool:2/{}8"]
        self.part = Part(kind, [
            *wrapper, binary, "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=5",
            "--delete-delay=0", f"--recording-dir={self.spool}", "--recording-method=pcap", f"--listen-ng={self.address[0]}:{NG_PORT}", "--port-min=20000", "--port-max=29999",
            *(f"--interface={interface.format(self.prefix)}" for interface in interfaces)], run)
        self.part.wait_until(self.is_up)

    def is_up(self):
        try:
            self.send(b"d7:command4:pinge")
            return self.receive(time.monotonic() + 0.2) is not None
        except OSError:
            return False

    def send(self, payload):
        """Sends a datagram with a cookie of its own."""
        self.cookies += 1
        self.datagram = b"%d_%d " % (os.getpid(), self.cookies) + payload
        self.socket.send(self.datagram)

    def receive(self, deadline):
        """The payload of the reply to what was sent last; None when the time is over."""
        cookie = self.datagram.split(b" ")[0] + b" "
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                break
            reply = self.socket.recv(65535)
            if reply.startswith(cookie):
                return reply[len(cookie):]
        return None


def ask(relays, payloads):
    """Sends each relay its payload at the same time; their replies, decoded."""
    for relay, payload in zip(relays, payloads):
        relay.send(payload)
    return [decoded(wait(relay)) for relay in relays]


def wait(relay):
    for _ in range(TRIES):
        reply = relay.receive(time.monotonic() + PATIENCE_SECONDS)
        if reply is not None:
            return reply
        relay.socket.send(relay.datagram)
    return None


def decoded(reply):
    if reply is None:
        return "(no reply)"
    try:
        return json.loads(reply) if reply.startswith(b"{") else bdecode(reply)
    except (ValueError, IndexError) as failure:
        return f"(undecodable reply {reply[:40]!r}: {failure})"


def encoded(request, as_json):
    return json.dumps(request).encode() if as_json else bencode(request)
