#!/usr/bin/env python3
"""Every case of the SIP scripts, with each proxy and each way of agreeing on keys, as one table.

The proxies are the Kamailio on the PATH and OpenSIPS, which Debian does not have: the environment variable OPENSIPS names it, or
it is on the PATH. The relay is tandem; WhatsApp's side is the simulator or a small peer, the PBX is baresip, sipp or a small peer.

Exit status: 0 when no case failed, 1 when one did, 2 when the matrix could not run.
"""

import argparse
import datetime
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(HERE, "..", "demo"))

import opensips  # noqa: E402
from rows import ROWS  # noqa: E402

PROXIES = {"kamailio": "Kamailio", "opensips": "OpenSIPS"}
KEY_MODES = ["DTLS", "SDES"]
FIRST_PORT, PORTS_PER_JOB, PORTS_END = 18000, 2000, 32000


def main():
    options = parse_options()
    began = time.monotonic()
    wanted = [row for row in ROWS if options.only.lower() in row.title.lower()]
    files = sorted({test.split(".")[0] for row in wanted for test in row.tests})
    missing = missing_proxies(options.proxy)
    jobs = [(proxy, keys, file) for file in files for proxy in options.proxy for keys in options.keys
            if proxy not in missing]
    # The long ones first, so that no processor waits for the last of them alone.
    long_ones = ["test_changes", "test_scripts", "test_calls", "test_relays", "test_operations"]
    jobs.sort(key=lambda job: long_ones.index(job[2]) if job[2] in long_ones else len(long_ones))
    if not jobs:
        print("\n".join(missing.values()))
        return 2
    results = run_all(jobs, options)
    columns = [(proxy, keys) for proxy in options.proxy for keys in options.keys]
    cells = {(row, column): Cell.of(row, column, results, missing) for row in wanted for column in columns}
    text = "\n".join(table(wanted, columns, cells)) + "\n\n" + "\n".join(totals(options.proxy, columns, cells, missing))
    forgotten = {name for (*_, name), record in results.items() if name.count(".") == 2 and "setUpClass" not in name
                 and not any(name in row.tests for row in ROWS)}
    for name in sorted(forgotten):
        print(f"FAIL  {name} is in no row of rows.py")
    print("\n" + text)
    print(f"\n{time.monotonic() - began:.0f} s; logs of each part: {os.path.join(ROOT, '.run')}")
    if options.write:
        write_document(options, wanted, columns, cells, missing)
    return 1 if forgotten or any(cell.outcome == "FAIL" for cell in cells.values()) else 0


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", default=os.path.join(ROOT, "target", "debug"),
                        help="where tandem and simulator were built")
    parser.add_argument("--proxy", action="append", choices=list(PROXIES), help="only this one; may be repeated")
    parser.add_argument("--keys", action="append", choices=KEY_MODES, help="only this way of keys")
    parser.add_argument("--only", default="", metavar="WORDS", help="only cases whose title contains the words")
    parser.add_argument("--jobs", type=int, default=2, help="how many files run at a time; more than processors starve each other's peers")
    parser.add_argument("--write", metavar="FILE", help="write the result with versions and date, such as docs/sip-matrix.md")
    options = parser.parse_args()
    options.proxy = options.proxy or list(PROXIES)
    options.keys = options.keys or KEY_MODES
    return options


def missing_proxies(proxies):
    """Why a proxy is left out, by proxy. Kamailio is never left out: without it every case fails."""
    reason = opensips.why_not() if "opensips" in proxies else None
    return {"opensips": reason} if reason else {}


def run_all(jobs, options):
    """The outcome of each test: {(proxy, keys, "file.Class.test"): record}."""
    results, waiting, free_ports = {}, queue.Queue(), queue.Queue()
    for job in jobs:
        waiting.put(job)
    for first in range(FIRST_PORT, PORTS_END, PORTS_PER_JOB):
        free_ports.put(f"{first}-{first + PORTS_PER_JOB}")

    def work():
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            ports = free_ports.get()
            results.update(run_one(*job, ports, options))
            free_ports.put(ports)

    workers = [threading.Thread(target=work) for _ in range(options.jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


def run_one(proxy, keys, file, ports, options):
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("r", prefix="sip-matrix-") as records:
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, file + ".py")], capture_output=True, text=True, check=False,
            env=os.environ | {
                "PROXY": proxy, "KEYS": keys, "TEST_PORTS": ports, "RESULTS": records.name,
                "TANDEM": os.path.abspath(os.path.join(options.binaries, "tandem")),
                "SIMULATOR": os.path.abspath(os.path.join(options.binaries, "simulator"))})
        outcomes = [json.loads(line) for line in records]
    failed = [record for record in outcomes if record["outcome"] == "FAIL"]
    print(f"{PROXIES[proxy]} {keys} {file}: {len(outcomes)} cases, {len(failed)} failed, {time.monotonic() - began:.0f} s",
          flush=True)
    if failed or done.returncode:
        print(done.stderr[-6000:], flush=True)
    found = {(proxy, keys, f"{file}.{record['case']}"): record for record in outcomes}
    if not outcomes or done.returncode and not failed:
        # The file itself did not get that far: each of its cells says why.
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        found[proxy, keys, file] = {"outcome": "FAIL", "why": last[:200], "seconds": 0}
    return found


class Cell:
    """What became of one case with one proxy and one way of keys."""

    def __init__(self, outcome, why=""):
        self.outcome, self.why = outcome, why

    @classmethod
    def of(cls, row, column, results, missing):
        proxy, keys = column
        if proxy in missing:
            return cls("skip", missing[proxy])
        if keys not in row.keys:
            return cls("-")
        records = []
        for test in row.tests:
            record = results.get((*column, test)) or results.get((*column, test.split(".")[0]))
            if record is None:
                broken = [result for (*where, name), result in results.items()
                          if tuple(where) == column and name.startswith(test.split(".")[0] + ".") and "setUpClass" in name]
                record = broken[0] if broken else {"outcome": "FAIL", "why": f"{test} was not run"}
            records.append(record)
        for outcome in ("FAIL", "skip"):
            for record in records:
                if record["outcome"] == outcome:
                    return cls(outcome, record["why"])
        return cls("pass")


def table(rows, columns, cells):
    width = max(len(row.title) for row in rows)
    headings = [f"{PROXIES[proxy]} {keys}" for proxy, keys in columns]
    lines = [f"{'case':<{width}}  " + "  ".join(headings)]
    lines.append("-" * len(lines[0]))
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            lines.append(f"[{group}]")
        words = [cells[row, column].outcome.ljust(len(heading)) for column, heading in zip(columns, headings)]
        lines.append(f"{row.title:<{width}}  " + "  ".join(words).rstrip())
    for outcome in ("FAIL", "skip"):
        reasons = {}
        for (row, column), cell in cells.items():
            if cell.outcome == outcome:
                reasons.setdefault((column[0] if outcome == "skip" else column, cell.why), []).append(row.title)
        for (where, why), titles in reasons.items():
            if outcome == "skip":
                lines.append(f"skip  {PROXIES[where]}: {len(titles)} cells: {why}")
            else:
                lines.append(f"FAIL  {PROXIES[where[0]]} {where[1]}: {'; '.join(titles)}: {why}")
    return lines


def totals(proxies, columns, cells, missing):
    lines = []
    for proxy in proxies:
        counts = {outcome: sum(cell.outcome == outcome for (_, column), cell in cells.items() if column[0] == proxy)
                  for outcome in ("pass", "FAIL", "skip")}
        lines.append(f"total {PROXIES[proxy]}: {counts['pass']} pass, {counts['FAIL']} fail, {counts['skip']} skipped"
                     + (f" ({missing[proxy]})" if proxy in missing else ""))
    return lines


def write_document(options, rows, columns, cells, missing):
    """The table as Markdown, a section for each version of a proxy. What other runs wrote is kept."""
    sections = {}
    if os.path.exists(options.write):
        with open(options.write) as file:
            for part in file.read().split("\n## ")[1:]:
                sections[part.split("\n", 1)[0]] = part
    for proxy in options.proxy:
        if proxy in missing:
            continue
        own = [column for column in columns if column[0] == proxy]
        title = version_of(proxy)
        lines = [title, "", f"With tandem {version_of_tandem(options)}, {datetime.date.today()}. "
                 + totals([proxy], own, {key: cell for key, cell in cells.items() if key[1] in own}, {})[0].split(": ", 1)[1]
                 + ".", "", "| case | " + " | ".join(keys for _, keys in own) + " |", "|---|" + "---|" * len(own)]
        group = None
        for row in rows:
            if row.group != group:
                group = row.group
                lines.append(f"| **{group}** |" + " |" * len(own))
            lines.append(f"| {row.title} | " + " | ".join(
                cell.outcome + (f": {cell.why}" if cell.why else "") for cell in (cells[row, column] for column in own)) + " |")
        sections[title] = "\n".join(lines) + "\n"
    with open(options.write, "w") as file:
        file.write(DOCUMENT + "".join("\n## " + sections[title].rstrip() + "\n" for title in sorted(sections)))
    print(f"written: {options.write}")


DOCUMENT = """# The SIP scripts, case by case

Written by `make test-sip WRITE=docs/sip-matrix.md`; do not edit.
Each case is a call or several through the shipped scripts and tandem, once with DTLS and once with SDES towards Meta.
WhatsApp's side is the simulator or a small peer of the tests, the PBX is baresip, sipp or a small peer; nobody has yet run this against Meta itself.
"""


def version_of(proxy):
    """Such as Kamailio 5.6.3."""
    said = opensips.version() if proxy == "opensips" else subprocess.run(
        ["kamailio", "-v"], capture_output=True, text=True, check=False).stdout.splitlines()[0]
    return f"{PROXIES[proxy]} {re.search(r'[0-9][0-9.]*', said)[0]}"


def version_of_tandem(options):
    said = subprocess.run([os.path.join(options.binaries, "tandem"), "--version"], capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).strip().split()[-1]


if __name__ == "__main__":
    sys.exit(main())
