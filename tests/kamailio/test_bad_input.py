#!/usr/bin/env python3
"""What nobody should send: each gets a clear answer or silence, and the relay is not asked for anything."""

import os
import socket
import ssl
import sys
import threading
import time
from types import SimpleNamespace

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import case  # noqa: E402
from case import META_OFFER, NUMBER, PBX_SDP, SIP_HOST, USER, Case  # noqa: E402
from peers import Message, TlsPeer, UdpPeer, token  # noqa: E402


class BadInput(Case):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.check_that_nothing_was_taken)

    def check_that_nothing_was_taken(self):
        """No call in the relay, and the proxy still answers."""
        self.assertEqual(self.relay.calls(), [])
        self.assertEqual(self.options_of_pbx().status, 200)

    def options_of_pbx(self):
        call_id = self.pbx.call_id
        peer = UdpPeer(0, self.ports.kamailio_udp)
        peer.port = peer.sock.getsockname()[1]
        peer.call_id = token()
        peer.send(self.request_of_pbx("OPTIONS", peer))
        answer = peer.receive(5)
        peer.close()
        self.pbx.call_id = call_id
        return answer

    def request_of_pbx(self, method, peer, uri=None, headers=(), body=""):
        uri = uri or f"sip:+{USER}@127.0.0.1:{self.ports.kamailio_udp}"
        content = [("Content-Type", "application/sdp")] if body else []
        return Message(f"{method} {uri} SIP/2.0", [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{peer.port};branch=z9hG4bK{token()}"),
            ("From", f"<sip:+{NUMBER}@pbx.example>;tag={token()}"), ("To", f"<sip:+{USER}@127.0.0.1>"),
            ("Call-ID", peer.call_id), ("CSeq", f"1 {method}"), ("Max-Forwards", "70"),
            ("Contact", f"<sip:agent@127.0.0.1:{peer.port}>"), *headers, *content], body)

    def send_first_invite_of_meta(self, number=NUMBER, body=META_OFFER, headers=()):
        self.connect_as_meta()
        self.number = number
        uri = f"sip:+{number}@{SIP_HOST}:{self.ports.kamailio_tls};transport=tls"
        self.meta.send(self.meta_request("INVITE", 1, uri, headers, body=body))

    def test_options_are_answered_on_both_sides(self):
        self.assertEqual(self.options_of_pbx().status, 200)
        self.connect_as_meta()
        self.number = NUMBER
        self.meta.send(self.meta_request("OPTIONS", 1, f"sip:{SIP_HOST}:{self.ports.kamailio_tls};transport=tls"))
        self.assertEqual(self.meta.receive().status, 200)

    def test_an_unknown_business_number_is_not_even_challenged(self):
        self.send_first_invite_of_meta("15559999999")
        answer = self.meta.receive()
        self.assertEqual(answer.first, "SIP/2.0 404 Unknown Business Number")

    def test_a_source_outside_the_lists_is_refused(self):
        stranger = UdpPeer(0, self.ports.kamailio_udp)
        stranger.close()
        stranger.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.sock.bind(("127.0.0.9", 0))
        self.addCleanup(stranger.close)
        stranger.port, stranger.call_id = stranger.sock.getsockname()[1], token()
        stranger.send(self.request_of_pbx("INVITE", stranger, body=PBX_SDP))
        self.assertEqual(stranger.receive().first, "SIP/2.0 403 Forbidden")

    def test_a_user_without_credentials_reaches_nobody(self):
        self.send_first_invite_of_meta()
        self.assertEqual(self.meta.receive().status, 407)
        self.assertIsNone(self.pbx.receive(0.3))

    def test_an_invite_without_sdp_or_without_audio_is_refused(self):
        """On both sides, with 488, before the relay and the other side hear of it."""
        no_audio = PBX_SDP.replace("m=audio", "m=video")
        for body in (no_audio, "", "this is no SDP"):
            with self.subTest(body=body[:10]):
                self.pbx_invites(body=body)
                self.assertEqual(self.pbx.final().status, 488)
                self.new_call(f"outgoing:wacid.{token()}==")
                self.meta_invites(sdp=META_OFFER.replace("m=audio", "m=video") if body == no_audio else body)
                self.assertEqual(self.meta.final().status, 488)
                self.assertIsNone(self.pbx.receive(0.2))

    def test_malformed_messages_are_refused_or_dropped(self):
        self.new_call(token())
        whole = self.request_of_pbx("INVITE", self.pbx, body=PBX_SDP).to_bytes().decode()
        broken = {
            "no Call-ID": whole.replace("Call-ID: ", "X-Nothing: "),
            "no From tag": whole.replace(";tag=", ";gat="),
            "CSeq of another method": whole.replace("1 INVITE", "1 BYE"),
            "CSeq too large": whole.replace("1 INVITE", "99999999999 INVITE"),
            "Content-Length too large": whole.replace("Content-Length: ", "Content-Length: 9"),
            "no Via": whole.replace("Via: ", "X-Via: "),
            "no version": whole.replace(" SIP/2.0\r\n", "\r\n", 1),
            "From that is no URI": whole.replace("From: <", "From: <<<"),
            "nothing but noise": "\x00\xff" * 300,
            "empty lines": "\r\n\r\n",
        }
        for name, text in broken.items():
            with self.subTest(name):
                self.pbx.sock.sendto(text.encode("latin-1"), self.pbx.proxy)
                self.pbx.sock.settimeout(0.3)
                try:
                    answer = self.pbx.sock.recv(65535).decode()
                except TimeoutError:
                    answer = None  # what cannot be answered is dropped
                if answer:
                    self.assertRegex(answer, r"^SIP/2\.0 [45]\d\d ")

    def test_max_forwards_runs_out(self):
        self.new_call(token())
        message = self.request_of_pbx("INVITE", self.pbx, body=PBX_SDP)
        message.headers = [(name, "0" if name == "Max-Forwards" else value) for name, value in message.headers]
        self.pbx.send(message)
        self.assertEqual(self.pbx.receive().status, 483)

    def test_fifty_kilobytes_of_headers_are_refused(self):
        """A datagram is answered. Over TLS so is what the server can take in, and above that the connection ends."""
        padding = [(f"X-Padding-{n}", "x" * 1000) for n in range(50)]
        self.send_first_invite_of_meta(headers=padding[:13])
        self.assertEqual(self.meta.receive().status, 513)
        try:
            self.send_first_invite_of_meta(headers=padding)
            answer = self.meta.receive()
            self.assertTrue(answer.status == 513 if answer else self.meta.ended, "neither an answer nor the end")
        except OSError:
            pass  # ended while we were still sending
        self.new_call(token())
        self.pbx.send(self.request_of_pbx("INVITE", self.pbx, headers=padding[:25], body=PBX_SDP))
        self.assertEqual(self.pbx.receive().status, 513)
        # Kamailio 6 drops a datagram above 32 kB before the script sees it.
        self.new_call(token())
        self.pbx.send(self.request_of_pbx("INVITE", self.pbx, headers=padding, body=PBX_SDP))
        answer = self.pbx.receive(1)
        self.assertIn(answer and answer.status, (513, None))

    def test_endless_headers_do_not_hold_the_server(self):
        """A message that never ends costs its sender the connection, and nobody else anything."""
        self.connect_as_meta()
        try:
            for _ in range(200):
                self.meta.sock.sendall(b"X-Endless: " + b"x" * 4000 + b"\r\n")
        except (ssl.SSLError, OSError):
            pass
        other = TlsPeer.connect(self.ports.kamailio_tls, self.authority.certificate, SIP_HOST)
        self.addCleanup(other.close)

    def test_many_who_begin_tls_at_the_same_time_do_not_end_the_server(self):
        """Kamailio 5.6 with several TLS processes crashes of it within a second or two."""
        until, failed = time.monotonic() + 4, []

        def begin():
            while time.monotonic() < until:
                try:
                    peer = TlsPeer.connect(self.ports.kamailio_tls, self.authority.certificate, SIP_HOST)
                    peer.send(self.request_of_pbx("OPTIONS", SimpleNamespace(port=1, call_id=token())))
                    if peer.receive().status != 200:
                        failed.append("another answer")
                    peer.close()
                except (OSError, AttributeError) as error:
                    failed.append(error)

        threads = [threading.Thread(target=begin) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        self.assertTrue(self.proxy.part.is_running())

    def test_methods_that_make_no_call_are_not_let_in(self):
        for method in ("REGISTER", "SUBSCRIBE", "MESSAGE", "REFER", "PUBLISH", "NONSENSE"):
            with self.subTest(method):
                self.new_call(token())
                self.pbx.send(self.request_of_pbx(method, self.pbx))
                answer = self.pbx.receive()
                self.assertEqual(answer.status, 405)
                self.assertIn("INVITE", answer.get("Allow"))

    def test_requests_of_unknown_calls_go_nowhere(self):
        """As after a restart, when the proxy has forgotten its calls."""
        for method in ("BYE", "INVITE", "UPDATE"):
            with self.subTest(method):
                self.new_call(token())
                message = self.request_of_pbx(method, self.pbx)
                message.headers = [(name, value + ";tag=never" if name == "To" else value) for name, value in message.headers]
                self.pbx.send(message)
                self.assertIn(self.pbx.receive().status, (404, 481))
        self.connect_as_meta()
        self.number = NUMBER
        own = f"sip:+{NUMBER}@{SIP_HOST}:{self.ports.kamailio_tls};transport=tls"
        for headers in ((), [("Route", f"<sip:{SIP_HOST}:{self.ports.kamailio_tls};transport=tls;ftag=meta;lr>")]):
            self.meta.send(self.meta_request("BYE", 3, own, headers, to_tag=";tag=never"))
            self.assertIn(self.meta.receive().status, (404, 481))


class Flood(Case):
    def assert_within_rate(self, let_in, seconds):
        """So many of INVITES_PER_SECOND: the first and the last of the seconds may be begun ones."""
        self.assertLessEqual(let_in, 100 * (int(seconds) + 2))

    def test_two_hundred_invites_a_second_from_meta_side_cost_no_port(self):
        """Without credentials all of them: challenged up to the limit, refused above it."""
        self.connect_as_meta()
        self.number = NUMBER
        uri = f"sip:+{NUMBER}@{SIP_HOST}:{self.ports.kamailio_tls};transport=tls"
        began = time.monotonic()
        for n in range(600):
            self.call_id = f"outgoing:wacid.{token()}"
            self.meta.send(self.meta_request("INVITE", 1, uri, body=META_OFFER))
            time.sleep(max(0.0, began + n / 200 - time.monotonic()))
        statuses = [self.meta.next_message(5).status for _ in range(600)]
        self.assertEqual(set(statuses), {407, 503})
        self.assert_within_rate(statuses.count(407), time.monotonic() - began)
        self.assertEqual(self.relay.calls(), [])

    def test_a_source_that_calls_too_often_is_told_to_wait_and_costs_no_port(self):
        statuses, began = [], time.monotonic()
        for _ in range(300):
            self.pbx_invites(to="112")
            statuses.append(self.pbx.receive(5).status)
        self.assertEqual(set(statuses), {484, 503})
        self.assert_within_rate(statuses.count(484), time.monotonic() - began)
        self.assert_relay_is_empty()


if __name__ == "__main__":
    case.main()
