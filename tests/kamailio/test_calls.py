#!/usr/bin/env python3
"""Whole calls between the simulator and baresip, with a tone in each direction that the other end must hear."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "demo")]

import case  # noqa: E402
import demo  # noqa: E402
import opensips  # noqa: E402
from kamailio import Kamailio  # noqa: E402
from phone import Phone  # noqa: E402
from processes import stop_all  # noqa: E402
from relay import Relay  # noqa: E402
from simulator import Simulator  # noqa: E402

TANDEM = os.environ.get("TANDEM")
SIMULATOR = os.environ.get("SIMULATOR", os.path.join(HERE, "..", "..", "target", "debug", "simulator"))
NUMBER = next(number for number, (_, keys) in demo.NUMBERS.items() if keys == case.KEYS)
demo.TALK_SECONDS = 2


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run = demo.fresh_folder(os.path.join(HERE, "..", "..", ".run", f"{case.PROXY}-{case.KEYS}-calls"))
        ports = demo.choose_ports()
        cls.simulator = Simulator(run, os.path.abspath(SIMULATOR), ports, demo.NUMBERS)
        certificates = cls.simulator.make_certificates()
        cls.relay = Relay(run, "tandem" if TANDEM else "rtpengine", os.path.abspath(TANDEM or "/usr/bin/rtpengine"), ports)
        proxy = opensips.OpenSips if case.PROXY == "opensips" else Kamailio
        proxy(run, ports, demo.NUMBERS, certificates)
        cls.phone = Phone(run, ports, demo.NUMBERS)

    @classmethod
    def tearDownClass(cls):
        stop_all()

    def call(self, direction, meta_hangs_up, *more):
        result = demo.one_call(self.id(), direction, NUMBER, meta_hangs_up, self.simulator, self.phone, self.relay, more)
        self.assertEqual(result.problems, [])

    def test_user_initiated_ended_by_the_user(self):
        self.call("user-initiated", True)

    def test_user_initiated_ended_by_the_pbx(self):
        self.call("user-initiated", False)

    def test_business_initiated_ended_by_the_user(self):
        self.call("business-initiated", True)

    def test_business_initiated_ended_by_the_pbx(self):
        self.call("business-initiated", False)

    def test_metas_bye_comes_by_a_new_connection(self):
        self.call("business-initiated", True, "--fresh-connections")
        self.call("user-initiated", True, "--fresh-connections")

    def test_an_invite_of_meta_as_its_samples_have_it(self):
        """Preloaded Route, trunk group in the user part, a business-scoped user id, and the INVITE twice."""
        self.call("user-initiated", True, "--preloaded-route", "--user-params", "tgrp=a;trunk-context=example.com",
                  "--user", "US.13491208655302741", "--duplicate-invite")

    def test_challenges_of_both_algorithms_with_audio_after_them(self):
        self.call("business-initiated", False, "--challenge", "sha256")
        self.call("business-initiated", True, "--challenge", "both")

    def test_meta_is_deaf_for_a_while_after_the_answer(self):
        self.call("business-initiated", False, "--setup-delay-ms", "700")

    @unittest.skipIf(case.KEYS == "SDES", "SDES has no roles")
    def test_meta_in_the_passive_role(self):
        self.call("business-initiated", False, "--passive")


if __name__ == "__main__":
    case.main()
