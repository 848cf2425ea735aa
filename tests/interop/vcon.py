#!/usr/bin/env python3
"""vCons of recorded calls, judged by the JSON schema of draft-ietf-vcon-vcon-core and by a reader that is not ours.

Two phones talk through tandem, one presses a key, and the call ends: with the audio inside the vCon and linked to, in one channel
and in two, as WAV and as Opus, and in a call in which nobody speaks. Exit status 0 means that every vCon is valid and its audio is that of the call.
"""

import argparse
import base64
import datetime
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.parse
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "demo"))

import environment  # noqa: E402
from processes import free_base_port, stop_all, stop_all_at_exit  # noqa: E402
from relay import Relay  # noqa: E402

SCHEMA = os.path.join(HERE, "..", "data", "vcon", "vcon_json_schema.json")
BASE_URL = "https://recordings.example.com/calls"
# A tone of 400 Hz, at the loudest codes of mu-law and at soft ones, and how loud these are (ITU-T G.711 table 2a).
LOUD, SOFT = ((bytes([code] * 10) + bytes([code & 0x7F] * 10)) * 8 for code in (0x80, 0xB0))
LOUD_LEVEL, SOFT_LEVEL = 32124, 3900
FRAMES = 50
METADATA = "caller:+15551112222|caller-name:Ann|callee:sip:desk@example.com|wacid:wacid.HBgLMTU1|subject:a test|queue:7"
KEY = 5

CASES = [
    # name, channels, format, recording-vcon, whether they speak
    ("inside, one channel for each side", "stereo", "wav", "inline", True),
    ("linked, one channel for all", "mixed", "wav", BASE_URL + "/", True),
    ("inside, one channel for each side, Opus", "stereo", "opus", "inline", True),
    ("linked, one channel for all, Opus", "mixed", "opus", BASE_URL + "/", True),
    ("nobody speaks", "mixed", "wav", "inline", False),
]


def main():
    options = parse_options()
    if not options.inside:
        try:
            python = environment.python_of(options.target)
        except (environment.NoEnvironment, OSError) as failure:
            print(f"no virtual environment with jsonschema: {failure}")
            return 1
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:], "--inside"])
    stop_all_at_exit()
    shutil.rmtree(options.run, ignore_errors=True)
    failed = 0
    for number, (name, channels, form, vcon, speaks) in enumerate(CASES, 1):
        try:
            judge(options, number, channels, form, vcon, speaks)
            print(f"{number}/{len(CASES)} {name}: valid, and the audio is that of the call")
        except AssertionError as problem:
            failed += 1
            print(f"{number}/{len(CASES)} {name}: FAILED: {problem}")
        finally:
            stop_all()
    return 1 if failed else 0


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=os.environ.get("CARGO_TARGET_DIR", "target"))
    parser.add_argument("--run", default=".run/vcon", help="folder for logs and recordings")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.run, options.target = os.path.abspath(options.run), os.path.abspath(options.target)
    return options


def judge(options, number, channels, form, vcon, speaks):
    run = os.path.join(options.run, str(number))
    spool = os.path.join(run, "recordings")
    os.makedirs(spool)
    base = free_base_port([22, *range(200, 220)])
    relay = Relay(run, "tandem", os.path.join(options.target, "debug", "tandem"),
                  SimpleNamespace(relay_ng=base + 22, relay_media=base + 200),
                  [f"--recording-dir={spool}", f"--recording-audio={channels}", f"--recording-audio-format={form}",
                   f"--recording-vcon={vcon}"])
    began = time.time()
    call_id = f"vcon/{number}@example.com"
    make_call(relay, call_id, speaks)
    document = read(one_file(os.path.join(spool, "vcon"), ".vcon"))
    check_schema(document)
    assert document["uuid"][14] == "8" and document["uuid"][19] in "89ab", "the UUID is not one of version 8"
    created = datetime.datetime.fromisoformat(document["created_at"]).timestamp()
    assert abs(created - time.time()) < 60, "created_at is not now"
    assert document["subject"] == "a test"
    caller, callee, author = document["parties"]
    assert caller == {"tel": "+15551112222", "name": "Ann"}, caller
    assert callee == {"sip": "sip:desk@example.com", "name": "desk"}, callee
    [attachment] = document["attachments"]
    assert document["parties"][attachment["party"]] == author
    assert attachment["body"] == {"call-id": call_id, "wacid": "wacid.HBgLMTU1", "queue": "7"}, attachment
    [dialog] = document["dialog"]
    assert dialog["application"] == "WhatsApp" and dialog["parties"] == [0, 1]
    if not speaks:
        assert (dialog["type"], dialog["disposition"]) == ("incomplete", "hung-up"), dialog
        return
    started = datetime.datetime.fromisoformat(dialog["start"]).timestamp()
    assert began - 1 < started < created, "the dialog began at another time"
    strokes = [(stroke["party"], stroke["event"], stroke["button"]) for stroke in dialog["party_history"]]
    assert strokes == [(1, "keydown", str(KEY)), (1, "keyup", str(KEY))], strokes
    check_audio(spool, dialog, channels, form)


def check_schema(document):
    import jsonschema

    formats = jsonschema.FormatChecker(formats=["uuid"])
    formats.checks("date-time", ValueError)(lambda text: datetime.datetime.fromisoformat(text).tzinfo is not None)
    formats.checks("uri")(lambda text: urllib.parse.urlsplit(text).scheme == "https")
    with open(SCHEMA) as file:
        validator = jsonschema.Draft7Validator(json.load(file), format_checker=formats)
    problems = [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(document)]
    assert not problems, "; ".join(problems)
    # The checker checks.
    for damage in ({"uuid": "x"}, {"created_at": "yesterday"}, {"dialog": [{"type": "song", "start": document["created_at"]}]}):
        assert not validator.is_valid({**document, **damage}), f"the schema takes {damage}"


def check_audio(spool, dialog, channels, form):
    file = one_file(os.path.join(spool, "audio"), f".{form}")
    with open(file, "rb") as content:
        audio = content.read()
    assert dialog["mediatype"] == {"wav": "audio/x-wav", "opus": "audio/ogg"}[form] and dialog["filename"] == os.path.basename(file)
    if "url" in dialog:
        path = urllib.parse.unquote(dialog["url"].removeprefix(BASE_URL))
        assert os.path.samefile(spool + path, file), dialog["url"]
        hashed = base64.urlsafe_b64encode(hashlib.sha512(audio).digest()).rstrip(b"=").decode()
        assert dialog["content_hash"] == f"sha512-{hashed}"
        assert "body" not in dialog
    else:
        padding = "=" * (-len(dialog["body"]) % 4)
        assert dialog["encoding"] == "base64url" and base64.urlsafe_b64decode(dialog["body"] + padding) == audio
    count = 2 if channels == "stereo" else 1
    decoded = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", file, "-f", "s16le", "-ar", "16000", "-"], capture_output=True,
                             check=True).stdout
    samples = struct.unpack(f"<{len(decoded) // 2}h", decoded)
    seconds = len(samples) / count / 16000
    assert abs(dialog["duration"] - seconds) < 0.001 and 0.9 < seconds < 3, (dialog["duration"], seconds)
    wanted = [LOUD_LEVEL, SOFT_LEVEL] if count == 2 else [LOUD_LEVEL]
    for channel, level in enumerate(wanted):
        heard = samples[channel::count][8000:13000]
        is_there = (sum(sample * sample for sample in heard) / len(heard)) ** 0.5
        assert 0.8 * level < is_there < 1.1 * level, f"channel {channel} has {is_there:.0f}, not {level}"


def make_call(relay, call_id, speaks):
    caller, callee = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for phone in (caller, callee):
        phone.bind(("127.0.0.1", 0))
    offer = {"command": "offer", "call-id": call_id, "from-tag": "a", "sdp": description(caller), "record-call": "yes",
             "metadata": METADATA}
    to_callee = address(relay.ask(offer, 3))
    answer = {"command": "answer", "call-id": call_id, "from-tag": "a", "to-tag": "b", "label": "desk", "sdp": description(callee)}
    to_caller = address(relay.ask(answer, 3))
    for number in range(FRAMES if speaks else 0):
        # Where each sends to is what the other was told.
        caller.sendto(rtp(0, number, number * 160, 1, LOUD), to_caller)
        if 10 <= number < 13:
            end = 0x80 if number == 12 else 0
            event = struct.pack("!BBH", KEY, end | 10, (number - 9) * 160)
            callee.sendto(rtp(101, number, 10 * 160, 2, event), to_callee)
        else:
            callee.sendto(rtp(0, number, number * 160, 2, SOFT), to_callee)
        time.sleep(0.02)
    ended = relay.ask({"command": "delete", "call-id": call_id, "delete-delay": 0}, 3)
    assert ended and ended["result"] == "ok", ended
    assert relay.calls() == []


def description(phone):
    return ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {phone.getsockname()[1]} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n")


def address(reply):
    assert reply and reply["result"] == "ok", reply
    return "127.0.0.1", int(re.search(r"m=audio (\d+)", reply["sdp"])[1])


def rtp(payload_type, sequence, timestamp, ssrc, payload):
    return struct.pack("!BBHII", 0x80, payload_type, sequence, timestamp, ssrc) + payload


def one_file(folder, ending):
    """The only file in a folder, which may not be there yet."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        files = [os.path.join(folder, file) for file in os.listdir(folder)]
        if files:
            assert len(files) == 1 and files[0].endswith(ending), files
            return files[0]
        time.sleep(0.05)
    raise AssertionError(f"nothing came into {folder}")


def read(path):
    with open(path) as file:
        return json.load(file)


if __name__ == "__main__":
    sys.exit(main())
