#!/usr/bin/env python3
"""Calls through the relay between media peers that are not ours: a browser, aiortc, libopus on plain RTP.

The driver does the signalling itself, over NG; there is no SIP. Each end plays a tone of its own and
looks for the other end's. One line is printed for each call, with what was measured.

The relay is tandem, or what SUBJECT=rtpengine puts in its place. Exit status 0 means that no call failed.
"""

import argparse
import os
import shutil
import sys
import time
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "demo"))

import environment  # noqa: E402
from processes import free_base_port, stop_all, stop_all_at_exit  # noqa: E402
from relay import Relay  # noqa: E402

# They differ, so that an echo is no success; each lies in a bin of its own for both ways of listening.
CALLER_HZ, CALLEE_HZ = 500, 800

# Until both ends hear something, and then for how long they talk.
CONNECT_SECONDS = 20
TALK_SECONDS = 3
HEARING_PACKETS = 50

TO_PLAIN = {"transport-protocol": "RTP/AVP", "ICE": "remove", "rtcp-mux": ["demux"], "SDES": ["off"]}
TO_WEBRTC = {"transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"],
             "rtcp-mux": ["offer", "require"], "flags": ["generate-mid"]}
BACK_TO_WEBRTC = {"ICE": "force", "rtcp-mux": ["accept"]}
RELAY_WAITS = {**BACK_TO_WEBRTC, "DTLS": "passive"}

# What Meta wants to be offered (Meta's SIP guide), in the browser's words. To plain RTP it offers all it has.
META_CODECS = [["audio/opus", 48000], ["audio/telephone-event", 8000]]


class Case:
    """Who calls whom, the flags of a script that would carry this call, and what is asked of the two ends.

    Roles are those of the relay in the DTLS handshakes: towards the caller and towards the callee.
    """

    def __init__(self, caller, callee, offer, answer, roles, passive=False, lite=None, not_with_rtpengine=None):
        self.caller, self.callee = caller, callee
        self.offer = {**offer, "ICE-lite": lite} if lite else offer
        self.answer = answer
        self.roles = roles
        self.caller_options = {"codecs": META_CODECS} if (caller, callee) == ("browser", "simulator") else {}
        self.callee_options = {"passive": True} if passive else {}
        self.not_with_rtpengine = not_with_rtpengine
        towards = [f"{role} towards {end}" for role, end in zip(roles, (caller, callee)) if role]
        self.name = f"{caller} calls {callee}, relay is DTLS {' and '.join(towards)}"
        if lite:
            self.name += f" and ICE-lite {lite}"


# Seen with Chromium (6 of 12 calls) and with aiortc, 2026-11.
NO_CLIENT_HELLO = "rtpengine 10.5 answers no ClientHello in about half of these calls"

CASES = [
    Case("browser", "plain", TO_PLAIN, BACK_TO_WEBRTC, ("client", None)),
    Case("browser", "plain", TO_PLAIN, RELAY_WAITS, ("server", None),
         not_with_rtpengine=NO_CLIENT_HELLO),
    Case("plain", "browser", TO_WEBRTC, TO_PLAIN, (None, "server")),
    Case("plain", "browser", TO_WEBRTC, TO_PLAIN, (None, "client"), passive=True),
    Case("browser", "simulator", TO_WEBRTC, BACK_TO_WEBRTC, ("client", "server")),
    Case("browser", "simulator", TO_WEBRTC, BACK_TO_WEBRTC, ("client", "client"), passive=True),
    Case("simulator", "browser", TO_WEBRTC, BACK_TO_WEBRTC, ("client", "server"),
         not_with_rtpengine="rtpengine 10.5 begins as the controlled ICE agent here, towards a peer that is ICE-lite"),
    Case("aiortc", "plain", TO_PLAIN, BACK_TO_WEBRTC, ("client", None)),
    Case("aiortc", "plain", TO_PLAIN, RELAY_WAITS, ("server", None), not_with_rtpengine=NO_CLIENT_HELLO),
    Case("plain", "aiortc", TO_WEBRTC, TO_PLAIN, (None, "server")),
    Case("plain", "aiortc", TO_WEBRTC, TO_PLAIN, (None, "client"), passive=True),
    Case("aiortc", "browser", TO_WEBRTC, BACK_TO_WEBRTC, ("client", "server")),
    # A full agent that is not ours does all the checking, and nominates.
    Case("aiortc", "plain", TO_PLAIN, BACK_TO_WEBRTC, ("client", None), lite="backward"),
    Case("plain", "aiortc", TO_WEBRTC, TO_PLAIN, (None, "server"), lite="forward"),
    Case("aiortc", "browser", TO_WEBRTC, BACK_TO_WEBRTC, ("client", "server"), lite="both"),
]

OPPOSITE = {"client": "server", "server": "client"}


class Skipped(Exception):
    """The call cannot be made, by no fault of the relay under test; the message says why."""


def main():
    options = parse_options()
    cases = [case for case in CASES if options.only.lower() in case.name.lower()]
    options.no_environment = environment_or_reason(options)
    stop_all_at_exit()
    os.makedirs(options.run, exist_ok=True)
    peers = Peers(options)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        relay = start_relay(options)
        for number, case in enumerate(cases, 1):
            verdict = attempt(f"{number}/{len(cases)} {case.name}", case, relay, peers)
            counts[verdict] += 1
    finally:
        stop_all()
    print(f"\ninterop through {options.subject}: {counts['passed']} passed, {counts['failed']} failed,"
          f" {counts['skipped']} skipped. Logs: {options.run}")
    return 0 if counts["passed"] and not counts["failed"] else 1


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subject", choices=["tandem", "rtpengine"], default=os.environ.get("SUBJECT", "tandem"))
    parser.add_argument("--target", default=os.environ.get("CARGO_TARGET_DIR", "target"),
                        help="cargo's folder: the programs are in its debug/, the virtual environment is made in it")
    parser.add_argument("--run", default=".run/interop", help="folder for logs and the browser's profile")
    parser.add_argument("--only", default="", metavar="WORDS", help="only calls whose name contains the words")
    parser.add_argument("--no-environment", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.run, options.target = os.path.abspath(options.run), os.path.abspath(options.target)
    return options


def environment_or_reason(options):
    """Goes on inside the virtual environment; gives the reason when there is none."""
    if options.no_environment is not None:
        return options.no_environment
    try:
        python = environment.python_of(options.target)
    except (environment.NoEnvironment, OSError) as failure:
        return str(failure)
    sys.stdout.flush()
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:], "--no-environment="])


def start_relay(options):
    ports = SimpleNamespace(relay_ng=22, relay_media=200)
    base = free_base_port(vars(ports).values())
    ports = SimpleNamespace(relay_ng=base + 22, relay_media=base + 200)
    binary = options.subject if options.subject == "rtpengine" else os.path.join(options.target, "debug", "tandem")
    return Relay(options.run, options.subject, binary, ports)


class Peers:
    """Makes the ends of calls; starts the one browser when it is first needed."""

    def __init__(self, options):
        self.options, self.phone = options, None

    def make(self, kind, tone_hz, expect_hz, calls, options):
        if kind == "browser":
            from browser_peer import BrowserPeer
            return BrowserPeer(self.browser(), tone_hz, expect_hz, **options)
        if kind == "simulator":
            from meta_peer import MetaPeer
            binary = os.path.join(self.options.target, "debug", "meta-media")
            if not os.path.exists(binary):
                raise Skipped(f"{binary} is not built")
            return MetaPeer(binary, tone_hz, expect_hz, calls, **options)
        if self.options.no_environment:
            raise Skipped(f"no virtual environment: {self.options.no_environment}")
        if kind == "aiortc":
            from aiortc_peer import AiortcPeer
            return AiortcPeer(tone_hz, expect_hz, **options)
        from plain_peer import PlainPeer
        return PlainPeer(tone_hz, expect_hz, **options)

    def browser(self):
        if self.phone is None:
            from softphone import Softphone
            chromium = shutil.which("chromium")
            if chromium is None:
                raise Skipped("chromium is not installed")
            print("starting Chromium ...", flush=True)
            self.phone = Softphone(self.options.run, chromium)
        return self.phone


def attempt(title, case, relay, peers):
    """Makes one call and prints its line."""
    began = time.monotonic()
    try:
        if relay.kind == "rtpengine" and case.not_with_rtpengine:
            raise Skipped(case.not_with_rtpengine)
        problems, measured = make_call(case, relay, peers)
    except Skipped as reason:
        print(f"SKIP {title}: {reason}", flush=True)
        return "skipped"
    except Exception as failure:  # Whatever goes wrong in one call, the others are still made.
        problems, measured = [f"{type(failure).__name__}: {failure}"], []
    verdict = "failed" if problems else "passed"
    print(f"{'FAIL' if problems else 'PASS'} {title} ({time.monotonic() - began:.0f} s)"
          + "".join(f" | {words}" for words in measured), flush=True)
    for problem in problems:
        print(f"       {problem}", flush=True)
    return verdict


def make_call(case, relay, peers):
    ends = []
    call = Signalling(relay, case)
    try:
        caller = peers.make(case.caller, CALLER_HZ, CALLEE_HZ, True, case.caller_options)
        ends.append(caller)
        callee = peers.make(case.callee, CALLEE_HZ, CALLER_HZ, False, case.callee_options)
        ends.append(callee)
        caller.answered(call.answer(callee.answer(call.offer(caller.offer()))))
        deadline = time.monotonic() + CONNECT_SECONDS
        while time.monotonic() < deadline and not all(end.is_hearing(HEARING_PACKETS) for end in ends):
            time.sleep(0.2)
        time.sleep(TALK_SECONDS)
        problems, measured = [], []
        for end, relay_role in zip(ends, case.roles):
            report = end.report()
            measured.append(f"{end.NAME}: {report}")
            if report.dtls_role and report.dtls_role != OPPOSITE.get(relay_role):
                problems.append(f"{end.NAME}: is the DTLS {report.dtls_role}, and so should be the relay")
            problems += [f"{end.NAME}: {problem}" for problem in report.judge()]
        return problems + call.end(), measured
    finally:
        for end in ends:
            end.hang_up()
        call.end()


class Signalling:
    """What a proxy says to the relay in the course of one call."""

    def __init__(self, relay, case):
        self.relay, self.case = relay, case
        self.call_id = f"interop-{os.getpid()}-{time.monotonic_ns()}"
        self.is_up = False

    def offer(self, sdp):
        self.is_up = True
        return self.exchange("offer", {**self.case.offer, "from-tag": "caller", "sdp": sdp})

    def answer(self, sdp):
        return self.exchange("answer", {**self.case.answer, "from-tag": "caller", "to-tag": "callee", "sdp": sdp})

    def exchange(self, command, request):
        reply = self.relay.ask({"command": command, "call-id": self.call_id, **request}, seconds=3)
        if reply is None or reply.get("result") != "ok":
            raise RuntimeError(f"the relay does not carry out the {command}: {reply}")
        return reply["sdp"]

    def end(self):
        """Problems of the end of the call; nothing is done a second time."""
        if not self.is_up:
            return []
        self.is_up = False
        reply = self.relay.ask({"command": "delete", "call-id": self.call_id, "from-tag": "caller"}, seconds=3)
        if reply is None or reply.get("result") != "ok":
            return [f"the relay did not delete the call: {reply}"]
        left = self.relay.calls()
        return [] if not left else [f"the relay still holds {left}"]


if __name__ == "__main__":
    sys.exit(main())
