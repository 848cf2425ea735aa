#!/usr/bin/env python3
"""Five faults that people make, and where each says its name: the live page, the metrics, an alert, a log, or `tandem doctor`.

Nothing else is looked at, as somebody would look who did not make the fault. docs/troubleshooting.md shows what is found here, and
has to: every sentence in it that a program says is one that a program said in this run.

TANDEM names the program (target/debug without it); the simulator lies beside it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, HERE)

from faults import FAULTS  # noqa: E402
from processes import stop_all, stop_all_at_exit  # noqa: E402

TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
TANDEM = os.path.abspath(os.environ.get("TANDEM", os.path.join(TARGET, "debug", "tandem")))
TROUBLESHOOTING = os.path.join(ROOT, "docs", "troubleshooting.md")


class Seen:
    """A set-up with a fault, running in a thread, and everything that an operator can look at."""

    def __init__(self, fault):
        import watch  # it needs the folder of this file in the path

        self.folder = tempfile.mkdtemp(prefix=f"fault-{fault}-")
        with open(os.path.join(self.folder, "said"), "w") as said:
            stdout, sys.stdout = sys.stdout, said
            try:
                self.scene = watch.Scene(self.folder, os.path.dirname(TANDEM), FAULTS[fault])
            finally:
                sys.stdout = stdout
        self.ended = threading.Event()
        self.caller = threading.Thread(target=self.make_calls)
        self.caller.start()

    def make_calls(self):
        time.sleep(1)
        while not self.ended.is_set():
            self.scene.call_whatsapp()
            self.ended.wait(15)

    def end(self):
        self.ended.set()
        self.caller.join()
        if control := getattr(self.scene.phone, "control", None):
            control.close()
        stop_all()
        shutil.rmtree(self.folder)

    def page(self):
        """What the list of the live page says of calls: direction, and the sentences."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.scene.ports.relay_http}/calls.json", timeout=10) as reply:
            calls = json.load(reply)
        return [(call["direction"], call["failure"] or call["warning"] or call["end"] or "") for call in calls["now"] + calls["over"]]

    def alerts(self):
        """Those that wait or fire."""
        return {alert["labels"]["alertname"]: alert["annotations"]["summary"] for alert in self.scene.prometheus.ask("alerts")["alerts"]}

    def log(self, part):
        with open(part.log, errors="replace") as log:
            return log.read()

    def doctor(self, *more):
        """What the doctor says of the host that has this relay."""
        options = [word for word in self.scene.relay.part.process.args if word.startswith(("--interface", "--port-", "--listen-ng", "--listen-http", "--config"))]
        done = subprocess.run([TANDEM, "doctor", "--offline", *more, *options], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout


class Faults(unittest.TestCase):
    """Each fault is made, and then looked for."""

    said = []

    @classmethod
    def setUpClass(cls):
        with open(TROUBLESHOOTING, encoding="utf-8") as file:
            cls.document = file.read()

    def seed(self, fault):
        seen = Seen(fault)
        self.addCleanup(seen.end)
        return seen

    def until(self, seconds, look):
        deadline = time.monotonic() + seconds
        while not (found := look()):
            self.assertLess(time.monotonic(), deadline, "nothing says what is wrong")
            time.sleep(0.3)
        return found

    def on_page(self, seen, direction, words):
        """The sentence on the page about a call of this direction that has the words in it."""
        def look():
            return next((text for of, text in seen.page() if of == direction and words in text), None)

        return self.until(40, look)

    def alert(self, seen, name):
        return self.until(30, lambda: seen.alerts().get(name))

    def shown(self, fault, *sentences):
        """The document shows these sentences in the section about the fault, whatever stands for what differs from run to run."""
        section = re.search(rf"^## [^\n]*`{fault}`.*?(?=^## |\Z)", self.document, re.M | re.S)
        self.assertIsNotNone(section, f"docs/troubleshooting.md has no section about {fault}")
        told = without_particulars(section[0])
        for sentence in sentences:
            self.assertIn(without_particulars(sentence), told)

    def test_udp_that_is_blocked_is_named_on_the_page_and_by_an_alert(self):
        seen = self.seed("udp-blocked")
        users = self.on_page(seen, "user_initiated", "a firewall drops UDP")
        self.assertRegex(users, r"\(\d+ checks sent, 0 answered, 0 received\)")
        self.on_page(seen, "business_initiated", "a firewall drops UDP")
        alert = self.alert(seen, "TandemNoIceAnswer")
        self.assertIn("WhatsApp does not answer ICE checks", alert)
        self.shown("udp-blocked", users.split(": ", 1)[1], alert)

    def test_a_wrong_advertised_address_is_named_by_the_doctor_and_on_the_page(self):
        seen = self.seed("wrong-address")
        doctor = seen.doctor()
        found = re.search(r"^ *WRONG.*advertised address.*$", doctor, re.M)
        self.assertIsNotNone(found, doctor)
        warning = self.on_page(seen, "user_initiated", "the advertised address is wrong")
        self.assertIn("192.0.2.7:", warning)
        self.assertIn("sees us as 127.0.0.1:", warning)
        self.shown("wrong-address", found[0].strip(), warning.split(": ", 1)[1])

    def test_a_wrong_advertised_address_without_ice_is_named_on_the_page(self):
        seen = self.seed("wrong-address-sdes")
        failure = self.on_page(seen, "user_initiated", "told to send to 192.0.2.7:")
        self.assertIn("from WhatsApp's side", failure)
        alert = self.alert(seen, "TandemNoMedia")
        self.shown("wrong-address", failure.split(": ", 1)[1], alert)

    def test_a_wrong_password_is_named_by_an_alert_and_in_the_log_of_the_proxy(self):
        seen = self.seed("wrong-password")
        alert = self.alert(seen, "TandemWrongPasswordFromMeta")
        self.assertIn("refuses the password that Meta sends", alert)
        log = self.until(20, lambda: re.search(r"wrong password from Meta for .*", seen.log(seen.scene.kamailio.part)))
        self.on_page(seen, "business_initiated", "before anybody answered")
        refused = self.until(20, lambda: re.search(r"Meta refused the call from .*", seen.log(seen.scene.kamailio.part)))
        self.shown("wrong-password", alert, log[0], refused[0])

    def test_passive_dtls_is_named_on_the_page_and_not_followed(self):
        seen = self.seed("passive-dtls")
        warning = self.on_page(seen, "user_initiated", "DTLS=passive is not followed")
        self.shown("passive-dtls", warning)
        # And so the calls are good all the same.
        self.until(30, lambda: re.search(r"^uic .* 200: pass$", seen.log(seen.scene.meta), re.M))

    def test_a_silent_pbx_is_named_on_the_page_and_by_an_alert(self):
        seen = self.seed("silent-pbx")
        failure = self.on_page(seen, "user_initiated", "from the PBX's side")
        alert = self.alert(seen, "TandemNoMedia")
        self.assertIn("pbx_silent", alert)
        self.shown("silent-pbx", failure.split(": ", 1)[1], alert)

    def test_nothing_is_named_where_nothing_is_wrong(self):
        seen = self.seed("none")

        def look():
            over = [text for _, text in seen.page() if text.startswith("the proxy")]
            return over if len(over) > 1 else None

        self.until(40, look)
        self.assertEqual({text for _, text in seen.page()} - {""}, {"the proxy ended it"})
        self.assertEqual(seen.alerts(), {})

    def test_a_call_is_captured_as_the_document_says(self):
        if not shutil.which("tcpdump") or os.geteuid() != 0:
            self.skipTest("there is no tcpdump here, or it may not listen")
        [commands] = re.findall(r"^## A capture of one call.*?^```sh\n(.*?)^```", self.document, re.M | re.S)
        seen = self.seed("none")
        ports = seen.scene.ports
        call = self.until(30, lambda: next(iter(seen.scene.relay.calls() or []), None))
        for shown, here in (("THE-CALL-ID", call), ("tandem ctl", f"{TANDEM} ctl -port {ports.relay_cli}"), ("timeout 10", "timeout 4"),
                            ("2223", str(ports.relay_ng))):
            self.assertEqual(commands.count(shown), 1)
            commands = commands.replace(shown, here)
        done = subprocess.run(["sh", "-c", commands], cwd=seen.folder, capture_output=True, text=True, timeout=60, check=False)
        read = subprocess.run(["tcpdump", "-n", "-r", os.path.join(seen.folder, "call.pcap")], capture_output=True, text=True, check=False)
        packets = read.stdout.splitlines()
        media = [line for line in packets if f".{ports.relay_ng}" not in line]
        self.assertGreater(len(media), 100, done.stderr + read.stderr)
        # Both sides of this call, and the proxy's pings.
        self.assertLess(len(media), len(packets), "no signalling was captured")

    def test_every_fault_has_its_section(self):
        told = set(re.findall(r"`(?:make demo DEMO=watch FAULT=)([\w-]+)`", self.document))
        self.assertEqual(told, set(FAULTS) - {"none"})


def without_particulars(text):
    """Without what differs from run to run: ports, counts, times, names of calls."""
    text = re.sub(r"[\s`|]+", " ", text)
    return re.sub(r"\d+", "N", re.sub(r"127\.0\.0\.1|192\.0\.2\.7", lambda m: m[0].replace(".", "-").translate(str.maketrans("0123456789", "abcdefghij")), text))


if __name__ == "__main__":
    stop_all_at_exit()
    unittest.main(verbosity=2)
