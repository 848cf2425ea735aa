"""Replies made comparable: what is random is replaced by a name that keeps what must agree.

Each relay has a `Mask` for the length of a sequence. A port, key, credential or tag gets a name when it is first seen and
keeps it, so that two replies are the same only if the same things stay the same from one to the next: a port that moves in
a re-offer, or a key that is the other side's, shows.
"""

import re

from bodies import FINGERPRINT, FINGERPRINT_SHA1, KEYS, TLS_ID

TIMES = ("created", "created_us", "created_ts", "last signal", "last packet", "last kernel packet", "last user packet",
         "last redis update")
PEER_FINGERPRINTS = {FINGERPRINT, FINGERPRINT_SHA1, FINGERPRINT.replace("AB", "EF")}


class Mask:
    def __init__(self, own_prefix, spool=""):
        self.own_prefix, self.spool = own_prefix, spool
        self.names = {}
        # The command that is replied to.
        self.command = None

    def name(self, kind, value):
        """`kind` and a number: the same for the same value, in the order of appearance."""
        known = self.names.setdefault(kind, {})
        return known.setdefault(value, f"{kind}{len(known) + 1}")

    def port(self, number, address, place, single=False):
        """A pair of ports is one name; its odd half shows. `place` says whose it is: the name counts the ports of a place,
        so that a port that moves is one difference and not one in everything that follows."""
        known = self.names.setdefault(f"port of {address}", {})
        if number in known:
            return known[number]
        counts = self.names.setdefault("places", {})
        counts[place] = counts.get(place, 0) + 1
        name = f"{place}#{counts[place]}"
        if single:
            known[number] = f"SINGLE({name})"
        elif number % 2 == 0:
            known[number], known[number + 1] = f"PAIR({name})", f"PAIR({name})+1"
        else:
            known[number] = f"ODD({name})"
        return known[number]

    def is_ours(self, port):
        return port.isdigit() and 10000 <= int(port) < 40000

    def addresses(self, text):
        if self.spool:
            text = text.replace(self.spool, "(spool)")
        return text.replace(self.own_prefix, "127.0.R.")

    def sdp(self, text, sent, party):
        """The lines of a description for `party`. `sent` is the text that the relay was given."""
        bare = ["(bare line feeds)"] if re.search(r"(?<!\r)\n", text) else []
        text = re.sub(r"\r?\n", "\r\n", text)
        head, *sections = re.split(r"^(?=m=)", text, flags=re.M)
        lines = [self.line(line, "", sent, party) for line in split_lines(head)]
        for index, section in enumerate(sections):
            whole = section + "".join(line + "\r\n" for line in split_lines(head) if line.startswith("c="))
            lines += [self.line(line, whole, sent, f"{party} {index}") for line in split_lines(section)]
        return bare + lines

    def line(self, line, section, sent, place):
        line = self.addresses(line)
        if match := re.match(r"m=(\S+) (\d+)( .*)", line):
            return f"m={match[1]} {self.m_port(match[2], section, place)}{match[3]}"
        if match := re.match(r"a=rtcp:(\d+)(.*)", line):
            return f"a=rtcp:{self.rtcp_port(match[1], section, place)}{match[2]}"
        if match := re.match(r"a=candidate:(\S+) (\d+) (\S+) (\d+) (\S+) (\d+) (.*)", line):
            # A relayed candidate of the relay's own names itself as what is behind it.
            rest = re.sub(r"raddr \S+ rport " + match[6] + "$", "raddr rport (the same)", match[7]) if self.is_ours(match[6]) else match[7]
            return (f"a=candidate:{self.name('FOUNDATION', match[1])} {match[2]} {match[3]} {match[4]} {match[5]}"
                    f" {self.candidate_port(match, section, place)} {rest}")
        if match := re.match(r"a=crypto:(\d+) (\S+) inline:([^| ]+)(.*)", line):
            key = self.key(match[3], f"{place} {match[2]}")
            tag = "*" if key.startswith("KEY") and self.command in ("offer", "subscribe request") else match[1]
            return f"a=crypto:{tag} {match[2]} inline:{key}{match[4]}" + self.misnumbered(match[1], section)
        if match := re.match(r"a=fingerprint:(\S+) (\S+)", line):
            return f"a=fingerprint:{match[1]} " + (match[2] if match[2] in PEER_FINGERPRINTS else
                                                   self.name("FINGERPRINT", match[2]) + f"({len(match[2])})")
        if match := re.match(r"a=(ice-ufrag|ice-pwd|tls-id|rtpengine):(.*)", line):
            known = match[2] in sent or match[2] == TLS_ID
            return f"a={match[1]}:" + (match[2] if known else f"{self.name(match[1].upper(), match[2])}({len(match[2])})")
        if match := re.match(r"a=ssrc:(\d+)(.*)", line):
            return f"a=ssrc:{match[1] if match[1] in sent else self.name('SSRC', match[1])}{match[2]}"
        if line.startswith("o=") and line.split(" ")[1:2] and line.split(" ")[1] not in sent:
            user, session, *rest = line.split(" ")
            return " ".join([user, self.name("SESSION", session), *rest])
        return re.sub(r"(?<=^s=)(rtpengine|tandem)\S*", "SOFTWARE", line)

    def misnumbered(self, tag, section):
        """Tags of one section differ."""
        return " (tag twice)" if len(re.findall(rf"^a=crypto:{tag} ", section, flags=re.M)) > 1 else ""

    def m_port(self, port, section, place):
        if not self.is_ours(port):
            return port
        rtcp = re.search(r"^a=rtcp:(\d+)", section, flags=re.M)
        single = "a=rtcp-mux" in section and (rtcp is None or rtcp[1] == port)
        return self.port(int(port), address_of(section), place, single)

    def rtcp_port(self, port, section, place):
        return self.port(int(port), address_of(section), f"{place} rtcp") if self.is_ours(port) else port

    def candidate_port(self, candidate, section, place):
        if not self.is_ours(candidate[6]):
            return candidate[6]
        single = candidate[2] == "1" and not re.search(r"^a=candidate:\S+ 2 UDP ", section, flags=re.M | re.I)
        return self.port(int(candidate[6]), candidate[5].replace("127.0.R.", self.own_prefix), f"{place} {candidate[5]}", single)

    def key(self, key, place):
        """A key of the peers as it is, or of whom it is; another one is the relay's own, counted like ports."""
        if key in KEYS.values() or key.startswith("z") and "A" + key[1:] in KEYS.values():
            return key
        for suite, known in KEYS.items():
            if key.rstrip("=") in (known.rstrip("="), "z" + known.rstrip("=")[1:]):
                return f"{suite}-of-peer({len(key)})"
        known, counts = self.names.setdefault("KEY", {}), self.names.setdefault("places", {})
        if key not in known:
            counts[place] = counts.get(place, 0) + 1
            known[key] = f"KEY({place}#{counts[place]})"
        return f"{known[key]}({len(key)})"

    def reply(self, reply, sent, party):
        """A whole reply: its SDP by line, everything else as `path: value`, sorted."""
        self.names.pop("FOUNDATION", None)
        if not isinstance(reply, dict):
            return [repr(reply)]
        rest = {key: value for key, value in reply.items() if key != "sdp"}
        lines = sorted(self.flat("", rest))
        if isinstance(reply.get("sdp"), str):
            lines += self.sdp(reply["sdp"], sent, party)
        return lines

    def flat(self, path, value):
        if isinstance(value, dict):
            if not value:
                return [f"{path}: {{}}"]
            local = value.get("local port")
            if local:
                value = {**value, "local port": self.port(local, value["local address"], path)}
            return [line for key, item in value.items()
                    for line in self.flat(f"{path}.{self.text(str(key))}" if path else self.text(str(key)), item)]
        if isinstance(value, list):
            if all(isinstance(item, str) for item in value):
                return [f"{path}: [{', '.join(sorted(map(self.text, value)))}]"]
            return [line for number, item in enumerate(value) for line in self.flat(f"{path}[{number}]", item)]
        key = path.rsplit(".")[-1]
        if key in TIMES and isinstance(value, int):
            return [f"{path}: {'TIME' if value else 0}"]
        return [f"{path}: {self.text(str(value))}"]

    def text(self, text):
        text = self.addresses(text)
        return re.sub(r"\b[0-9a-f]{16,}\b", lambda match: f"{self.name('TAG', match[0])}({len(match[0])})", text)


def address_of(section):
    """What stands in its `c=`, which for version 10 may be that of the session."""
    found = re.search(r"^c=IN IP[46] (\S+?)\r?$", section, flags=re.M)
    return found[1] if found else None


def split_lines(text):
    return text.removesuffix("\r\n").split("\r\n")


# The order in which attributes of a section are written (docs/ng-compatibility.md). Version 10.5 has another one, so its
# lines are brought into this one first, those of one row in the order they had; tandem's stay as they are.
SECTION_ORDER = [
    r"m=", r"i=", r"c=", r"b=", r"a=mid:", r"a=label:", r"a=bundle-only$", r"a=(rtpmap|fmtp|rtcp-fb):\d", r"a=rtcp-fb:\*", r"a=extmap",
    r"OTHER", r"a=(sendrecv|sendonly|recvonly|inactive)$", r"a=rtcp:", r"a=rtcp-mux$", r"a=crypto:", r"a=setup:",
    r"a=fingerprint:", r"a=tls-id:", r"a=ptime:", r"a=maxptime:", r"a=ice-ufrag:", r"a=ice-pwd:", r"a=ice-options:",
    r"a=candidate:", r"a=remote-candidates:", r"a=end-of-candidates$",
]


def rank(line):
    for number, pattern in enumerate(SECTION_ORDER):
        if re.match(pattern, line):
            return number
    return SECTION_ORDER.index("OTHER")


def in_order(lines):
    """The lines of a reply, each section's in the order of the table, with the session's `c=` in each that has none."""
    head, *sections = split_sections(lines)
    connection = [line for line in head if line.startswith("c=")]
    done = [line for line in head if line not in connection]
    for section in sections:
        own = [] if any(line.startswith("c=") for line in section) else connection
        done += sorted(section + own, key=rank)
    return done


def ordered_parameters(lines):
    """Parameters of Opus in the order of the alphabet: version 26 writes them in one of its own."""
    return [re.sub(r"^(a=fmtp:\d+ )(.*\b(?:useinbandfec|minptime)=.*)", lambda match: match[1] + ";".join(sorted(
        filter(None, map(str.strip, match[2].split(";"))))), line) for line in lines]


def split_sections(lines):
    """What stands before the first `m=`, and each section."""
    parts = [[]]
    for line in lines:
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return parts
