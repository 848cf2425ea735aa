#!/usr/bin/env python3
"""What the operator of a proxy sees and does: counters, a new certificate, a relay that went away and came back."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import case  # noqa: E402
from case import NUMBER, SIP_HOST, Case  # noqa: E402
from peers import token  # noqa: E402
from relay import Relay  # noqa: E402


class Operations(Case):
    def counters(self):
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.ports.proxy_metrics}/metrics", timeout=5).read().decode()
        return {name: int(float(value)) for name, value in re.findall(r"^(tandem_\w+)(?:\{[^}]*\})? (\S+)", page, re.M)}

    def assert_counted(self, before, **steps):
        """Exactly these counters went on, by so much."""
        after = self.counters()
        moved = {name.removeprefix("tandem_"): value - before.get(name, 0) for name, value in after.items()
                 if value != before.get(name, 0)}
        self.assertEqual(moved, steps)

    def test_every_end_of_a_call_has_its_counter(self):
        before = self.counters()
        if case.PROXY == "kamailio":  # OpenSIPS shows a counter from its first step on
            self.assertIn("tandem_refused_password", before, "shown before the first step")

        _, answer = self.establish_user_initiated()
        self.meta.send(self.in_dialog_of_meta("BYE", 3, answer))
        self.pbx.send(self.pbx.receive().reply(200, "OK"))
        self.assertEqual(self.meta.final().status, 200)
        self.assert_counted(before, calls_user_initiated=1, answered_user_initiated=1)

        before = self.counters()
        self.new_call(f"outgoing:wacid.{token()}==")
        self.meta_invites(credentials=(NUMBER, "guessed"))
        self.assertEqual(self.meta.final().status, 403)
        self.assert_counted(before, refused_password=1)

        before = self.counters()
        self.pbx_invites(to="112")
        self.assertEqual(self.pbx.final().status, 484)
        self.assert_counted(before, refused_dialled=1)

    def test_every_refusal_of_meta_has_its_counter(self):
        self.listen_as_meta()
        for status, phrase, steps in (
                (403, "No approved call permission", {"meta_refused_403": 1, "meta_refused_permission": 1}),
                (403, "Per-day limit reached", {"meta_refused_403": 1, "meta_refused_limit": 1}),
                (400, "Asset not found", {"meta_refused_400": 1}), (486, "Busy Here", {"meta_refused_486": 1}),
                (488, "Not Acceptable Here", {"meta_refused_4xx": 1}), (500, "Internal", {"meta_refused_5xx": 1}),
                (603, "Decline", {"meta_refused_6xx": 1})):
            with self.subTest(status=status, phrase=phrase):
                before = self.counters()
                self.pbx_invites(to=f"+1555111{sum(map(ord, phrase))}")  # another user each time
                _, second = self.meta_gets_authorised_invite()
                self.meta.send(second.reply(status, phrase, "meta", [("Warning", '399 wa.meta.vc "why"'), ("Retry-After", "60")]))
                self.assertEqual(self.meta.receive().method, "ACK")
                final = self.pbx.final()
                self.assertEqual((final.get("Warning"), final.get("Retry-After")), ('399 wa.meta.vc "why"', "60"))
                self.pbx_acknowledges(final)
                self.assert_counted(before, calls_business_initiated=1, **steps)
                if "limit" in phrase:
                    before = self.counters()
                    self.pbx_invites(to=f"+1555111{sum(map(ord, phrase))}")
                    self.assertEqual(self.pbx.final().first, "SIP/2.0 403 " + phrase)
                    self.assert_counted(before, refused_backed_off=1)

    def test_metrics_are_not_for_those_who_connect_to_the_socket_for_meta(self):
        self.connect_as_meta()
        self.meta.sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        self.meta.sock.settimeout(2)
        try:
            answer = self.meta.sock.recv(65535)
        except OSError:
            answer = b""
        self.assertNotIn(b"tandem_", answer)

    def test_a_new_certificate_is_taken_and_a_call_goes_on(self):
        _, answer = self.establish_user_initiated()
        before = self.certificate_shown()
        # The same files, with another certificate and key in them.
        self.authority.issue(SIP_HOST)
        self.assertEqual(self.certificate_shown(), before)
        if case.PROXY == "kamailio":
            socket_file = os.path.join(self.run_folder, "kamailio", "kamailio_ctl")
            said = subprocess.run(["kamcmd", "-s", f"unixs:{socket_file}", "tls.reload"], capture_output=True, text=True, check=False)
            self.assertIn("Ok", said.stdout, said.stderr)
        else:
            self.proxy.restart()
            self.connect_as_meta()
        self.assertNotEqual(self.certificate_shown(), before)
        self.meta.send(self.in_dialog_of_meta("BYE", 3, answer))
        self.pbx.send(self.pbx.receive().reply(200, "OK"))
        self.assertEqual(self.meta.final().status, 200)
        self.assert_relay_is_empty()

    def certificate_shown(self):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        with socket.create_connection(("127.0.0.1", self.ports.kamailio_tls)) as sock, \
                context.wrap_socket(sock, server_hostname=SIP_HOST) as tls:
            return tls.getpeercert()["serialNumber"]


class RelayThatComesBack(Case):
    def test_a_relay_that_is_back_gets_calls_without_a_caller_finding_out(self):
        """Health pings mark it as gone, and as back, before anybody calls."""
        os.killpg(self.relay.part.process.pid, signal.SIGKILL)
        self.relay.part.process.wait()
        time.sleep(7)
        began = time.monotonic()
        self.meta_invites()
        self.assertEqual(self.meta.final().status, 503)
        self.assertLess(time.monotonic() - began, 4)
        type(self).relay = Relay(self.run_folder, self.relay.kind, self.relay.part.process.args[0], self.ports)
        time.sleep(7)
        self.new_call(f"outgoing:wacid.{token()}==")
        began = time.monotonic()
        _, answer = self.establish_user_initiated()
        self.assertLess(time.monotonic() - began, 1)
        self.meta.send(self.in_dialog_of_meta("BYE", 3, answer))
        self.pbx.send(self.pbx.receive().reply(200, "OK"))
        self.assertEqual(self.meta.final().status, 200)


if __name__ == "__main__":
    case.main()
