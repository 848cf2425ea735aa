#!/usr/bin/env python3
"""Writes the manual page: docs/options.md as roff, with what `tandem ctl help` prints.

usage: manual.py OPTIONS.md TANDEM > tandem.8

docs/options.md is made from the table of options in the relay, and a test compares the two, so that the manual
cannot tell of an option that is not there. The date is SOURCE_DATE_EPOCH's, where that is set.
"""

import datetime
import os
import re
import subprocess
import sys
import textwrap

DESCRIPTION = """\
.B tandem
carries media between WhatsApp Business Calling and SIP: ICE, DTLS\\-SRTP or
SDES on one side, plain RTP on the other. It speaks NG, the control protocol
of rtpengine, so that OpenSIPS and Kamailio drive it with the modules that
they have. Its options carry rtpengine's names.
.PP
.B tandem ctl
sends a command to a running relay; see
.BR COMMANDS .
"""

SIGNALS = [
    ("SIGTERM, SIGINT", "End, within five seconds. Calls end with the process."),
    ("SIGHUP", "Read the configuration again. The log tells what was taken over and what has to wait for a restart."),
    ("SIGUSR1, SIGUSR2", "Log less, log more."),
]

FILES = [
    ("/etc/tandem/tandem.conf", "Options as `name = value`, in a section `[tandem]`, or `[rtpengine]` as in rtpengine's own file."),
    ("/etc/rtpengine/rtpengine.conf", "Read where there is no file of tandem."),
    ("/var/lib/tandem", "The folder that the service may write into."),
]


def main():
    options, program = sys.argv[1:]
    with open(options, encoding="utf-8") as file:
        tables = read_tables(file.read())
    version = output(program, "--version").split()[-1]
    written = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", datetime.datetime.now().timestamp())),
                                              datetime.timezone.utc)
    lines = [f'.TH TANDEM 8 {written:%Y-%m-%d} "tandem {version}"',
             # The names of options have hyphens of their own.
             ".nh", ".ad l",
             ".SH NAME", r"tandem \- media relay between WhatsApp calls and SIP",
             ".SH SYNOPSIS", ".B tandem", r"\fB\-\-interface=\fIADDRESS\fR \fB\-\-listen\-ng=\fR[\fIADDRESS\fB:\fR]\fIPORT\fR", r"[\fIOPTIONS\fR]", ".br",
             ".B tandem ctl", r"[\fB\-ip\fR \fIADDRESS\fR[\fB:\fIPORT\fR]] \fICOMMAND\fR...",
             ".br", ".B tandem doctor", r"[\fB\-\-sip\-host=\fINAME\fR] [\fIOPTIONS\fR]",
             ".SH DESCRIPTION", DESCRIPTION.rstrip(),
             ".SH OPTIONS", *text("On the command line with two dashes, in the file without. An option that is a switch takes `true` "
                                  "or `false` there, and may stand alone on the command line.")]
    for names, meaning in tables["What works"]:
        lines += [".TP", ", ".join(as_written(name) for name in names), *text(meaning)]
    lines += [".SH COMMANDS", ".nf", *(roff(line) for line in commands(program)), ".fi"]
    lines += [".SH DOCTOR", ".nf", *(roff(line) for line in output(program, "doctor", "help").strip().splitlines()), ".fi"]
    lines += [".SH SIGNALS", *(line for name, meaning in SIGNALS for line in (".TP", rf"\fB{roff(name)}\fR", *text(meaning)))]
    lines += [".SH FILES", *(line for name, meaning in FILES for line in (".TP", rf"\fI{roff(name)}\fR", *text(meaning)))]
    lines += [".SH EXIT STATUS", *text("0 when it was told to end, or a command was carried out; 1 when it could not start, and the "
                                       "reason is on standard error; 1 from `tandem ctl` when the relay refused or did not answer.")]
    lines += [".SH OPTIONS WITHOUT EFFECT", *text("They are accepted, so that a file of rtpengine works as it is.")]
    for reason, group in by_reason(tables["Accepted, without effect"]):
        lines += [".TP", f"{sentence(roff(reason))}:", *wrapped(", ".join(as_written(name) for name in group))]
    lines += [".SH REFUSED OPTIONS"]
    for names, meaning in tables["Refused"]:
        lines += [".TP", ", ".join(as_written(name) for name in names), *text(meaning)]
    lines += [".SH SEE ALSO", *text("`/usr/share/doc/tandem`: options, metrics, what is different from rtpengine, and how to operate it."),
              ".PP", ".BR systemctl (1),", ".BR journalctl (1)"]
    print("\n".join(lines))


def read_tables(document):
    """{heading: [(names, meaning)]} of every table."""
    tables, heading = {}, None
    for line in document.splitlines():
        if line.startswith("## "):
            heading = line[3:]
            tables[heading] = []
        elif row := re.fullmatch(r"\| (`.*?) \| (.*) \|", line.replace(r"\|", "\0")):
            names, meaning = (cell.replace("\0", "|") for cell in row.groups())
            tables[heading].append((re.findall(r"`([^`]+)`", names), meaning))
    return tables


def by_reason(rows):
    """[(reason, names)], in the order of their first option."""
    groups = {}
    for names, reason in rows:
        groups.setdefault(reason, []).append(names[0])
    return groups.items()


def as_written(name):
    """`port-min=PORT` as `--port-min=PORT`: bold, and what stands for a value in italics."""
    if name.startswith("-"):
        return rf"\fB{roff(name)}\fR"
    option, sign, value = name.partition("=")
    return rf"\fB{roff('--' + option + sign)}\fR" + (rf"\fI{roff(value)}\fR" if value else "")


def commands(program):
    """What stands between the line of usage and the last sentence."""
    return output(program, "ctl", "help").strip().split("\n", 1)[1].strip("\n").splitlines()


def text(markdown):
    """A paragraph: words in backticks are bold."""
    return wrapped(re.sub(r"`([^`]+)`", r"\\fB\1\\fR", sentence(roff(markdown)) + ("" if markdown[-1] in ".]:" else ".")))


def sentence(words):
    return words[0].upper() + words[1:]


def wrapped(words):
    # A line that begins with a dot or a quote would be a request.
    return [re.sub(r"^(?=[.'])", r"\\&", line) for line in textwrap.wrap(words, 78, break_on_hyphens=False, break_long_words=False)]


def roff(words):
    return words.replace("\\", r"\e").replace("-", r"\-")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
