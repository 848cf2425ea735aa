"""A PBX's media in a script: a tone in Opus over plain RTP, from whatever address and port the case wants.

The codec is libopus from Debian (baresip needs it too), called without any binding.
"""

import ctypes
import random
import select
import socket
import struct
import threading
import time

import tone

RATE, FRAME, SECONDS_OF_FRAME = 48000, 960, 0.02
OPUS, EVENTS = 111, 126
VOIP = 2048  # OPUS_APPLICATION_VOIP
LIBRARY = ctypes.CDLL("libopus.so.0")
LIBRARY.opus_encoder_create.restype = LIBRARY.opus_decoder_create.restype = ctypes.c_void_p


class Speaker:
    """Speaks to where the last SDP said, and remembers what it hears, with the moment."""

    def __init__(self):
        self.packets = encoded_tone(tone.PHONE_TONE_HZ)
        self.ssrc, self.sequence = random.randrange(1 << 32), random.randrange(1 << 15)
        self.timestamp = random.randrange(1 << 31)
        self.heard = []
        self.destination = self.sock = None
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

    def sdp(self, direction="sendrecv", codecs=f"{OPUS} {EVENTS}", version=1):
        address, port = self.sock.getsockname()
        return "".join(line + "\r\n" for line in (
            "v=0", f"o=- 1 {version} IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0",
            f"m=audio {port} RTP/AVP {codecs}", f"a=rtpmap:{OPUS} opus/48000/2", f"a=rtpmap:{EVENTS} telephone-event/8000",
            "a=ptime:20", f"a={direction}"))

    def speak_to(self, sdp):
        lines = dict(line.split("=", 1) for line in reversed(sdp.split("\r\n")) if line[:2] in ("c=", "m="))
        self.destination = lines["c"].split()[2], int(lines["m"].split()[1])
        self.is_speaking = True

    def run(self):
        due = time.monotonic()
        while not self.stopped.is_set():
            sock = self.sock
            try:
                if select.select([sock], [], [], max(0.0, due - time.monotonic()))[0]:
                    packet = sock.recv(2048)
                    if len(packet) > 12 and packet[1] & 0x7f == OPUS:
                        self.heard.append((time.monotonic(), packet[12:]))
                    continue
                due += SECONDS_OF_FRAME
                self.timestamp += FRAME
                if self.is_speaking:
                    number = self.sequence + 1
                    header = struct.pack(">BBHII", 0x80, OPUS, number & 0xffff, self.timestamp & 0xffffffff, self.ssrc)
                    sock.sendto(header + self.packets[number % len(self.packets)], self.destination)
                    self.sequence = number
            except (OSError, ValueError):
                continue  # moved meanwhile

    def seconds_of(self, frequency, since):
        """How long the tone was heard since a moment."""
        decoder = ctypes.c_void_p(LIBRARY.opus_decoder_create(RATE, 1, None))
        samples = (ctypes.c_int16 * (6 * FRAME))()
        frames = 0
        for at, payload in list(self.heard):
            length = LIBRARY.opus_decode(decoder, payload, len(payload), samples, 6 * FRAME, 0)
            if at >= since and length > 0 and tone.window_is_tone(samples[:length], frequency, RATE):
                frames += 1
        LIBRARY.opus_decoder_destroy(decoder)
        return frames * SECONDS_OF_FRAME

    def close(self):
        self.stopped.set()
        self.thread.join()
        self.sock.close()


def encoded_tone(frequency):
    """One second of the tone, which fits in whole periods, so that it can be repeated."""
    encoder = ctypes.c_void_p(LIBRARY.opus_encoder_create(RATE, 1, VOIP, None))
    buffer, packets = ctypes.create_string_buffer(1275), []
    for at in range(0, 2 * RATE, FRAME):
        frame = (ctypes.c_int16 * FRAME)(*tone.samples(frequency, at, FRAME, RATE))
        length = LIBRARY.opus_encode(encoder, frame, FRAME, buffer, 1275)
        packets.append(buffer.raw[:length])
    LIBRARY.opus_encoder_destroy(encoder)
    return packets[len(packets) // 2:]


def even_socket(address):
    """RTP has an even port (RFC 3550 section 11)."""
    while True:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 0))
        if sock.getsockname()[1] % 2 == 0:
            return sock
        sock.close()
