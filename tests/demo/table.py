"""What the demo prints: one row per call, and the reasons under the table when a call is bad."""

from dataclasses import dataclass, field


@dataclass
class CallResult:
    """Everything one call showed. None means: not measured, because it did not come to that."""

    name: str
    ice_ms: float | None = None
    dtls_ms: float | None = None
    first_srtp_ms: float | None = None
    to_meta: tuple | None = None  # packets, lost
    to_phone: tuple | None = None
    tone_at_meta: float | None = None  # share of what was heard
    tone_at_phone: float | None = None
    tone_wanted: float = 0.9  # a steady tone reaches the other end from the first packet on
    hang_up: str = "-"
    problems: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    @property
    def is_good(self):
        return not self.problems


HEADINGS = ["call", "ICE ms", "DTLS ms", "SRTP ms", "to WhatsApp", "to phone", "tone WhatsApp", "tone phone",
            "hang-up", "verdict"]


def print_table(results):
    rows = [HEADINGS] + [row(result) for result in results]
    widths = [max(len(line[column]) for line in rows) for column in range(len(HEADINGS))]
    print()
    for at, line in enumerate(rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        if at == 0:
            print("  ".join("-" * width for width in widths))
    print()
    print("ICE, DTLS, SRTP: from the answer to the first valid check, the end of the handshake, and the first")
    print("media that WhatsApp's side could decrypt. Packets are counted where they arrive, with how many were lost.")
    for result in results:
        for problem in result.problems:
            print(f"BAD   {result.name}: {problem}")
        for note in result.notes:
            print(f"note  {result.name}: {note}")


def row(result):
    return [
        result.name,
        milliseconds(result.ice_ms),
        milliseconds(result.dtls_ms),
        milliseconds(result.first_srtp_ms),
        packets(result.to_meta),
        packets(result.to_phone),
        share(result.tone_at_meta),
        share(result.tone_at_phone),
        result.hang_up,
        "good" if result.is_good else "BAD",
    ]


def milliseconds(value):
    return "-" if value is None else f"{value:.0f}"


def packets(counted):
    if counted is None:
        return "-"
    received, lost = counted
    return f"{received}, lost {lost}"


def share(value):
    return "-" if value is None else f"{100 * value:.0f} %"
