"""The WhatsApp side: `simulator` plays Meta for one call at a time and reports it as JSON."""

import json
import os
import subprocess
import time
from types import SimpleNamespace

import tone
from kamailio import SIP_HOST
from processes import Part, PartFailed


class Simulator:
    TONE_HZ = 700

    def __init__(self, run, binary, ports, numbers, expects_hz=tone.PHONE_TONE_HZ):
        if not os.access(binary, os.X_OK):
            raise PartFailed(f"{binary} is not there: make demo builds it")
        self.run = run
        self.binary = binary
        self.ports = ports
        self.numbers = numbers
        self.expects_hz = expects_hz
        self.certificates = os.path.join(run, "certificates")
        self.calls = 0

    def make_certificates(self):
        subprocess.run([self.binary, "make-ca", "--out", self.certificates, "--host", SIP_HOST],
                       check=True, stdout=subprocess.DEVNULL)
        return SimpleNamespace(
            authority=self.certificate("ca.pem"),
            kamailio_chain=self.certificate(f"{SIP_HOST}.pem"),
            kamailio_key=self.certificate(f"{SIP_HOST}.key"))

    def certificate(self, name):
        return os.path.join(self.certificates, name)

    def place_call(self, number, user, talk_seconds, meta_hangs_up, more=()):
        """A WhatsApp user calls the business."""
        return self.start("uic", number, talk_seconds, meta_hangs_up, ["--user", f"+{user}", *more])

    def await_call(self, number, talk_seconds, meta_hangs_up, more=()):
        """A WhatsApp user is about to be called; returns when the gateway listens."""
        call = self.start("bic", number, talk_seconds, meta_hangs_up, ["--ring", "--wait", "15", *more])
        call.part.wait_until(lambda: "waiting on" in call.part.last_lines())
        return call

    def serve(self, number, every_seconds, talk_seconds, more=()):
        """Meta for as long as it takes: users call again and again, and are called."""
        part, _ = self.run_it("serve", number, talk_seconds, True, [
            "--ring", "--place", "1000000", "--every", str(every_seconds), *more])
        part.wait_until(lambda: "listening on" in part.last_lines(1000))
        return part

    def start(self, direction, number, talk_seconds, meta_hangs_up, more):
        return SimulatedCall(*self.run_it(direction, number, talk_seconds, meta_hangs_up, more))

    def run_it(self, command, number, talk_seconds, meta_hangs_up, more):
        """(the process, where it writes its report)."""
        password, keys, *_ = self.numbers[number]
        self.calls += 1
        name = f"simulator-{self.calls}-{command}-{keys.lower()}"
        report = os.path.join(self.run, name + ".json")
        part = Part(name, [
            self.binary, command, "--verbose",
            "--sbc", f"127.0.0.1:{self.ports.kamailio_tls}", "--host", SIP_HOST,
            "--business", f"+{number}", "--password", password,
            "--listen", f"127.0.0.1:{self.ports.meta_tls}",
            "--ca", self.certificate("ca.pem"),
            "--cert", self.certificate("wa.meta.vc.pem"), "--key", self.certificate("wa.meta.vc.key"),
            "--mode", keys.lower(), "--tone", str(self.TONE_HZ), "--expect-tone", str(self.expects_hz),
            "--talk", str(talk_seconds), "--hangup", "meta" if meta_hangs_up else "business",
            "--json", report, *more,
        ], self.run)
        return part, report


class SimulatedCall:
    def __init__(self, part, path):
        self.part = part
        self.path = path

    def report(self, seconds):
        """What the simulator says about its call, once it has ended; None when it says nothing."""
        deadline = time.monotonic() + seconds
        while self.part.is_running() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.part.stop()
        try:
            with open(self.path) as file:
                run = json.load(file)
        except (OSError, ValueError):
            return None
        if not run["calls"]:
            return None
        report = run["calls"][0]
        report["findings"] += run["outside_calls"]
        return report
