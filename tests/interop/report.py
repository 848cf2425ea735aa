"""What one end of a call heard, and what is wrong with it."""

from dataclasses import dataclass, field

from tone import window_is_tone

SAMPLE_RATE = 48000
WINDOW = SAMPLE_RATE // 10
SILENCE = 100

# Of what is not silence, this much must be the expected tone, and at least so many seconds of it.
TONE_SHARE = 0.8
TONE_SECONDS = 1.5
# On loopback nothing is lost, but a machine that does other work may miss a moment.
LOSS_SHARE = 0.02


@dataclass
class Report:
    packets: int = 0
    lost: int = 0
    tone_seconds: float = 0.0
    loud_seconds: float = 0.0
    # Which end of the DTLS handshake the peer was, "client" or "server", where it can tell.
    dtls_role: str = None
    # What else was measured, in words, and what must not be.
    notes: list = field(default_factory=list)
    problems: list = field(default_factory=list)

    def judge(self):
        problems = list(self.problems)
        if self.packets == 0:
            problems.append("no packet came")
        elif self.lost > LOSS_SHARE * self.packets:
            problems.append(f"{self.lost} of {self.packets + self.lost} packets lost")
        if self.tone_seconds < TONE_SECONDS or self.tone_seconds < TONE_SHARE * self.loud_seconds:
            problems.append(f"the tone was there for {self.tone_seconds:.1f} s of {self.loud_seconds:.1f} s of sound")
        return problems

    def __str__(self):
        share = self.tone_seconds / self.loud_seconds if self.loud_seconds else 0
        words = [f"{self.packets} packets, {self.lost} lost, tone {self.tone_seconds:.1f} s ({share:.0%})"]
        return ", ".join(words + self.notes)


def listen(samples, hertz):
    """Seconds of the tone and seconds of any sound, in windows of 100 ms of mono samples at 48 kHz."""
    windows = [samples[at:at + WINDOW] for at in range(0, len(samples) - WINDOW + 1, WINDOW)]
    loud = [window for window in windows if sum(sample * sample for sample in window) > WINDOW * SILENCE ** 2]
    tone = [window for window in loud if window_is_tone(window, hertz, SAMPLE_RATE)]
    return len(tone) * WINDOW / SAMPLE_RATE, len(loud) * WINDOW / SAMPLE_RATE
