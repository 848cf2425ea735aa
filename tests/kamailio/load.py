#!/usr/bin/env python3
"""Many calls at once through the proxy and tandem, each with audio that is heard, and nothing left of them afterwards.

WhatsApp users call at a steady rate: the simulator places the calls and says a tone (G.711, which costs the simulator little;
the relay passes on whatever codec it is), sipp plays the PBX and sends every packet back. A call counts when the user has heard
the own tone for as long as the call lasted: then it has gone through the relay in both directions.

The proxy is the Kamailio on the PATH, or OpenSIPS as for matrix.py.

Exit status: 0 when all of it held, 1 when not, 2 when it could not run.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "demo")]

import opensips  # noqa: E402
from demo import NUMBERS, WHATSAPP_USER, choose_ports, fresh_folder  # noqa: E402
from kamailio import SIP_HOST, Kamailio  # noqa: E402
from processes import Part, stop_all, stop_all_at_exit  # noqa: E402
from relay import Relay  # noqa: E402
from simulator import Simulator  # noqa: E402

PROXIES = {"kamailio": ("Kamailio", Kamailio), "opensips": ("OpenSIPS", opensips.OpenSips)}

TONE_HZ = 700
# A call has to be heard for all but this much of it: keys are agreed meanwhile, and the echo has to come back.
SETTLING_SECONDS = 0.5
TICKS = os.sysconf("SC_CLK_TCK")

SCENARIO = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="PBX that answers and echoes">
  <recv request="INVITE" crlf="true" rrs="true"/>
  <send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[pid]SIPpTag01[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:pbx@[local_ip]:[local_port]>
Content-Length: 0

]]></send>
  <send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]SIPpTag01[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:pbx@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 111 0 126
a=rtpmap:111 opus/48000/2
a=fmtp:111 useinbandfec=1
a=rtpmap:126 telephone-event/8000
a=rtpmap:0 PCMU/8000
a=ptime:20
a=sendrecv

]]></send>
  <recv request="ACK" crlf="true"/>
  <recv request="BYE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"""


def main():
    options = parse_options()
    if reason := options.proxy == "opensips" and opensips.why_not():
        print(reason)
        return 2
    stop_all_at_exit()
    try:
        return run(options)
    finally:
        stop_all()


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", default=os.path.join(ROOT, "target", "release"))
    parser.add_argument("--proxy", choices=list(PROXIES), default="kamailio")
    parser.add_argument("--rate", type=int, default=50, help="calls a second")
    parser.add_argument("--talk", type=float, default=4.0, help="seconds of each call")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long new calls begin")
    parser.add_argument("--keys", choices=["DTLS", "SDES"], default="DTLS")
    return parser.parse_args()


def run(options):
    # All parts share the machine with whatever else runs: the verdict is on them only where that is little.
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    folder = fresh_folder(os.path.join(ROOT, ".run", "load"))
    ports = choose_ports()
    ports.relay_media = 40000
    number, (password, _) = next((number, settings) for number, settings in NUMBERS.items() if settings[1] == options.keys)
    certificates = Simulator(folder, os.path.abspath(os.path.join(options.binaries, "simulator")), ports, NUMBERS)
    binary, certificates = certificates.binary, certificates.make_certificates()
    relay = Relay(folder, "tandem", os.path.abspath(os.path.join(options.binaries, "tandem")), ports,
                  # Four ports a call: of both sides, each with RTCP.
                  ["--port-max=48000"])
    name, kind = PROXIES[options.proxy]
    proxy = kind(folder, ports, NUMBERS, certificates, {"INVITES_PER_SECOND": 20 * options.rate, "PBX_PING_SECONDS": 0}, shared_megabytes=256)
    scenario = os.path.join(folder, "pbx.xml")
    with open(scenario, "w") as file:
        file.write(SCENARIO)
    pbx = Part("sipp", ["sipp", "-sf", scenario, "-i", "127.0.0.1", "-p", str(ports.phone_sip), "-mi", "127.0.0.1",
                        "-mp", str(ports.phone_media), "-rtp_echo", "-nostdin", "-trace_err"], folder)
    # One call first: what is made once and kept belongs to the state before.
    warm_up = place(binary, folder, ports, number, password, SimpleNamespace(**{**vars(options), "rate": 5, "seconds": 1, "talk": 1}))
    before = State(proxy, relay, pbx)
    users_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    calls = place(binary, folder, ports, number, password, options)
    took = time.monotonic() - began
    users = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = users.ru_utime + users.ru_stime - users_before.ru_utime - users_before.ru_stime
    busy = State(proxy, relay, pbx)
    problems = judge(calls, options)
    if len(warm_up) != 5:
        problems.append(f"of the first five calls {len(warm_up)} took place")
    print(f"processor seconds in {took:.0f} s: {name} {busy.proxy_cpu - before.proxy_cpu:.1f}, "
          f"tandem {busy.tandem_cpu - before.tandem_cpu:.1f}, sipp {busy.sipp_cpu - before.sipp_cpu:.1f}, simulator {spent:.1f}; "
          f"{os.cpu_count()} processors")
    rest, relay_kb = judge_rest(before, proxy, relay, pbx)
    problems += rest
    # Threads and allocators take their share once. Another sixth of the calls must fit into what is there.
    place(binary, folder, ports, number, password, SimpleNamespace(**{**vars(options), "seconds": options.seconds / 6}))
    rest, relay_kb_again = judge_rest(before, proxy, relay, pbx)
    problems += rest
    if relay_kb_again > relay_kb + 4096:
        problems.append(f"memory of the relay was {relay_kb // 1024} MB and is {relay_kb_again // 1024} MB after more of the same")
    for problem in problems:
        print(f"BAD   {problem}")
    status = 1 if problems else 0
    print(("PASS  all of it held" if not problems else f"FAIL  {len(problems)} things did not hold; logs: {folder}")
          + f"; exit status {status}")
    return status


def place(binary, folder, ports, number, password, options):
    """The calls of WhatsApp users; what the simulator says of each."""
    count = int(options.rate * options.seconds)
    report = os.path.join(folder, "calls.json")
    command = [
        binary, "serve", "--sbc", f"127.0.0.1:{ports.kamailio_tls}", "--host", SIP_HOST, "--business", f"+{number}",
        "--password", password, "--listen", f"127.0.0.1:{ports.meta_tls}", "--ca", os.path.join(folder, "certificates", "ca.pem"),
        "--cert", os.path.join(folder, "certificates", "wa.meta.vc.pem"),
        "--key", os.path.join(folder, "certificates", "wa.meta.vc.key"), "--user", f"+{WHATSAPP_USER}",
        "--mode", options.keys.lower(), "--g711", "--voice", "pcmu", "--tone", str(TONE_HZ), "--expect-tone", str(TONE_HZ),
        "--talk", str(options.talk), "--hangup", "meta", "--place", str(count), "--every", str(1 / options.rate),
        "--duration", str(options.seconds + options.talk + 6), "--json", report]
    with open(os.path.join(folder, "simulator.log"), "w") as log:
        subprocess.run(command, stdout=log, stderr=log, check=False)
    with open(report) as file:
        return json.load(file)["calls"]


def judge(calls, options):
    count = int(options.rate * options.seconds)
    answered = [call for call in calls if call["status"] == 200]
    with_media = [call for call in answered if call["media"]]
    heard_ms = sorted(call["media"]["received"]["tone_ms"] for call in with_media)
    least = 1000 * (options.talk - SETTLING_SECONDS)
    heard = [ms for ms in heard_ms if ms >= least]
    packets = sum(call["media"]["received"]["packets"] for call in with_media)
    lost = sum(call["media"]["received"]["lost"] for call in with_media)
    clean = [call for call in answered if call["clean_end"]]
    setup = sorted(call["setup_ms"] for call in answered)
    first = sorted(call["media"]["first_srtp_ms"] for call in with_media if call["media"]["first_srtp_ms"] is not None)
    print(f"{options.keys}: {options.rate} calls a second for {options.seconds:.0f} s, {options.talk:.0f} s each")
    print(f"calls {len(calls)} of {count}; answered {len(answered)}; the tone went both ways and lasted in {len(heard)}; "
          f"clean end {len(clean)}")
    print(f"packets at the user {packets}, lost {lost}; INVITE to 200 {spread(setup)} ms; 200 to the first SRTP {spread(first)} ms; "
          f"tone heard {spread(heard_ms)} ms")
    problems = []
    for what, good in (("took place", calls), ("were answered", answered), ("had the tone both ways", heard), ("ended cleanly", clean)):
        if len(good) != count:
            problems.append(f"{len(good)} of {count} calls {what}")
    if lost > packets / 1000:
        problems.append(f"{lost} of {packets} packets were lost")
    reasons = {}
    for call in calls:
        for finding in call["findings"]:
            if finding["severity"] == "violation":
                reasons[finding["text"]] = reasons.get(finding["text"], 0) + 1
    problems += [f"{times} times: {text}" for text, times in sorted(reasons.items(), key=lambda item: -item[1])[:5]]
    return problems


def spread(values):
    """Half of the values are below the first number, 99 of 100 below the second, all below the third."""
    if not values:
        return "-"
    return "/".join(f"{values[min(len(values) - 1, int(len(values) * share))]:.0f}" for share in (0.5, 0.99, 1))


class State:
    """What the parts hold at a moment."""

    def __init__(self, proxy, relay, pbx):
        group = proxy.part.process.pid
        self.proxy_cpu = sum(cpu_seconds(pid) for pid in processes_of(group))
        self.tandem_cpu, self.sipp_cpu = cpu_seconds(relay.part.process.pid), cpu_seconds(pbx.process.pid)
        self.relay_calls = len(relay.calls() or [])
        self.relay_ports = len(os.listdir(f"/proc/{relay.part.process.pid}/fd"))
        self.relay_kb = resident_kb(relay.part.process.pid)
        vars(self).update(vars(proxy.held()))

    def __str__(self):
        return (f"relay: {self.relay_calls} sessions, {self.relay_ports} descriptors, {self.relay_kb // 1024} MB; proxy: "
                f"{self.dialogs} dialogs, {self.transactions} transactions, {self.connections} connections, "
                f"{self.entries} entries in tables, {self.shared_kb} kB shared")


def judge_rest(before, proxy, relay, pbx):
    """Nothing is left, once the timers of SIP are over (RFC 3261 timer B and F: 32 s, dialogs a little more). The nonce of a call
    OpenSIPS keeps for two minutes."""
    deadline = time.monotonic() + 130
    while True:
        after = State(proxy, relay, pbx)
        problems = []
        for what in ("relay_calls", "relay_ports", "dialogs", "transactions", "entries"):
            if getattr(after, what) > getattr(before, what):
                problems.append(f"{what} were {getattr(before, what)} and are {getattr(after, what)}")
        # Allocators keep some of what they once had; a leak of one object a call would be more than this.
        if after.shared_kb > before.shared_kb * 1.1 + 512:
            problems.append(f"shared memory of the proxy was {before.shared_kb} kB and is {after.shared_kb} kB")
        if not problems or time.monotonic() > deadline:
            break
        time.sleep(1)
    print(f"before: {before}\nafter:  {after}")
    return problems, after.relay_kb


def processes_of(group):
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getpgid(int(name)) == group:
                    yield int(name)
            except ProcessLookupError:
                pass


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith("VmRSS:")))


if __name__ == "__main__":
    sys.exit(main())
