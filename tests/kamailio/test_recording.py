#!/usr/bin/env python3
"""A number with `record` and `announcement`: the WhatsApp user hears the file first, presses keys, and the call is recorded."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "demo")]

import case  # noqa: E402
import demo  # noqa: E402
import playback  # noqa: E402
from processes import stop_all  # noqa: E402


@unittest.skipUnless(os.environ.get("TANDEM"), "rtpengine writes no vCon")
class Recording(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run = demo.fresh_folder(os.path.join(HERE, "..", "..", ".run", f"{case.PROXY}-{case.KEYS}-recording"))
        cls.parts = playback.Parts(run, os.environ["TANDEM"], os.environ["SIMULATOR"], case.PROXY, case.KEYS)

    @classmethod
    def tearDownClass(cls):
        stop_all()

    def call(self, direction):
        result = self.parts.one_call(direction)
        self.assertEqual(result.problems, [])

    def test_a_user_who_calls(self):
        self.call("user-initiated")

    def test_a_user_who_is_called(self):
        self.call("business-initiated")


if __name__ == "__main__":
    case.main()
