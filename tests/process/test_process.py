#!/usr/bin/env python3
"""The process as operators know it: start, refusal, daemon, pid file, signals, reload, commands.

Runs the program that the environment variable TANDEM names (target/debug/tandem without it) on loopback
addresses of its own. No media flows; calls are made by hand-written NG requests.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TANDEM = os.path.abspath(os.environ.get("TANDEM", os.path.join(HERE, "..", "..", "target", "debug", "tandem")))
ADDRESS = "127.88.0.1"
NG, CLI = 22222, 22224
SDP = (
    "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n"
    "m=audio 2000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\n"
)
BASE = ["--config-file=none", "-t", "-1", f"--interface={ADDRESS}", f"--listen-ng={ADDRESS}:{NG}",
        f"--listen-cli={ADDRESS}:{CLI}"]


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:" % len(value) + value
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(k) + bencode(v) for k, v in value.items()) + b"e"


def ng(**keys):
    """One request, its reply as bytes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        request = {key.replace("_", "-"): value for key, value in keys.items()}
        client.sendto(os.urandom(6).hex().encode() + b" " + bencode(request), (ADDRESS, NG))
        return client.recv(65536)


def offer(call_id, **keys):
    return ng(command="offer", call_id=call_id, from_tag="a", sdp=SDP, **keys)


def answer(call_id):
    return ng(command="answer", call_id=call_id, from_tag="a", to_tag="b", sdp=SDP)


def cli(line):
    """One command as rtpengine-ctl sends it."""
    with socket.create_connection((ADDRESS, CLI), timeout=5) as connection:
        connection.sendall(line.encode() + b"\n")
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
    return reply.decode()


def answers():
    try:
        return b"pong" in ng(command="ping")
    except OSError:
        return False


def ports_are_free():
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            control.bind((ADDRESS, NG))
    except OSError:
        return False
    return True


def eventually(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


def run(*arguments, **options):
    return subprocess.run([TANDEM, *arguments], capture_output=True, text=True, timeout=20, check=False, **options)


def ctl(*words):
    return run("ctl", "-ip", f"{ADDRESS}:{CLI}", *words)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tandem-process-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def start(self, *arguments, base=BASE, environment=None):
        """In the foreground, with its log in the folder."""
        log = open(self.path("log"), "ab")
        self.addCleanup(log.close)
        process = subprocess.Popen([TANDEM, *base, *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                   env={**os.environ, **(environment or {})})
        self.addCleanup(self.end, process)
        eventually("the relay answers", lambda: answers() or process.poll() is not None)
        self.assertIsNone(process.poll(), self.read("log"))
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()


class Start(Folder):
    def test_the_usual_command_line_starts_and_tells_its_story_on_stderr(self):
        self.start("-f", "-E", "-L", "7")
        offer("story-1")
        log = self.read("log")
        self.assertIn("ready:", log)
        self.assertIn("[story-1]", log)
        self.assertIn("without effect: table", log)

    def test_help_version_codecs_and_firewall_words_print_and_exit(self):
        for word, text in (("--help", "--listen-cli"), ("-v", "tandem "), ("--codecs", "codec"),
                           ("--nftables-start", "no firewall rule")):
            result = run(word)
            self.assertEqual(result.returncode, 0, word)
            self.assertIn(text, result.stdout)

    def test_a_bad_value_stops_the_start_with_a_sentence(self):
        for arguments, sentence in (
            (["--port-min=x"], "option port-min: `x`: a number from 1 to 65535 is expected"),
            (["--port-mni=1"], "there is no option --port-mni; is port-min meant?"),
            (["--listen-udp=127.0.0.1:1"], "the letter protocol of rtpproxy is not spoken here"),
            (["--interface=nowhere.invalid"], "nowhere.invalid is no address"),
            (["--log-facility=loca0"], "option log-facility: `loca0`: one of auth"),
            (["--foreground=maybe"], "option foreground: `maybe`: true or false is expected"),
            (["--templates=here"], "there is no section [here]"),
            (["--config-file=/nonexistent"], "configuration file /nonexistent"),
        ):
            result = run(*BASE, *arguments)
            # EX_CONFIG of sysexits.h, by which systemd knows that another start would be in vain.
            self.assertEqual(result.returncode, 78, arguments)
            self.assertIn(sentence, result.stderr)

    def test_check_finds_the_line_and_starts_nothing(self):
        good = self.write("good.conf", f"[rtpengine]\ninterface = {ADDRESS}\nlisten-ng = {ADDRESS}:{NG}\n"
                                       "new-in-99 = 1\nredis = 127.0.0.1:6379/1\n")
        result = run("--check", f"--config-file={good}")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("the configuration is in order", result.stdout)
        self.assertIn("good.conf, line 4: there is no option new-in-99; ignored", result.stdout)
        self.assertIn("without effect: redis (", result.stdout)
        self.assertFalse(answers())
        bad = self.write("bad.conf", f"[tandem]\ninterface = {ADDRESS}\nlisten-ng = {NG}\nport-max = 70000\n")
        result = run("--check", f"--config-file={bad}")
        self.assertEqual(result.returncode, 78)
        self.assertIn("bad.conf, line 4: option port-max: `70000`", result.stderr)

    def test_check_tries_what_a_start_would_stop_at(self):
        for arguments, sentence in (
            (["--interface=elsewhere/192.0.2.77"], "interface elsewhere: 192.0.2.77 cannot be bound"),
            (["--listen-cli=192.0.2.77:9900"], "cannot listen on 192.0.2.77:9900 (option listen-cli)"),
            ([f"--listen-https={ADDRESS}:2226"], "option listen-https needs a certificate"),
            ([f"--listen-https={ADDRESS}:2226", "--https-cert=/nonexistent.pem"], "options https-cert, https-key: /nonexistent.pem"),
            (["--state-dir=/dev/null"], "option state-dir: /dev/null: not a directory"),
            (["--state-dir=/nonexistent", "--state-key-file=/dev/null"],
             "option state-key-file: /dev/null: 64 hexadecimal digits are expected"),
            (["--recording-dir=/nonexistent/folder"], "option recording-dir: /nonexistent/folder"),
        ):
            result = run(*BASE, "--check", *arguments)
            self.assertEqual(result.returncode, 1, arguments)
            self.assertIn(sentence, result.stderr)
        result = run(*BASE, "--check", f"--interface=twice/{ADDRESS}", f"--interface=twice/{ADDRESS}")
        self.assertEqual(result.returncode, 78)
        self.assertIn(f"twice has {ADDRESS} already", result.stderr)
        folder = self.path("recordings")
        result = run(*BASE, "--check", f"--recording-dir={folder}", "--media-dir=/nonexistent")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("option media-dir: /nonexistent is no folder", result.stdout)
        self.assertFalse(os.path.exists(folder), "a check makes nothing")

    def test_check_says_that_a_port_is_in_use_and_is_content(self):
        self.start("-f", "-E")
        result = run(*BASE, "--check")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"option listen-ng: {ADDRESS}:{NG} is in use, by the relay itself if it is running", result.stdout)

    def test_systemd_hears_that_it_is_ready_and_stays_alive(self):
        systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(systemd.close)
        systemd.bind(self.path("notify"))
        systemd.settimeout(5)
        process = self.start("-f", "-E", environment={"NOTIFY_SOCKET": self.path("notify"), "WATCHDOG_USEC": "200000"})
        states = {systemd.recv(64).decode() for _ in range(4)}
        self.assertEqual(states, {"READY=1", "WATCHDOG=1"})
        process.terminate()
        while (state := systemd.recv(64).decode()) == "WATCHDOG=1":
            pass
        self.assertEqual(state, "STOPPING=1")

    def test_a_port_in_use_is_named(self):
        self.start("-f")
        result = run(*BASE, "-f", f"--listen-ng={ADDRESS}:{NG + 1}")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(f"{ADDRESS}:{NG}", result.stderr)
        self.assertIn("listen-ng", result.stderr)


class Background(Folder):
    def daemon(self, *arguments):
        pidfile = self.path("pid")
        result = run(*BASE, f"--pidfile={pidfile}", *arguments)
        if result.returncode == 0:
            pid = int(self.read("pid"))
            self.addCleanup(self.kill, pid)
            return result, pid
        return result, None

    @staticmethod
    def kill(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        # Nobody here can wait for a process that has left us; the next test needs its ports.
        eventually("the ports of the daemon are free", ports_are_free)

    def test_the_starter_returns_when_the_daemon_answers(self):
        result, pid = self.daemon()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(answers())
        self.assertEqual(os.getsid(pid), os.getpgid(pid))
        self.assertNotEqual(os.getsid(pid), os.getsid(0))
        os.kill(pid, signal.SIGTERM)
        eventually("the daemon ends", lambda: not answers())
        eventually("the pid file is removed", lambda: not os.path.exists(self.path("pid")))

    def test_a_daemon_with_its_log_on_stderr_keeps_it(self):
        with open(self.path("log"), "wb") as log:
            subprocess.run([TANDEM, *BASE, f"--pidfile={self.path('pid')}", "-E"], stderr=log, timeout=20, check=True)
        self.addCleanup(self.kill, int(self.read("pid")))
        offer("in-the-background")
        eventually("the call is in the log", lambda: "[in-the-background] offer" in self.read("log"))

    def test_a_daemon_that_cannot_start_says_why_in_the_terminal(self):
        self.start("-f")
        result, _ = self.daemon()
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("listen-ng", result.stderr)

    @unittest.skipIf(os.path.exists("/dev/log"), "a log daemon runs here, and its socket is not ours to take")
    def test_syslog_gets_the_log_with_facility_and_name(self):
        received = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            received.bind("/dev/log")
        except PermissionError:
            received.close()
            self.skipTest("/dev/log may not be made by this user")
        self.addCleanup(os.unlink, "/dev/log")
        self.addCleanup(received.close)
        received.settimeout(5)
        _, pid = self.daemon("--log-facility=local2", "--log-name=relay")
        line = received.recv(4096).decode()
        self.assertRegex(line, rf"^<{18 * 8 + 6}>relay\[{pid}\]: tandem .* starts")

    @unittest.skipIf(os.path.exists("/dev/log"), "a log daemon runs here")
    def test_without_a_log_daemon_it_starts_all_the_same(self):
        result, _ = self.daemon()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(answers())


class End(Folder):
    def test_int_and_term_end_it_with_calls_up_and_status_zero(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("-f", f"--pidfile={self.path('pid')}")
            for call in range(50):
                offer(f"end-{call}")
                answer(f"end-{call}")
            begun = time.monotonic()
            process.send_signal(number)
            self.assertEqual(process.wait(timeout=6), 0)
            self.assertLess(time.monotonic() - begun, 5)
            self.assertFalse(os.path.exists(self.path("pid")))


class Commands(Folder):
    def test_lists_and_settings_have_rtpengines_words(self):
        self.start("-f")
        for command, reply in (
            ("list maxsessions", "Maximum sessions configured on rtpengine: -1\n"),
            ("set maxsessions 10", "Success setting maxsessions to 10\n"),
            ("get maxsessions", "Maximum sessions configured on rtpengine: 10\n"),
            ("set maxsessions -5", "Fail setting maxsessions to -5; either positive or -1 values allowed\n"),
            ("set maxsessions x", "Fail setting maxsessions to x; no digists found\n"),
            ("set maxsessions -1", "Success setting maxsessions to -1; disable feature\n"),
            ("set maxload 3.5", "Success setting maxload to 3.50\n"),
            ("list maxload", "Maximum load average configured on rtpengine: 3.50\n"),
            ("set maxcpu 50", "Success setting maxcpu to 50.0\n"),
            ("list maxcpu", "Maximum CPU usage configured on rtpengine: 50.0\n"),
            ("set maxbw 1000", "Success setting maxbw to 1000\n"),
            ("list maxbw", "Maximum bandwidth configured on rtpengine: 1000\n"),
            ("set timeout 61", "Success setting timeout to 61\n"),
            ("list timeout", "TIMEOUT=61\n"),
            ("set silenttimeout 3601", "Success setting timeout to 3601\n"),
            ("list silenttimeout", "SILENT_TIMEOUT=3601\n"),
            ("set deletedelay 5", "Success setting delete-delay to 5\n"),
            ("list deletedelay", "5\n"),
            ("list sessions all", "No sessions on this media relay.\n"),
            ("list sessions foreign", "No foreign sessions on this media relay.\n"),
            ("terminate nobody", "\nCall Id not found (nobody).\n\n"),
            ("call nobody info", "No such call 'nobody'\n"),
            ("debug nobody on", "Call ID 'nobody' not found\n"),
            ("list", "More parameters required.\n"),
            ("terminate", "More parameters required.\n"),
            ("list foo", "Unknown or incomplete command::foo\n"),
            ("set loglevel ice 7", "Success setting loglevel to 7\n"),
            ("list loglevel ice", "7\n"),
            ("list loglevel core", "6\n"),
        ):
            self.assertEqual(cli(command), reply, command)
        self.assertIn("timeout: 60 => 61\n", cli("params diff"))
        cli("params revert")
        self.assertEqual(cli("params diff"), "")
        self.assertIn("timeout = 60\n", cli("params current"))

    def test_calls_are_listed_described_and_ended(self):
        self.start("-f")
        self.assertIn(b"result2:ok", offer("call-1"))
        answer("call-1")
        offer("call-2")
        self.assertIn("Current sessions own: 2\n", cli("list numsessions"))
        line = [line for line in cli("list sessions all").splitlines() if "call-1" in line][0]
        self.assertRegex(line, r"^ID: {55}call-1 \| del:n \| creat:  \d{10} \| prx:127\.\S+ \| redis:-1 \| frgn:n \| rec:n$")
        info = cli("call call-1 info")
        self.assertIn("callid: call-1\n", info)
        self.assertIn("--- Tag 'a'", info)
        self.assertIn("---     subscribed to 'b'", info)
        self.assertIn("Media #1 (audio over RTP/AVP)", info)
        self.assertIn("offer from a", cli("call call-1"))
        self.assertNotIn("Tag 'b'", cli("call call-1 tag a info"))
        self.assertEqual(cli("call call-1 debug on"), "Enabled debugging for call 'call-1'\n")
        self.assertEqual(cli("terminate call-1"), "\nCall Id (call-1) successfully terminated by operator.\n\n")
        self.assertIn("Current sessions total: 1\n", cli("list numsessions"))
        self.assertEqual(cli("terminate all"), "All calls terminated by operator.\n")
        eventually("no call is left", lambda: "total: 0\n" in cli("list numsessions"))
        eventually("both ends are counted",
                   lambda: " Total forced terminated sessions                :2\n" in cli("list totals"))
        self.assertIn(" Owned sessions                                  :0\n", cli("list totals"))

    def test_a_call_under_debug_logs_more_than_its_neighbour(self):
        self.start("-f", "-L", "5")
        offer("loud")
        offer("quiet")
        cli("debug loud on")
        ng(command="query", call_id="loud")
        ng(command="query", call_id="quiet")
        log = self.read("log")
        self.assertIn("[loud] query from", log)
        self.assertNotIn("[quiet] query from", log)

    def test_a_timeout_that_is_set_holds_for_calls_that_are_up(self):
        self.start("-f")
        offer("idle")
        cli("set offertimeout 1")
        eventually("the call times out", lambda: "total: 0\n" in cli("list numsessions"), seconds=6)
        eventually("the time-out is counted",
                   lambda: " Total timed-out sessions via OFFER_TIMEOUT      :1\n" in cli("list totals"))

    def test_a_stop_may_wait_for_calls_to_end(self):
        process = self.start("-f", "--shutdown-drain=60")
        offer("old")
        process.send_signal(signal.SIGTERM)
        eventually("it waits", lambda: "may end in their own time" in self.read("log"))
        self.assertIn(b"Parallel session limit reached", offer("new"))
        self.assertIsNone(process.poll())
        cli("terminate old")
        self.assertEqual(process.wait(timeout=5), 0)

    def test_a_stop_waits_no_longer_than_it_may_and_a_second_signal_ends_it(self):
        process = self.start("-f", "--shutdown-drain=1")
        offer("old")
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=6), 0)
        self.assertGreaterEqual(time.monotonic() - begun, 1)
        for waited, second in enumerate((signal.SIGTERM, signal.SIGINT), 2):
            process = self.start("-f", "--shutdown-drain=60")
            offer("old")
            process.send_signal(signal.SIGTERM)
            eventually("it waits", lambda: self.read("log").count("may end in their own time") == waited)
            process.send_signal(second)
            self.assertEqual(process.wait(timeout=5), 0)

    def test_draining_refuses_new_calls_and_waits_for_the_others(self):
        self.start("-f", "--max-sessions=7")
        offer("old")
        result = ctl("drain", "1")
        self.assertEqual(result.returncode, 1)
        self.assertIn("calls left: 1\n", result.stdout)
        self.assertIn(b"Parallel session limit reached", offer("new"))
        self.assertIn(b"result2:ok", offer("old"))
        cli("terminate old")
        result = ctl("drain", "5")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("up to 7", cli("undrain"))
        self.assertIn(b"result2:ok", offer("new"))

    def test_ctl_prints_replies_and_fails_when_the_relay_refuses(self):
        self.start("-f")
        self.assertEqual(ctl("list", "timeout").stdout, "TIMEOUT=60\n")
        self.assertEqual(ctl("set", "maxsessions", "x").returncode, 1)
        self.assertEqual(run("ctl", "-ip", f"{ADDRESS}:1", "list", "timeout").returncode, 1)

    @unittest.skipUnless(shutil.which("rtpengine-ctl"), "rtpengine-ctl is not installed (package rtpengine-utils)")
    def test_rtpengine_ctl_works_unchanged(self):
        self.start("-f")
        offer("theirs")
        for command, text in (("list totals", " Owned sessions                                  :1\n"),
                              ("list numsessions", "Current sessions own: 1\n"),
                              ("list sessions all", "theirs"),
                              ("terminate theirs", "successfully terminated")):
            result = subprocess.run(["rtpengine-ctl", "-ip", f"{ADDRESS}:{CLI}", *command.split()],
                                    capture_output=True, text=True, timeout=10, check=True)
            self.assertIn(text, result.stdout)


class Reload(Folder):
    def conf(self, more):
        return self.write("relay.conf", f"[rtpengine]\ninterface = pub/{ADDRESS}\nlisten-ng = {ADDRESS}:{NG}\n"
                                        f"listen-cli = {ADDRESS}:{CLI}\n{more}")

    def test_hup_takes_over_what_may_change_and_names_what_may_not(self):
        path = self.conf("timeout = 60\nport-min = 30000\n")
        process = self.start("-f", f"--config-file={path}", base=[])
        self.assertIn(f"c=IN IP4 {ADDRESS}".encode(), offer("before", direction=["pub", "extra"]))
        self.conf("timeout = 61\nport-min = 31000\ninterface = extra/127.88.0.2\n"
                  "templates = words\n[words]\nplain = media-address=192.0.2.77\n")
        process.send_signal(signal.SIGHUP)
        eventually("the reload is told", lambda: "timeout: 60 => 61" in self.read("log"))
        log = self.read("log")
        self.assertIn("port-min: 30000 => 31000 needs a restart", log)
        self.assertEqual(cli("list timeout"), "TIMEOUT=61\n")
        self.assertIn("extra\\127.88.0.2", cli("params current"))
        self.assertIn(b"c=IN IP4 127.88.0.2", offer("after", direction=["pub", "extra"]))
        self.assertIn(b"c=IN IP4 192.0.2.77", offer("words", template="plain"))
        self.assertEqual(process.poll(), None)

    def test_a_file_with_a_mistake_changes_nothing(self):
        path = self.conf("timeout = 60\n")
        self.start("-f", f"--config-file={path}", base=[])
        offer("stays")
        self.conf("timeout = soon\n")
        self.assertRegex(cli("reload"), r"nothing is changed: .*relay\.conf, line 5: option timeout: `soon`")
        self.assertEqual(cli("list timeout"), "TIMEOUT=60\n")
        self.assertIn("total: 1\n", cli("list numsessions"))
        self.conf("timeout = 62\n")
        self.assertEqual(cli("reload"), "timeout: 60 => 62\n")
        self.assertEqual(cli("reload"), "nothing is different\n")


class Templates(Folder):
    def test_flags_of_the_file_apply_by_command_by_name_and_to_all(self):
        path = self.write("relay.conf", f"[rtpengine]\ninterface = {ADDRESS}\nlisten-ng = {ADDRESS}:{NG}\n"
                                        f"listen-cli = {ADDRESS}:{CLI}\ntemplates = words\n"
                                        "[words]\noffer = media-address=192.0.2.77\nplain = media-address=192.0.2.78\n")
        self.start("-f", f"--config-file={path}", base=[])
        self.assertIn(b"c=IN IP4 192.0.2.77", offer("by-command"))
        self.assertIn(b"c=IN IP4 192.0.2.78", offer("by-name", template="plain"))
        own = ng(**{"command": "offer", "call-id": "own", "from-tag": "a", "sdp": SDP, "media-address": "192.0.2.79"})
        self.assertIn(b"c=IN IP4 192.0.2.79", own)

    def test_interfaces_of_sections_have_ports_of_their_own(self):
        path = self.write("relay.conf", f"[rtpengine]\nlisten-ng = {ADDRESS}:{NG}\nlisten-cli = {ADDRESS}:{CLI}\n"
                                        "interfaces-config = interface\n"
                                        f"[interface-one]\naddress = {ADDRESS}\nport-min = 41000\nport-max = 41019\n"
                                        "exclude-ports = 41000;41002;41004;41006;41008;41010\n"
                                        f"[interface-two]\naddress = 127.88.0.2\nadvertised = 192.0.2.80\n")
        self.start("-f", f"--config-file={path}", base=[])
        reply = offer("sections", direction=["two", "one"])
        self.assertIn(f"c=IN IP4 {ADDRESS}".encode(), reply)
        self.assertIn(re.search(rb"m=audio (\d+)", reply)[1], [b"41012", b"41014", b"41016", b"41018"])
        reply = offer("advertised", direction=["one", "two"])
        self.assertIn(b"c=IN IP4 192.0.2.80", reply)
        self.assertGreaterEqual(int(re.search(rb"m=audio (\d+)", reply)[1]), 30000)
        self.assertIn("Port range: 41000 - 41019\n", cli("list interfaces"))


if __name__ == "__main__":
    if not os.path.exists(TANDEM):
        sys.exit(f"{TANDEM} is not built: cargo build --bin tandem")
    unittest.main(verbosity=2)
