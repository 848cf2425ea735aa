"""One call with media, as one relay carries it: what two peers send and what reaches them.

The same script runs against both relays; what is compared is the log: how many packets came, of which type, with which
payload and marks, in steps of which size, from which of the relay's ports.
"""

import itertools
import os
import re
import select
import socket
import struct
import time

import recordings
from relays import decoded, encoded

# A listener waits so long for the first packet, has heard everything when nothing came for the second time, and has heard
# enough after the third.
FIRST_SECONDS = 0.4
QUIET_SECONDS = 0.15
LISTEN_SECONDS = 2
PACKETS = 10
PACING_SECONDS = 0.004
COOKIES = itertools.count()
SSRC = {"caller": 0x11111111, "callee": 0x22222222, "monitor": 0x33333333}


class Peer:
    """One end: a pair of sockets, and a second pair for what comes from elsewhere."""

    def __init__(self, name, host):
        self.name, self.host = name, host
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.rtp, self.rtcp = self.pair()
        self.other = None
        self.sequence, self.timestamp = 1000, 50000
        # Where the relay wants media, from its description; which protection to apply, if any.
        self.relay = None
        self.protect = self.unprotect = None

    def pair(self):
        """Two sockets on ports that follow one another."""
        for _ in range(200):
            first = socket.socket(self.family, socket.SOCK_DGRAM)
            first.bind((self.host, 0))
            port = first.getsockname()[1]
            second = socket.socket(self.family, socket.SOCK_DGRAM)
            try:
                if port % 2 == 0:
                    second.bind((self.host, port + 1))
                    return first, second
            except OSError:
                pass
            first.close()
            second.close()
        raise RuntimeError(f"no two free ports on {self.host}")

    @property
    def port(self):
        return self.rtp.getsockname()[1]

    def elsewhere(self):
        self.other = self.other or self.pair()
        return self.other

    def sockets(self):
        return [self.rtp, self.rtcp, *(self.other or ())]

    def close(self):
        for one in self.sockets():
            one.close()


class Call:
    """A call through one relay. Its methods are the verbs of the scripts."""

    def __init__(self, relay, name, families=("4", "4"), patience=1):
        self.relay, self.patience = relay, patience
        self.call_id = f"media {name} {os.getpid()} {patience}"
        self.ng = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.ng.connect(relay.address)
        hosts = [f"{relay.prefix}{number}" if family == "4" else "::1" for number, family in zip((101, 102), families)]
        self.caller, self.callee = Peer("caller", hosts[0]), Peer("callee", hosts[1])
        # Who listens without taking part, if anybody does.
        self.monitor = None
        self.log = []

    def close(self):
        self.ask({"command": "delete", "delete-delay": 0})
        for end in (self.ng, *self.peers()):
            end.close()

    def peers(self):
        return [peer for peer in (self.caller, self.callee, self.monitor) if peer]

    # Signalling.

    def ask(self, request):
        """One exchange; the reply."""
        payload = encoded({"call-id": self.call_id, **request}, False)
        cookie = f"{os.getpid()}_media_{next(COOKIES)}".encode()
        for _ in range(5):
            self.ng.send(cookie + b" " + payload)
            if select.select([self.ng], [], [], 1.0)[0]:
                reply = self.ng.recv(65535)
                if reply.startswith(cookie + b" "):
                    return decoded(reply.split(b" ", 1)[1])
        return {"result": "(no reply)"}

    def order(self, request):
        """An exchange of which only the outcome is noted."""
        reply = self.ask(request)
        self.log.append(f"{request['command']}: {reply.get('result')} {reply.get('error-reason', '')}".rstrip())

    def offer(self, media=None, by="caller", **flags):
        self.describe("offer", by, media, flags)

    def answer(self, media=None, by="callee", to="callee", **flags):
        self.describe("answer", by, media, flags, to)

    def describe(self, command, by, media, flags, to="callee"):
        """Sends a description of `by`, and remembers where the relay told the other to send."""
        sender = getattr(self, by)
        other = self.callee if sender is self.caller else self.caller
        text = description(sender, media or AUDIO)
        if command == "offer":
            tags = {"from-tag": by} if by == "caller" and self.callee.relay is None else {"from-tag": by, "to-tag": other.name}
            tags = {"from-tag": by} if self.caller.relay is None else tags
        else:
            tags = {"from-tag": other.name, "to-tag": to}
        reply = self.ask({"command": command, "sdp": text, **tags, **{key.replace("_", "-"): value for key, value in flags.items()}})
        if reply.get("result") != "ok":
            self.log.append(f"{command}: {reply.get('result')} {reply.get('error-reason', '')}")
            return
        other.relay = ports_of(reply["sdp"])
        other.description = reply["sdp"]

    def subscribe(self, media=None, answer=None, **flags):
        """A third party listens: to the caller, or to whom the keys name. It takes `media`, or what everybody else does, and
        `answer` is said beside that."""
        self.monitor = Peer("monitor", f"{self.relay.prefix}103")
        keys = {key.replace("_", "-"): value for key, value in flags.items()}
        reply = self.ask({"command": "subscribe request", "to-tag": "monitor", **keys})
        if reply.get("result") != "ok":
            self.log.append(f"subscribe request: {reply.get('result')} {reply.get('error-reason', '')}")
            return
        self.monitor.relay, self.monitor.description = ports_of(reply["sdp"]), reply["sdp"]
        media = [*(media or AUDIO), "a=recvonly"] * len(self.monitor.relay)
        # A second section has ports of its own, which nobody has here: what comes there comes to the first.
        text = description(self.monitor, media)
        self.order({"command": "subscribe answer", "to-tag": "monitor", "sdp": text, **(answer or {})})

    # Media.

    def send(self, by, count=PACKETS, payload_type=0, elsewhere=False, marker=(0,), size=160, step=160, section=0, raw=None,
             header=b"", first_byte=0x80, tail=b"", pace=PACING_SECONDS):
        """Packets of RTP, or `raw` as it is."""
        peer = getattr(self, by)
        sock = peer.elsewhere()[0] if elsewhere else peer.rtp
        if not peer.relay or not peer.relay[section]["port"]:
            return
        target = (peer.relay[section]["host"], peer.relay[section]["port"])
        for number in range(count):
            packet = raw
            if raw is None:
                mark = 0x80 if number in marker else 0
                packet = struct.pack("!BBHII", first_byte, payload_type | mark, peer.sequence & 0xffff, peer.timestamp,
                                     SSRC[by]) + header + payload(by, number, size) + tail
                peer.sequence, peer.timestamp = peer.sequence + 1, peer.timestamp + step
                packet = peer.protect(packet) if peer.protect else packet
            sock.sendto(packet, target)
            time.sleep(pace)

    def send_rtcp(self, by, packet=None, on_rtp_port=False, section=0, elsewhere=False):
        """A sender report with a name, or `packet`."""
        peer = getattr(self, by)
        if not peer.relay or not peer.relay[section]["port"]:
            return
        there = peer.relay[section]
        sock = peer.rtp if on_rtp_port else peer.elsewhere()[1] if elsewhere else peer.rtcp
        port = there["port"] if on_rtp_port or there["mux"] else there["rtcp"]
        sock.sendto(packet or sender_report(by), (there["host"], port))
        time.sleep(PACING_SECONDS)

    def talk(self, **options):
        """Both send, and what came is noted."""
        for by in ("caller", "callee"):
            self.send(by, **options)
        self.listen()

    def talk_and_report(self, on_rtp_port=False):
        for by in ("caller", "callee"):
            self.send(by)
            self.send_rtcp(by, on_rtp_port=on_rtp_port)
        self.listen()

    def listen(self, title=""):
        """Notes what came to both since the last time."""
        came = {}
        deadline, end = time.monotonic() + LISTEN_SECONDS, time.monotonic() + FIRST_SECONDS * self.patience
        places = {one: (peer, kind) for peer in self.peers()
                  for one, kind in zip(peer.sockets(), ("RTP", "RTCP", "RTP elsewhere", "RTCP elsewhere"))}
        while time.monotonic() < min(deadline, end):
            for one in select.select(list(places), [], [], 0.02)[0]:
                packet, source = one.recvfrom(65535)
                peer, kind = places[one]
                came.setdefault((peer.name, kind), []).append((packet, source))
                end = time.monotonic() + QUIET_SECONDS * self.patience
        for peer in self.peers():
            for kind in ("RTP", "RTCP", "RTP elsewhere", "RTCP elsewhere"):
                packets = came.get((peer.name, kind), [])
                self.log += [f"{title}{peer.name} {kind}: {line}" for line in self.told(peer, packets)]

    def told(self, peer, packets):
        """What is to be said about the packets that came to one socket."""
        speaker = "callee" if peer is self.caller else "caller"
        if peer is self.monitor:
            return self.told_by_source(peer, packets)
        return self.told_of(peer, packets, speaker)

    def told_by_source(self, peer, packets):
        """What came to a monitor, apart for each port of the relay that it came from."""
        groups = {}
        for packet, source in packets:
            groups.setdefault(self.port_name(peer, source), []).append((packet, source))
        spoken = lambda group: next((name for name in SSRC for packet, _ in group if f"{name} ".encode() in packet), "caller")
        return [line for _, group in sorted(groups.items()) for line in self.told_of(peer, group, spoken(group))]

    def told_of(self, peer, packets, speaker):
        kinds = {}
        for packet, source in packets:
            is_rtcp = len(packet) > 1 and packet[0] >> 6 == 2 and 192 <= packet[1] <= 223
            is_rtp = len(packet) >= 12 and packet[0] >> 6 == 2 and not is_rtcp
            if is_rtp and peer.unprotect:
                packet = peer.unprotect(packet)
                is_rtp = packet is not None
            kinds.setdefault("RTP" if is_rtp else "RTCP" if is_rtcp else "other", []).append((packet, source))
        lines = []
        for kind, group in kinds.items():
            sources = sorted({self.port_name(peer, source) for _, source in group})
            lines.append(f"{len(group)} of {kind} from {', '.join(sources)}")
            if kind == "RTP":
                lines += rtp_lines([packet for packet, _ in group], speaker)
            elif kind == "RTCP":
                lines += [f"RTCP {rtcp_words(packet, speaker)}" for packet, _ in group]
            else:
                lines += sorted({f"other {packet[:8].hex() if packet else None} {len(packet or b'')} bytes" for packet, _ in group})
        return lines

    def port_name(self, peer, source):
        for index, section in enumerate(peer.relay or []):
            if source[1] == section["port"]:
                return f"its port of section {index}"
            if source[1] == section["rtcp"]:
                return f"its RTCP port of section {index}"
        return "another port"

    # Recordings.

    def note_recordings(self):
        """What is in the files about this call, once it is over."""
        self.ask({"command": "delete", "delete-delay": 0})
        # A relay writes beside its media, so a file may appear only after the reply; without one there is nothing to wait for but the time.
        deadline = time.monotonic() + LISTEN_SECONDS * self.patience
        while time.monotonic() < deadline and not recordings.are_done(self.relay.spool, self.call_id):
            time.sleep(0.02)
        places = {}
        for peer in (self.caller, self.callee):
            for one, kind in zip(peer.sockets(), ("RTP", "RTCP", "RTP elsewhere", "RTCP elsewhere")):
                places[one.getsockname()[1]] = f"{peer.name} {kind}"
            for index, section in enumerate(peer.relay or []):
                places.setdefault(section["port"], f"port of section {index} for {peer.name}")
                places.setdefault(section["rtcp"], f"RTCP port of section {index} for {peer.name}")
        self.log += recordings.told(self.relay.spool, self.call_id, places)


AUDIO = ["m=audio {port} RTP/AVP 0 8 101", "a=rtpmap:101 telephone-event/8000"]


def description(peer, media):
    """`media` are lines in which {port}, {rtcp} and {host} stand for the peer's."""
    version = "IP6" if ":" in peer.host else "IP4"
    values = {"port": peer.port, "rtcp": peer.port + 1, "host": peer.host}
    lines = ["v=0", f"o={peer.name} 1 1 IN {version} {peer.host}", "s=-", f"c=IN {version} {peer.host}", "t=0 0"]
    return "".join(line.format(**values) + "\r\n" for line in lines + media)


def ports_of(sdp):
    """Where each section of a description wants its media."""
    head, *sections = re.split(r"^(?=m=)", sdp.replace("\r\n", "\n"), flags=re.M)
    found = []
    for section in sections:
        port = int(section.split(" ")[1])
        host = re.search(r"^c=IN IP\d (\S+)", section, flags=re.M) or re.search(r"^c=IN IP\d (\S+)", head, flags=re.M)
        rtcp = re.search(r"^a=rtcp:(\d+)", section, flags=re.M)
        found.append({"host": host[1], "port": port, "rtcp": int(rtcp[1]) if rtcp else port + 1, "mux": "a=rtcp-mux" in section})
    return found


def payload(by, number, size):
    return (f"{by} {number} ".encode() * size)[:size]


def sender_report(by):
    words = struct.pack("!BBHIIIIII", 0x80, 200, 6, SSRC[by], 0xE0000000, 0, 50000, 10, 1600)
    name = by.encode()
    chunk = struct.pack("!IBB", SSRC[by], 1, len(name)) + name
    chunk += b"\0" * (4 - len(chunk) % 4)
    return words + struct.pack("!BBH", 0x81, 202, len(chunk) // 4) + chunk


def rtp_lines(packets, speaker):
    """Types, marks, payloads and steps of the packets of one stream, in the order they came."""
    heads = [struct.unpack("!BBHII", packet[:12]) for packet in packets]
    types = sorted({head[1] & 0x7f for head in heads})
    marks = [number for number, head in enumerate(heads) if head[1] & 0x80]
    steps = sorted({(later[2] - earlier[2]) & 0xffff for earlier, later in zip(heads, heads[1:])})
    times = sorted({(later[3] - earlier[3]) & 0xffffffff for earlier, later in zip(heads, heads[1:])})
    streams = sorted({"as sent" if head[4] == SSRC[speaker] else "another" for head in heads})
    starts = sorted({f"{head[0]:02x}" for head in heads})
    as_sent = sum(f"{speaker} ".encode() in packet for packet in packets)
    return [f"payload types {types}, marked {marks}, first byte {starts}", f"steps of sequence {steps} and timestamp {times}",
            f"SSRC {streams}", f"lengths {sorted({len(packet) for packet in packets})}", f"{as_sent} payloads as sent"]


def rtcp_words(packet, speaker):
    """The types in a compound packet and whose SSRC each names."""
    words = []
    while len(packet) >= 8:
        kind, length = packet[1], 4 * (struct.unpack("!H", packet[2:4])[0] + 1)
        ssrc = struct.unpack("!I", packet[4:8])[0]
        words.append(f"{kind} of {'the sender' if ssrc == SSRC[speaker] else 'another'}")
        packet = packet[length:]
    return ", ".join(words)
