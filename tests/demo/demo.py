#!/usr/bin/env python3
"""Six WhatsApp-style calls through Kamailio and the relay to an ordinary SIP phone, measured.

A user-initiated and a business-initiated call, each with DTLS and with SDES keys, and both again
with a phone that knows A-law and no Opus, where each side presses keys. The WhatsApp side is played by `simulator`, the phone is baresip, Kamailio runs the scripts that we ship, and
the relay is tandem or, with `--relay rtpengine`, Debian's rtpengine. All of it on loopback.

Exit status 0 means that every call was good.
"""

import argparse
import os
import shutil
import sys
import time
from types import SimpleNamespace

import tone
import opensips
from kamailio import Kamailio
from phone import Phone
from processes import PartFailed, free_base_port, stop_all, stop_all_at_exit
from relay import Relay
from simulator import Simulator
from table import CallResult, print_table

# Two business numbers, because Meta sets the way of key exchange per number.
NUMBERS = {
    "15550783881": ("demo-password-of-the-first-number", "DTLS"),
    "15550783882": ("demo-password-of-the-second-number", "SDES"),
    "15550783883": ("demo-password-of-the-third-number", "DTLS"),
}
# The PBX of this number has no Opus: the relay transcodes, and keys are pressed on both sides.
CODECS = {"15550783883": "PCMA/8000/1"}
KEYS_OF_USER, KEYS_OF_PHONE = "17", "42"
WHATSAPP_USER = "15551112222"

# How long both ends talk.
TALK_SECONDS = 4
# The share of the tone where keys are pressed: events take its place.
TONE_SHARE_WITH_KEYS = 0.7
LOSS_ALLOWED = 2


def main():
    options = parse_options()
    stop_all_at_exit()
    run = fresh_folder(options.run)
    try:
        results = make_calls(options, run)
    except PartFailed as failure:
        print(f"\nThe demo could not run: {failure}", file=sys.stderr)
        return 2
    finally:
        stop_all()
    print_table(results)
    if all(result.is_good for result in results):
        print(f"\nAll {len(results)} calls are good. Logs and recordings: {run}")
        return 0
    print(f"\nLogs and recordings of each part: {run}")
    return 1


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relay", choices=["tandem", "rtpengine"], default="tandem")
    parser.add_argument("--proxy", choices=["kamailio", "opensips"], default="kamailio")
    parser.add_argument("--binaries", default="target/debug", help="where tandem and simulator were built")
    parser.add_argument("--run", default=".run/demo", help="folder for logs, certificates and recordings")
    parser.add_argument("--only", metavar="WORD", help="only calls whose name contains the word, such as bic or sdes")
    return parser.parse_args()


def fresh_folder(path):
    path = os.path.abspath(path)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def make_calls(options, run):
    ports = choose_ports()
    simulator = Simulator(run, os.path.abspath(os.path.join(options.binaries, "simulator")), ports, NUMBERS)
    with step("certificates of a throw-away authority"):
        certificates = simulator.make_certificates()
    with step(f"relay ({options.relay})"):
        binary = "rtpengine" if options.relay == "rtpengine" else os.path.abspath(
            os.path.join(options.binaries, "tandem"))
        relay = Relay(run, options.relay, binary, ports)
    with step(options.proxy):
        proxy = opensips.OpenSips if options.proxy == "opensips" else Kamailio
        proxy(run, ports, NUMBERS, certificates)
    with step("SIP phone (baresip)"):
        phone = Phone(run, ports, NUMBERS, CODECS)

    results = []
    for number, (_, keys) in NUMBERS.items():
        if number in CODECS and options.relay == "rtpengine":
            print("  no calls with a phone without Opus: rtpengine offers Meta telephone-event/48000, which Meta does not support")
            continue
        for direction in ("user-initiated", "business-initiated"):
            name = f"{direction} {keys}" + (" " + CODECS[number].split("/")[0] if number in CODECS else "")
            if options.only and options.only.lower() not in name.lower():
                continue
            # Each way of ending a call is used: the WhatsApp user hangs up in half of them.
            meta_hangs_up = (direction == "user-initiated") == (keys == "DTLS")
            with step(f"call: {name}, {TALK_SECONDS} s"):
                keys_too = number in CODECS
                more = ["--digits", KEYS_OF_USER] if keys_too else []
                results.append(one_call(name, direction, number, meta_hangs_up, simulator, phone, relay, more, keys_too))
    return results


def one_call(name, direction, number, meta_hangs_up, simulator, phone, relay, more=(), keys_too=False):
    """`more` are further options of the simulator; with `keys_too` the phone presses keys, and expects those of the user."""
    result = CallResult(name)
    if keys_too:
        result.tone_wanted = TONE_SHARE_WITH_KEYS
    phone.forget_events()
    if direction == "user-initiated":
        call = simulator.place_call(number, WHATSAPP_USER, TALK_SECONDS, meta_hangs_up, more)
    else:
        call = simulator.await_call(number, TALK_SECONDS, meta_hangs_up, more)
        phone.dial(number, WHATSAPP_USER)

    if wait_for_phone(phone, call, 15) != "CALL_ESTABLISHED":
        result.problems.append("the phone never had a call")
    else:
        if keys_too:
            phone.press(number, KEYS_OF_PHONE)
        if not meta_hangs_up:
            time.sleep(TALK_SECONDS)
            phone.hang_up(number)
        if not phone.wait_for(["CALL_CLOSED"], TALK_SECONDS + 10):
            result.problems.append("the call did not end at the phone")
            phone.hang_up(number)

    report = call.report(seconds=20 if not result.problems else 2)
    judge_meta(result, report, call.part.log, relay.known)
    judge_phone(result, phone)
    if keys_too:
        judge_keys(result, report, phone)
    judge_end(result, report, relay, meta_hangs_up)
    return result


def wait_for_phone(phone, call, seconds):
    """What happens first at the phone; nothing will, once the WhatsApp side has given up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        event = phone.wait_for(["CALL_ESTABLISHED", "CALL_CLOSED"], 0.2)
        if event or not call.part.is_running():
            return event
    return None


def judge_meta(result, report, log, known):
    """What the WhatsApp side measured, and what it had to complain about."""
    if report is None:
        result.problems.append(f"the simulator gave no report, see {log}")
        return
    violations = [finding["text"] for finding in report["findings"] if finding["severity"] == "violation"]
    result.problems += [text for text in violations if text not in known]
    result.notes += [known[text] for text in violations if text in known]
    if report["status"] != 200:
        result.problems.append(f"the INVITE ended with {report['status']} {report['reason']}")
    media = report.get("media")
    if media is None:
        result.problems.append("there was no media")
        return
    result.ice_ms, result.dtls_ms = media["ice_ms"], media["dtls_ms"]
    result.first_srtp_ms = media["first_srtp_ms"]
    received = media["received"]
    result.to_meta = received["packets"], received["lost"]
    if received["audio_ms"]:
        result.tone_at_meta = received["tone_ms"] / received["audio_ms"]
    judge_stream(result, "WhatsApp", result.to_meta, result.tone_at_meta)
    if not report["pass"] and not violations and not result.problems:
        result.problems.append("the simulator says that the call failed")


def judge_phone(result, phone):
    heard = phone.newest_recording()
    if heard is None:
        result.problems.append("the phone recorded nothing")
        return
    result.to_phone = phone.last_statistics()
    result.tone_at_phone = tone.share_of_time(heard, Simulator.TONE_HZ)
    judge_stream(result, "the phone", result.to_phone, result.tone_at_phone)


def judge_stream(result, where, counted, tone_share):
    if counted is None or counted[0] < 50 * TALK_SECONDS / 2:
        result.problems.append(f"too few packets reached {where}: {counted and counted[0]}")
    elif counted[1] > LOSS_ALLOWED:
        result.problems.append(f"{counted[1]} packets were lost on the way to {where}")
    if tone_share is None or tone_share < result.tone_wanted:
        result.problems.append(f"{where} did not hear the tone it should: {tone_share and round(tone_share, 2)}")


def judge_keys(result, report, phone):
    """Each side heard the keys of the other, each once."""
    heard = (report or {}).get("media") and report["media"]["received"]["keys"]
    if heard != KEYS_OF_PHONE:
        result.problems.append(f"WhatsApp heard the keys {heard}, not {KEYS_OF_PHONE}")
    if phone.keys_heard != KEYS_OF_USER:
        result.problems.append(f"the phone heard the keys {phone.keys_heard or None}, not {KEYS_OF_USER}")


def judge_end(result, report, relay, meta_hangs_up):
    """Both ends saw the hang-up, and the relay holds nothing any more."""
    clean = bool(report and report["clean_end"])
    if not clean:
        result.problems.append("BYE and its answer did not cross properly")
    deadline = time.monotonic() + 3
    while relay.calls() and time.monotonic() < deadline:
        time.sleep(0.1)
    left = relay.calls()
    if left is None or left:
        result.problems.append(f"the relay still holds {left}")
        clean = False
    who = "WhatsApp" if meta_hangs_up else "phone"
    result.hang_up = f"{who}, clean" if clean else f"{who}, NOT clean"


def choose_ports():
    offsets = SimpleNamespace(
        kamailio_tls=61, kamailio_udp=60, meta_tls=62, phone_sip=70, phone_control=73, relay_ng=22, relay_http=24, relay_cli=25,
        proxy_metrics=83, prometheus=90, grafana=91, meta_media=80, phone_media=100, relay_media=200)
    base = free_base_port(vars(offsets).values())
    return SimpleNamespace(**{name: base + offset for name, offset in vars(offsets).items()})


class step:
    """Says what goes on, and how long it took."""

    def __init__(self, title):
        self.title = title

    def __enter__(self):
        print(f"  {self.title} ...", end="", flush=True)
        self.began = time.monotonic()

    def __exit__(self, kind, *_):
        print(f" {time.monotonic() - self.began:.1f} s" if kind is None else " failed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
