#!/usr/bin/env python3
"""The scripts against two small peers: what the demo's good calls do not show. No media flows."""

import os
import re
import select
import ssl
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import case  # noqa: E402
from case import (  # noqa: E402
    INNER_PROXY, LIMITED_NUMBER, META_ANSWER, NUMBER, OTHER_NUMBER, OUTER_PROXY, PASSWORD, PBX_SDP, SERVER_NAMES, SIP_HOST, USER, Case,
    without_name)
from peers import Message, UdpPeer, challenge_fields, digest_response, token  # noqa: E402


class UserInitiated(Case):
    def test_headers_of_meta_are_renamed_or_kept_back(self):
        self.meta_invites(user_parameters=";tgrp=a;trunk-context=b", headers=[
            ("Route", INNER_PROXY), ("X-FB-External-Domain", "wa.meta.vc"), ("x-wa-meta-wacid", "wacid.1"),
            ("X-WA-Meta-Cta-Payload", "a: b")])
        invite = self.pbx.receive()
        self.assertEqual(invite.first, f"INVITE sip:+{NUMBER}@127.0.0.1:{self.pbx.port} SIP/2.0")
        self.assertEqual(invite.get("From"), self.invite.get("From"), "display name and number of the user")
        self.assertEqual(invite.get("X-WhatsApp-wacid"), "wacid.1")
        self.assertEqual(invite.get("X-WhatsApp-Cta-Payload"), "a: b")
        self.assertEqual(invite.get("X-WhatsApp-user-params"), "tgrp=a;trunk-context=b")
        for name in ("Route", "X-FB-External-Domain", "x-wa-meta-wacid", "Proxy-Authorization"):
            self.assertIsNone(invite.get(name), name)
        self.assertIn("RTP/AVP 111 8 0 126", invite.body)
        self.pbx.send(invite.reply(486, "Busy Here", "pbx"))
        self.assertEqual(self.meta.final().status, 486)

    def test_nothing_reaches_meta_before_the_answer_but_ringing(self):
        self.meta_invites()
        invite = self.pbx.receive()
        self.pbx_answers(invite, 183, "Session Progress", headers=[("P-Asserted-Identity", "<sip:secret@pbx>")])
        self.assertEqual(self.meta.receive().status, 100)
        ringing = self.meta.receive()
        self.assertEqual((ringing.status, ringing.body), (180, ""))
        self.pbx_answers(invite, headers=[("Server", "A PBX"), ("P-Asserted-Identity", "<sip:secret@pbx>"), ("Supported", "timer, 100rel")])
        answer = self.meta.final()
        self.assertIsNone(answer.get("P-Asserted-Identity"))
        self.assertIsNone(answer.get("Supported"))
        self.assert_pbx_is_hidden(answer)
        self.assertIn("RTP/SAVP", answer.body)
        self.meta_acknowledges(answer)
        self.end_by_meta(answer)

    def test_meta_gets_keys_as_it_offered_them(self):
        _, answer = self.establish_user_initiated()
        if case.KEYS == "DTLS":
            self.assertIn("UDP/TLS/RTP/SAVPF", answer.body)
            self.assertIn("a=setup:active", answer.body)
            self.assertNotIn("a=crypto", answer.body)
        else:
            self.assertRegex(answer.body, r"m=audio \d+ RTP/SAVP ")
            self.assertEqual(answer.body.count("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"), 1)
            self.assertNotIn("a=ice-", answer.body)
        self.end_by_meta(answer)

    def end_by_meta(self, answer):
        self.meta.send(self.in_dialog_of_meta("BYE", 3, answer, [("x-wa-meta-call-duration", "3")]))
        bye = self.pbx.receive()
        self.assertEqual(bye.get("X-WhatsApp-call-duration"), "3")
        self.pbx.send(bye.reply(200, "OK"))
        self.assertEqual(self.meta.final().status, 200)
        self.assert_relay_is_empty()

    def test_a_hang_up_of_the_pbx_opens_a_connection_to_meta(self):
        self.listen_as_meta()
        invite, _ = self.establish_user_initiated()
        self.pbx.send(self.in_dialog_of_pbx(
            "BYE", 7, invite.contact_uri(), invite.all("Record-Route"), invite.get("To") + ";tag=pbx",
            invite.get("From"), [("X-Internal", "1")]))
        meta = self.listener.accept()
        self.addCleanup(meta.close)
        bye = meta.receive()
        self.assertEqual(self.listener.server_names, SERVER_NAMES)
        self.assertEqual(bye.first, f"BYE sip:+{USER}@wa.meta.vc;transport=tls;ob SIP/2.0")
        self.assertEqual(bye.all("Route"), [OUTER_PROXY, INNER_PROXY])
        self.assertIsNone(bye.get("X-Internal"))
        meta.send(bye.reply(200, "OK"))
        self.assertEqual(self.pbx.final().status, 200)
        self.assert_relay_is_empty()

    def test_a_wrong_password_is_refused_and_costs_nothing(self):
        self.meta_invites(credentials=(NUMBER, "guessed"))
        self.assertEqual(self.meta.final().status, 403)
        self.assertIsNone(self.pbx.receive(0.3))
        self.assert_relay_is_empty()

    def test_the_password_of_another_number_is_refused(self):
        self.meta_invites(credentials=(OTHER_NUMBER, PASSWORD))
        self.assertEqual(self.meta.final().status, 403)

    def test_cancel_ends_both_sides(self):
        self.meta_invites()
        invite = self.pbx.receive()
        self.pbx.send(invite.reply(180, "Ringing", "pbx"))
        cancel = Message(self.invite.first.replace("INVITE", "CANCEL"), [
            ("CSeq", "2 CANCEL") if name == "CSeq" else (name, value) for name, value in self.invite.headers
            if name in ("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards")])
        self.meta.send(cancel)
        cancelled = self.pbx.receive()
        self.assertEqual(cancelled.method, "CANCEL")
        self.pbx.send(cancelled.reply(200, "OK", "pbx"))
        self.pbx.send(invite.reply(487, "Request Terminated", "pbx"))
        self.assertEqual(self.pbx.receive().method, "ACK")
        statuses = set()
        while 487 not in statuses:
            statuses.add(self.meta.receive().status)
        self.assertIn(200, statuses)
        self.assert_relay_is_empty()

    def test_failures_of_the_pbx_become_what_meta_knows(self):
        for status, becomes in (
                (404, 404), (484, 404), (604, 404), (486, 486), (600, 486), (408, 480), (302, 480), (415, 488), (488, 488),
                (606, 488), (603, 603), (503, 503)):
            with self.subTest(status=status):
                self.new_call(f"outgoing:wacid.{token()}==")
                self.meta_invites()
                invite = self.pbx.receive()
                self.pbx.send(invite.reply(status, "Whatever", "pbx"))
                self.assertEqual(self.pbx.receive().method, "ACK")
                self.assertEqual(self.meta.final().status, becomes)
                self.assert_relay_is_empty()


    def test_without_an_ack_of_meta_the_call_still_ends_for_both(self):
        self.meta_invites()
        invite = self.pbx.receive()
        self.pbx_answers(invite)
        answer = self.meta.final()
        self.assertEqual(answer.status, 200)
        self.pbx_answers(invite)
        self.assertEqual(self.meta.receive().status, 200, "the PBX repeats its answer, and so it comes again")
        self.end_by_meta(answer)

    def test_the_same_invite_twice_makes_one_call(self):
        self.meta_invites()
        invite = self.pbx.receive()
        self.pbx.send(invite.reply(180, "Ringing", "pbx"))
        self.meta.send(self.invite)
        self.assertIsNone(self.pbx.receive(0.7))
        self.pbx_answers(invite)
        answer = self.meta.final()
        self.assertEqual(answer.status, 200)
        self.meta_acknowledges(answer)
        self.end_by_meta(answer)


class SeveralTargets(Case):
    def test_the_next_pbx_is_tried_and_a_silent_one_is_remembered(self):
        second = UdpPeer(self.ports.second_pbx, self.ports.kamailio_udp)
        self.addCleanup(second.close)
        second.call_id = self.call_id
        began = time.monotonic()
        self.meta_invites(number=LIMITED_NUMBER)
        first = self.pbx.receive(10)
        self.assertGreater(time.monotonic() - began, 3, "the silent target was not tried")
        self.pbx.send(first.reply(503, "Overloaded", "pbx"))
        self.assertEqual(self.pbx.receive().method, "ACK")
        invite = second.receive()
        self.assertEqual(invite.body, first.body)
        second.send(invite.reply(200, "OK", "pbx", [("Contact", f"<sip:agent@127.0.0.1:{second.port}>")], PBX_SDP))
        answer = self.meta.final()
        self.assertEqual(answer.status, 200)
        self.meta.send(self.in_dialog_of_meta("ACK", 2, answer))
        self.assertEqual(second.receive().method, "ACK")
        self.one_call_is_enough()
        self.meta.send(self.in_dialog_of_meta("BYE", 3, answer))
        second.send(second.receive().reply(200, "OK"))
        self.assertEqual(self.meta.final().status, 200)
        self.assert_relay_is_empty()

        self.new_call(f"outgoing:wacid.{token()}==")
        began = time.monotonic()
        self.meta_invites(number=LIMITED_NUMBER)
        invite = self.pbx.receive()
        self.assertLess(time.monotonic() - began, 2, "the silent target was tried again")
        self.pbx.send(invite.reply(486, "Busy Here", "pbx"))
        self.assertEqual(self.meta.final().status, 486)
        self.assert_relay_is_empty()

    def one_call_is_enough(self):
        """While a call is up the number is busy, in either direction."""
        held = self.call_id, self.meta, self.invite
        self.pbx_invites(number=LIMITED_NUMBER)
        self.assertEqual(self.pbx.final().first, "SIP/2.0 486 All Lines Of This Number Are Busy")
        self.assertEqual(len(self.relay.calls()), 1)
        self.call_id, self.meta, self.invite = held
        self.pbx.call_id = self.call_id


class AskedTargets(Case):
    """The first of three targets answers nothing, the others answer OPTIONS."""

    SETTINGS = {"PBX_PING_SECONDS": 1}

    def test_a_silent_pbx_is_known_before_a_caller_waits_and_one_that_is_back_gets_calls(self):
        second = UdpPeer(self.ports.second_pbx, self.ports.kamailio_udp)
        self.addCleanup(second.close)
        self.answer_options(8, self.pbx, second)
        began = time.monotonic()
        self.one_call(self.pbx)
        self.assertLess(time.monotonic() - began, 2, "a caller waited for the silent target")

        silent = UdpPeer(self.ports.silent_pbx, self.ports.kamailio_udp)
        self.addCleanup(silent.close)
        self.answer_options(3, self.pbx, second, silent)
        self.one_call(silent)

    def answer_options(self, seconds, *peers):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for peer in select.select([peer.sock for peer in peers], [], [], left)[0]:
                data, source = peer.recvfrom(65535)
                asked = Message.parse(data.decode())
                # A PBX may know nobody of that name, and is there all the same.
                if asked.method == "OPTIONS":  # else the ACK of a call before
                    peer.sendto(asked.reply(404, "Not Found", "pbx").to_bytes(), source)

    def one_call(self, target):
        self.new_call(f"outgoing:wacid.{token()}==")
        target.call_id = self.call_id
        self.meta_invites(number=LIMITED_NUMBER)
        target.send(target.receive().reply(486, "Busy Here", "pbx"))
        self.assertEqual(self.meta.final().status, 486)
        self.assert_relay_is_empty()


class BackOff(Case):
    SETTINGS = Case.SETTINGS | {"BACK_OFF_PERMISSION": 3, "BACK_OFF_TROUBLE": 2}
    OTHER_USER = "15551113333"

    def test_what_meta_refused_is_refused_here_for_a_while(self):
        self.listen_as_meta()
        for status, phrase, headers, becomes, limit in (
                (403, "No approved call permission from the recipient", [], 403, 3),
                (403, "Per-day limit of calls to this user", [], 403, 600),
                (503, "Service Unavailable", [("Retry-After", "9000")], 503, 2)):
            with self.subTest(phrase=phrase):
                dialled = f"+1555111{limit:04}"
                self.assertEqual(self.call_is_refused_by_meta(dialled, status, phrase, headers).status, becomes)
                # The same user again: the same answer, and Meta hears nothing.
                self.pbx_invites(to=dialled)
                again = self.pbx.final()
                self.pbx_acknowledges(again)
                self.assertEqual(again.first, f"SIP/2.0 {becomes} {phrase}")
                self.assertIn(f'text="{phrase}"', again.get("Reason"))
                self.assertTrue(0 < int(again.get("Retry-After")) <= limit, again.get("Retry-After"))
                self.assertIsNone(self.meta.receive(0.3))
                self.assert_relay_is_empty()
                if status == 503:  # Meta's trouble, so everybody waits
                    self.pbx_invites(to=f"+{self.OTHER_USER}")
                    refused = self.pbx.final()
                    self.pbx_acknowledges(refused)
                    self.assertEqual(refused.first, again.first)
                else:
                    self.call_is_refused_by_meta(f"+{self.OTHER_USER}", 486, "Busy Here")
                if limit < 10:
                    time.sleep(limit + 0.2)
                    self.call_is_refused_by_meta(dialled, 486, "Busy Here")
        self.assert_relay_is_empty()

    def test_other_refusals_are_asked_of_meta_each_time(self):
        self.listen_as_meta()
        for status, phrase, headers in ((486, "Busy Here", []), (480, "Temporarily Unavailable", [("Retry-After", "60")]),
                                        (500, "Internal", []), (503, "Service Unavailable", []),
                                        (403, "SIP server does not match", [])):
            with self.subTest(status=status):
                for _ in range(2):
                    self.call_is_refused_by_meta(f"+{USER}", status, phrase, headers)

    def call_is_refused_by_meta(self, dialled, status, phrase, headers=()):
        self.pbx_invites(to=dialled)
        _, second = self.meta_gets_authorised_invite()
        self.meta.send(second.reply(status, phrase, "meta", headers))
        self.assertEqual(self.meta.receive().method, "ACK")
        final = self.pbx.final()
        self.pbx_acknowledges(final)
        return final


class BusinessInitiated(Case):
    def setUp(self):
        super().setUp()
        self.listen_as_meta()

    def test_the_call_has_the_form_of_metas_samples_and_the_pbx_sees_its_own(self):
        for algorithm in ("MD5", "SHA-256"):
            with self.subTest(algorithm=algorithm):
                self.whole_call(algorithm)

    def whole_call(self, algorithm):
        self.pbx_invites(headers=[
            ("Supported", "timer, 100rel"), ("Session-Expires", "1800"), ("Min-SE", "90"),
            ("P-Asserted-Identity", "<sip:100@pbx>"), ("X-Secret", "1"), ("User-Agent", "A PBX")])
        first, second = self.meta_gets_authorised_invite(algorithm)
        self.assertEqual(self.listener.server_names[:1], SERVER_NAMES)
        self.assertEqual(first.first, f"INVITE sip:+{USER}@wa.meta.vc;transport=tls SIP/2.0")
        self.assertEqual(first.get("From"), f"<sip:+{NUMBER}@{SIP_HOST}>;tag=pbx")
        self.assertEqual(first.get("To"), f"<sip:+{USER}@wa.meta.vc>")
        for name in ("Supported", "Session-Expires", "Min-SE", "P-Asserted-Identity", "X-Secret"):
            self.assertIsNone(first.get(name), name)
        self.assert_pbx_is_hidden(first)

        self.assertEqual((first.cseq, second.cseq), (10, 11))
        self.assertEqual(first.body, second.body)
        fields = challenge_fields(second.get("Proxy-Authorization"))
        self.assertEqual(fields["username"], NUMBER)
        self.assertEqual(fields["uri"], f"sip:+{USER}@wa.meta.vc;transport=tls")
        self.assertEqual(fields["response"], digest_response(NUMBER, PASSWORD, fields, "INVITE"))

        answer = self.answer_of_meta(second)
        self.meta.send(answer)
        seen = self.pbx.final()
        self.assertEqual((seen.status, seen.cseq), (200, 10))
        self.assertEqual(seen.get("From"), self.invite.get("From"))
        self.assertEqual(seen.get("To"), self.invite.get("To") + ";tag=meta")
        self.assertIsNone(seen.get("X-FB-Something"))
        self.assertIn("RTP/AVP", seen.body)

        for method, cseq, expected in (("ACK", 10, 11), ("BYE", 11, 12)):
            self.pbx.send(self.from_pbx(method, cseq, seen))
            got = self.meta.receive()
            self.assertEqual((got.method, got.cseq), (method, expected))
            self.assertEqual(got.all("Route"), [OUTER_PROXY, INNER_PROXY])
            self.assertEqual(got.first.split()[1], answer.contact_uri())
            self.assert_pbx_is_hidden(got)
            self.assertEqual(without_name(got.get("From")), first.get("From"))
        self.meta.send(got.reply(200, "OK"))
        self.assertEqual(self.pbx.final().cseq, 11)
        self.assert_relay_is_empty()

    def test_a_cancel_reaches_meta_with_the_number_of_the_second_invite(self):
        for algorithm in ("MD5", "SHA-256"):
            with self.subTest(algorithm=algorithm):
                self.pbx_invites()
                _, second = self.meta_gets_authorised_invite(algorithm)
                self.meta.send(second.reply(180, "Ringing", "meta"))
                while self.pbx.receive().status != 180:
                    pass
                self.pbx.send(Message(self.invite.first.replace("INVITE", "CANCEL"), [
                    ("CSeq", "10 CANCEL") if name == "CSeq" else (name, value)
                    for name, value in self.invite.headers
                    if name in ("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards")]))
                cancel = self.meta.receive()
                self.assertEqual((cancel.method, cancel.cseq), ("CANCEL", second.cseq))
                self.meta.send(cancel.reply(200, "OK", "meta"))
                self.meta.send(second.reply(487, "Request Terminated", "meta"))
                acknowledged = self.meta.receive()
                self.assertEqual((acknowledged.method, acknowledged.cseq), ("ACK", second.cseq))
                statuses = set()
                while 487 not in statuses:
                    statuses.add(self.pbx.receive().status)
                self.assert_relay_is_empty()

    def answer_of_meta(self, invite, sdp=META_ANSWER):
        answer = invite.reply(200, "OK", "meta", [
            ("X-FB-Something", "1"), ("Supported", "timer"),
            ("Contact", f"<sip:+{USER}@wa.meta.vc;transport=tls;ob;X-FB-Sip-Smc-Tier=a>;isfocus")], sdp)
        answer.headers[:0] = [("Record-Route", INNER_PROXY), ("Record-Route", OUTER_PROXY)]
        return answer

    def from_pbx(self, method, cseq, answer, **more):
        return self.in_dialog_of_pbx(method, cseq, answer.contact_uri(), answer.all("Record-Route")[::-1],
                                     self.invite.get("From"), answer.get("To"), **more)

    def test_meta_is_offered_the_keys_of_the_number(self):
        self.pbx_invites()
        first, second = self.meta_gets_authorised_invite()
        if case.KEYS == "DTLS":
            self.assertIn("UDP/TLS/RTP/SAVPF", first.body)
            self.assertIn("a=setup:actpass", first.body)
            self.assertNotIn("a=crypto", first.body)
        else:
            self.assertRegex(first.body, r"m=audio \d+ RTP/SAVP ")
            self.assertEqual(first.body.count("a=crypto:"), 1)
            self.assertNotIn("a=fingerprint", first.body)
        self.meta.send(second.reply(486, "Busy Here", "meta"))
        self.assertEqual(self.pbx.final().status, 486)

    def test_a_challenge_with_sha_256_is_answered(self):
        for algorithms in (["SHA-256"], ["MD5", "SHA-256"], ["SHA-256", "MD5"]):
            with self.subTest(algorithms=algorithms):
                self.pbx_invites()
                _, second = self.meta_gets_authorised_invite(*algorithms)
                fields = challenge_fields(second.get("Proxy-Authorization"))
                self.assertIn(fields["algorithm"], algorithms)
                self.assertEqual(fields["response"],
                                 digest_response(NUMBER, PASSWORD, fields, "INVITE"))
                self.meta.send(second.reply(486, "Busy Here", "meta"))
                self.assertEqual(self.meta.receive().method, "ACK")
                final = self.pbx.final()
                self.assertEqual(final.status, 486)
                self.pbx_acknowledges(final)
                self.assert_relay_is_empty()

    def test_a_second_challenge_means_a_wrong_password(self):
        self.pbx_invites()
        _, second = self.meta_gets_authorised_invite()
        self.meta_challenges(second)
        final = self.pbx.final()
        self.assertEqual(final.first, "SIP/2.0 500 Proxy Authentication Required")
        self.pbx_acknowledges(final)
        self.assert_relay_is_empty()

    def test_no_password_is_used_when_the_certificate_has_another_name(self):
        self.listener.close()
        self.listen_as_meta(self.authority.issue("evil.example.net"))
        self.pbx_invites()
        self.meta = self.listener.accept()
        self.addCleanup(self.meta.close)
        self.meta_challenges(self.meta.receive())
        self.assertEqual(self.pbx.final().status, 503)
        self.assertIsNone(self.meta.receive(0.5))
        self.assert_relay_is_empty()

    def test_nothing_is_said_to_a_peer_that_nobody_vouches_for(self):
        self.listener.close()
        self.listen_as_meta(self.authority.self_signed("wa.meta.vc"))
        self.pbx_invites()
        with self.assertRaises(ssl.SSLError):
            self.listener.accept().receive()
        self.assertEqual(self.pbx.final().status, 503)
        self.assert_relay_is_empty()

    def test_only_e164_numbers_and_user_ids_are_called(self):
        for to in ("112", "4915112345678", "USA.1", "US.1;x=y"):
            self.pbx_invites(to=to)
            self.assertEqual(self.pbx.final().status, 484, to)
        self.pbx_invites(to="US.13491208655302741")
        first, second = self.meta_gets_authorised_invite()
        self.assertEqual(first.first, "INVITE sip:US.13491208655302741@wa.meta.vc;transport=tls SIP/2.0")
        self.assertEqual(first.get("To"), "<sip:US.13491208655302741@wa.meta.vc>")
        self.meta.send(second.reply(486, "Busy Here", "meta"))
        self.assertEqual(self.pbx.final().status, 486)
        self.assert_relay_is_empty()

    def test_early_media_of_meta_and_its_answer_are_the_same_to_the_pbx(self):
        """Meta has never been seen to send a 183; should it, the PBX hears it."""
        self.pbx_invites()
        _, second = self.meta_gets_authorised_invite()
        early = self.answer_of_meta(second)
        early.first = "SIP/2.0 183 Session Progress"
        self.meta.send(early)
        while (progress := self.pbx.receive()).status != 183:
            pass
        self.meta.send(self.answer_of_meta(second))
        answer = self.pbx.final()
        media = [[line for line in message.body.split("\r\n") if line[:2] in ("c=", "m=", "a=")] for message in (progress, answer)]
        self.assertEqual(media[0], media[1])
        self.hang_up_as_pbx(answer)

    def hang_up_as_pbx(self, answer):
        for method, cseq in (("ACK", 10), ("BYE", 11)):
            self.pbx.send(self.from_pbx(method, cseq, answer))
            got = self.meta.receive()
            self.assertEqual(got.method, method)
        self.meta.send(got.reply(200, "OK"))
        self.assertEqual(self.pbx.final().status, 200)
        self.assert_relay_is_empty()

    def test_without_an_ack_of_the_pbx_metas_bye_is_passed(self):
        self.pbx_invites()
        _, second = self.meta_gets_authorised_invite()
        self.meta.send(self.answer_of_meta(second))
        seen = self.pbx.final()
        self.meta.send(self.bye_of_meta(second))
        bye = self.pbx.receive()
        while bye.method != "BYE":  # the 200 comes again as long as nobody acknowledges it
            bye = self.pbx.receive()
        self.assertEqual(bye.get("From"), seen.get("To"))
        self.pbx.send(bye.reply(200, "OK"))
        self.assertEqual(self.meta.final().status, 200)
        self.assert_relay_is_empty()

    def test_a_meta_that_says_nothing_or_is_not_there_is_503(self):
        """The PBX may try another way: nobody has refused the call."""
        self.pbx_invites()
        self.meta = self.listener.accept()
        self.addCleanup(self.meta.close)
        self.assertEqual(self.meta.receive().method, "INVITE")
        self.assert_unreachable()
        self.meta.close()
        self.listener.close()
        time.sleep(0.2)
        self.pbx_invites()
        self.assert_unreachable()

    def assert_unreachable(self):
        final = self.pbx.final()
        self.assertEqual(final.first, "SIP/2.0 503 Meta Cannot Be Reached")
        self.assertIn("Q.850;cause=38", final.get("Reason"))
        self.pbx_acknowledges(final)
        self.assert_relay_is_empty()

    def test_refusals_of_meta_reach_the_pbx_mapped_with_metas_phrase(self):
        for status, phrase, becomes, cause in (
                (400, "Asset not found", 403, 21), (403, "No approved call permission", 403, 21),
                (404, "IP address in request URI", 500, 95), (408, "RTP Timeout", 480, 18),
                (480, "Temporarily Unavailable", 480, 18), (486, "Busy Here", 486, 17),
                (500, "Server Internal Error", 503, 41), (503, "Service Unavailable", 503, 41),
                (603, "Decline", 480, 21), (488, "Not Acceptable Here", 488, None)):
            with self.subTest(status=status):
                self.pbx_invites(to=f"+1555111{status}")  # another user each time: what is refused once is not asked again
                _, second = self.meta_gets_authorised_invite()
                self.meta.send(second.reply(status, phrase, "meta"))
                self.assertEqual(self.meta.receive().method, "ACK")
                final = self.pbx.final()
                self.assertEqual(final.first, f"SIP/2.0 {becomes} {phrase}")
                reason = cause and f'Q.850;cause={cause};text="{phrase}"'
                self.assertEqual(final.get("Reason"), reason)
                self.pbx_acknowledges(final)
                self.assert_relay_is_empty()

    def test_a_hang_up_of_the_user_reaches_the_pbx_in_its_own_names(self):
        self.pbx_invites()
        _, second = self.meta_gets_authorised_invite()
        self.meta.send(self.answer_of_meta(second))
        seen = self.pbx.final()
        self.pbx.send(self.from_pbx("ACK", 10, seen))
        self.assertEqual(self.meta.receive().method, "ACK")
        self.connect_as_meta()
        self.meta.send(self.bye_of_meta(second))
        got = self.pbx.receive()
        self.assertEqual(got.first, f"BYE sip:agent@127.0.0.1:{self.pbx.port} SIP/2.0")
        self.assertEqual(got.get("From"), seen.get("To"))
        self.assertEqual(without_name(got.get("To")), without_name(self.invite.get("From")))
        self.pbx.send(got.reply(200, "OK"))
        self.assertEqual(self.meta.final().get("To"), second.get("From"))
        self.assert_relay_is_empty()

    def bye_of_meta(self, invite):
        return Message(f"BYE {invite.contact_uri()} SIP/2.0", [
            ("Via", f"SIP/2.0/TLS [2803::1]:1;branch=z9hG4bK{token()}"),
            *[("Route", route) for route in invite.all("Record-Route")],
            ("From", invite.get("To") + ";tag=meta"), ("To", invite.get("From")), ("Call-ID", self.call_id),
            ("CSeq", "1 BYE"), ("Max-Forwards", "64")])

    def test_what_the_pbx_changes_stays_here_and_the_bye_still_fits(self):
        self.pbx_invites()
        _, second = self.meta_gets_authorised_invite()
        self.meta.send(self.answer_of_meta(second))
        seen = self.pbx.final()
        self.pbx.send(self.from_pbx("ACK", 10, seen))
        self.assertEqual(self.meta.receive().method, "ACK")
        self.pbx.send(self.from_pbx("INVITE", 11, seen, body=PBX_SDP.replace("sendrecv", "sendonly")))
        held = self.pbx.final()
        self.assertIn("a=recvonly", held.body)
        self.pbx.send(self.from_pbx("ACK", 11, seen))
        self.assertIsNone(self.meta.receive(0.5), "Meta must not see it")
        self.pbx.send(self.from_pbx("BYE", 12, seen))
        bye = self.meta.receive()
        self.assertEqual((bye.method, without_name(bye.get("From"))), ("BYE", second.get("From")))
        self.assertGreater(bye.cseq, second.cseq)
        self.meta.send(bye.reply(200, "OK"))
        self.assertEqual(self.pbx.final().status, 200)
        self.assert_relay_is_empty()


class Shield(Case):
    def test_meta_sees_nothing_of_hold_resume_transfer_and_refresh(self):
        self.listen_as_meta()
        self.invite_seen, answer = self.establish_user_initiated()
        port = re.search(r"m=audio (\d+)", self.invite_seen.body)[1]
        cseq = 20
        for asked, mirrored, rtp_port in (("sendonly", "recvonly", 26000), ("sendrecv", "sendrecv", 26000),
                                          ("inactive", "inactive", 26000), ("sendrecv", "sendrecv", 26010)):
            cseq += 1
            body = PBX_SDP.replace("sendrecv", asked).replace("26000", str(rtp_port)).replace("1 1 IN", f"1 {cseq} IN")
            self.send("INVITE", cseq, body=body, headers=[("Session-Expires", "1800")])
            reply = self.pbx.final()
            self.assertEqual(reply.status, 200, reply)
            self.assertIn(f"a={mirrored}", reply.body)
            self.assertEqual(re.search(r"m=audio (\d+)", reply.body)[1], port)
            self.assertEqual(reply.contact_uri(), self.invite_seen.contact_uri())
            self.assertEqual(reply.get("Session-Expires"), "1800;refresher=uac")
            self.send("ACK", cseq)
        for method, body, status in (("UPDATE", "", 200), ("UPDATE", PBX_SDP, 200), ("INFO", "", 200),
                                     ("REFER", "", 405)):
            cseq += 1
            self.send(method, cseq, body=body, branch=f"same{cseq}")
            self.assertEqual(self.pbx.final().status, status, method)
        self.late_offer(cseq + 1, port)

        self.assertIsNone(self.pbx.receive(2), "an answer was repeated after its ACK")
        self.assertIsNone(self.meta.receive(0.1))
        self.assertIsNone(self.listener.accept(0.1))
        self.listener.close()
        self.meta.send(self.in_dialog_of_meta("BYE", 3, answer))
        self.pbx.send(self.pbx.receive().reply(200, "OK"))
        self.assertEqual(self.meta.final().status, 200)
        self.assert_relay_is_empty()

    def late_offer(self, cseq, port):
        """A re-INVITE without SDP: our offer in the 200, the answer of the PBX, with a new port, in the ACK."""
        self.send("INVITE", cseq)
        offer = self.pbx.final()
        self.assertEqual(offer.status, 200, offer)
        self.assertEqual(re.search(r"m=audio (\d+) RTP/AVP 111 8 0 126", offer.body)[1], port)
        self.assertIn("a=sendrecv", offer.body)
        self.send("ACK", cseq, body=PBX_SDP.replace("26000", "26020"))
        deadline = time.monotonic() + 2
        while "26020" not in str(self.relay.ask({"command": "query", "call-id": self.call_id})):
            self.assertLess(time.monotonic(), deadline, "the relay never heard of the new port")
            time.sleep(0.05)

    def send(self, method, cseq, **more):
        invite = self.invite_seen
        self.pbx.send(self.in_dialog_of_pbx(method, cseq, invite.contact_uri(), invite.all("Record-Route"),
                                            invite.get("To") + ";tag=pbx", invite.get("From"), **more))


if __name__ == "__main__":
    case.main()
