"""A PBX's media in a script: a tone over plain RTP, in Opus or A-law, from whatever address and port the case wants.

Opus is libopus from Debian (baresip needs it too), called without any binding.
"""

import ctypes
import random
import select
import socket
import struct
import threading
import time

import tone

SECONDS_OF_PACKET = 0.02
EVENTS = 126
VOIP = 2048  # OPUS_APPLICATION_VOIP
LIBRARY = ctypes.CDLL("libopus.so.0")
LIBRARY.opus_encoder_create.restype = LIBRARY.opus_decoder_create.restype = ctypes.c_void_p


class Opus:
    PAYLOAD_TYPE, RATE, FRAME, NAME = 111, 48000, 960, "opus/48000/2"

    @classmethod
    def encode(cls, samples):
        encoder = ctypes.c_void_p(LIBRARY.opus_encoder_create(cls.RATE, 1, VOIP, None))
        buffer, packets = ctypes.create_string_buffer(1275), []
        for at in range(0, len(samples), cls.FRAME):
            frame = (ctypes.c_int16 * cls.FRAME)(*samples[at:at + cls.FRAME])
            length = LIBRARY.opus_encode(encoder, frame, cls.FRAME, buffer, 1275)
            packets.append(buffer.raw[:length])
        return packets

    def __init__(self):
        self.decoder = ctypes.c_void_p(LIBRARY.opus_decoder_create(self.RATE, 1, None))

    def decode(self, payload):
        samples = (ctypes.c_int16 * (6 * self.FRAME))()
        return samples[:max(0, LIBRARY.opus_decode(self.decoder, payload, len(payload), samples, 6 * self.FRAME, 0))]

    def close(self):
        LIBRARY.opus_decoder_destroy(self.decoder)


def expanded(octet):
    """The sample that an octet of A-law stands for (ITU-T G.711)."""
    octet ^= 0x55
    segment, step = (octet >> 4) & 7, ((octet & 15) << 4) + 8
    magnitude = (step + 0x100) << (segment - 1) if segment else step
    return magnitude if octet & 0x80 else -magnitude


class ALaw:
    PAYLOAD_TYPE, RATE, FRAME, NAME = 8, 8000, 160, "PCMA/8000"
    SAMPLES = [expanded(octet) for octet in range(256)]

    @classmethod
    def encode(cls, samples):
        octets = {sample: min(range(256), key=lambda octet: abs(cls.SAMPLES[octet] - sample)) for sample in set(samples)}
        return [bytes(octets[sample] for sample in samples[at:at + cls.FRAME]) for at in range(0, len(samples), cls.FRAME)]

    def decode(self, payload):
        return [self.SAMPLES[octet] for octet in payload]

    def close(self):
        pass


class Speaker:
    """Speaks to where the last SDP said, and remembers what it hears, with the moment."""

    # One second of the tone, which fits in whole periods, so that it can be repeated.
    PACKETS = {codec: codec.encode(tone.samples(tone.PHONE_TONE_HZ, 0, 2 * codec.RATE, codec.RATE))[50:] for codec in (Opus, ALaw)}

    def __init__(self):
        self.ssrc, self.sequence = random.randrange(1 << 32), random.randrange(1 << 15)
        self.timestamp = random.randrange(1 << 31)
        self.heard = []
        self.destination = self.sock = None
        self.codec = Opus
        self.is_speaking = False
        self.stopped = threading.Event()
        self.move("127.0.0.1")
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def move(self, address):
        """Go to another port, as a phone does to which the PBX hands over the call, and be silent until speak_to(): before the
        relay is told of the new address, a packet from there is a stranger's."""
        self.is_speaking = False
        old, self.sock = self.sock, even_socket(address)
        if old:
            old.close()

    def sdp(self, direction="sendrecv", events=True, version=1):
        address, port = self.sock.getsockname()
        codecs = [(self.codec.PAYLOAD_TYPE, self.codec.NAME)] + [(EVENTS, "telephone-event/8000")] * events
        return "".join(line + "\r\n" for line in (
            "v=0", f"o=- 1 {version} IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0",
            f"m=audio {port} RTP/AVP {' '.join(str(number) for number, _ in codecs)}",
            *[f"a=rtpmap:{number} {name}" for number, name in codecs], "a=ptime:20", f"a={direction}"))

    def speak_to(self, sdp):
        lines = dict(line.split("=", 1) for line in reversed(sdp.split("\r\n")) if line[:2] in ("c=", "m="))
        self.destination = lines["c"].split()[2], int(lines["m"].split()[1])
        self.is_speaking = True

    def run(self):
        due = time.monotonic()
        while not self.stopped.is_set():
            sock, codec = self.sock, self.codec
            try:
                if select.select([sock], [], [], max(0.0, due - time.monotonic()))[0]:
                    packet = sock.recv(2048)
                    if len(packet) > 12 and packet[1] & 0x7f in (Opus.PAYLOAD_TYPE, ALaw.PAYLOAD_TYPE):
                        self.heard.append((time.monotonic(), packet[1] & 0x7f, packet[12:]))
                    continue
                due += SECONDS_OF_PACKET
                self.timestamp += codec.FRAME
                if self.is_speaking:
                    number = self.sequence + 1
                    header = struct.pack(">BBHII", 0x80, codec.PAYLOAD_TYPE, number & 0xffff, self.timestamp & 0xffffffff, self.ssrc)
                    sock.sendto(header + self.PACKETS[codec][number % len(self.PACKETS[codec])], self.destination)
                    self.sequence = number
            except (OSError, ValueError):
                continue  # moved meanwhile

    def seconds_of(self, frequency, since):
        """How long the tone was heard since a moment, in the codec of now."""
        decoder, packets = self.codec(), 0
        for at, payload_type, payload in list(self.heard):
            if payload_type != self.codec.PAYLOAD_TYPE:
                continue
            samples = decoder.decode(payload)
            if at >= since and samples and tone.window_is_tone(samples, frequency, self.codec.RATE):
                packets += 1
        decoder.close()
        return packets * SECONDS_OF_PACKET

    def close(self):
        self.stopped.set()
        self.thread.join()
        self.sock.close()


def even_socket(address):
    """RTP has an even port (RFC 3550 section 11)."""
    while True:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 0))
        if sock.getsockname()[1] % 2 == 0:
            return sock
        sock.close()
