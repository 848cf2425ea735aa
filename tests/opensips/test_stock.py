#!/usr/bin/env python3
"""Stock OpenSIPS configurations with rtpengine, and unchanged with tandem: both ends must see the same.

A proxy with the `rtpengine` module and one with `rtp_relay` place plain calls between two small
peers that send real RTP. What the peers saw is compared, with addresses and ports named by their
order. TANDEM names the program (target/debug/tandem by default), OPENSIPS the proxy.
"""

import os
import re
import shutil
import socket
import struct
import sys
import time
import unittest
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path[:0] = [os.path.join(HERE, "..", "demo"), os.path.join(HERE, "..", "kamailio")]

import opensips  # noqa: E402
from peers import Message, UdpPeer, token  # noqa: E402
from processes import free_base_port, stop_all, stop_all_at_exit  # noqa: E402
from relay import Relay  # noqa: E402

RELAYS = {
    "rtpengine": shutil.which("rtpengine"),
    "tandem": os.path.abspath(os.environ.get("TANDEM", os.path.join(ROOT, "target", "debug", "tandem"))),
}
PACKETS = 25

# Name of the case: configuration, and the words that it is filled with.
REPLACE = "replace-origin replace-session-connection"
CASES = {
    "plain": ("stock-rtpengine.cfg", {"OFFER": REPLACE, "ANSWER": REPLACE}),
    "two interfaces": ("stock-rtpengine.cfg", {
        "OFFER": f"trust-address {REPLACE} ICE=remove in-iface=pub out-iface=priv",
        "ANSWER": f"trust-address {REPLACE} ICE=remove in-iface=priv out-iface=pub"}),
    "codecs taken away": ("stock-rtpengine.cfg", {
        "OFFER": f"{REPLACE} codec-strip-PCMA rtcp-mux-demux SIP-source-address", "ANSWER": REPLACE}),
    "rtp_relay": ("stock-rtp_relay.cfg", {"CALLER": "replace-origin", "CALLEE_FLAGS": "replace-origin"}),
}


def description(port, version=1, direction="sendrecv"):
    return "\r\n".join([
        "v=0", f"o=- 4711 {version} IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
        f"m=audio {port} RTP/AVP 8 0 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=ptime:20", f"a={direction}", ""])


class Party(UdpPeer):
    """A SIP peer with one RTP port."""

    def __init__(self, sip_port, proxy_port, rtp_port):
        super().__init__(sip_port, proxy_port)
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind(("127.0.0.1", rtp_port))
        self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtcp.bind(("127.0.0.1", rtp_port + 1))
        self.rtp_port = rtp_port
        self.far_port = self.far_control_port = None

    def learn(self, body):
        self.far_port = int(re.search(r"m=audio (\d+)", body)[1])
        self.far_control_port = int(re.search(r"a=rtcp:(\d+)", body)[1])

    def speak(self, number, payload_type=0):
        header = bytes([0x80, payload_type]) + number.to_bytes(2, "big") + (number * 160).to_bytes(4, "big")
        ssrc = self.rtp_port.to_bytes(4, "big")
        self.rtp.sendto(header + ssrc + bytes([number]) * 160, ("127.0.0.1", self.far_port))

    def report_sending(self):
        """A sender report (RFC 3550 section 6.4.1) without reception blocks."""
        words = [0x80C80006, self.rtp_port, int(time.time()) + 2208988800, 0, 0, PACKETS, PACKETS * 160]
        self.rtcp.sendto(struct.pack(">7I", *words), ("127.0.0.1", self.far_control_port))

    def report_hearing(self, ssrc):
        """A receiver report about `ssrc`, which answers the sender report that came (section 6.4.2)."""
        self.rtcp.settimeout(1)
        middle = struct.unpack(">H", self.rtcp.recv(2000)[10:12])[0] << 16
        block = [ssrc, 0, PACKETS, 8 * 5, middle, 0]
        self.rtcp.sendto(struct.pack(">8I", 0x81C90007, self.rtp_port, *block),
                         ("127.0.0.1", self.far_control_port))

    def heard(self):
        """The first payload bytes of the packets that came."""
        numbers = []
        self.rtp.settimeout(0.3)
        while True:
            try:
                packet = self.rtp.recv(2000)
            except TimeoutError:
                return numbers
            if packet[1] & 0x7F == 0:
                numbers.append(packet[12])

    def close(self):
        super().close()
        self.rtp.close()
        self.rtcp.close()


@unittest.skipIf(opensips.why_not(), opensips.why_not())
class Stock(unittest.TestCase):
    def tearDown(self):
        stop_all()

    def test_both_ends_see_the_same_with_either_relay(self):
        missing = [name for name, path in RELAYS.items() if not path or not os.access(path, os.X_OK)]
        if missing:
            self.skipTest(f"not there: {', '.join(missing)}")
        print(f"\n{opensips.version()}")
        for case, (config, words) in CASES.items():
            seen = {name: self.one_call(name, case, config, words) for name in RELAYS}
            for topic in seen["rtpengine"]:
                with self.subTest(case=case, topic=topic):
                    self.assertEqual(seen["tandem"][topic], seen["rtpengine"][topic])
            print(f"  {case}: {', '.join(seen['tandem'])} compared")

    def one_call(self, relay_name, case, config, words):
        folder = os.path.abspath(os.path.join(ROOT, ".run", "opensips", relay_name, case.replace(" ", "-")))
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        offsets = SimpleNamespace(proxy=60, caller=61, callee=62, relay_ng=63, caller_rtp=70, callee_rtp=72,
                                  relay_media=200)
        base = free_base_port(vars(offsets).values())
        self.ports = SimpleNamespace(**{name: base + offset for name, offset in vars(offsets).items()})
        relay = Relay(folder, relay_name, RELAYS[relay_name], self.ports)
        proxy = self.start_proxy(folder, config, words)
        caller = Party(self.ports.caller, self.ports.proxy, self.ports.caller_rtp)
        callee = Party(self.ports.callee, self.ports.proxy, self.ports.callee_rtp)
        try:
            seen = self.converse(caller, callee, relay)
            if config == "stock-rtpengine.cfg":
                seen |= self.statistics(proxy)
            return seen
        finally:
            caller.close()
            callee.close()
            proxy.part.stop()
            relay.part.stop()

    def start_proxy(self, folder, config, words):
        with open(os.path.join(HERE, config)) as file:
            text = file.read()
        words = words | {"PROXY": f"127.0.0.1:{self.ports.proxy}", "CALLEE": f"127.0.0.1:{self.ports.callee}",
                         "RELAY": f"127.0.0.1:{self.ports.relay_ng}", "FOLDER": folder}
        for word, value in words.items():
            text = text.replace(f"%{word}%", value)
        path = os.path.join(folder, config)
        with open(path, "w") as file:
            file.write(text)
        return opensips.Proxy(folder, path, self.proxy_answers)

    def proxy_answers(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            probe.connect(("127.0.0.1", self.ports.proxy))
            try:
                probe.send((f"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:"
                            f"{probe.getsockname()[1]};branch=z9hG4bK{token()}\r\nFrom: <sip:a@b>;tag=1\r\n"
                            f"To: <sip:x@127.0.0.1>\r\nCall-ID: {token()}\r\nCSeq: 1 OPTIONS\r\n"
                            "Max-Forwards: 10\r\nContent-Length: 0\r\n\r\n").encode())
                return probe.recv(2000).startswith(b"SIP/2.0")
            except OSError:
                return False

    def converse(self, caller, callee, relay):
        """A whole call: answer, talk, hold, resume, talk, hang-up. Returns what was seen."""
        call_id = caller.call_id = callee.call_id = token()
        target = f"sip:callee@127.0.0.1:{self.ports.proxy}"
        invite = self.request("INVITE", target, 1, call_id, caller, body=description(caller.rtp_port))
        caller.send(invite)
        offered = callee.receive()
        callee.learn(offered.body)
        callee.send(offered.reply(180, "Ringing", "callee"))
        callee.send(self.answer(offered, callee))
        answered = caller.final()
        self.assertEqual(answered.status, 200, answered)
        caller.learn(answered.body)
        routes = [("Route", route) for route in answered.all("Record-Route")]
        contact = answered.contact_uri()

        def within(method, cseq, body=""):
            message = self.request(method, contact, cseq, call_id, caller, body, routes, answered.get("To"))
            caller.send(message)

        within("ACK", 1)
        self.assertEqual(callee.receive().method, "ACK")
        seen = {"offer": masked(offered.body), "answer": masked(answered.body), "talk": self.talk(caller, callee)}

        for cseq, (direction, mirrored) in ((2, ("sendonly", "recvonly")), (3, ("sendrecv", "sendrecv"))):
            within("INVITE", cseq, description(caller.rtp_port, cseq, direction))
            again = callee.receive()
            callee.send(self.answer(again, callee, cseq, mirrored))
            reply = caller.final()
            self.assertEqual(reply.status, 200, reply)
            within("ACK", cseq)
            self.assertEqual(callee.receive().method, "ACK")
            seen[f"re-offer {direction}"] = masked(again.body)
            seen[f"re-answer {direction}"] = masked(reply.body)
            seen[f"same ports after {direction}"] = (
                re.search(r"m=audio (\d+)", again.body)[1] == str(callee.far_port),
                re.search(r"m=audio (\d+)", reply.body)[1] == str(caller.far_port))
        seen["talk after resume"] = self.talk(caller, callee)

        within("BYE", 4)
        bye = callee.receive()
        self.assertEqual(bye.method, "BYE")
        callee.send(bye.reply(200, "OK"))
        self.assertEqual(caller.final().status, 200)
        deadline = time.monotonic() + 3
        while relay.calls() and time.monotonic() < deadline:
            time.sleep(0.05)
        seen["calls left in the relay"] = relay.calls()
        return seen

    def request(self, method, uri, cseq, call_id, party, body="", routes=(), to=None):
        content = [("Content-Type", "application/sdp")] if body else []
        return Message(f"{method} {uri} SIP/2.0", [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{party.port};branch=z9hG4bK{token()}"), *routes,
            ("From", "<sip:caller@127.0.0.1>;tag=caller"), ("To", to or "<sip:callee@127.0.0.1>"),
            ("Call-ID", call_id), ("CSeq", f"{cseq} {method}"), ("Max-Forwards", "70"),
            ("Contact", f"<sip:caller@127.0.0.1:{party.port}>"), *content], body)

    def answer(self, invite, callee, version=1, direction="sendrecv"):
        # A phone answers with formats of the offer (RFC 3264 section 6.1).
        body = description(callee.rtp_port, version, direction)
        if " 8 " not in re.search(r"m=audio .*", invite.body)[0] + " ":
            body = body.replace("RTP/AVP 8 0", "RTP/AVP 0").replace("a=rtpmap:8 PCMA/8000\r\n", "")
        return invite.reply(200, "OK", "callee", [("Contact", f"<sip:callee@127.0.0.1:{callee.port}>")], body)

    def talk(self, caller, callee):
        """Both speak; what each heard of the other."""
        for number in range(PACKETS):
            caller.speak(number)
            callee.speak(number)
            time.sleep(0.01)
        for speaker, listener in ((caller, callee), (callee, caller)):
            speaker.report_sending()
            listener.report_hearing(speaker.rtp_port)
        return callee.heard(), caller.heard()

    def statistics(self, proxy):
        """Which statistics the script could read. Packets counted are compared, measured values only by being there."""
        line = proxy.lines("STATISTICS")[-1].split("|")
        query = proxy.lines("QUERY")[-1]
        packets = re.findall(r'"packets":\s*(\d+)', query)
        return {
            "counters of $rtpstat": re.findall(r"packets:? ?(\d+)", line[0], re.IGNORECASE) or line[0],
            "figures of $rtpstat that are there": [value not in ("", "<null>") for value in line[1:]],
            "packets of $rtpquery that are not zero": sorted(int(p) for p in packets if int(p))[-1:],
        }


def masked(body):
    """The description with addresses as they are and ports by their order; session numbers are random."""
    ports = {}

    def name(found):
        return found[1] + ports.setdefault(found[2], f"port{len(ports) + 1}")

    body = re.sub(r"(m=audio |a=rtcp:)(\d+)", name, body)
    lines = re.sub(r"(?m)^s=.*$", "s=...", body).splitlines()
    # rtpengine 10.5 keeps `c=` where it was, later versions and tandem write it into each section:
    # one place for the comparison (RFC 8866 section 5.7).
    media = next(index for index, line in enumerate(lines) if line.startswith("m="))
    if session := [line for line in lines[:media] if line.startswith("c=")]:
        lines = [line for line in lines if line not in session]
        lines[media:media] = session
    return lines


if __name__ == "__main__":
    stop_all_at_exit()
    unittest.main(verbosity=2)
