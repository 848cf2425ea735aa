"""The list of intended differences, read from `intended.toml`: which lines of which sequences, and why."""

import fnmatch
import re
import tomllib
from dataclasses import dataclass


@dataclass
class Entry:
    reason: str
    sequences: list
    lines: list
    # A pattern with one group. Of the covered lines of a step that have the same text there, as many have to be rtpengine's as
    # are tandem's: one stands for the other.
    balance: re.Pattern = None
    # The row of docs/ng-compatibility.md that says the same.
    page: str = None
    # The main version of rtpengine that it is about; None is every one.
    version: str = None
    hits: int = 0

    def explains(self, name, title, line, lines):
        """Whether `line`, one of the `lines` in which a step differs, is meant."""
        if not self.matches(name, title, line):
            return False
        if self.balance is None:
            return True
        key = self.balance_key(line)
        covered = [other[0] for other in lines if self.matches(name, title, other) and self.balance_key(other) == key]
        return covered.count("-") == covered.count("+")

    def balance_key(self, line):
        found = self.balance.match(line)
        return found and found[1]

    def matches(self, name, title, line):
        return (any(fnmatch.fnmatchcase(f"{name}: {title}", pattern) or fnmatch.fnmatchcase(name, pattern)
                    for pattern in self.sequences)
                and any(pattern.fullmatch(line) for pattern in self.lines))


class Intended:
    def __init__(self, path, version):
        with open(path, "rb") as file:
            table = tomllib.load(file)
        self.entries = [Entry(entry["reason"], entry.get("sequences", ["*"]),
                              [re.compile(pattern) for pattern in entry["lines"]],
                              re.compile(entry["balance"]) if "balance" in entry else None, entry.get("page"), entry.get("version"))
                        for entry in table.get("difference", []) if entry.get("version", version) == version]

    @property
    def count(self):
        return len(self.entries)

    def not_on_page(self, path):
        """Entries whose row is not on the page for people."""
        with open(path) as file:
            text = file.read()
        return [entry.page for entry in self.entries
                if entry.page and f"| {entry.page}" not in text and f"\n- {entry.page}" not in text]

    def explains(self, name, title, line, lines):
        """Whether this line of this step differs on purpose. Every entry that covers it counts as in use."""
        covering = [entry for entry in self.entries if entry.explains(name, title, line, lines)]
        for entry in covering:
            entry.hits += 1
        return bool(covering)

    def stale(self):
        """What matched nothing."""
        return [entry.reason for entry in self.entries if not entry.hits]
