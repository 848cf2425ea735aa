#!/usr/bin/env python3
"""The same call, with the same RTP and RTCP, through Debian's rtpengine and through tandem: do both give the same figures?

Two phones talk for some seconds. One of them loses packets; both send sender reports with known loss and jitter, and answer
reports as if they were known distances away. Then `query`, `statistics` and `/metrics` of both relays are compared: every key
and every metric that rtpengine has must be in ours with the same type, and the figures must agree within the tolerances below.

Exit status 0: no difference; 1: differences, one a line; skipped with a reason when one of the two is not installed.
"""

import argparse
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "demo"))
sys.path.insert(0, os.path.join(HERE, "differential"))

from processes import Part, PartFailed  # noqa: E402
from relay import bdecode, bencode  # noqa: E402
from relays import NG_PORT, reserved_network  # noqa: E402

HTTP_PORT = 2225
SECONDS = 8
FRAME = 0.02
# By key: how far two figures may be apart. Round trips are in microseconds and contain how promptly this script is woken.
TOLERANCES = {"MOS": 1, "samples": 2, "round-trip time": 25000, "round-trip time leg": 25000, "jitter": 1, "packet loss": 0,
              "cumulative loss": 0, "packets": 0, "bytes": 0, "errors": 0}
# Keys of rtpengine that have no counterpart, with the reason.
INTENDED = {
    r"statistics/intervalstatistics/.*": "versions after 10.5 have it only with Graphite, which we do not speak",
    r"statistics/interfaces/\d+/ports/last": "the last port taken; versions after 10.5 have no such key",
}
CALLER, CALLEE = 0x11111111, 0x22222222
# What each phone reports: loss in 256ths, jitter in units of 125 us, and how far it is away in seconds.
REPORTS = {CALLER: (10, 80, 0.02), CALLEE: (26, 160, 0.03)}


class Phone:
    """One end of a call: RTP and RTCP sockets, an SSRC, the last sender report it heard."""

    def __init__(self, address, ssrc):
        self.address, self.ssrc, self.heard, self.target, self.packets = address, ssrc, None, None, 0
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((address, 40000))
        self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtcp.bind((address, 40001))

    def description(self):
        return (f"v=0\r\no=- 1 1 IN IP4 {self.address}\r\ns=-\r\nc=IN IP4 {self.address}\r\nt=0 0\r\n"
                "m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")

    def follow(self, description):
        """Sends where the relay's description says."""
        address = re.search(r"^c=IN IP4 (\S+)", description, re.M)[1]
        self.target = (address, int(re.search(r"^m=audio (\d+)", description, re.M)[1]))

    def speak(self, number):
        self.packets += 1
        header = struct.pack("!BBHII", 0x80, 8, number & 0xffff, number * 160, self.ssrc)
        self.rtp.sendto(header + b"\xd5" * 160, self.target)

    def report(self, number):
        now = time.time() + 2208988800
        seconds, fraction = int(now), int(now % 1 * 2**32)
        body = struct.pack("!IIIIII", self.ssrc, seconds, fraction, number * 160, self.packets, self.packets * 160)
        count = 0
        if self.heard:
            about, last_sr, at = self.heard
            lost, jitter, distance = REPORTS[self.ssrc]
            delay = max(0, int((time.monotonic() - at - distance) * 65536))
            body += struct.pack("!IIIIII", about, lost << 24 | number // 20, number, jitter, last_sr, delay)
            count = 1
        packet = struct.pack("!BBH", 0x80 | count, 200, len(body) // 4) + body
        self.rtcp.sendto(packet, (self.target[0], self.target[1] + 1))

    def hear(self):
        packet = self.rtcp.recv(2048)
        if len(packet) >= 28 and packet[1] == 200:
            ssrc, seconds, fraction = struct.unpack("!III", packet[4:16])
            self.heard = (ssrc, (seconds & 0xffff) << 16 | fraction >> 16, time.monotonic())


class Relay:
    """One of the two, with the phones of its call."""

    def __init__(self, kind, binary, number, run):
        self.kind, prefix = kind, f"127.0.{number}."
        self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.control.connect((prefix + "1", NG_PORT))
        self.http = f"http://{prefix}1:{HTTP_PORT}/metrics"
        self.phones = [Phone(prefix + "10", CALLER), Phone(prefix + "11", CALLEE)]
        self.part = Part(f"quality-{kind}", [
            binary, "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=5", "--delete-delay=0",
            f"--listen-ng={prefix}1:{NG_PORT}", f"--listen-http={prefix}1:{HTTP_PORT}", f"--interface={prefix}1",
            "--port-min=20000", "--port-max=20999"], run)
        self.part.wait_until(lambda: self.is_up())

    def is_up(self):
        try:
            return self.ask(command="ping", patience=0.2).get("result") == "pong"
        except OSError:
            return False

    def ask(self, patience=2.0, **request):
        cookie = b"%d_%f" % (os.getpid(), time.monotonic())
        payload = {key.replace("_", "-"): value for key, value in request.items()}
        self.control.settimeout(patience)
        self.control.send(cookie + b" " + bencode(payload))
        while not (reply := self.control.recv(65535)).startswith(cookie + b" "):
            pass
        return bdecode(reply[len(cookie) + 1:])

    def call(self):
        caller, callee = self.phones
        common = {"call_id": "quality", "from_tag": "a", "flags": ["trust-address"], "replace": ["origin"]}
        callee.follow(self.ask(command="offer", sdp=caller.description(), label="caller", **common)["sdp"])
        caller.follow(self.ask(command="answer", sdp=callee.description(), to_tag="b", label="callee", **common)["sdp"])

    def page(self):
        """The page for Prometheus; None when there is no such server."""
        try:
            return urllib.request.urlopen(self.http, timeout=2).read().decode()
        except (urllib.error.URLError, OSError):
            return None

    def metrics(self):
        """The samples by series; None when there is no such server."""
        page = self.page()
        if page is None:
            return None
        samples = {}
        for line in page.splitlines():
            if not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                series = re.sub(r"127\.0\.\d+\.\d+", "ADDRESS", re.sub(r'proxy="[^"]*"', 'proxy="PROXY"', series))
                samples[series] = float(value)
        return samples


def talk(relays):
    """Both relays at the same time, so that the machine's moods befall both."""
    sockets = {phone.rtcp: phone for relay in relays for phone in relay.phones}
    begin = time.monotonic()
    for number in range(int(SECONDS / FRAME)):
        for relay in relays:
            caller, callee = relay.phones
            if number % 20 != 7:
                caller.speak(number)
            callee.speak(number)
            if number % 55 == 25:
                caller.report(number)
                callee.report(number)
        while (left := begin + (number + 1) * FRAME - time.monotonic()) > 0:
            for ready in select.select(list(sockets), [], [], left)[0]:
                sockets[ready].hear()


def leaves(value, path=""):
    """Every leaf of a reply by its path; what differs by chance between two relays is masked."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}/{key}" if path else key)
    elif isinstance(value, list) and not path.endswith("flags"):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}/{index}")
    else:
        yield path, value


def differences(reference, ours, prefix):
    """What is in rtpengine's reply and not in ours, or other there."""
    ours = dict(leaves(ours, prefix))
    for path, value in leaves(reference, prefix):
        if any(re.fullmatch(pattern, path) for pattern in INTENDED) or "MOS progression/entries" in path:
            continue
        if path not in ours:
            yield f"missing: {path} = {value}"
            continue
        own, key = ours[path], path.rsplit("/", 1)[-1]
        if isinstance(value, str) and re.fullmatch(r"\d+\.\d{6}", value):
            if not re.fullmatch(r"\d+\.\d{6}", str(own)):
                yield f"no fraction: {path} = {own}"
        elif type(own) is not type(value):
            yield f"another type: {path} = {own!r}, not {value!r}"
        elif key in TOLERANCES and abs(own - value) > TOLERANCES[key]:
            yield f"another figure: {path} = {own}, not {value}"


def compared_statistics(reference, ours):
    """Figures of `statistics` after the call: exact where packets are counted, near where quality is."""
    for path, tolerance in [("totalstatistics/relayedpackets", 0), ("totalstatistics/relayedbytes", 0),
                            ("totalstatistics/managedsessions", 0), ("totalstatistics/regularterminatedsessions", 0),
                            ("totalstatistics/zerowaystreams", 0), ("totalstatistics/onewaystreams", 0),
                            ("totalstatistics/avgcallduration", 0.5), ("mos/mos_samples_total", 2),
                            ("mos/mos_average", 0.1), ("mos/mos_stddev", 0.1),
                            ("controlstatistics/totaloffercount", 0), ("controlstatistics/totalanswercount", 0)]:
        group, key = path.split("/")
        expected, own = float(reference[group][key]), float(ours[group][key])
        if abs(expected - own) > tolerance:
            yield f"another figure: statistics/{path} = {own}, not {expected}"


def compared_metrics(reference, ours):
    for series, value in reference.items():
        if series not in ours:
            yield f"missing: {series}"
        elif re.match(r"rtpengine_(packets|bytes|sessions|closed_sessions)_total", series) and ours[series] != value:
            yield f"another figure: {series} = {ours[series]}, not {value}"


def complaints(page):
    """What Prometheus' own checker says of our page. It dislikes names that we inherit, and those are not ours to change."""
    promtool = shutil.which("promtool")
    if not promtool:
        print("quality: page not checked with promtool: it is not installed (apt install prometheus)")
        return
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True)
    for line in (checked.stdout + checked.stderr).splitlines():
        if not line.startswith("rtpengine_"):
            yield f"promtool: {line}"


def run(options, rtpengine, tandem):
    first, locks = reserved_network()
    os.makedirs(options.run, exist_ok=True)
    relays = [Relay("rtpengine", rtpengine, first, options.run), Relay("tandem", tandem, first + 1, options.run)]
    found = []
    try:
        for relay in relays:
            relay.call()
        talk(relays)
        time.sleep(0.2)
        found += differences(*(relay.ask(command="query", call_id="quality") for relay in relays), "query")
        for relay in relays:
            relay.ask(command="delete", call_id="quality")
        time.sleep(1.5)
        reference, ours = (relay.ask(command="statistics")["statistics"] for relay in relays)
        found += differences(reference, ours, "statistics")
        found += compared_statistics(reference, ours)
        pages = [relay.metrics() for relay in relays]
        if None in pages:
            print(f"quality: /metrics not compared: {relays[pages.index(None)].kind} does not answer on {HTTP_PORT}")
        else:
            found += compared_metrics(*pages)
            found += complaints(relays[1].page())
    finally:
        for relay in relays:
            relay.part.stop()
        locks.close()
    return found


def main():
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "..", "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=os.path.abspath(target), help="where cargo builds")
    parser.add_argument("--run", default=os.path.abspath(os.path.join(HERE, "..", "..", ".run", "interop")), help="logs")
    options = parser.parse_args()
    rtpengine = os.environ.get("RTPENGINE") or shutil.which("rtpengine")
    tandem = os.path.abspath(os.path.join(options.target, "debug", "tandem"))
    if not rtpengine:
        print("quality: skipped: rtpengine is not installed (apt install rtpengine-daemon)")
        return 0
    if not os.path.exists(tandem):
        print(f"quality: {tandem} is missing: cargo build -p relay")
        return 1
    try:
        found = run(options, rtpengine, tandem)
        if found:
            # A machine that stands still for a tenth of a second is a round trip to whoever was just being asked.
            print("".join(f"quality: at first: {line}\n" for line in found) + "quality: once more: what stays is a difference")
            found = run(options, rtpengine, tandem)
    except PartFailed as failure:
        print(f"quality: {failure}")
        return 1
    for line in found:
        print(f"quality: {line}")
    print(f"quality: {len(found)} differences between rtpengine and tandem in query, statistics and metrics")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
