#!/usr/bin/env python3
"""A WhatsApp user calls, hears a prompt, presses keys, and is recorded: the sound, the packets, and a vCon. Then one is called.

The calls go through Kamailio, or OpenSIPS, with the scripts that we ship: the number has an announcement and is recorded (settings.cfg), and
the other end is a SIP phone (baresip). The WhatsApp side is played by `simulator`. All of it on loopback.

Exit status 0 means that the prompt was heard as it is, each key was told once, and the recording and its vCon have all of it.
"""

import argparse
import base64
import glob
import hashlib
import json
import os
import re
import sys
import time

import opensips
import tone
from demo import choose_ports, fresh_folder, judge_meta, step, wait_for_phone
from kamailio import Kamailio
from phone import Phone
from processes import PartFailed, stop_all, stop_all_at_exit
from relay import Relay
from simulator import Simulator
from table import CallResult

NUMBER, USER = "15550783881", "15551112222"
KEYS = "42#"
PROMPT_HZ, PROMPT_SECONDS = 1000, 2
TALK_SECONDS = 6


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
    for result in results:
        print(f"\n{result.name}")
        for line in result.notes:
            print(f"  {line}")
        for problem in result.problems:
            print(f"  BAD  {problem}")
    if all(result.is_good for result in results):
        print(f"\nBoth calls were good. Their recordings and vCons lie in {os.path.join(run, 'recordings')}")
        return 0
    print(f"\nLogs and recordings of each part: {run}")
    return 1


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", default="target/debug", help="where tandem and simulator were built")
    parser.add_argument("--proxy", choices=["kamailio", "opensips"], default="kamailio")
    parser.add_argument("--run", default=".run/playback", help="folder for logs, certificates and recordings")
    return parser.parse_args()


def make_calls(options, run):
    binaries = [os.path.abspath(os.path.join(options.binaries, name)) for name in ("tandem", "simulator")]
    parts = Parts(run, *binaries, options.proxy, "DTLS")
    return [parts.one_call(direction) for direction in ("user-initiated", "business-initiated")]


class Parts:
    """All that takes part in a call of a number that is announced and recorded, running."""

    def __init__(self, run, tandem, simulator, proxy, keys):
        ports = choose_ports()
        self.keys = keys
        self.recordings, prompts = os.path.join(run, "recordings"), os.path.join(run, "prompts")
        os.makedirs(prompts)
        prompt = os.path.join(prompts, "welcome.wav")
        tone.write_tone(prompt, PROMPT_HZ, PROMPT_SECONDS)
        numbers = {NUMBER: ("demo-password", keys, ("record", 1), ("announcement", prompt))}
        self.simulator = Simulator(run, simulator, ports, numbers, expects_hz=PROMPT_HZ)
        with step("certificates of a throw-away authority"):
            certificates = self.simulator.make_certificates()
        with step("relay"):
            self.relay = Relay(run, "tandem", tandem, ports, [
                f"--media-dir={prompts}", f"--recording-dir={self.recordings}", "--recording-audio=stereo", "--recording-vcon=inline"])
        with step(proxy):
            (opensips.OpenSips if proxy == "opensips" else Kamailio)(run, ports, numbers, certificates)
        with step("SIP phone (baresip)"):
            self.phone = Phone(run, ports, [NUMBER])

    def one_call(self, direction):
        # The tone that the simulator waits for is the prompt; afterwards it hears the phone's.
        result = CallResult(f"{direction} {self.keys}", tone_wanted=0.0)
        before, told_before = set(all_files(self.recordings)), len(keys_told(self.relay))
        self.phone.forget_events()
        with step(f"{direction} call: a prompt of {PROMPT_SECONDS} s, keys {KEYS}, {TALK_SECONDS} s in all"):
            if direction == "user-initiated":
                call = self.simulator.place_call(NUMBER, USER, TALK_SECONDS, True, ["--digits", KEYS])
            else:
                call = self.simulator.await_call(NUMBER, TALK_SECONDS, True, ["--digits", KEYS])
                self.phone.dial(NUMBER, USER)
            if wait_for_phone(self.phone, call, 15) != "CALL_ESTABLISHED":
                result.problems.append("the phone never had a call")
            elif not self.phone.wait_for(["CALL_CLOSED"], TALK_SECONDS + 10):
                result.problems.append("the call did not end at the phone")
            report = call.report(seconds=20 if result.is_good else 2)
        judge_meta(result, report, call.part.log, self.relay.known)
        judge_prompt(result, report)
        judge_keys(result, "".join(keys_told(self.relay)[told_before:]), self.phone)
        judge_recording(result, self.recordings, before, direction == "user-initiated")
        return result


def keys_told(relay):
    with open(relay.part.log, errors="replace") as log:
        return re.findall(r"DTMF event \d+ \((.)\)", log.read())


def judge_prompt(result, report):
    heard = (report or {}).get("media") and report["media"]["received"]["tone_ms"] or 0
    if not 0.9 * PROMPT_SECONDS <= heard / 1000 <= 1.05 * PROMPT_SECONDS:
        result.problems.append(f"the user heard {heard} ms of a prompt of {1000 * PROMPT_SECONDS} ms")
    result.notes.append(f"prompt   heard by the WhatsApp user for {heard:.0f} of {1000 * PROMPT_SECONDS} ms, then the phone")


def judge_keys(result, told, phone):
    if told != KEYS:
        result.problems.append(f"the relay told of the keys {told or None}, not {KEYS}")
    if phone.keys_heard != KEYS:
        result.problems.append(f"the phone heard the keys {phone.keys_heard or None}, not {KEYS}")
    result.notes.append(f"keys     {' '.join(told)} in the relay's log, and at the phone")


def judge_recording(result, folder, before, user_calls):
    """The files, and whether they have what was said, by whom, and the keys."""
    sound, packets, vcon = (new_file(result, folder, before, *kind) for kind in
                            (("audio", "wav"), ("pcaps", "pcap"), ("vcon", "vcon")))
    if not (sound and packets and vcon):
        return
    seconds = tone.seconds_of(sound)
    # Whoever calls is left. The keys take the place of the user's tone.
    user = 0 if user_calls else 1
    for who, channel, frequency, share in (("user", user, Simulator.TONE_HZ, 0.7), ("phone", 1 - user, tone.PHONE_TONE_HZ, 0.9)):
        heard = tone.share_of_time(sound, frequency, channel=channel)
        if heard < share:
            result.problems.append(f"the {who} is heard in {heard:.0%} of the recording")
    if not TALK_SECONDS - 1 < seconds < TALK_SECONDS + 2:
        result.problems.append(f"the recording has {seconds:.1f} s")
    with open(vcon) as file:
        document = json.load(file)
    judge_vcon(result, document, sound, user)
    people = " calls ".join(party.get("tel") or party.get("name") or "somebody" for party in document["parties"][:2])
    result.notes += [f"sound    {os.path.relpath(sound)}: {seconds:.1f} s, whoever called is left",
                     f"packets  {os.path.relpath(packets)}",
                     f"vCon     {os.path.relpath(vcon)}: {people}"]


def judge_vcon(result, document, sound, user):
    """The parts that only this call can have right; the schema is a test of its own (tests/interop/vcon.py)."""
    dialog, body = document["dialog"][0], document["attachments"][0]["body"]
    pressed = [stroke["button"] for stroke in dialog.get("party_history", ())
               if stroke["event"] == "keydown" and stroke["party"] == user]
    with open(sound, "rb") as file:
        audio = file.read()
    content = dialog.get("body", "")
    people = [f"+{USER}", f"+{NUMBER}"]
    expected = {
        "the parties": ([party.get("tel") for party in document["parties"][:2]], people if user == 0 else people[::-1]),
        "the keys": ("".join(pressed), KEYS),
        # The simulator names the call in its INVITE alone.
        "the application": (dialog.get("application"), "WhatsApp" if user == 0 else None),
        "a WhatsApp call id": (bool(body.get("wacid")), user == 0),
        "a Call-ID": (bool(body.get("call-id")), True),
        "the sound": (digest(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4))), digest(audio)),
    }
    for what, (is_there, should_be) in expected.items():
        if is_there != should_be:
            result.problems.append(f"the vCon has {is_there} for {what}, not {should_be}")


def digest(content):
    return hashlib.sha512(content).hexdigest()[:16]


def all_files(folder):
    return glob.glob(os.path.join(glob.escape(folder), "*", "*"))


def new_file(result, folder, before, kind, ending):
    """The only new file of its kind; a vCon comes a moment after the end of its call."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        files = glob.glob(os.path.join(glob.escape(os.path.join(folder, kind)), f"*.{ending}"))
        files = [path for path in files if path not in before]
        if len(files) == 1:
            return files[0]
        time.sleep(0.05)
    result.problems.append(f"there is no one new file in {os.path.join(folder, kind)}")
    return None


if __name__ == "__main__":
    sys.exit(main())
