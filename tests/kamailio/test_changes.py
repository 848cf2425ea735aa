#!/usr/bin/env python3
"""What a PBX changes in the middle of a call, with audio on both ends: Meta hears the agent go on and sees no message of it.

The simulator plays Meta and calls every message within the call a violation. The PBX is a script, because no phone can be told
to do all of this.
"""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import case  # noqa: E402
from case import NUMBER, NUMBERS, USER, Case  # noqa: E402
from simulator import Simulator  # noqa: E402
from speaking import ALaw, Opus, Speaker  # noqa: E402

SIMULATOR = os.environ.get("SIMULATOR", os.path.join(case.HERE, "..", "..", "target", "debug", "simulator"))
BEFORE, AFTER = 0.8, 1.2
# Of these seconds so much must be the tone: less what a change may swallow.
SWALLOWED = 0.4


class Changes(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.simulator = Simulator(cls.run_folder, os.path.abspath(SIMULATOR), cls.ports, NUMBERS)

    def setUp(self):
        super().setUp()
        self.speaker = Speaker()
        self.addCleanup(self.speaker.close)

    def each_direction(self, change, silence=0.0, more=(), codec=Opus):
        """A call, some talk, the change, some talk, BYE of the PBX; in both directions of call."""
        for direction in ("user-initiated", "business-initiated"):
            with self.subTest(direction=direction):
                self.speaker.move("127.0.0.1")
                self.speaker.codec = codec
                self.speaker.heard.clear()
                call = getattr(self, direction.replace("-", "_"))(*more)
                self.addCleanup(call.part.stop)
                self.cseq = 30
                time.sleep(BEFORE)
                self.assertGreater(self.tone_since(0), BEFORE - SWALLOWED, "before the change")
                change()
                changed = time.monotonic()
                time.sleep(AFTER)
                self.assertGreater(self.tone_since(changed), AFTER - SWALLOWED, "after the change")
                self.end(call, silence)

    def user_initiated(self, *more):
        call = self.simulator.start("uic", NUMBER, 20, False, ["--user", f"+{USER}", *more])
        self.pbx.call_id = None
        invite = self.pbx.receive_any()
        self.new_call(invite.get("Call-ID"))
        self.pbx_answers(invite, body=self.speaker.sdp())
        self.assertEqual(self.pbx.receive().method, "ACK")
        self.speaker.speak_to(invite.body)
        self.dialog = (invite.contact_uri(), invite.all("Record-Route"), invite.get("To") + ";tag=pbx", invite.get("From"))
        return call

    def business_initiated(self, *more):
        call = self.simulator.start("bic", NUMBER, 20, False, ["--ring", "--wait", "15", *more])
        call.part.wait_until(lambda: "waiting on" in call.part.last_lines())
        self.pbx_invites(body=self.speaker.sdp())
        answer = self.pbx.final()
        self.assertEqual(answer.status, 200, answer)
        self.dialog = (answer.contact_uri(), answer.all("Record-Route")[::-1], self.invite.get("From"), answer.get("To"))
        self.pbx.send(self.in_dialog_of_pbx("ACK", 10, *self.dialog))
        self.speaker.speak_to(answer.body)
        return call

    def tone_since(self, moment):
        return self.speaker.seconds_of(Simulator.TONE_HZ, moment)

    def ask(self, method, status=200, **more):
        """A request of the PBX within the call, and what the proxy answered."""
        self.cseq += 1
        self.pbx.send(self.in_dialog_of_pbx(method, self.cseq, *self.dialog, **more))
        answer = self.pbx.final()
        self.assertIsNotNone(answer, f"{method} was not answered")
        self.assertEqual((answer.status, answer.cseq), (status, self.cseq), answer)
        return answer

    def re_invite(self, sdp, **more):
        answer = self.ask("INVITE", body=sdp, **more)
        self.pbx.send(self.in_dialog_of_pbx("ACK", self.cseq, *self.dialog))
        self.speaker.speak_to(answer.body)
        return answer

    def end(self, call, silence):
        self.ask("BYE")
        self.speaker.is_speaking = False
        report = call.report(seconds=10)
        self.assertIsNotNone(report, "the simulator gave no report")
        violations = [finding["text"] for finding in report["findings"] if finding["severity"] == "violation"]
        self.assertEqual([text for text in violations if text not in self.relay.known], [])
        received = report["media"]["received"]
        self.assertEqual((received["ssrc_changes"], received["lost"]), (0, 0))
        self.assertGreater(received["tone_ms"], 1000 * (BEFORE + AFTER - SWALLOWED), "Meta heard the agent")
        self.assertGreaterEqual(received["silence_ms"], 1000 * silence * 0.8)
        if self.relay.kind == "tandem":
            self.assertLess(received["longest_gap_ms"], 400)
        self.assert_relay_is_empty()

    # The changes.

    def test_hold_for_a_while_and_resume(self):
        def change():
            self.assertIn("a=recvonly", self.re_invite(self.speaker.sdp("sendonly", version=2)).body)
            self.speaker.is_speaking = False
            time.sleep(1)
            self.assertIn("a=sendrecv", self.re_invite(self.speaker.sdp(version=3)).body)

        self.each_direction(change, silence=0.9 if self.relay.kind == "tandem" else 0)

    def test_inactive_hold_and_resume(self):
        def change():
            self.assertIn("a=inactive", self.re_invite(self.speaker.sdp("inactive", version=2)).body)
            self.speaker.is_speaking = False
            time.sleep(2)
            self.assertIn("a=sendrecv", self.re_invite(self.speaker.sdp(version=3)).body)

        self.each_direction(change)

    def test_another_port(self):
        def change():
            self.speaker.move("127.0.0.1")
            self.re_invite(self.speaker.sdp(version=2))

        self.each_direction(change)

    def test_another_address(self):
        def change():
            self.speaker.move("127.0.0.2")
            self.re_invite(self.speaker.sdp(version=2))

        self.each_direction(change)

    def test_update_with_another_port(self):
        def change():
            self.speaker.move("127.0.0.1")
            self.speaker.speak_to(self.ask("UPDATE", body=self.speaker.sdp(version=2)).body)

        self.each_direction(change)

    def test_fewer_codecs(self):
        """The PBX gives up telephone-events; what Meta agreed to stays."""
        self.each_direction(lambda: self.re_invite(self.speaker.sdp(events=False, version=2)))

    @unittest.skipUnless(case.RELAY_TRANSCODES, "only tandem is asked to transcode")
    def test_another_codec_and_back(self):
        """The PBX hands the call to a phone without Opus, and takes it back."""
        def change():
            for version, codec in ((2, ALaw), (3, Opus)):
                self.speaker.move("127.0.0.1")
                self.speaker.codec = codec
                self.re_invite(self.speaker.sdp(version=version))
                changed = time.monotonic()
                time.sleep(AFTER)
                self.assertGreater(self.tone_since(changed), AFTER - SWALLOWED, codec.NAME)

        self.each_direction(change)

    @unittest.skipUnless(case.RELAY_TRANSCODES, "only tandem is asked to transcode")
    def test_a_pbx_without_opus_holds_resumes_and_asks_for_an_offer(self):
        def change():
            self.assertIn("a=recvonly", self.re_invite(self.speaker.sdp("sendonly", version=2)).body)
            self.speaker.is_speaking = False
            time.sleep(0.5)
            self.assertIn("a=sendrecv", self.re_invite(self.speaker.sdp(version=3)).body)
            offer = self.ask("INVITE")
            self.pbx.send(self.in_dialog_of_pbx("ACK", self.cseq, *self.dialog, body=self.speaker.sdp(version=4)))
            self.speaker.speak_to(offer.body)

        self.each_direction(change, codec=ALaw)

    def test_a_refresh_of_the_session_timer_by_invite_and_by_update(self):
        def change():
            timer = [("Session-Expires", "90;refresher=uac"), ("Supported", "timer")]
            answer = self.re_invite(self.speaker.sdp(), headers=timer)
            self.assertEqual(answer.get("Session-Expires"), "90;refresher=uac")
            answer = self.ask("UPDATE", headers=timer)
            self.assertEqual((answer.get("Session-Expires"), answer.get("Require")), ("90;refresher=uac", "timer"))

        self.each_direction(change)

    def test_an_invite_without_sdp_gets_an_offer_and_the_answer_is_in_the_ack(self):
        def change():
            self.speaker.move("127.0.0.1")
            offer = self.ask("INVITE")
            self.assertIn("a=sendrecv", offer.body)
            self.pbx.send(self.in_dialog_of_pbx("ACK", self.cseq, *self.dialog, body=self.speaker.sdp(version=2)))
            self.speaker.speak_to(offer.body)

        self.each_direction(change)

    def test_a_transfer_is_refused_and_the_call_goes_on(self):
        def change():
            refused = self.ask("REFER", 405, headers=[("Refer-To", "<sip:200@127.0.0.1>")])
            self.assertIn("WhatsApp knows no transfer", refused.get("Reason"))

        self.each_direction(change)

    def test_messages_that_meta_does_not_know_are_answered_here(self):
        def change():
            for method in ("INFO", "OPTIONS", "MESSAGE", "NOTIFY"):
                self.ask(method)
            self.ask("SUBSCRIBE", 405, headers=[("Event", "dialog")])

        self.each_direction(change)


if __name__ == "__main__":
    case.main()
