#!/usr/bin/env python3
"""The same requests to Debian's rtpengine and to tandem: do they say the same?

Runs every sequence of the tables against both, compares the replies line by line after masking what is random, and then
sends media through both and compares what arrives. Prints sequences run, equal, intended differences and unexplained
differences. Exit status 0 means that there is no unexplained difference and no stale entry among the intended ones.
"""

import argparse
import difflib
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import securing  # noqa: E402
import tables  # noqa: E402
from answering import Answer  # noqa: E402
from intended import Intended  # noqa: E402
from media import Call  # noqa: E402
from masking import Mask, in_order, ordered_parameters  # noqa: E402
from relays import RelayUnderTest, ask, encoded, reserved_network  # noqa: E402
from sequences import Sequence  # noqa: E402

sys.path.insert(0, os.path.join(HERE, "..", "..", "demo"))
from processes import stop_all, stop_all_at_exit  # noqa: E402

# What tells people about intended differences.
PAGE = os.path.join(HERE, "..", "..", "..", "docs", "ng-compatibility.md")
# Calls with media that run at the same time, counted for each relay.
MEDIA_CALLS = 16


def main():
    options = parse_options()
    sequences = [sequence for sequence in tables.all_sequences() if matches(sequence.name, options.only)]
    calls = [(f"media/{name}", *rest) for name, *rest in tables.media.scripts(securing.is_there(options.target)) if matches(f"media/{name}", options.only)]
    if options.list:
        print("\n".join([sequence.name for sequence in sequences] + [name for name, *_ in calls]))
        return 0
    os.makedirs(options.run, exist_ok=True)
    stop_all_at_exit()
    intended = Intended(os.path.join(HERE, "intended.toml"), options.version)
    try:
        outcome = Outcome(intended, options)
        relays = start_relays(options)
        for sequence in sequences:
            outcome.add(sequence, play(sequence, relays, options))
        for sequence, found in play_media(calls, relays, options):
            outcome.add(sequence, found)
    finally:
        stop_all()
    return outcome.verdict(is_whole=not options.only)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="PATTERN", help="only sequences whose name matches, such as 'sdes/*pad*'")
    parser.add_argument("--list", action="store_true", help="print the names of the sequences")
    parser.add_argument("--show", action="store_true", help="print the masked replies of every step")
    parser.add_argument("--target", default=os.environ.get("CARGO_TARGET_DIR", "target"), help="cargo's folder")
    parser.add_argument("--run", default=".run/differential", help="folder for the relays' logs")
    parser.add_argument("--reference", default=os.environ.get("RTPENGINE", "rtpengine"),
                        help="another rtpengine than the installed one (also the variable RTPENGINE)")
    options = parser.parse_args()
    options.run, options.target = os.path.abspath(options.run), os.path.abspath(options.target)
    options.version = version_of(options.reference)
    return options


def version_of(reference):
    """The main version, such as "10" or "26"."""
    said = subprocess.run([*reference.split(), "--config-file=none", "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return re.search(r"Version: (\d+)", said)[1]


def matches(name, pattern):
    return not pattern or fnmatch.fnmatchcase(name, pattern) or name == pattern


def start_relays(options):
    reference = options.reference.split()
    number, options.lock = reserved_network()
    shutil.rmtree(options.run, ignore_errors=True)
    os.makedirs(options.run)
    return [RelayUnderTest("rtpengine", reference[-1], number, options.run, reference[:-1]),
            RelayUnderTest("tandem", os.path.join(options.target, "debug", "tandem"), number + 1, options.run)]


def play_media(calls, relays, options):
    """Runs the scripts with both relays, some calls at a time; each with its differences.

    On a busy machine a packet may come too late for the listener; a difference counts if it is there the second time too,
    when the call has the machine for itself.
    """
    with ThreadPoolExecutor(MEDIA_CALLS) as pool:
        running = [(call, [pool.submit(play_one_call, relay, *call) for relay in relays]) for call in calls]
        first = [(call, compare(*[log.result() for log in logs])) for call, logs in running]
    for call, difference in first:
        if difference or options.show:
            with ThreadPoolExecutor(len(relays)) as pool:
                lines = list(pool.map(lambda relay: play_one_call(relay, *call, patience=2), relays))
            difference = compare(*lines)
            if options.show:
                show(Sequence(call[0]), "media", ["", ""], lines)
        yield Sequence(call[0]), [("media", difference)] if difference else []


def play_one_call(relay, name, script, families, patience=1):
    call = Call(relay, name, families, patience)
    try:
        script(call)
        return call.log
    finally:
        call.close()


class Failed(Exception):
    """The sequence cannot go on: one of the relays has refused a step that a later one needs."""


def play(sequence, relays, options):
    """The differences, step by step: pairs of the step's title and its differing lines."""
    call_id = f"differential {sequence.name}"
    masks = [Mask(relay.prefix, relay.spool) for relay in relays]
    replies, used, found = [], {call_id}, []
    for number, step in enumerate(sequence.steps):
        try:
            payloads, sent = requests(step, step.call or call_id, replies)
        except Failed:
            break
        used.add(step.call or call_id)
        replies.append(ask(relays, payloads))
        for mask in masks:
            mask.command = step.request.get("command")
        lines = [mask.reply(reply, text, receiver(step.request)) for mask, reply, text in zip(masks, replies[-1], sent)]
        if options.version == "10":
            lines[0] = in_order(lines[0])
        else:
            lines = [ordered_parameters(side) for side in lines]
        if step.outcome:
            lines = [[line for line in side if line.startswith(("result:", "warning:", "error-reason:"))] for side in lines]
        title = f"{number + 1} {step.request.get('command', 'raw')}"
        if options.show:
            show(sequence, title, payloads, lines)
        if not step.silent and (difference := compare(*lines)):
            found.append((title, difference))
            if any(line.startswith(("- result", "+ result", "- (a description", "+ (a description")) for line in difference):
                break
    for used_id in used:
        ask(relays, [encoded({"command": "delete", "call-id": used_id, "delete-delay": 0}, False)] * 2)
    return found


def receiver(request):
    """Who gets the description: the tag, where it is known, or the branch."""
    tags = request.get("from-tag"), request.get("to-tag")
    if request.get("command") == "offer":
        return request.get("via-branch") or tags[1] or ("caller-tag" if tags[0] == "callee-tag" else "callee-tag")
    return tags[0] if request.get("command") == "answer" else "subscriber"


def requests(step, call_id, replies):
    """The payload for each relay, and the description in it."""
    if step.raw is not None:
        return [step.raw.replace(b"CALL-ID", f"{len(call_id)}:{call_id}".encode())] * 2, [step.sdp or ""] * 2
    payloads, texts = [], []
    for side in (0, 1):
        text = step.sdp
        if isinstance(text, Answer):
            offered = None
            for earlier in (replies[step.of:step.of + 1] if step.of is not None else reversed(replies)):
                if isinstance(earlier[side], dict) and "sdp" in earlier[side]:
                    offered = earlier[side]["sdp"]
                    break
            if not offered:
                raise Failed
            text = text.to(offered)
        request = {"call-id": call_id, **step.request}
        request = {key: from_replies(value, replies, side) for key, value in request.items() if value != "OMIT"}
        if text is not None:
            request = {"sdp": text, **request}
        payloads.append(encoded(request, step.json))
        texts.append(text or "")
    return payloads, texts


def from_replies(value, replies, side):
    """A value `REPLY n key` is what the step n got under that key."""
    if isinstance(value, str) and value.startswith("REPLY "):
        _, number, key = value.split(" ", 2)
        reply = replies[int(number)][side]
        if not isinstance(reply, dict) or key not in reply:
            raise Failed
        return reply[key]
    return value


def compare(theirs, ours):
    """The lines of one alone, `-` for rtpengine's and `+` for tandem's; `~` is a line of both in another place.

    A description that only one has written is one line.
    """
    theirs, ours = without_the_only_description(theirs, ours), without_the_only_description(ours, theirs)
    difference = [line for line in difflib.ndiff(theirs, ours) if line[0] in "-+"]
    removed, added = (Counter(line[2:] for line in difference if line[0] == sign) for sign in "-+")
    moved = removed & added
    seen, lines = Counter(), []
    for line in difference:
        sign, text = line[0], line[2:]
        if seen[sign, text] < moved[text]:
            seen[sign, text] += 1
            if sign == "+":
                lines.append(f"~ {text}")
        else:
            lines.append(f"{sign} {text}")
    return lines


def without_the_only_description(lines, others):
    """The lines, a description in one line if the others have none."""
    if "v=0" in lines and not any(line.startswith("v=") for line in others):
        return lines[:lines.index("v=0")] + ["(a description)"]
    return lines


def show(sequence, title, payloads, lines):
    print(f"== {sequence.name}: {title}")
    print(f"   > {payloads[1][:3000]!r}")
    for kind, text in zip(("rtpengine", "tandem"), lines):
        print(f"   {kind}:")
        print("".join(f"      {line}\n" for line in text), end="")


class Outcome:
    """The count, and what is printed."""

    def __init__(self, intended, options):
        self.intended, self.options = intended, options
        self.run = self.equal = self.explained = self.unexplained = 0
        self.families = {}
        self.began = time.monotonic()

    def add(self, sequence, found):
        self.run += 1
        left = [(title, [line for line in lines if not self.intended.explains(sequence.name, title, line, lines)])
                for title, lines in found]
        left = [(title, lines) for title, lines in left if lines]
        run, unexplained = self.families.get(sequence.family, (0, 0))
        self.families[sequence.family] = (run + 1, unexplained + bool(left))
        if not found:
            self.equal += 1
        elif not left:
            self.explained += 1
        else:
            self.unexplained += 1
            print(f"DIFFERENT {sequence.name}")
            for title, lines in left:
                print("".join(f"    {title}: {line}\n" for line in lines), end="", flush=True)

    def verdict(self, is_whole):
        stale = self.intended.stale() if is_whole else []
        stale += [f"docs/ng-compatibility.md has no row {page!r}" for page in self.intended.not_on_page(PAGE)]
        for entry in stale:
            print(f"STALE {entry}")
        print("\nfamily: sequences, of them unexplained")
        for family, (run, unexplained) in sorted(self.families.items()):
            print(f"    {family:<14} {run:4} {unexplained:4}")
        print(f"\ndifferential: {self.run} sequences run in {time.monotonic() - self.began:.0f} s, {self.equal} equal,"
              f" {self.explained} with intended differences alone ({self.intended.count} entries, {len(stale)} stale),"
              f" {self.unexplained} with unexplained differences. Logs: {self.options.run}")
        return 0 if self.run and not self.unexplained and not stale else 1


if __name__ == "__main__":
    sys.exit(main())
