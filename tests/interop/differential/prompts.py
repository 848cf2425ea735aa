"""Recordings that both relays are asked to play, made when they are first asked for."""

import atexit
import math
import os
import shutil
import struct
import tempfile
import wave

FOLDER = tempfile.mkdtemp(prefix="differential-prompts-")
atexit.register(shutil.rmtree, FOLDER, True)
# Name: sample rate, channels, milliseconds.
TONES = {"tone.wav": (8000, 1, 500), "stereo.wav": (44100, 2, 500)}


def file(name):
    """The path of a recording; both relays read the same."""
    path = os.path.join(FOLDER, name)
    if os.path.exists(path):
        return path
    if name in TONES:
        rate, channels, milliseconds = TONES[name]
        with wave.open(path, "wb") as out:
            out.setnchannels(channels)
            out.setsampwidth(2)
            out.setframerate(rate)
            tone = (int(8000 * math.sin(2 * math.pi * 440 * n / rate)) for n in range(rate * milliseconds // 1000))
            out.writeframes(b"".join(struct.pack("<h", sample) * channels for sample in tone))
    else:
        with open(path, "wb") as out:
            out.write(b"" if name.startswith("empty") else bytes(range(7, 256)) * 20)
    return path
