#!/usr/bin/env python3
"""The live page in headless Chromium, as wide as a desk and as narrow as a phone: what somebody sees who opens it.

TANDEM names the program (target/debug without it).
"""

import html
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
TANDEM = os.path.abspath(os.environ.get("TANDEM", os.path.join(TARGET, "debug", "tandem")))
ADDRESS, NG, HTTP = "127.42.0.1", 24220, 24221
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n"
# What a stranger may put into a Call-ID.
NASTY = "wacid.HBgN<img src=x onerror=\"document.title='broken'\">"
DESK, PHONE = (1280, 900), (390, 844)


class Browser(unittest.TestCase):
    """A relay with some calls, and Chromium."""

    ACCESS = "on"

    @classmethod
    def setUpClass(cls):
        cls.chromium = shutil.which("chromium")
        if cls.chromium is None:
            raise unittest.SkipTest("chromium is not installed")
        cls.folder = tempfile.mkdtemp()
        cls.start(f"--live-page={cls.ACCESS}")
        cls.make_calls()

    @classmethod
    def make_calls(cls):
        for number in range(3):
            cls.call(f"ended-{number}")
            cls.ask({"command": "delete", "call-id": f"ended-{number}"})
        cls.call(NASTY)
        cls.call("pbx-call-7")

    @classmethod
    def start(cls, *options):
        cls.relay = subprocess.Popen(
            [TANDEM, "--foreground", "--config-file=none", f"--interface={ADDRESS}", f"--listen-ng={ADDRESS}:{NG}",
             f"--listen-http={ADDRESS}:{HTTP}", "--delete-delay=0", "--num-threads=2", *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://{ADDRESS}:{HTTP}/ping", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the relay did not start")

    @classmethod
    def stop(cls):
        cls.relay.terminate()
        cls.relay.wait(20)

    @classmethod
    def tearDownClass(cls):
        cls.stop()
        shutil.rmtree(cls.folder, ignore_errors=True)

    @classmethod
    def ask(cls, request):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.sendto(os.urandom(8).hex().encode() + b" " + json.dumps(request).encode(), (ADDRESS, NG))
            reply = json.loads(sock.recv(65536).split(b" ", 1)[1])
        if reply["result"] not in ("ok", "pong"):
            raise AssertionError(reply)
        return reply

    @classmethod
    def call(cls, call_id):
        cls.ask({"command": "offer", "call-id": call_id, "from-tag": "anna", "sdp": SDP.format(4000), "metadata": "from +49 30 1234567"})
        cls.ask({"command": "answer", "call-id": call_id, "from-tag": "anna", "to-tag": "bert", "sdp": SDP.format(5000)})

    def see(self, fragment="", size=DESK):
        """The page after it has asked the relay."""
        url = f"http://{ADDRESS}:{HTTP}/{'#' + fragment if fragment else ''}"
        done = subprocess.run(
            [self.chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", f"--user-data-dir={self.folder}/chromium", f"--window-size={size[0]},{size[1]}",
             "--virtual-time-budget=3000", "--dump-dom", url],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertIn("data-round=", done.stdout, done.stderr[-2000:])
        return done.stdout

    def shown(self, dom, element):
        """What the element with this id has in it, without marks."""
        [inside] = re.findall(rf'<(\w+)[^>]* id="{element}"[^>]*>(.*?)</\1>', dom, re.S)
        return html.unescape(re.sub(r"<[^>]*>", " ", inside[1]))


class LivePage(Browser):
    """What somebody sees who opens it."""

    @classmethod
    def make_calls(cls):
        super().make_calls()
        cls.talking, cls.silent = threading.Event(), threading.Event()
        cls.speaker = threading.Thread(target=cls.talk)
        cls.speaker.start()
        cls.talking.wait(20)

    @classmethod
    def tearDownClass(cls):
        cls.silent.set()
        cls.speaker.join()
        super().tearDownClass()

    @classmethod
    def talk(cls):
        """A call in which both sides speak, until somebody has seen how it sounds."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anna, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bert:
            for side in (anna, bert):
                side.bind(("127.0.0.1", 0))
            about = {"call-id": "heard", "from-tag": "anna"}
            offered = cls.ask({**about, "command": "offer", "sdp": SDP.format(anna.getsockname()[1])})
            answered = cls.ask({**about, "command": "answer", "to-tag": "bert", "sdp": SDP.format(bert.getsockname()[1])})
            to_anna, to_bert = (int(re.search(r"m=audio (\d+)", reply["sdp"]).group(1)) for reply in (answered, offered))
            cls.talking.set()
            for number in range(3000):
                for side, port, ssrc in ((anna, to_anna, 1), (bert, to_bert, 2)):
                    side.sendto(struct.pack("!BBHII", 0x80, 0, number, number * 160, ssrc) + b"\xff" * 160, (ADDRESS, port))
                if cls.silent.wait(0.02):
                    return

    def test_calls_now_and_the_last_ones_are_listed(self):
        dom = self.see()
        now, over = self.shown(dom, "now"), self.shown(dom, "over")
        self.assertIn("pbx-call-7", now)
        self.assertIn("talking", now)
        for number in range(3):
            self.assertIn(f"ended-{number}", over)
        self.assertIn("the proxy ended it", over)
        self.assertIn("Now: 3", dom)

    def test_what_strangers_write_is_text(self):
        dom = self.see()
        self.assertIn(NASTY, self.shown(dom, "now"))
        self.assertNotIn("<img", dom)
        self.assertIn("<title>Tandem: calls</title>", dom)

    def test_a_search_finds_a_call_by_its_name_or_a_number(self):
        dom = self.see("search=WACID")
        self.assertIn("HBgN", self.shown(dom, "now"))
        self.assertNotIn("pbx-call-7", dom)
        dom = self.see("search=1234567")
        self.assertIn("pbx-call-7", self.shown(dom, "now"))
        self.assertIn("ended-2", self.shown(dom, "over"))

    def test_one_call_tells_its_story(self):
        dom = self.see("id=ended-1")
        story = self.shown(dom, "timeline")
        for word in ("offer", "answer", "the proxy ended it"):
            self.assertIn(word, story)
        self.assertRegex(dom, r'<main id="list" hidden')

    def test_a_silent_call_says_why(self):
        """Five seconds after the answer nothing had come from either side."""
        until = time.monotonic() + 20
        while True:
            dom = self.see("id=pbx-call-7")
            failure = self.shown(dom, "one-failure")
            if "no media 5 s after the answer" in failure:
                break
            self.assertLess(time.monotonic(), until, dom)
        self.assertIn("no media", self.shown(self.see(), "now"))

    def test_how_a_call_sounds_is_a_line(self):
        """The relay judges for the first time after ten seconds."""
        until = time.monotonic() + 40
        while "<polyline" not in (dom := self.see("id=heard")):
            self.assertLess(time.monotonic(), until, dom)
        self.assertRegex(self.shown(dom, "quality"), r"default: MOS 4\.\d, 0 % lost")
        self.assertIn("first in", self.shown(dom, "timeline"))

    def test_a_phone_shows_all_of_it_without_scrolling_sideways(self):
        for fragment in ("", "id=" + urllib.parse.quote(NASTY)):
            with self.subTest(fragment):
                self.assertIn('data-fits="true"', self.see(fragment, PHONE))

    def test_a_call_that_nobody_remembers_is_a_problem_in_words(self):
        self.assertIn("nobody remembers this call", self.shown(self.see("id=unknown"), "problem"))


class Token(Browser):
    """The same behind a token."""

    ACCESS = "token:correct-horse"

    def test_the_page_asks_for_the_token_and_shows_nothing_before(self):
        dom = self.see()
        self.assertNotIn("pbx-call-7", dom)
        self.assertIn("a token is needed", self.shown(dom, "problem"))
        self.assertRegex(dom, r'<form id="door">')


if __name__ == "__main__":
    unittest.main(verbosity=2)
