"""OpenSIPS with the scripts as shipped, only settings.cfg filled in; or with a configuration of the caller's.

Debian has no package of it: the environment variable OPENSIPS names the program, or it is on the PATH. OPENSIPS_MODULES names
the folder of its modules, where the program does not know it.
"""

import json
import os
import re
import secrets
import select
import shutil
import subprocess
from types import SimpleNamespace

from kamailio import SIP_HOST, write
from processes import Part, PartFailed, tcp_answers

SCRIPTS = os.path.join(os.path.dirname(__file__), "..", "..", "opensips-scripts")


def program():
    return os.environ.get("OPENSIPS") or shutil.which("opensips")


def why_not():
    """The reason for a skip, or None when there is an OpenSIPS."""
    found = program()
    if found is None:
        return "there is no OpenSIPS here: put it on the PATH, or name the program in OPENSIPS"
    if not os.access(found, os.X_OK):
        return f"OPENSIPS names {found}, which cannot be run"
    return None


def version():
    text = subprocess.run([program(), "-V"], capture_output=True, text=True, check=False).stdout
    return text.split("(")[0].replace("version:", "").strip() or "unknown version"


def has_module(name):
    """True also when only the program knows where its modules are."""
    folder = os.environ.get("OPENSIPS_MODULES")
    return folder is None or os.path.exists(os.path.join(folder, name + ".so"))


class Proxy:
    """One OpenSIPS with the configuration file `config`, in its own folder."""

    def __init__(self, folder, config, ready, shared_megabytes=64):
        if modules := os.environ.get("OPENSIPS_MODULES"):
            with open(config) as file:
                text = file.read()
            write(folder, os.path.basename(config), f'mpath="{modules}/"\n{text}')
        # OpenSIPS resolves the names of its sockets at start, and that of Meta where it ends a call: no DNS here has them.
        hosts = os.path.join(folder, "hosts")
        write(folder, "hosts", f"127.0.0.1 localhost {SIP_HOST} wa.meta.vc\n")
        self.enter = enter = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
        check = subprocess.run([*enter, program(), "-C", "-f", config], capture_output=True, text=True, check=False)
        if check.returncode != 0:
            raise AssertionError(f"OpenSIPS refuses {config}:\n{check.stdout}{check.stderr}")
        # A SIGTERM to all its processes at once hangs one stop of ten when there is traffic: KillMode in packaging.
        self.start = lambda: Part(
            "opensips", [*enter, program(), "-F", "-f", config, "-w", folder, "-m", str(shared_megabytes), "-M", "8"], folder,
            ends_its_children=True)
        self.ready = ready
        self.part = self.start()
        self.part.wait_until(ready)

    def restart(self):
        self.part.stop()
        self.part = self.start()
        self.part.wait_until(self.ready)

    def lines(self, word):
        """What the script logged with `WORD|`, oldest first."""
        with open(self.part.log, errors="replace") as log:
            return [line.split(word + "|", 1)[1].rstrip("\n") for line in log if word + "|" in line]


class OpenSips(Proxy):
    """The scripts that we ship."""

    def __init__(self, run, ports, numbers, certificates, settings=None, shared_megabytes=64):
        """`numbers` maps a business number to (password, DTLS or SDES) and pairs of further settings; `settings` are values for
        other lines of settings.cfg, by the names that Kamailio has for them."""
        if reason := why_not():
            raise PartFailed(reason)
        self.folder = folder = os.path.join(run, "opensips")
        os.makedirs(folder, exist_ok=True)
        script = read("opensips.cfg").replace('include_file "settings.cfg"',
                                              f'include_file "{os.path.join(folder, "settings.cfg")}"')
        script = script.replace("stderror_enabled=no\nsyslog_enabled=yes", "stderror_enabled=yes\nsyslog_enabled=no")
        script = script.replace('loadmodule "mi_fifo.so"', 'loadmodule "mi_fifo.so"\n'
                                f'modparam("mi_fifo", "fifo_name", "{os.path.join(folder, "fifo")}")\n'
                                f'modparam("mi_fifo", "reply_dir", "{folder}/")')
        write(folder, "opensips.cfg", script)
        calls = os.path.join(folder, "calls")
        shutil.copytree(os.path.join(SCRIPTS, "calls"), calls)
        text = fill_settings(read("settings.cfg"), ports, numbers, certificates, calls)
        for name, value in (settings or {}).items():
            text, found = re.subn(rf'(?<="{name.lower()}=[si]:)[^"]*', str(value), text)
            assert found == 1, f"settings.cfg has no line for {name.lower()}"
        write(folder, "settings.cfg", text)
        super().__init__(folder, os.path.join(folder, "opensips.cfg"), tcp_answers(ports.kamailio_tls), shared_megabytes)

    def control(self, command, *parameters):
        """What its management interface says. The names of commands are those of 3.6, which 4.0 knows too."""
        answers = os.path.join(self.folder, "answer")
        os.mkfifo(answers)
        reader = os.open(answers, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with open(os.path.join(self.folder, "fifo"), "w") as fifo:
                request = {"jsonrpc": "2.0", "id": 1, "method": command} | ({"params": parameters} if parameters else {})
                fifo.write(f":answer:{json.dumps(request)}\n")
            answer = b""
            while select.select([reader], [], [], 5)[0] and (part := os.read(reader, 65536)):
                answer += part
            return json.loads(answer)["result"]
        finally:
            os.close(reader)
            os.unlink(answers)

    def held(self):
        """What it keeps at this moment. `entries` are those of the cache, without what came from settings.cfg."""
        stats = self.control("get_statistics", ["dialog:", "tm:", "shmem:"])
        return SimpleNamespace(
            dialogs=stats["dialog:active_dialogs"] + stats["dialog:early_dialogs"],
            transactions=stats["tm:inuse_transactions"],
            connections=len(self.control("list_tcp_conns")["Connections"]),
            entries=sum(len(self.control("cache_fetch_chunk", names)["keys"]) for names in ("answered:*", "silent_*", "backed_off_*", "nonce:*")),
            shared_kb=stats["shmem:real_used_size"] // 1024)


def fill_settings(text, ports, numbers, certificates, calls):
    sets = {number: " ".join(f"udp:127.0.0.1:{port}" for port in sockets) for number, sockets in (
        {0: getattr(ports, "relays", [ports.relay_ng])} | getattr(ports, "relay_sets", {})).items()}
    tls, udp = f"tls:127.0.0.1:{ports.kamailio_tls}", f"udp:127.0.0.1:{ports.kamailio_udp}"
    values = {
        "meta_socket": tls,
        "sip_host": SIP_HOST,
        "meta_next_hop": f"sip:127.0.0.1:{ports.meta_tls};transport=tls",
        "meta_sources": "127.0.0.0/8",
        "pbx_socket": udp,
        "pbx_next_hops": f"127.0.0.1:{ports.phone_sip}",
        "pbx_asked": ",".join(dict.fromkeys([f"127.0.0.1:{ports.phone_sip}", *(
            target for _, _, *more in numbers.values() for target in dict(more).get("pbx", "").split(",") if target)])),
        "pbx_sources": "127.0.0.1/32",
        "relays": sets[0],
        "default_number": next(iter(numbers)),
    }
    replacements = {
        r"^socket=tls:.*$": f"socket={tls} as {SIP_HOST}:{ports.kamailio_tls}",
        r"^socket=udp:.*$": f"socket={udp}",
        r'\[from_meta\]/etc/opensips/fullchain\.pem': f"[from_meta]{certificates.kamailio_chain}",
        r'\[from_meta\]/etc/opensips/privkey\.pem': f"[from_meta]{certificates.kamailio_key}",
        r'\[to_meta\]/etc/ssl/certs/ca-certificates\.crt': f"[to_meta]{certificates.authority}",
        r'"udp:127\.0\.0\.1:2223"': f'"{sets[0]}"',
        r"text:///var/lib/opensips/calls": f"text://{calls}",
        r"change-me-change-me-change-me-32": secrets.token_hex(16),
    } | {rf'"{name}=s:[^"]*"': f'"{name}=s:{value}"' for name, value in values.items()}
    for number in set(sets) - {0}:
        example = r'^#modparam\("rtpengine", "rtpengine_sock", "1 == .*$'
        replacements[example] = f'modparam("rtpengine", "rtpengine_sock", "{number} == {sets[number]}")'
    if not version().startswith("opensips 3"):
        # As settings.cfg tells the operator.
        replacements[r'^.*dialog_flags=s:B"\)\n'] = ""
        replacements[r"^#(?=tcp_threads=1$)"] = ""
        replacements[r"^#(?=modparam.*dialog_flags)"] = ""
    metrics = getattr(ports, "proxy_metrics", None)
    if metrics and has_module("prometheus"):
        replacements[r'^#(?=loadmodule "(httpd|prometheus)|modparam\("(httpd|prometheus)")'] = ""
        replacements["8888(?=[)])"] = str(metrics)
    lines = []
    for number, (password, keys, *more) in numbers.items():
        for name, value in [("secret", password), ("keys", keys), *more]:
            if name == "relays":
                value = f"{value} {sets[value]}"
            lines.append(f'    cache_store("local", "{name}_{number}", "{value}");')
    replacements[r'(?s)^    cache_store\("local", "secret_.*?"keys_[^\n]*$'] = "\n".join(lines)
    for pattern, replacement in replacements.items():
        text, found = re.subn(pattern, lambda _, new=replacement: new, text, flags=re.MULTILINE)
        assert found == (6 if "prometheus" in pattern else 1), f"settings.cfg has {found} places for {pattern}"
    return text


def read(name):
    with open(os.path.join(SCRIPTS, name)) as file:
        return file.read()
