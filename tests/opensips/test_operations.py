#!/usr/bin/env python3
"""What an operator does with a running OpenSIPS of our scripts: restart it, count with it, see it end a call.

The calls of the routes themselves are in tests/kamailio, for both proxies.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

os.environ["PROXY"] = "opensips"
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "kamailio"), os.path.join(HERE, "..", "demo")]

import opensips  # noqa: E402
from case import META_OFFER, NUMBER, PASSWORD, PBX_SDP, SIP_HOST, Case, main  # noqa: E402
from peers import TlsPeer, challenge_fields, digest_response, token  # noqa: E402
from processes import Part, tcp_answers  # noqa: E402


def change_settings(test, *changes):
    """In settings.cfg, for the class of this test; OpenSIPS is started again with them."""
    path = os.path.join(test.run_folder, "opensips", "settings.cfg")
    with open(path) as file:
        text = file.read()
    for words, instead in changes:
        test.assertIn(words, text)
        text = text.replace(words, instead)
    with open(path, "w") as file:
        file.write(text)
    test.proxy.restart()


class Restart(Case):
    def test_a_call_outlives_it_and_a_renewed_certificate_is_shown(self):
        invite, answer = self.establish_user_initiated()
        before = TlsPeer.connect(self.ports.kamailio_tls, self.authority.certificate, SIP_HOST)
        before.serial_number = before.sock.getpeercert()["serialNumber"]
        before.close()
        self.authority.issue(SIP_HOST)
        self.proxy.restart()
        self.connect_as_meta()
        self.assertNotEqual(self.meta.sock.getpeercert()["serialNumber"], before.serial_number)

        hold = self.in_dialog_of_pbx("INVITE", 21, invite.contact_uri(), [], invite.get("To") + ";tag=pbx", invite.get("From"),
                                     body=PBX_SDP.replace("sendrecv", "sendonly"))
        self.pbx.send(hold)
        held = self.pbx.final()
        self.assertEqual((held.status, "a=recvonly" in held.body), (200, True))
        self.meta.send(self.in_dialog_of_meta("BYE", 3, answer))
        self.pbx.send(self.pbx.receive().reply(200, "OK"))
        self.assertEqual(self.meta.final().status, 200)
        self.assert_relay_is_empty()


class NothingStaysBehind(Case):
    """OpenSIPS 4.0.1 without route[LET_TLS_FINISH] keeps one or two in a thousand of them until there is more to send."""

    SETTINGS = Case.SETTINGS | {"INVITES_PER_SECOND": 10000}

    def test_every_refusal_of_meta_is_acknowledged_at_once(self):
        self.listen_as_meta()
        for _ in range(1000):
            self.pbx_invites()
            _, second = self.meta_gets_authorised_invite()
            self.meta.send(second.reply(486, "Busy Here", "meta"))
            self.assertEqual(self.meta.receive(2).method, "ACK")
            final = self.pbx.final()
            self.pbx_acknowledges(final)
            self.assertEqual(final.status, 486)

    def test_every_call_of_meta_is_challenged_at_once(self):
        self.connect_as_meta()
        self.number = NUMBER
        uri = f"sip:+{NUMBER}@{SIP_HOST}:{self.ports.kamailio_tls};transport=tls"
        for _ in range(3000):
            self.call_id = token()
            self.meta.send(self.meta_request("INVITE", 1, uri, body=META_OFFER))
            self.assertEqual(self.meta.receive(2).status, 407)


class Counters(Case):
    def test_prometheus_reads_what_was_refused_and_why(self):
        if not opensips.has_module("prometheus"):
            self.skipTest("this OpenSIPS was built without its module prometheus")
        invite, answer = self.establish_user_initiated()
        self.send_in_call(invite, "REFER", 21)
        self.assertIn("transfer", self.pbx.final().get("Reason"))
        self.meta.send(self.in_dialog_of_meta("BYE", 3, answer))
        self.pbx.send(self.pbx.receive().reply(200, "OK"))
        self.new_call("without-audio")
        self.meta_invites(sdp="v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n")
        self.assertEqual(self.meta.final().status, 488)
        self.new_call("guessed")
        self.meta_invites(credentials=(NUMBER, "guessed"))
        self.assertEqual(self.meta.final().status, 403)
        self.listen_as_meta()
        self.meta = None
        self.pbx_invites()
        _, second = self.meta_gets_authorised_invite()
        self.meta.send(second.reply(403, "No approved call permission", "meta", [("Warning", '399 wa.meta.vc "ask the user"')]))
        refused = self.pbx.final()
        self.assertEqual((refused.status, refused.get("Warning")), (403, '399 wa.meta.vc "ask the user"'))
        self.assertEqual(self.counted(
            "calls_user_initiated", "answered_user_initiated", "transfer_refused", "refused_no_audio", "refused_password",
            "calls_business_initiated", "answered_business_initiated", "meta_refused_403", "meta_refused_permission",
            "meta_refused_limit", "meta_refused_5xx"), [1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0])

    def counted(self, *names):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.proxy_metrics}/metrics", timeout=5) as reply:
            text = reply.read().decode()
        found = dict(re.findall(r"^tandem_(\w+) (\d+)", text, re.MULTILINE))
        # A counter appears with its first event.
        return [int(found.get(name, 0)) for name in names]

    def send_in_call(self, invite, method, cseq):
        self.pbx.send(self.in_dialog_of_pbx(method, cseq, invite.contact_uri(), [], invite.get("To") + ";tag=pbx", invite.get("From")))


class Credentials(Case):
    def test_those_of_one_call_are_good_for_no_other(self):
        self.meta_invites()
        self.pbx.send(self.pbx.receive().reply(486, "Busy Here", "pbx"))
        self.assertEqual(self.meta.final().status, 486)
        used = self.invite.get("Proxy-Authorization")
        self.assertIn("algorithm=MD5", used)
        for credentials in (used, used.replace('nonce="', 'nonce="A')):
            self.new_call("replayed")
            self.meta.send(self.meta_request("INVITE", 5, self.invite.first.split()[1], [("Proxy-Authorization", credentials)],
                                             body=META_OFFER))
            self.assertEqual(self.meta.receive().status, 407)
        self.assertIsNone(self.pbx.receive(0.3))



class Challenge(Case):
    def test_meta_may_be_asked_for_sha_256(self):
        change_settings(self, ("challenge=s:MD5", "challenge=s:SHA-256,MD5"))
        self.connect_as_meta()
        self.number, uri = NUMBER, f"sip:+{NUMBER}@{SIP_HOST}:{self.ports.kamailio_tls};transport=tls"
        for cseq, password, expected in ((1, PASSWORD, 486), (3, "guessed", 403)):
            self.new_call(token())
            self.meta.send(self.meta_request("INVITE", cseq, uri, body=META_OFFER))
            challenges = [challenge_fields(value) for value in self.meta.receive().all("Proxy-Authenticate")]
            self.assertEqual([fields.get("algorithm", "MD5") for fields in challenges], ["SHA-256", "MD5"])
            fields = challenges[0] | {"nc": "00000001", "cnonce": "abcd", "uri": f"sip:+{NUMBER}@{SIP_HOST}"}
            answer = digest_response(NUMBER, password, fields, "INVITE")
            self.meta.send(self.meta_request("INVITE", cseq + 1, uri, [(
                "Proxy-Authorization",
                f'Digest username="{NUMBER}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", uri="{fields["uri"]}", '
                f'response="{answer}", algorithm=SHA-256, cnonce="abcd", qop=auth, nc=00000001')], body=META_OFFER))
            if expected == 486:
                self.pbx.send(self.pbx.receive().reply(486, "Busy Here", "pbx"))
            self.assertEqual(self.meta.final().status, expected)


class Connections(Case):
    def test_idle_ones_stay(self):
        """OpenSIPS 4.0.1 closes one of about three hundred after tcp_max_msg_time, which is four seconds by default: a caller
        who waits longer than that for the PBX would never hear of its answer."""
        peers = [TlsPeer.connect(self.ports.kamailio_tls, self.authority.certificate, SIP_HOST) for _ in range(300)]
        for _ in range(2):
            for peer in peers:
                peer.send(self.options())
                self.assertEqual(peer.receive().status, 200)
        time.sleep(6)
        closed = 0
        for peer in peers:
            peer.send(self.options())
            answer = peer.receive()
            closed += answer is None
            peer.close()
        self.assertEqual(closed, 0)

    def options(self):
        self.number = NUMBER
        self.new_call(token())
        return self.meta_request("OPTIONS", 1, f"sip:{SIP_HOST}")


class ServerName(Case):
    """A TLS proxy between us and Meta, as the README has it for the case that Meta asks for a server name."""

    @unittest.skipUnless(shutil.which("socat"), "socat is not installed")
    def test_a_tunnel_adds_it_and_checks_whom_it_talks_to(self):
        name, key = self.authority.self_signed("wa.meta.vc")
        tunnel_port = self.ports.second_pbx
        self.listen_as_meta()
        with open(os.path.join(opensips.SCRIPTS, "README.md")) as file:
            command = re.search(r"(?m)^ExecStart=/usr/bin/(socat .*)$", file.read())[1]
        for words, instead in (
                ("OPENSSL-LISTEN:5062", f"OPENSSL-LISTEN:{tunnel_port}"), ("OPENSSL:wa.meta.vc:5061", f"OPENSSL:127.0.0.1:{self.ports.meta_tls}"),
                ("/etc/opensips/tunnel.pem", name), ("/etc/opensips/tunnel.key", key),
                ("/etc/ssl/certs/ca-certificates.crt", self.authority.certificate)):
            self.assertIn(words, command)
            command = command.replace(words, instead)
        tunnel = Part("socat", command.split(), self.run_folder)
        self.addCleanup(tunnel.stop)
        tunnel.wait_until(tcp_answers(tunnel_port))
        change_settings(self, (f"127.0.0.1:{self.ports.meta_tls};", f"127.0.0.1:{tunnel_port};"),
                        (f"[to_meta]{self.authority.certificate}", f"[to_meta]{name}"))
        self.pbx_invites()
        _, second = self.meta_gets_authorised_invite()
        self.assertEqual(self.listener.server_names, ["wa.meta.vc"])
        self.meta.send(second.reply(486, "Busy Here", "meta"))
        self.assertEqual(self.pbx.final().status, 486)

        # Somebody else in Meta's place gets nothing.
        self.meta.close()
        self.listener.close()
        time.sleep(2)  # socat waits half a second for more in the other direction, then OpenSIPS sees the end
        self.listen_as_meta(self.authority.issue("evil.example.net"))
        self.pbx_invites()
        stranger = self.listener.accept()
        self.addCleanup(stranger.close)
        self.assertIsNone(stranger.receive())
        self.assertEqual(self.pbx.final().status, 503)


class Check(Case):
    """check.sh, which an operator runs before a start."""

    def test_good_settings_are_fine_and_each_mistake_is_named(self):
        self.listen_as_meta()
        threading.Thread(target=self.shake_hands, daemon=True).start()
        with open(os.path.join(self.run_folder, "opensips", "settings.cfg")) as file:
            good = file.read()
        status, said = self.check(good)
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"(?m)^fine +relay \S+ answers")
        self.assertRegex(said, r"(?m)^fine +Meta answers .* certificate of wa\.meta\.vc$")
        nobody = f"127.0.0.1:{self.ports.silent_pbx}"
        status, said = self.check(re.sub("(?<=meta_next_hop=s:sip:)[^;]*", nobody, good))
        self.assertEqual(status, 0, said)
        self.assertRegex(said, f"(?m)^warning +no TLS connection to Meta at {nobody}: Connection refused$")
        stranger, stranger_key = self.authority.issue("other.example.com")
        alone, alone_key = self.authority.self_signed(SIP_HOST)
        _, chain, key = re.search(r'\[from_meta\](\S+\.pem)"\)\n.*\[from_meta\](\S+)"', good, re.DOTALL).group(0, 1, 2)
        for mistake, words in (
                (good.replace("first-password", "change-me"), "change-me"),
                (good.replace(chain, stranger).replace(key, stranger_key), f"{SIP_HOST} is not among the names"),
                (good.replace(chain, alone).replace(key, alone_key), "nobody vouches"),
                (good.replace(key, stranger_key), "is not the key of"),
                (good.replace(chain, "/nowhere.pem"), "cannot be read"),
                (good.replace(f"sip_host=s:{SIP_HOST}", "sip_host=s:192.0.2.1"), "Meta wants a name"),
                (re.sub(r'"relays=s:[^"]*"', '"relays=s:udp:192.0.2.1:1"', good), "not the same list"),
                (good.replace("startup_route {", f'startup_route {{\n    cache_store("local", "relays_{NUMBER}", "1 udp:192.0.2.1:1");'),
                 f"relays_{NUMBER} has no line"),
                (good.replace("startup_route {", f'startup_route {{\n    cache_store("local", "announcement_{NUMBER}", "/two words.wav");'),
                 "the relay would look for '/two'"),
                (good.replace("socket=udp:127.0.0.1", "socket=udp:192.0.2.1"), "no address of this host"),
                (good.replace('"keys_', '"kyes_'), "which is DTLS or SDES"),
                (good.replace("socket=", "sokcet=", 1), "does not read opensips.cfg"),
                (re.sub('"dialog_flags=s:[^"]*"', '"dialog_flags=s:of-another-version"', good), "are not those for opensips")):
            with self.subTest(words):
                self.assertNotEqual(mistake, good)
                status, said = self.check(mistake)
                self.assertEqual(status, 1, said)
                self.assertRegex(said, f"(?m)^wrong .*{re.escape(words)}")

    def shake_hands(self):
        """As Meta would, and keep the connection until the other end has had enough."""
        connections = []
        while True:
            try:
                connections.append(self.listener.accept(60))
            except OSError:
                return

    def check(self, settings):
        folder = os.path.join(self.run_folder, "checked")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(self.run_folder, "opensips", "opensips.cfg")) as file:
            script = re.sub(r'include_file ".*"', f'include_file "{folder}/settings.cfg"', file.read())
        for name, text in (("settings.cfg", settings), ("opensips.cfg", script)):
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        done = subprocess.run([*self.proxy.enter, os.path.join(opensips.SCRIPTS, "check.sh"), folder],
                              capture_output=True, text=True, check=False, env=os.environ | {"OPENSIPS": opensips.program()})
        return done.returncode, done.stdout + done.stderr


class EndedByOpenSips(Case):
    def test_meta_gets_the_bye_by_the_usual_way_and_the_relay_is_freed(self):
        self.listen_as_meta()
        self.meta = None
        self.meta_invites()
        invite = self.pbx.receive()
        # An answer that no relay can take.
        self.pbx_answers(invite, body="no SDP")
        answer = self.meta.final()
        self.meta_acknowledges(answer)
        self.assertEqual(self.pbx.receive(5).method, "BYE")
        meta = self.listener.accept()
        self.addCleanup(meta.close)
        self.assertEqual(meta.receive().method, "BYE")
        self.assert_relay_is_empty()


if __name__ == "__main__":
    main()
