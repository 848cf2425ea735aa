#!/usr/bin/env python3
"""`make demo DEMO=watch`, as somebody uses it: started, looked at, and ended. Nothing of it may be left then.

TANDEM names the program (target/debug without it); the simulator lies beside it.
"""

import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
BINARIES = os.path.dirname(os.path.abspath(os.environ.get("TANDEM", os.path.join(TARGET, "debug", "tandem"))))


class Watch(unittest.TestCase):
    """One demo, looked at by every test, and ended by the last thing that is done."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="watch-")
        cls.demo = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "watch.py"), "--binaries", BINARIES, "--run", os.path.join(cls.folder, "run")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = []
        for line in cls.demo.stdout:
            said.append(line)
            if "Ctrl-C stops everything" in line:
                break
        cls.said = "".join(said)
        if cls.demo.poll() is not None:
            raise AssertionError(cls.said)
        cls.places = dict(re.findall(r"^  (\w[\w ]*?)  +(http\S+)$", cls.said, re.M))

    @classmethod
    def tearDownClass(cls):
        """Ctrl-C; and then nothing is left of it."""
        cls.demo.send_signal(signal.SIGINT)
        rest, _ = cls.demo.communicate(timeout=60)
        left = processes_that_name(cls.folder)
        ports = [place for place in cls.places.values() if somebody_listens(place)]
        shutil.rmtree(cls.folder)
        assert cls.demo.returncode == 0, rest
        assert "Everything is stopped" in rest, rest
        assert not left, left
        assert not ports, ports

    def get(self, place, path=""):
        with urllib.request.urlopen(self.places[place] + path, timeout=10) as reply:
            return reply.read().decode()

    def until(self, seconds, look):
        """What `look` gives, once that is something."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            self.assertLess(time.monotonic(), deadline, self.said)
            time.sleep(0.3)
        return found

    def calls(self):
        return json.loads(self.get("live page", "calls.json"))

    def prometheus(self, query):
        answer = json.loads(self.get("Prometheus", "api/v1/" + query))
        return answer["data"]

    def test_it_says_where_to_look_and_what_is_missing(self):
        for place in ("live page", "metrics", "metrics of the proxy", "Prometheus", "alerts"):
            self.assertIn(place, self.places)
        if not (shutil.which("grafana") or shutil.which("grafana-server")):
            self.assertRegex(self.said, r"Grafana +is not installed")

    def test_prometheus_scrapes_relay_and_proxy_and_has_our_alerts(self):
        up = self.prometheus("query?query=up")["result"]
        self.assertEqual({(series["metric"]["job"], series["value"][1]) for series in up}, {("tandem", "1"), ("tandem-proxy", "1")})
        rules = [rule for group in self.prometheus("rules")["groups"] for rule in group["rules"]]
        self.assertGreater(len(rules), 30)
        # What calls did arrives there.
        self.until(30, lambda: self.prometheus("query?query=sum(tandem_calls_answered_total)%3E0")["result"])

    def test_calls_of_both_directions_come_and_go_and_are_good(self):
        def both():
            calls = self.calls()
            if {call["direction"] for call in calls["over"]} >= {"user_initiated", "business_initiated"}:
                return calls
            return None

        calls = self.until(60, both)
        for call in calls["over"]:
            self.assertEqual((call["failure"], call["end"]), (None, "the proxy ended it"), call)
        self.until(20, lambda: self.calls()["now"])

    def test_somebody_who_opens_the_page_sees_calls(self):
        chromium = shutil.which("chromium")
        if chromium is None:
            self.skipTest("chromium is not installed")
        self.until(20, lambda: self.calls()["now"])
        done = subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", f"--user-data-dir={self.folder}/chromium", "--virtual-time-budget=3000", "--dump-dom",
             self.places["live page"]], capture_output=True, text=True, timeout=120, check=False)
        self.assertRegex(done.stdout, r"Now: [1-9]")
        self.assertIn("wacid.", done.stdout)


class Missing(unittest.TestCase):
    """What it says where something is not there."""

    def test_a_simulator_that_was_not_built_is_named(self):
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run(
                [sys.executable, os.path.join(HERE, "watch.py"), "--binaries", empty, "--run", os.path.join(empty, "run")],
                capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("simulator is not there: make demo builds it", done.stderr)
            self.assertEqual(processes_that_name(empty), [])


def processes_that_name(folder):
    """Command lines in which this folder stands, Chromium's aside, whose last children end when they like."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(folder in word for word in words) and "chromium" not in words[0]:
            found.append(" ".join(words))
    return found


def somebody_listens(place):
    host, port = re.match(r"http://([\d.]+):(\d+)", place).groups()
    try:
        socket.create_connection((host, int(port)), 1).close()
        return True
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main(verbosity=2)
