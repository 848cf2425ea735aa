#!/usr/bin/env python3
"""A ping and a plain call through a relay that is running: offer, answer, RTP both ways, delete.

usage: call.py NG_ADDRESS:PORT [SECONDS]     waits for the relay so long

Exits with 0 when both sides heard each other. It runs in the network of the relay, which may be another than the test's.
"""

import os
import socket
import struct
import sys
import time
from types import SimpleNamespace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "demo"))

from relay import Relay  # noqa: E402

PACKETS = 50
INTERVAL_SECONDS = 0.02


class Party:
    """One side: it sends PCMA, and counts what comes with the other's SSRC or any."""

    def __init__(self, address, ssrc):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.ssrc, self.heard, self.destination = ssrc, set(), None

    def description(self):
        address, port = self.socket.getsockname()
        return (f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
                f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")

    def told(self, sdp):
        lines = sdp.splitlines()
        address = next(line for line in lines if line.startswith("c=")).split()[2]
        port = next(line for line in lines if line.startswith("m=audio")).split()[1]
        self.destination = (address, int(port))

    def speak(self, number):
        self.socket.sendto(struct.pack("!BBHII", 0x80, 8, number, number * 160, self.ssrc) + bytes([self.ssrc & 0xff]) * 160,
                           self.destination)

    def listen(self, other):
        while True:
            try:
                packet = self.socket.recv(2048)
            except BlockingIOError:
                return
            # The other's samples, so that an echo of our own does not count.
            if packet[12:] == bytes([other.ssrc & 0xff]) * 160:
                self.heard.add(packet[2:4])


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    patience = float(sys.argv[2]) if len(sys.argv) > 2 else 5
    relay = SimpleNamespace(ng=(host, int(port)))

    def ask(**request):
        return Relay.ask(relay, {key.replace("_", "-"): value for key, value in request.items()}) or {}

    deadline = time.monotonic() + patience
    while (pong := ask(command="ping").get("result")) != "pong":
        if time.monotonic() > deadline:
            sys.exit(f"call: no pong from {sys.argv[1]} in {patience:.0f} s")
        time.sleep(0.1)

    caller, callee = Party("127.0.0.1", 0x11111111), Party("127.0.0.1", 0x22222222)
    call = {"call_id": f"call-{os.getpid()}", "from_tag": "caller"}
    offer = ask(command="offer", sdp=caller.description(), **call)
    answer = ask(command="answer", sdp=callee.description(), to_tag="callee", **call)
    if offer.get("result") != "ok" or answer.get("result") != "ok":
        sys.exit(f"call: {offer} {answer}")
    callee.told(offer["sdp"])
    caller.told(answer["sdp"])
    for number in range(PACKETS):
        caller.speak(number)
        callee.speak(number)
        time.sleep(INTERVAL_SECONDS)
        caller.listen(callee)
        callee.listen(caller)
    ended = ask(command="delete", delete_delay=0, **call)
    heard = len(caller.heard), len(callee.heard)
    print(f"call: {pong}, {PACKETS} packets sent each way, {heard[0]} and {heard[1]} heard, delete {ended.get('result')}")
    # The first few may come before the far end's address is learned.
    if min(heard) < PACKETS - 5 or ended.get("result") != "ok":
        sys.exit(1)


if __name__ == "__main__":
    main()
