#!/usr/bin/env python3
"""Relays that refuse, are silent, die or are drained: what the callers notice, and what they do not."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import case  # noqa: E402
from case import NUMBER, NUMBERS, OTHER_NUMBER, PBX_SDP, Case  # noqa: E402
from peers import token  # noqa: E402
from relay import Relay, bdecode, bencode  # noqa: E402

# What makes a proxy ask the next relay, because it is refused for want of room and for nothing else.
LIMITS = {"Parallel session limit reached", "Ran out of ports"}


class RefusingRelay:
    """Answers pings, and every offer with the error that it is told; or nothing at all."""

    def __init__(self, port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", port))
        self.answer = {"result": "error", "error-reason": "Ran out of ports"}
        self.offers = []
        self.sock.settimeout(0.1)
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.closed.is_set():
            try:
                datagram, source = self.sock.recvfrom(65535)
            except TimeoutError:
                continue
            cookie, request = datagram.split(b" ", 1)
            request = bdecode(request)
            if request["command"] == "offer" and cookie not in [seen for seen, _ in self.offers]:
                self.offers.append((cookie, request["call-id"]))
            answer = self.answer if self.answer is None or request["command"] == "offer" else {
                "result": "pong" if request["command"] == "ping" else "ok"}
            if answer is not None:
                self.sock.sendto(cookie + b" " + bencode(answer), source)

    def close(self):
        self.closed.set()
        self.thread.join()
        self.sock.close()


class WithRefusingRelay:
    @classmethod
    def tearDownClass(cls):
        cls.refusing.close()
        super().tearDownClass()


class OneRelay(WithRefusingRelay, Case):
    """A relay that takes no calls, alone."""

    @classmethod
    def start_more(cls):
        cls.ports.relays = [cls.ports.second_relay_ng]
        cls.refusing = RefusingRelay(cls.ports.second_relay_ng)

    def test_every_refusal_of_the_relay_is_503_for_both_sides(self):
        for reason in (*LIMITS, "load limit", "Could not parse SDP"):
            with self.subTest(reason):
                self.refusing.answer = {"result": "load limit", "message": "Too many"} if reason == "load limit" else {
                    "result": "error", "error-reason": reason}
                self.refused_on_both_sides(within=2)

    def test_a_silent_relay_costs_seconds_and_ends_in_the_same_answer(self):
        self.refusing.answer = None
        # Four seconds: two for the request, two for asking a relay that is out whether it is back. The rest is for a busy machine.
        self.refused_on_both_sides(within=7)
        self.refusing.answer = {"result": "error", "error-reason": "Ran out of ports"}

    def refused_on_both_sides(self, within):
        began = time.monotonic()
        self.new_call(f"outgoing:wacid.{token()}==")
        self.meta_invites()
        refused = self.meta.final()
        self.assertEqual((refused.status, refused.get("Retry-After")), (503, "10"))
        self.assertLess(time.monotonic() - began, within)
        began = time.monotonic()
        self.pbx_invites()
        self.assertEqual(self.pbx.final().status, 503)
        self.assertLess(time.monotonic() - began, within)


class OneOfTwo(WithRefusingRelay):
    """Two relays, one of which takes no calls: these go to the other."""

    @classmethod
    def start_more(cls):
        cls.ports.relays = [cls.ports.second_relay_ng, cls.ports.relay_ng]
        cls.refusing = RefusingRelay(cls.ports.second_relay_ng)

    def test_calls_go_to_the_relay_that_takes_them(self):
        """Call-IDs choose the relay, so calls are made until the refusing one was asked."""
        self.refusing.answer = self.ANSWER
        for _ in range(20):
            self.whole_call()
            if self.refusing.offers:
                break
        else:
            self.fail("the refusing relay was never asked")
        asked = len(self.refusing.offers)
        for _ in range(6):
            began = time.monotonic()
            self.whole_call()
            self.assertLess(time.monotonic() - began, 1.5)
        if self.ANSWER is None:
            self.assertEqual(len(self.refusing.offers), asked, "a silent relay is left out for a while")

    def whole_call(self):
        self.new_call(f"outgoing:wacid.{token()}==")
        _, answer = self.establish_user_initiated()
        self.assertEqual(self.relay.calls(), [self.call_id])
        self.meta.send(self.in_dialog_of_meta("BYE", 3, answer))
        self.pbx.send(self.pbx.receive().reply(200, "OK"))
        self.assertEqual(self.meta.final().status, 200)
        self.assert_relay_is_empty()


class FullRelay(OneOfTwo, Case):
    ANSWER = {"result": "error", "error-reason": "Parallel session limit reached"}


class RelayWithoutPorts(OneOfTwo, Case):
    ANSWER = {"result": "error", "error-reason": "Ran out of ports"}


class LoadedRelay(OneOfTwo, Case):
    ANSWER = {"result": "load limit", "message": "Too many calls"}


class SilentRelay(OneOfTwo, Case):
    ANSWER = None


class WithSecondRelay:
    """Two relays that both work, and calls that are established, held and ended one by one."""

    @classmethod
    def start_more(cls):
        cls.ports.relays = [cls.ports.relay_ng, cls.ports.second_relay_ng]
        folder = os.path.join(cls.run_folder, "second")
        os.makedirs(folder)
        cls.second = Relay(folder, cls.relay.kind, cls.relay.part.process.args[0], SimpleNamespace(
            relay_ng=cls.ports.second_relay_ng, relay_media=cls.ports.second_relay_media),
            [f"--listen-cli=127.0.0.1:{cls.ports.second_relay_cli}"])

    def setUp(self):
        super().setUp()
        self.calls = []

    def establish(self, number=NUMBER):
        self.new_call(f"outgoing:wacid.{token()}==")
        invite, answer = self.establish_user_initiated(number=number)
        self.calls.append(SimpleNamespace(id=self.call_id, meta=self.meta, invite=invite, answer=answer, number=number))
        return self.calls[-1]

    def hold(self, call, cseq):
        answer = self.re_invite(call, cseq, PBX_SDP.replace("sendrecv", "sendonly"), "")
        self.assertIn("a=recvonly", answer.body)

    def re_invite(self, call, cseq, body, body_of_ack):
        self.pbx.call_id = self.call_id = call.id
        dialog = (call.invite.contact_uri(), call.invite.all("Record-Route"), call.invite.get("To") + ";tag=pbx",
                  call.invite.get("From"))
        self.pbx.send(self.in_dialog_of_pbx("INVITE", cseq, *dialog, body=body))
        answer = self.pbx.final()
        self.assertEqual(answer.status, 200, answer)
        self.pbx.send(self.in_dialog_of_pbx("ACK", cseq, *dialog, body=body_of_ack))
        return answer

    def end(self, call):
        self.meta, self.pbx.call_id, self.call_id, self.number = call.meta, call.id, call.id, call.number
        began = time.monotonic()
        self.meta.send(self.in_dialog_of_meta("BYE", 3, call.answer))
        self.pbx.send(self.pbx.receive().reply(200, "OK"))
        self.assertEqual(self.meta.final().status, 200)
        return time.monotonic() - began


class TwoRelays(WithSecondRelay, Case):
    """Both for all numbers."""

    def test_1_a_call_stays_with_its_relay_from_the_offer_to_the_delete(self):
        while not (self.relay.calls() and self.second.calls()):
            self.establish()
        self.assertEqual(len(self.relay.calls()) + len(self.second.calls()), len(self.calls))
        before = set(self.relay.calls()), set(self.second.calls())
        for call in self.calls:
            self.hold(call, 20)
        self.assertEqual((set(self.relay.calls()), set(self.second.calls())), before)
        for call in self.calls:
            self.end(call)
        self.assert_relay_is_empty()
        self.relay, first = self.second, self.relay
        self.assert_relay_is_empty()
        self.relay = first

    def test_2_a_drained_relay_keeps_its_calls_and_gets_no_more(self):
        if self.relay.kind != "tandem":
            self.skipTest("rtpengine has no drain")
        while not self.second.calls():
            self.establish()
        kept = self.second.calls()
        ctl = [self.second.part.process.args[0], "ctl", "-port", str(self.ports.second_relay_cli)]
        # It waits for the calls, so it runs beside us.
        drain = subprocess.Popen([*ctl, "drain", "20"], stdout=subprocess.DEVNULL)
        self.addCleanup(drain.wait)
        self.addCleanup(subprocess.run, [*ctl, "undrain"], stdout=subprocess.DEVNULL, check=True)
        time.sleep(0.3)
        for _ in range(6):
            self.establish()
        self.assertEqual(self.second.calls(), kept)
        for call in self.calls:
            self.hold(call, 20)
            self.end(call)
        self.assert_relay_is_empty()
        self.assertEqual(self.second.calls() or [], [])

    def test_3_a_relay_that_dies_takes_its_calls_along_and_no_others(self):
        while not (self.relay.calls() and self.second.calls()):
            self.establish()
        lost = self.second.calls()
        os.killpg(self.second.part.process.pid, signal.SIGKILL)
        time.sleep(0.1)
        for call in sorted(self.calls, key=lambda call: call.id in lost):
            # The hang-up does not wait for the relay.
            self.assertLess(self.end(call), 1.0)
        for _ in range(6):
            self.end(self.establish())
        self.assert_relay_is_empty()


class RelaySets(WithSecondRelay, Case):
    """The first relay for all numbers but one, the second for that one."""

    MORE_NUMBERS = {OTHER_NUMBER: (*NUMBERS[OTHER_NUMBER], ("relays", 1))}

    @classmethod
    def start_more(cls):
        super().start_more()
        cls.ports.relays, cls.ports.relay_sets = [cls.ports.relay_ng], {1: [cls.ports.second_relay_ng]}

    def test_a_number_has_its_own_relays_for_the_whole_call(self):
        for _ in range(4):
            self.establish()
            self.calls[-1].relay = self.relay
            self.new_call(f"outgoing:wacid.{token()}==")
            self.establish(OTHER_NUMBER)
            self.calls[-1].relay = self.second
        for relay in (self.relay, self.second):
            self.assertEqual(set(relay.calls()), {call.id for call in self.calls if call.relay is relay})
        for call in self.calls:
            self.hold(call, 20)
            self.re_invite(call, 21, "", PBX_SDP)
        # A BYE may overtake the ACK before it, which then names a call that the relay has forgotten.
        time.sleep(0.3)
        for call in self.calls:
            self.end(call)
        with open(self.proxy.part.log) as log:
            self.assertNotIn("did not take the SDP", log.read(), "the answer in the ACK went to the wrong relay")
        self.assert_relay_is_empty()
        self.relay, first = self.second, self.relay
        self.assert_relay_is_empty()
        self.relay = first


class RelayIsDown(Case):
    def test_both_sides_get_503_and_a_call_that_cannot_be_answered_ends(self):
        self.listen_as_meta()
        self.meta_invites(routes=[f"<sip:127.0.0.1:{self.ports.meta_tls};transport=tls;lr>"])
        invite = self.pbx.receive()
        os.killpg(self.relay.part.process.pid, signal.SIGKILL)
        time.sleep(0.2)
        self.pbx_answers(invite)
        answer = self.meta.final()
        self.meta_acknowledges(answer)
        self.assertEqual(self.pbx.receive(5).method, "BYE")
        ended = self.listener.accept()
        self.addCleanup(ended.close)
        self.assertEqual(ended.receive().method, "BYE")

        self.new_call(f"outgoing:wacid.{token()}==")
        self.meta_invites()
        refused = self.meta.final()
        self.assertEqual((refused.status, refused.get("Retry-After")), (503, "10"))
        self.pbx_invites()
        self.assertEqual(self.pbx.final().status, 503)


if __name__ == "__main__":
    case.main()
