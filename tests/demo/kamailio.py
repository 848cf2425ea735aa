"""Kamailio with the scripts as shipped: only settings.cfg and the paths in tls.cfg are filled in."""

import os
import re
import subprocess
from types import SimpleNamespace

from processes import Part, tcp_answers

SIP_HOST = "sbc.example.com"
SCRIPTS = os.path.join(os.path.dirname(__file__), "..", "..", "kamailio-scripts")


class Kamailio:
    def __init__(self, run, ports, numbers, certificates, settings=None, shared_megabytes=64, edit=lambda script: script):
        """`numbers` maps a business number to (password, DTLS or SDES) and pairs of further settings; `settings` are values for
        other lines of settings.cfg; `edit` is what somebody has done to kamailio.cfg."""
        folder = os.path.join(run, "kamailio")
        os.makedirs(folder, exist_ok=True)
        write(folder, "kamailio.cfg", edit(read("kamailio.cfg")))
        write(folder, "settings.cfg", fill_settings(read("settings.cfg"), ports, numbers, settings or {}))
        write(folder, "tls.cfg", fill_tls(read("tls.cfg"), certificates))
        self.part = Part(
            "kamailio",
            ["kamailio", "-f", os.path.join(folder, "kamailio.cfg"), "-DD", "-E", "-m", str(shared_megabytes), "-M", "8",
             "-Y", folder, "-w", folder],
            run,
        )
        self.folder = folder
        self.part.wait_until(tcp_answers(ports.kamailio_tls))

    def control(self, *command):
        """What kamcmd says, line by line."""
        done = subprocess.run(["kamcmd", "-s", f"unixs:{self.folder}/kamailio_ctl", *command], capture_output=True, text=True,
                              check=True)
        return done.stdout.splitlines()

    def held(self):
        """What it keeps at this moment. `entries` are those of tables, without what came from settings.cfg."""
        stats = dict(line.split(" = ", 1) for line in self.control("stats.get_statistics", "all") if " = " in line)
        tables = re.findall(r"name: (\w+)\s+slots: \d+\s+all: (\d+)", "\n".join(self.control("htable.stats")))
        return SimpleNamespace(
            dialogs=int(stats["dialog:active_dialogs"]) + int(stats["dialog:early_dialogs"]),
            transactions=int(stats["tmx:active_transactions"]),
            connections=int(stats["tcp:current_opened_connections"]),
            entries=sum(int(count) for name, count in tables if name in ("contacts", "answered", "silent", "backed_off")),
            shared_kb=int(stats["shmem:real_used_size"]) // 1024)


def fill_settings(text, ports, numbers, settings):
    values = {
        "SIP_HOST": SIP_HOST,
        "SIP_HOST_PORT": ports.kamailio_tls,
        "META_LISTEN": f"tls:127.0.0.1:{ports.kamailio_tls}",
        "META_NEXT_HOP": f'"sip:127.0.0.1:{ports.meta_tls};transport=tls"',
        "META_SOURCES": '"127.0.0.0/8"',
        "PBX_LISTEN": f"udp:127.0.0.1:{ports.kamailio_udp}",
        "PBX_SIDE_ADDRESS": f"127.0.0.1:{ports.kamailio_udp}",
        "PBX_NEXT_HOPS": f'"127.0.0.1:{ports.phone_sip}"',
        "PBX_SOURCES": '"127.0.0.1/32"',
        "RELAYS": '"' + " ".join(f"udp:127.0.0.1:{port}" for port in getattr(ports, "relays", [ports.relay_ng])) + '"',
        "METRICS_LISTEN": f"tcp:127.0.0.1:{ports.proxy_metrics}",
        "DEFAULT_NUMBER": f'"{next(iter(numbers))}"',
    } | settings
    for name, value in values.items():
        text, found = re.subn(rf"(?m)^#!define {name} .*$", lambda _: f"#!define {name} {value}", text)
        assert found == 1, f"settings.cfg has no line for {name}"

    lines = []
    for number, (password, keys, *more) in numbers.items():
        for name, value in [("secret", password), ("keys", keys), *more]:
            written = value if isinstance(value, int) else f'"{value}"'
            lines.append(f"    $sht({name}=>{number}) = {written};")
    for number, sockets in getattr(ports, "relay_sets", {}).items():
        example = '#modparam("rtpengine", "rtpengine_sock", "1 == '
        assert example in text, "settings.cfg has no example of a set of relays"
        text = text.replace(example, 'modparam("rtpengine", "rtpengine_sock", "{} == {}")\n{}'.format(
            number, " ".join(f"udp:127.0.0.1:{port}" for port in sockets), example), 1)
    text, found = re.subn(r"(?ms)^    \$sht\(secret=>.*?\$sht\(keys=>.*?$", lambda _: "\n".join(lines), text)
    assert found == 1, "settings.cfg has no example of a business number"
    return text


def fill_tls(text, certificates):
    values = {
        "certificate": certificates.kamailio_chain,
        "private_key": certificates.kamailio_key,
        "ca_list": certificates.authority,
    }
    for name, value in values.items():
        text, found = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        assert found == 1, f"tls.cfg has no line for {name}"
    return text


def read(name):
    with open(os.path.join(SCRIPTS, name)) as file:
        return file.read()


def write(folder, name, text):
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)
