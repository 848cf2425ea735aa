#!/usr/bin/env python3
"""What `tandem doctor` says about a host, and whether its exit status agrees.

Certificates are made with openssl, and served by it: the names, authorities and chains that the doctor judges are real ones.
Runs the program that the environment variable TANDEM names (target/debug/tandem without it) on loopback.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TANDEM = os.path.abspath(os.environ.get("TANDEM", os.path.join(HERE, "..", "..", "target", "debug", "tandem")))
ADDRESS = "127.0.74.1"
NG = 22474
# The documentation's addresses are told apart from public ones: this one is Quad9's, to which nothing is sent.
RELAY = ["--config-file=none", f"--interface=pub/{ADDRESS}!9.9.9.9", f"--listen-ng={ADDRESS}:{NG}",
         "--port-min=24740", "--port-max=24759"]

PLAIN = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
DTLS = (PLAIN.replace("RTP/AVP 0", "UDP/TLS/RTP/SAVPF 0") + "a=setup:actpass\r\na=fingerprint:sha-256 " + ":".join(["AB"] * 32)
        + "\r\na=ice-lite\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
        "a=candidate:1 1 udp 2130706431 127.0.0.1 4000 typ host\r\n")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Doctor(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tandem-doctor-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def ask(self, *arguments, relay=RELAY, **environment):
        """The exit status, and the findings by what they are about."""
        empty = self.write("no-proxy.cfg", "")
        proxy = [] if any("--proxy-config" in word for word in arguments) else [f"--proxy-config={empty}"]
        result = subprocess.run([TANDEM, "doctor", *arguments, *proxy, *relay], capture_output=True, text=True, timeout=60,
                                env={**os.environ, **environment}, check=False)
        return result.returncode, result.stdout, result.stderr

    def found(self, text, start):
        lines = [line for line in text.splitlines() if line.startswith(start)]
        self.assertTrue(lines, f"no line begins with `{start}`:\n{text}")
        return lines[0]

    def popen(self, *arguments):
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process


class Host(Doctor):
    def test_a_host_in_order_gives_status_zero(self):
        status, text, _ = self.ask("--offline")
        self.assertEqual(status, 0, text)
        self.assertIn("configuration: can be read", self.found(text, "ok"))
        self.assertIn("is the public face of 127.0.74.1", text)
        self.assertIn("ports 24740 to 24759 of interface pub: are all free", text)
        self.assertIn("data path: ", text)
        self.assertIn("\n0 wrong, ", text)

    def test_a_configuration_that_cannot_be_read_is_named_with_its_line(self):
        file = self.write("tandem.conf", "[tandem]\ninterface = 127.0.0.1\nlisten-ng = 127.0.0.1:2223\nport-min = many\n")
        status, text, _ = self.ask("--offline", relay=[f"--config-file={file}"])
        self.assertEqual(status, 1, text)
        self.assertIn("line 4: option port-min: `many`", self.found(text, "WRONG"))

    def test_addresses_that_whatsapp_cannot_reach_and_those_of_others_are_wrong(self):
        status, text, _ = self.ask("--offline", relay=["--config-file=none", "-i", "127.0.0.1", "-n", f"{ADDRESS}:{NG}"])
        self.assertEqual(status, 1)
        self.assertIn("advertised address: no interface has one that WhatsApp could reach", text)
        relay = ["--config-file=none", "-i", "192.0.2.77", "-n", f"{ADDRESS}:{NG}"]
        status, text, _ = self.ask("--offline", relay=relay)
        self.assertEqual(status, 1)
        self.assertIn("192.0.2.77 cannot be bound", self.found(text, "WRONG"))

    def test_it_says_what_a_start_would_stop_at_as_check_config_does(self):
        folder = self.path("nowhere")
        certificate = self.write("https.pem", "no certificate")
        relay = [*RELAY, f"--listen-https={ADDRESS}:{NG + 1}", f"--https-cert={certificate}", f"--recording-dir={folder}/a/b"]
        checked = subprocess.run([TANDEM, "--check-config", *relay], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(checked.returncode, 1)
        status, text, _ = self.ask("--offline", relay=relay)
        self.assertEqual(status, 1, text)
        first = self.found(text, "WRONG start").removeprefix("WRONG start: ")
        self.assertIn(first, checked.stderr)
        # It goes on after the first.
        self.assertIn("options https-cert, https-key: ", text)
        status, text, _ = self.ask("--offline")
        self.assertIn("start: nothing would stop the relay", text)

    def test_ports_of_other_programs_are_counted(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((ADDRESS, 24750))
            status, text, _ = self.ask("--offline")
        self.assertEqual(status, 0)
        self.assertIn("1 are taken by other programs, 24750 the first", text)

    def test_a_command_line_that_cannot_be_read_has_a_status_of_its_own(self):
        status, _, error = self.ask("--sip-host=sbc.example.com:sips")
        self.assertEqual(status, 2)
        self.assertIn("--sip-host: `sbc.example.com:sips`: no port number", error)


class Relays(Doctor):
    def test_a_relay_of_the_proxy_that_is_silent_is_named_with_its_line(self):
        file = self.write("kamailio.cfg", "# relays\n"
                          f'modparam("rtpengine", "rtpengine_sock", "udp:{ADDRESS}:{NG} udp:127.0.74.2:22222")\n')
        status, text, _ = self.ask("--offline", f"--proxy-config={file}")
        self.assertEqual(status, 1)
        self.assertIn(f"relay udp:127.0.74.2:22222 ({file} line 2)", self.found(text, "WRONG"))
        self.assertIn(f"relay udp:{ADDRESS}:{NG} ({file} line 2): is ours, which nobody has started", text)

    def test_a_relay_that_runs_is_found_and_its_ports_are_no_fault(self):
        self.popen(TANDEM, *RELAY, "--foreground")
        file = self.write("settings.cfg", f'#!define RELAYS "udp:{ADDRESS}:{NG}"\n')
        for _ in range(100):
            status, text, _ = self.ask("--offline", f"--proxy-config={file}")
            if "a relay answers there" in text:
                break
            time.sleep(0.1)
        self.assertEqual(status, 0, text)
        self.assertIn(f"relay udp:{ADDRESS}:{NG} ({file} line 1): answers", text)

    def test_recent_calls_of_a_relay_that_runs_are_judged(self):
        relay = [*RELAY, f"--listen-http={ADDRESS}:{NG + 2}", "--live-page=token:correct-horse", "--delete-delay=0"]
        self.popen(TANDEM, *relay, "--foreground")
        self.until_it_answers()
        _, text, _ = self.ask("--offline", relay=relay)
        self.assertIn("recent calls: there were none yet", text)
        self.call("from-whatsapp", DTLS, "UDP/TLS/RTP/SAVPF", True)
        self.until_told("recent calls: nothing failed in 1", relay)
        self.call("to-whatsapp", PLAIN, "RTP/SAVP", False)
        status, text = self.until_told("doubt exchange of keys", relay)
        self.assertEqual(status, 0, text)
        self.assertIn("WhatsApp's users call with DTLS, and 1 calls to them that offered SDES were not answered", text)
        # Without the token it is told so.
        self.assertIn("the relay does not tell: status 401", self.ask("--offline", relay=[*relay, "--live-page=on"])[1])

    def until_it_answers(self):
        for _ in range(100):
            try:
                return self.request({"command": "ping"})
            except OSError:
                time.sleep(0.1)
        return self.fail("the relay did not start")

    def until_told(self, words, relay):
        """The relay gives the same list for a second."""
        for _ in range(30):
            status, text, _ = self.ask("--offline", relay=relay)
            if words in text:
                return status, text
            time.sleep(0.2)
        return self.fail(text)

    def request(self, request):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            sock.connect((ADDRESS, NG))
            sock.send(os.urandom(8).hex().encode() + b" " + json.dumps(request).encode())
            reply = json.loads(sock.recv(65536).split(b" ", 1)[1])
        self.assertIn(reply["result"], ("ok", "pong"), reply)
        return reply

    def call(self, name, sdp, towards_whatsapp, answered):
        """A call of a WhatsApp user, whose offer is encrypted, or one to a user."""
        from_user = sdp == DTLS
        about = {"call-id": name, "from-tag": "a"}
        protocol = "RTP/AVP" if from_user else towards_whatsapp
        self.request({**about, "command": "offer", "sdp": sdp, "transport-protocol": protocol, "ICE": "remove" if from_user else "default"})
        if answered:
            self.request({**about, "command": "answer", "to-tag": "b", "sdp": PLAIN, "ICE": "force"})
        self.request({**about, "command": "delete"})

    def test_a_file_that_is_not_there_is_wrong(self):
        status, text, _ = self.ask("--offline", "--proxy-config=/nonexistent.cfg")
        self.assertEqual(status, 1)
        self.assertIn("/nonexistent.cfg: No such file", self.found(text, "WRONG"))


class Certificates(Doctor):
    """A SIP host on loopback, whose name is `localhost`."""

    def setUp(self):
        super().setUp()
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=Authority", "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))

    def certificate(self, name):
        extensions = self.write("extensions", f"subjectAltName=DNS:{name}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", self.path("host.key"), "-out", self.path("host.csr"))
        openssl("x509", "-req", "-in", self.path("host.csr"), "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"),
                "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", self.path("host.pem"))

    def serve(self):
        port = free_port()
        self.popen("openssl", "s_server", "-accept", f"localhost:{port}", "-cert", self.path("host.pem"),
                   "-key", self.path("host.key"), "-quiet")
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("localhost", port)) == 0:
                    return port
            time.sleep(0.05)
        self.fail("openssl does not listen")

    def judge(self, authorities="ca.pem"):
        port = self.serve()
        arguments = [f"--sip-host=localhost:{port}", f"--meta=localhost:{port}"]
        return self.ask(*arguments, SSL_CERT_FILE=self.path(authorities))

    def test_a_certificate_for_the_name_is_in_order(self):
        self.certificate("localhost")
        status, text, _ = self.judge()
        self.assertEqual(status, 0, text)
        self.assertIn("TLS 1.3; the certificate is valid for the name", text)
        self.assertIn("cannot be seen from inside", text)

    def test_a_certificate_for_another_name_is_wrong(self):
        self.certificate("sbc.example.com")
        status, text, _ = self.judge()
        self.assertEqual(status, 1, text)
        self.assertIn("not valid for name", self.found(text, "WRONG our SIP host"))
        self.assertIn("take a certificate for the very name", text)

    def test_a_certificate_that_nobody_vouches_for_is_wrong(self):
        self.certificate("localhost")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=Other", "-keyout", self.path("other.key"), "-out", self.path("other.pem"))
        status, text, _ = self.judge(authorities="other.pem")
        self.assertEqual(status, 1, text)
        self.assertIn("UnknownIssuer", self.found(text, "WRONG our SIP host"))
        self.assertIn("full chain", text)

    def test_a_host_that_nobody_knows_or_that_is_closed_is_wrong(self):
        status, text, _ = self.ask("--sip-host=nobody.invalid", f"--meta=localhost:{free_port()}")
        self.assertEqual(status, 1)
        self.assertIn("the name has no address", self.found(text, "WRONG our SIP host"))
        self.assertIn("takes no connection", self.found(text, "WRONG Meta"))

    def test_an_address_is_no_name(self):
        status, text, _ = self.ask("--sip-host=127.0.0.1", f"--meta=localhost:{free_port()}")
        self.assertEqual(status, 1)
        self.assertIn("is an address and no name", self.found(text, "WRONG our SIP host"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
