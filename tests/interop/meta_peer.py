"""The simulator's WhatsApp side without SIP: the program `meta-media`, spoken to in JSON lines."""

import json
import queue
import subprocess
import threading

from report import Report

SECONDS = 15


class MetaPeer:
    NAME = "simulator"

    def __init__(self, binary, tone_hz, expect_hz, calls, passive=False):
        options = [f"--tone-hz={tone_hz}", f"--expect-hz={expect_hz}"]
        options += [] if calls else ["--business-initiated"]
        options += ["--passive"] if passive else []
        self.process = subprocess.Popen([binary, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def offer(self):
        return self.next_line()["offer"]

    def answer(self, sdp):
        self.write({"offer": sdp})
        return self.next_line()["answer"]

    def answered(self, sdp):
        self.write({"answer": sdp})
        self.next_line()

    def is_hearing(self, _packets):
        """Only the report at the end tells. It speaks after it has heard something, which the other end notices."""
        return True

    def report(self):
        self.process.stdin.close()
        seen = self.next_line()
        received = seen["received"]
        report = Report(packets=received["packets"], lost=received["lost"], tone_seconds=received["tone_ms"] / 1000,
                        loud_seconds=(received["audio_ms"] - received["silence_ms"]) / 1000,
                        problems=list(seen["violations"]))
        if seen["dtls_ms"] is None:
            report.problems.append("DTLS was never finished")
            return report
        report.notes.append(f"ICE {seen['ice_ms']:.0f} ms, DTLS {seen['dtls_ms']:.0f} ms {seen['dtls_version']}"
                            f" {seen['srtp_profile']}, first SRTP {seen['first_srtp_ms'] or 0:.0f} ms")
        return report

    def hang_up(self):
        self.process.kill()
        self.process.wait()

    def write(self, value):
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put({"error": "it ended"})

    def next_line(self):
        line = self.lines.get(timeout=SECONDS)
        if "error" in line:
            raise RuntimeError(f"the simulator refuses: {line['error']}")
        return line
