"""Known tones: made as WAV for the phone, and found again in what the phone heard."""

import math
import struct
import wave

SAMPLE_RATE = 48000
# What the phone says and what the WhatsApp side says. They differ, so that an echo is no success.
PHONE_TONE_HZ = 400


def write_tone(path, frequency, seconds):
    """A steady sine, mono, 16 bit. The frequency must divide the sample rate."""
    period = SAMPLE_RATE // frequency
    assert period * frequency == SAMPLE_RATE
    wave_bytes = struct.pack(f"<{period}h", *samples(frequency, 0, period))
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(wave_bytes * (frequency * seconds))


def samples(frequency, first, count, rate=SAMPLE_RATE):
    """So many samples of the sine, from the given one on."""
    return [int(8000 * math.sin(2 * math.pi * frequency * n / rate)) for n in range(first, first + count)]


def share_of_time(path, frequency, window_ms=100, channel=0):
    """Which share of a recording, 0 to 1, is that tone and little else.

    The recording is cut into windows; in each one Goertzel's algorithm gives the power at the
    frequency, and a window counts when that is most of its power.
    """
    heard, rate = read_mono(path, channel)
    size = rate * window_ms // 1000
    windows = [heard[at:at + size] for at in range(0, len(heard) - size + 1, size)]
    if not windows:
        return 0.0
    return sum(window_is_tone(window, frequency, rate) for window in windows) / len(windows)


def seconds_of(path):
    heard, rate = read_mono(path)
    return len(heard) / rate


def window_is_tone(window, frequency, rate):
    total = sum(sample * sample for sample in window)
    if total < len(window) * 100 * 100:
        return False
    return goertzel_power(window, frequency, rate) > 0.6 * total


def goertzel_power(window, frequency, rate):
    """The part of the window's energy that lies at the frequency."""
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    before, last = 0.0, 0.0
    for sample in window:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return 2 * power / len(window)


def read_mono(path, channel=0):
    """One channel. The phone writes the length into the header only when a call ends."""
    with wave.open(path, "rb") as file:
        channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
        raw = file.readframes(file.getnframes())
    assert width == 2, f"{path}: {8 * width} bit samples"
    return struct.unpack(f"<{len(raw) // 2}h", raw)[channel::channels], rate
