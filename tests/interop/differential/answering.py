"""An answer to the offer that a relay has written: the only part of a sequence that may differ between the two relays,
because an answer has to name what was offered (a tag and a suite, a number of sections, a role)."""

import re

from bodies import CALLEE, FINGERPRINT, KEYS, ice

MUX, FULL, LITE = "mux", "full", "lite"


class Answer:
    """How the called party answers. Nothing is said that was not offered, unless `insist` has it.

    codecs: the names to accept, or None for all.
    protocol: what stands in `m=` in place of what was offered.
    suite: the SDES suite to take; None is the first that we have a key for. `sdes` and `dtls` say whether to take one at all.
    setup: the role in the DTLS handshake. direction: as in `a=sendonly`.
    ice: FULL, LITE or None. mux: whether to accept rtcp-mux. reject: the indices of sections to answer with port 0.
    first: how many sections to answer at all.
    """

    def __init__(self, codecs=None, protocol=None, sdes=True, suite=None, dtls=True, setup="active", ice=FULL, mux=True,
                 reject=(), first=None, direction=None, address=CALLEE, port=50000, insist="", session="", ptime=None,
                 origin=None, zero=False, key=None, version=1):
        self.__dict__.update(locals())
        del self.__dict__["self"]

    def to(self, offer):
        """The answer's text."""
        head, *sections = re.split(r"^(?=m=)", offer.replace("\r\n", "\n"), flags=re.M)
        self.session_level = head
        if self.first is not None:
            sections = sections[:self.first]
        family = "IP6" if ":" in self.address else "IP4"
        connection = self.address if not self.zero else "0.0.0.0"
        written = ["v=0", self.origin or f"o=callee 2000 {self.version} IN {family} {self.address}", "s=answer",
                   f"c=IN {family} {connection}", "t=0 0"]
        lite = self.ice == LITE and "a=ice-ufrag" in offer
        written += ["a=ice-lite"] if lite else []
        bundle = [line for line in head.splitlines() if line.startswith("a=group:BUNDLE")]
        written += bundle if self.mux else []
        written += self.session.split("\n") if self.session else []
        for index, section in enumerate(sections):
            written += self.section(index, section.splitlines())
        return "".join(line + "\r\n" for line in written)

    def section(self, index, offered):
        kind, port, protocol, *formats = offered[0][2:].split(" ")
        attributes = offered[1:]
        mid = [line for line in attributes if line.startswith("a=mid:")]
        mids = mid if mid else []
        protocol = self.protocol or protocol
        if port == "0" or index in self.reject:
            return [f"m={kind} 0 {protocol} {' '.join(formats)}", *mids]
        port = self.port + 100 * index
        names = {}
        for line in attributes:
            if match := re.match(r"a=rtpmap:(\d+) ([^/]+)", line):
                names[match[1]] = match[2].lower()
        if self.codecs is not None:
            kept = [number for wanted in self.codecs for number in formats if names.get(number) == wanted.lower()]
            formats = kept or formats[:1]
        lines = [f"m={kind} {port} {protocol} {' '.join(formats)}", *mids]
        lines += [line for line in attributes
                  if re.match(r"a=(rtpmap|fmtp):", line) and re.split("[: ]", line)[1] in formats]
        lines += [line for line in attributes if line.startswith("a=T38")]
        if self.direction:
            lines.append(f"a={self.direction}")
        muxed = self.mux and "a=rtcp-mux" in attributes
        if muxed:
            lines.append("a=rtcp-mux")
        lines += self.security(attributes)
        if self.ice and any(line.startswith("a=ice-ufrag") for line in [*attributes, *self.session_level.splitlines()]):
            lines += [line for line in ice(self.address, port, 1 if muxed else 2, "calleeUf").splitlines() if line]
        if self.ptime:
            lines.append(f"a=ptime:{self.ptime}")
        return lines + (self.insist.split("\n") if self.insist else [])

    def security(self, attributes):
        everywhere = [*attributes, *self.session_level.splitlines()]
        if self.dtls and any(line.startswith("a=fingerprint") for line in everywhere):
            lines = [f"a=setup:{self.setup}", f"a=fingerprint:sha-256 {FINGERPRINT.replace('AB', 'EF')}"]
            return lines + (["a=tls-id:fedcba9876543210fedcba9876543210"] if any("a=tls-id" in line for line in attributes)
                            else [])
        if self.sdes:
            offered = [re.match(r"a=crypto:(\d+) (\S+)", line) for line in attributes if line.startswith("a=crypto")]
            for match in offered:
                if match and match[2] in KEYS and self.suite in (None, match[2]):
                    key = self.key or "z" + KEYS[match[2]][1:]
                    return [f"a=crypto:{match[1]} {match[2]} inline:{key}"]
        return []
