"""A plain RTP peer that is not ours: Opus by libopus through PyAV, RTP over the standard library's sockets.

It speaks from the moment it knows where to, and keeps what it hears until it is asked.
"""

import array
import math
import random
import re
import socket
import struct
import threading
import time
from fractions import Fraction

import av

from report import SAMPLE_RATE, Report, listen

FRAME = 960
FRAME_SECONDS = FRAME / SAMPLE_RATE
PAYLOAD_TYPE = 111
AMPLITUDE = 9000
# A call of the tests lasts some seconds; more is not kept.
PACKETS_KEPT = 3000


class PlainPeer:
    NAME = "plain RTP"

    def __init__(self, tone_hz, expect_hz):
        self.tone_hz, self.expect_hz = tone_hz, expect_hz
        self.rtp, self.rtcp = bind_pair()
        self.heard, self.rtcp_packets, self.sent = [], 0, 0
        self.payload_type, self.destination = PAYLOAD_TYPE, None
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self.hear, self.hear_rtcp, self.speak)]
        for thread in self.threads:
            thread.start()

    def offer(self):
        return self.description()

    def answer(self, sdp):
        self.answered(sdp)
        return self.description()

    def answered(self, sdp):
        address = re.search(r"^c=IN IP4 (\S+)", sdp, re.M)
        media = re.search(r"^m=audio (\d+) (\S+) ", sdp, re.M)
        opus = re.search(r"^a=rtpmap:(\d+) opus/48000/2", sdp, re.M)
        assert address and media and opus, f"no plain Opus in\n{sdp}"
        assert media[2] in ("RTP/AVP", "RTP/AVPF"), f"{media[2]} is not plain RTP"
        self.payload_type = int(opus[1])
        self.destination = (address[1], int(media[1]))

    def description(self):
        number = self.payload_type
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
                 f"m=audio {self.rtp.getsockname()[1]} RTP/AVP {number} 126",
                 f"a=rtpmap:{number} opus/48000/2", "a=rtpmap:126 telephone-event/8000", "a=ptime:20",
                 "a=sendrecv"]
        return "".join(line + "\r\n" for line in lines)

    def is_hearing(self, packets):
        return len(self.heard) >= packets

    def report(self):
        packets = list(self.heard)
        report = Report(packets=len(packets), lost=lost(packets))
        decoder = opus_codec("r")
        samples = array.array("h")
        for _, payload_type, payload in packets:
            if payload_type != self.payload_type:
                report.problems.append(f"payload type {payload_type} came, {self.payload_type} was agreed")
                break
            for frame in decoder.decode(av.Packet(payload)):
                samples.frombytes(bytes(frame.planes[0])[:2 * frame.samples])
        report.tone_seconds, report.loud_seconds = listen(samples, self.expect_hz)
        report.notes.append(f"{self.rtcp_packets} RTCP")
        return report

    def hang_up(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(2)
        self.rtp.close()
        self.rtcp.close()

    def hear(self):
        while (packet := self.receive(self.rtp)) is not None:
            # RFC 5761 §4: RTCP on the RTP port, should somebody multiplex without being asked.
            if len(packet) < 13 or 192 <= packet[1] <= 223 or len(self.heard) >= PACKETS_KEPT:
                continue
            header = 12 + 4 * (packet[0] & 15)
            if packet[0] & 0x10:
                header += 4 + 4 * int.from_bytes(packet[header + 2:header + 4], "big")
            sequence = int.from_bytes(packet[2:4], "big")
            self.heard.append((sequence, packet[1] & 0x7f, packet[header:]))

    def hear_rtcp(self):
        while self.receive(self.rtcp) is not None:
            self.rtcp_packets += 1

    def receive(self, sock):
        while not self.stopped.is_set():
            try:
                return sock.recv(2048)
            except TimeoutError:
                pass
        return None

    def speak(self):
        packets = encoded_tone(self.tone_hz)
        sequence, timestamp = random.randrange(1 << 15), random.randrange(1 << 31)
        ssrc = random.randrange(1 << 32)
        due = time.monotonic()
        while not self.stopped.wait(max(0.0, due - time.monotonic())):
            due += FRAME_SECONDS
            if self.destination is None:
                continue
            n = self.sent
            header = struct.pack(">BBHII", 0x80, self.payload_type | (0x80 if n == 0 else 0),
                                 (sequence + n) & 0xffff, (timestamp + n * FRAME) & 0xffffffff, ssrc)
            self.rtp.sendto(header + packets[n % len(packets)], self.destination)
            self.sent += 1


def bind_pair():
    """An even port for RTP and the next one for RTCP (RFC 3550 §11)."""
    while True:
        rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtp.bind(("127.0.0.1", 0))
        port = rtp.getsockname()[1]
        rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if port % 2 == 0:
                rtcp.bind(("127.0.0.1", port + 1))
                rtp.settimeout(0.2)
                rtcp.settimeout(0.2)
                return rtp, rtcp
        except OSError:
            pass
        rtp.close()
        rtcp.close()


def lost(packets):
    """Sequence numbers between the first and the highest that never came (RFC 3550 A.3)."""
    if not packets:
        return 0
    first = packets[0][0]
    seen = {(sequence - first + 0x8000 & 0xffff) - 0x8000 for sequence, _, _ in packets}
    return max(seen) + 1 - len([number for number in seen if number >= 0])


def encoded_tone(hertz):
    """One second of the tone in Opus packets of 20 ms."""
    encoder = opus_codec("w")
    encoder.bit_rate = 24000
    encoder.options = {"application": "voip"}
    packets = []
    for number in range(SAMPLE_RATE // FRAME):
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(tone_samples(hertz, number * FRAME, FRAME).tobytes())
        frame.pts, frame.sample_rate, frame.time_base = number * FRAME, SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


def tone_samples(hertz, first, count):
    step = 2 * math.pi * hertz / SAMPLE_RATE
    return array.array("h", [int(AMPLITUDE * math.sin(step * n)) for n in range(first, first + count)])


def opus_codec(mode):
    codec = av.CodecContext.create("libopus", mode)
    codec.sample_rate, codec.layout, codec.format = SAMPLE_RATE, "mono", "s16"
    return codec
