"""What a relay has recorded of a call: the packets of the files, read by the rules of pcap, IP and UDP, and the text beside them."""

import hashlib
import os
import re
import struct
import urllib.parse


def files(spool, folder, call_id):
    """The files of a call in one of the folders, the oldest first."""
    folder, name = os.path.join(spool, folder), urllib.parse.quote(call_id, safe="")
    found = [os.path.join(folder, file) for file in os.listdir(folder) if name in file]
    return sorted(found, key=os.path.getctime)


def are_done(spool, call_id):
    """Whether there is a recording of the call, and none in the making."""
    return bool(files(spool, "pcaps", call_id)) and not files(spool, "tmp", call_id)


def told(spool, call_id, places):
    """Lines about each recording. `places` are names for ports."""
    lines = []
    for number, path in enumerate(sorted(files(spool, "pcaps", call_id), key=first_time)):
        lines.append(f"recording {number}: {re.sub('[0-9a-f]{16}(?=.pcap$)', 'RANDOM', os.path.basename(path))}")
        # Each sender's packets in their order; two senders race.
        lines += [f"recording {number}: {line}" for line in sorted(packets(path, places), key=lambda line: line.split(":")[0])]
        random = re.search("([0-9a-f]{16}).pcap$", path)[1]
        for text in files(spool, "metadata", call_id):
            if random in text:
                lines += [f"recording {number}: text: {line}" for line in text_lines(text, path)]
    lines += [f"left behind: {os.path.basename(path)}" for path in files(spool, "tmp", call_id)]
    return lines


def first_time(path):
    """Of the first packet; a file without packets comes last."""
    with open(path, "rb") as file:
        data = file.read(32)
    return struct.unpack("<II", data[24:32]) if len(data) == 32 else (1 << 32, 0)


def packets(path, places):
    with open(path, "rb") as file:
        data = file.read()
    magic, major, minor, _, _, snap, link = struct.unpack("<IHHiIII", data[:24])
    yield f"header {magic:x} version {major}.{minor} snap length {snap} link type {link}"
    at, last = 24, 0
    while at < len(data):
        seconds, micros, kept, whole = struct.unpack("<IIII", data[at:at + 16])
        packet = data[at + 16:at + 16 + kept]
        at += 16 + kept
        assert len(packet) == kept == whole, path
        version = packet[0] >> 4
        head = 20 if version == 4 else 40
        ttl, kind = (packet[8], packet[9]) if version == 4 else (packet[7], packet[6])
        assert kind == 17 and (version == 6 or packet[0] == 0x45), path
        source, destination, length, checksum = struct.unpack("!HHHH", packet[head:head + 8])
        content = packet[head + 8:]
        whole = struct.unpack("!H", packet[2:4])[0] if version == 4 else struct.unpack("!H", packet[4:6])[0] + 40
        in_order = "" if seconds * 1000000 + micros >= last else " (back in time)"
        last = seconds * 1000000 + micros
        yield (f"{places.get(source, 'somebody')} to {places.get(destination, 'somewhere')}: IPv{version} TTL {ttl}, "
               f"{len(content)} bytes {hashlib.sha1(content).hexdigest()[:8]}"
               f"{'' if length == len(content) + 8 and whole == len(packet) else ' (lengths are wrong)'}{in_order}")


def text_lines(path, pcap):
    """The text without times, and without what the descriptions are: that is compared elsewhere."""
    with open(path, encoding="utf-8") as file:
        text = file.read().replace(pcap, "(the file)")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"ms(\S*( \S+)?): (?!0\.)\d+\.\d{3}$", r"ms\1: TIME", text, flags=re.M)
    return re.sub(r"^v=0\n(\S=.*\n)+", "(a description)\n", text, flags=re.M).split("\n")
