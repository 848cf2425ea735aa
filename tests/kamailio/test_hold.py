#!/usr/bin/env python3
"""An agent puts a WhatsApp user on hold and takes the call back, with real media on both ends.

The phone is baresip, the WhatsApp side is the simulator (SIMULATOR names it, target/debug by
default). The relay is rtpengine, or the program that TANDEM names. KEYS leaves out the number with
other keys.
"""

import os
import shutil
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path[:0] = [HERE, os.path.join(HERE, "..", "demo")]

import case  # noqa: E402
import demo  # noqa: E402
import tone  # noqa: E402
from demo import WHATSAPP_USER, choose_ports, fresh_folder  # noqa: E402
import opensips  # noqa: E402
from kamailio import Kamailio  # noqa: E402
from phone import Phone  # noqa: E402
from processes import stop_all  # noqa: E402
from relay import Relay  # noqa: E402
from simulator import Simulator  # noqa: E402

BEFORE, HELD, AFTER = 2, 3, 3
TANDEM = os.environ.get("TANDEM")
NUMBERS = {number: settings for number, settings in demo.NUMBERS.items() if settings[1] in os.environ.get("KEYS", settings[1])}


class Hold(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run = fresh_folder(os.path.join(ROOT, ".run", f"{case.PROXY}-{case.KEYS}-hold"))
        ports = choose_ports()
        binary = os.environ.get("SIMULATOR", os.path.join(ROOT, "target", "debug", "simulator"))
        cls.simulator = Simulator(run, os.path.abspath(binary), ports, NUMBERS)
        certificates = cls.simulator.make_certificates()
        cls.relay = Relay(run, "tandem" if TANDEM else "rtpengine",
                          os.path.abspath(TANDEM or shutil.which("rtpengine")), ports)
        proxy = opensips.OpenSips if case.PROXY == "opensips" else Kamailio
        settings = {}
        if case.PROXY == "kamailio" and not TANDEM:
            # As settings.cfg says: with transcoding at hand rtpengine 10.5 answers a hold with a second SSRC.
            settings = {"CODECS_TO_PBX": "symmetric", "CODECS_TO_META": "symmetric"}
        proxy(run, ports, NUMBERS, certificates, settings)
        cls.phone = Phone(run, ports, NUMBERS)

    @classmethod
    def tearDownClass(cls):
        stop_all()

    def test_meta_sees_no_renegotiation_and_hears_the_agent_again(self):
        for number, (_, keys) in NUMBERS.items():
            for direction in ("user-initiated", "business-initiated"):
                with self.subTest(direction=direction, keys=keys):
                    self.one_call(number, direction)

    def one_call(self, number, direction):
        talk = BEFORE + HELD + AFTER
        self.phone.forget_events()
        if direction == "user-initiated":
            call = self.simulator.place_call(number, WHATSAPP_USER, talk, meta_hangs_up=True)
        else:
            call = self.simulator.await_call(number, talk, meta_hangs_up=True)
            self.phone.dial(number, WHATSAPP_USER)
        self.assertEqual(self.phone.wait_for(["CALL_ESTABLISHED", "CALL_CLOSED"], 10), "CALL_ESTABLISHED")
        time.sleep(BEFORE)
        self.phone.command("uafind", self.phone.account(number))
        self.phone.command("hold")
        time.sleep(HELD)
        self.phone.command("resume")
        self.assertEqual(self.phone.wait_for(["CALL_CLOSED"], AFTER + 10), "CALL_CLOSED")

        report = call.report(seconds=10)
        violations = [finding["text"] for finding in report["findings"]
                      if finding["severity"] == "violation" and finding["text"] not in self.relay.known]
        self.assertEqual(violations, [])
        received = report["media"]["received"]
        self.assertEqual(received["lost"], 0)
        self.assertEqual(received["ssrc_changes"], 0)
        self.assertGreater(received["tone_ms"], 1000 * (BEFORE + AFTER - 1), "the agent came back")
        self.assertEqual(round(tone.share_of_time(self.phone.newest_recording(), Simulator.TONE_HZ), 1), 1.0)
        if TANDEM:
            # Meta ends a call after 30 s without media: tandem speaks for a phone that says nothing.
            self.assertLess(received["longest_gap_ms"], 400)
            self.assertGreater(received["silence_ms"], 1000 * (HELD - 1))


if __name__ == "__main__":
    case.main()
