"""What the cases share: the proxy as an operator would run it, a relay, and two small peers who make calls step by step.

The environment says what is under test:

    PROXY    kamailio (the default) or opensips
    KEYS     DTLS or SDES (the default): how Meta and the business number agree on keys
    TANDEM   the program to use as the relay; without it, rtpengine from Debian
"""

import json
import os
import shutil
import sys
import time
import unittest
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "demo"))

from certificates import Authority  # noqa: E402
import opensips  # noqa: E402
from kamailio import SIP_HOST, Kamailio  # noqa: E402
from peers import Message, TlsListener, TlsPeer, UdpPeer, challenge_fields, digest_response, token  # noqa: E402
from processes import free_base_port, stop_all, stop_all_at_exit  # noqa: E402
from relay import Relay  # noqa: E402

PROXY = os.environ.get("PROXY", "kamailio")
KEYS = os.environ.get("KEYS", "SDES")
# rtpengine would offer Meta telephone-event/48000, which Meta does not support.
RELAY_TRANSCODES = bool(os.environ.get("TANDEM"))
DTLS_NUMBER, SDES_NUMBER, LIMITED_NUMBER, USER = "15550783881", "15550783882", "15550783883", "15551112222"
NUMBERS = {DTLS_NUMBER: ("first-password", "DTLS"), SDES_NUMBER: ("second-password", "SDES")}
# A number with three targets, the first of which never answers, and one call at a time.
LIMITED = ("third-password", KEYS)

META_SDES = """v=0
o=- 1790000000456 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE audio
m=audio 3480 RTP/SAVP 111 126
c=IN IP4 127.0.0.1
a=rtcp:9 IN IP4 0.0.0.0
a=mid:audio
a=sendrecv
a=rtcp-mux
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
a=rtpmap:111 opus/48000/2
a=rtpmap:126 telephone-event/8000
a=ptime:20
""".replace("\n", "\r\n")

META_DTLS = """v=0
o=- 1790000000123 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE audio
a=ice-lite
m=audio 3480 UDP/TLS/RTP/SAVPF 111 126
c=IN IP4 127.0.0.1
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1234567890 1 udp 2122260223 127.0.0.1 3480 typ host generation 0 network-cost 50
a=ice-ufrag:Qw3rTy6uIoP9aSdF
a=ice-pwd:AAECAwQFBgcICQoLDA0ODw==
a=fingerprint:sha-256 FINGERPRINT
a=setup:SETUP
a=mid:audio
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:126 telephone-event/8000
a=ptime:20
""".replace("\n", "\r\n").replace("FINGERPRINT", ":".join(["AB"] * 32))

PBX_SDP = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 26000 RTP/AVP 111 126
a=rtpmap:111 opus/48000/2
a=rtpmap:126 telephone-event/8000
a=sendrecv
""".replace("\n", "\r\n")

# OpenSIPS up to 4.0 sends no server name as a TLS client.
SERVER_NAMES = [None] if PROXY == "opensips" else ["wa.meta.vc"]
INNER_PROXY = "<sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>"
OUTER_PROXY = "<sip:wa.meta.vc;transport=tls;lr>"


# The number of most calls, one with other keys, and what Meta offers and answers.
NUMBER, OTHER_NUMBER = (DTLS_NUMBER, SDES_NUMBER) if KEYS == "DTLS" else (SDES_NUMBER, DTLS_NUMBER)
PASSWORD = NUMBERS[NUMBER][0]
META_OFFER = META_DTLS.replace("SETUP", "actpass") if KEYS == "DTLS" else META_SDES
META_ANSWER = META_DTLS.replace("SETUP", "active") if KEYS == "DTLS" else META_SDES


class Case(unittest.TestCase):
    """Kamailio and the relay run once for all tests; the peers are new in each."""

    # Lines of settings.cfg. The peers of the tests answer OPTIONS only where that is the case.
    SETTINGS = {"PBX_PING_SECONDS": 0}
    # What further numbers have, as NUMBERS.
    MORE_NUMBERS = {}

    @classmethod
    def setUpClass(cls):
        cls.run_folder = os.path.abspath(os.path.join(HERE, "..", "..", ".run", f"{PROXY}-{KEYS}-{cls.__name__}"))
        shutil.rmtree(cls.run_folder, ignore_errors=True)
        os.makedirs(cls.run_folder)
        offsets = SimpleNamespace(kamailio_udp=60, kamailio_tls=61, meta_tls=62, phone_sip=70, second_pbx=71, silent_pbx=72, relay_ng=22,
                                  relay_media=200, second_relay_ng=23, second_relay_cli=24, second_relay_media=400, proxy_metrics=80)
        base = free_base_port(vars(offsets).values())
        cls.ports = SimpleNamespace(**{name: base + offset for name, offset in vars(offsets).items()})
        cls.authority = Authority(os.path.join(cls.run_folder, "certificates"))
        chain, key = cls.authority.issue(SIP_HOST)
        cls.meta_certificate = cls.authority.issue("wa.meta.vc")
        tandem = os.environ.get("TANDEM")
        cls.relay = Relay(cls.run_folder, "tandem" if tandem else "rtpengine",
                          os.path.abspath(tandem or shutil.which("rtpengine")), cls.ports)
        cls.start_more()
        targets = ",".join(f"127.0.0.1:{port}" for port in (cls.ports.silent_pbx, cls.ports.phone_sip,
                                                            cls.ports.second_pbx))
        numbers = NUMBERS | {LIMITED_NUMBER: (*LIMITED, ("pbx", targets), ("calls", 1))} | cls.MORE_NUMBERS
        proxy = opensips.OpenSips if PROXY == "opensips" else Kamailio
        cls.proxy = proxy(cls.run_folder, cls.ports, numbers, SimpleNamespace(
            kamailio_chain=chain, kamailio_key=key, authority=cls.authority.certificate), cls.SETTINGS)

    @classmethod
    def start_more(cls):
        """For cases with several relays: `ports.relays` then holds the NG ports of all."""

    @classmethod
    def tearDownClass(cls):
        stop_all()

    def setUp(self):
        # The proxy has to see that the connections of the test before are closed, or it sends by one of them.
        time.sleep(0.1)
        self.pbx = UdpPeer(self.ports.phone_sip, self.ports.kamailio_udp)
        self.addCleanup(self.pbx.close)
        self.new_call(f"outgoing:wacid.{token()}==")
        self.listener = self.meta = None

    def new_call(self, call_id):
        self.call_id = self.pbx.call_id = call_id

    def listen_as_meta(self, certificate=None):
        self.listener = TlsListener(self.ports.meta_tls, *(certificate or self.meta_certificate))
        self.addCleanup(self.listener.close)

    def assert_pbx_is_hidden(self, message):
        """Nothing but the Via, in a request, says where the PBX is."""
        for name, value in message.headers:
            if name.lower() != "via":
                for word in (f"127.0.0.1:{self.pbx.port}", f"127.0.0.1:{self.ports.kamailio_udp}", "A PBX"):
                    self.assertNotIn(word, value, name)

    def assert_relay_is_empty(self):
        deadline = time.monotonic() + 3
        while self.relay.calls() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.relay.calls(), [])

    # A call from Meta, step by step.

    def connect_as_meta(self):
        self.meta = TlsPeer.connect(self.ports.kamailio_tls, self.authority.certificate, SIP_HOST)
        self.addCleanup(self.meta.close)

    def meta_request(self, method, cseq, uri, headers=(), to_tag="", body="", branch=None):
        content = [("Content-Type", "application/sdp")] if body else []
        return Message(f"{method} {uri} SIP/2.0", [
            ("Via", f"SIP/2.0/TLS [2803:6080::1]:8191;branch=z9hG4bK{branch or token()};alias"),
            ("From", f'"{USER}" <sip:+{USER}@wa.meta.vc>;tag=meta'),
            ("To", f"<sip:+{self.number}@{SIP_HOST}>" + to_tag),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Max-Forwards", "64"),
            ("Contact", f"<sip:+{USER}@wa.meta.vc;transport=tls;ob>;isfocus"),
        ] + list(headers) + content, body)

    def meta_invites(self, sdp=META_OFFER, number=NUMBER, user_parameters="", credentials=None, headers=(),
                     routes=(OUTER_PROXY, INNER_PROXY)):
        """INVITE, 407, INVITE with credentials. Leaves the second INVITE in self.invite."""
        self.connect_as_meta()
        self.number = number
        uri = f"sip:+{number}{user_parameters}@{SIP_HOST}:{self.ports.kamailio_tls};transport=tls"
        headers = [("Record-Route", route) for route in routes] + list(headers)
        first = self.meta_request("INVITE", 1, uri, headers, body=sdp)
        self.meta.send(first)
        challenge = self.meta.receive()
        self.assertEqual(challenge.status, 407, challenge)
        user, password = credentials or (number, (NUMBERS | {LIMITED_NUMBER: LIMITED})[number][0])
        # Meta's digest uri lacks ;transport=tls.
        fields = {**challenge_fields(challenge.get("Proxy-Authenticate")), "nc": "00000001", "cnonce": "abcd",
                  "uri": f"sip:+{number}@{SIP_HOST}"}
        answer = digest_response(user, password, fields, "INVITE")
        self.invite = self.meta_request("INVITE", 2, uri, headers + [(
            "Proxy-Authorization",
            f'Digest username="{user}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", '
            f'uri="{fields["uri"]}", response="{answer}", algorithm=MD5, cnonce="abcd", qop=auth, nc=00000001')],
            body=sdp)
        self.meta.send(self.invite)

    def pbx_answers(self, invite, status=200, phrase="OK", body=PBX_SDP, headers=()):
        self.pbx.send(invite.reply(status, phrase, "pbx", [
            ("Contact", f"<sip:agent@127.0.0.1:{self.pbx.port}>")] + list(headers), body))

    def meta_acknowledges(self, answer):
        self.meta.send(self.in_dialog_of_meta("ACK", 2, answer))
        self.assertEqual(self.pbx.receive().method, "ACK")

    def in_dialog_of_meta(self, method, cseq, answer, headers=()):
        routes = [route for route in answer.all("Record-Route") if SIP_HOST in route]
        return self.meta_request(method, cseq, answer.contact_uri(),
                                 [("Route", route) for route in routes] + list(headers), to_tag=";tag=pbx")

    def establish_user_initiated(self, sdp=META_OFFER, number=NUMBER):
        self.meta_invites(sdp, number)
        invite = self.pbx.receive()
        self.pbx_answers(invite)
        answer = self.meta.final()
        self.assertEqual(answer.status, 200, answer)
        self.meta_acknowledges(answer)
        return invite, answer

    # A call from the PBX, step by step.

    def pbx_invites(self, number=NUMBER, to=f"+{USER}", headers=(), body=PBX_SDP):
        self.new_call(token())
        self.invite = Message(f"INVITE sip:{to}@127.0.0.1:{self.ports.kamailio_udp} SIP/2.0", [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{self.pbx.port};branch=z9hG4bK{token()}"),
            ("From", f'"Agent" <sip:+{number}@pbx.example>;tag=pbx'),
            ("To", f"<sip:{to}@127.0.0.1>"),
            ("Call-ID", self.call_id),
            ("CSeq", "10 INVITE"),
            ("Max-Forwards", "70"),
            ("Contact", f"<sip:agent@127.0.0.1:{self.pbx.port}>"),
        ] + list(headers) + [("Content-Type", "application/sdp")], body)
        self.pbx.send(self.invite)

    def meta_challenges(self, invite, *algorithms):
        self.meta.send(invite.reply(407, "Proxy Authentication Required", "m0", [(
            "Proxy-Authenticate",
            f'Digest realm="wa.meta.vc", nonce="0123456789abcdef", opaque="fedcba9876543210", algorithm={algorithm}, '
            'qop="auth"') for algorithm in algorithms or ["MD5"]]))
        self.assertEqual(self.meta.receive().method, "ACK")

    def meta_gets_authorised_invite(self, *algorithms):
        """First INVITE, challenge, second INVITE; returns both."""
        if self.meta is None:  # later calls of a test come by the same connection
            self.meta = self.listener.accept()
            self.addCleanup(self.meta.close)
        first = self.meta.receive()
        self.meta_challenges(first, *algorithms)
        return first, self.meta.receive()

    def pbx_acknowledges(self, final):
        self.pbx.send(Message(self.invite.first.replace("INVITE", "ACK"), [
            ("To", final.get("To")) if name == "To" else ("CSeq", "10 ACK") if name == "CSeq" else (name, value)
            for name, value in self.invite.headers if name in ("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards")]))

    def in_dialog_of_pbx(self, method, cseq, uri, routes, own, other, headers=(), body="", branch=None):
        content = [("Content-Type", "application/sdp")] if body else []
        return Message(f"{method} {uri} SIP/2.0", [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{self.pbx.port};branch=z9hG4bK{branch or token()}"),
            *[("Route", route) for route in routes],
            ("From", own), ("To", other), ("Call-ID", self.call_id), ("CSeq", f"{cseq} {method}"),
            ("Max-Forwards", "70"), ("Contact", f"<sip:agent@127.0.0.1:{self.pbx.port}>"),
        ] + list(headers) + content, body)


def without_name(address):
    """From or To without the display name, which is no part of a dialog (RFC 3261 section 12): within
    a call Kamailio takes it away and puts it back, OpenSIPS leaves it as it comes."""
    return address[address.index("<"):]


def main():
    """Run the file's cases. RESULTS names a file that gets a line of JSON for each, for matrix.py."""
    stop_all_at_exit()
    if reason := PROXY == "opensips" and opensips.why_not():
        print(f"skipped: {reason}")
        return
    unittest.main(verbosity=2, testRunner=unittest.TextTestRunner(verbosity=2, resultclass=Recorder))


class Recorder(unittest.TextTestResult):
    """Notes down what became of each case while it is told as usual."""

    outcome, why = "pass", ""

    def startTest(self, test):
        self.began, self.outcome, self.why = time.monotonic(), "pass", ""
        super().startTest(test)

    def stopTest(self, test):
        self.note(test.id().split(".", 1)[1], time.monotonic() - self.began)
        super().stopTest(test)

    def addError(self, test, error):
        self.failed(error)
        super().addError(test, error)
        if not isinstance(test, unittest.TestCase):  # setUpClass failed: no case of the class is begun
            self.note(test.id(), 0)

    def addFailure(self, test, error):
        self.failed(error)
        super().addFailure(test, error)

    def addSubTest(self, test, subtest, error):
        if error:
            self.failed(error, str(subtest).split(") ")[-1] + " ")
        super().addSubTest(test, subtest, error)

    def addSkip(self, test, reason):
        self.outcome, self.why = "skip", reason
        super().addSkip(test, reason)

    def failed(self, error, where=""):
        self.outcome = "FAIL"
        self.why = self.why or where + f"{error[0].__name__}: {error[1]}".splitlines()[0][:200]

    def note(self, case, seconds):
        if path := os.environ.get("RESULTS"):
            with open(path, "a") as file:
                json.dump({"case": case, "outcome": self.outcome, "why": self.why, "seconds": seconds}, file)
                file.write("\n")
