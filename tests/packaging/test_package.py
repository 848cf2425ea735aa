#!/usr/bin/env python3
"""The Debian package: what is in it, and an operator's day with it, from installation to purge.

It is built around the program that TANDEM names (target/debug/tandem without it), installed in a bare Debian, and started there: in a
chroot by the command of its unit, and by a systemd where systemd-nspawn can boot one. The container image is made and started, too.
Calls are made each time.
"""

import gzip
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, HERE)

from debian import ADDRESS, Booted, Root, read, run, stand_in  # noqa: E402

TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
TANDEM = os.path.abspath(os.environ.get("TANDEM", os.path.join(TARGET, "debug", "tandem")))
CALL = [sys.executable, os.path.join(HERE, "call.py"), "127.0.0.1:2223"]
CONF = "/etc/tandem/tandem.conf"
# Written by systemd-sysusers; the user outlives the package, as files may be his.
USERS = {f"/etc/{name}{old}" for name in ("passwd", "group", "shadow", "gshadow") for old in ("", "-")} | {"/etc/.pwd.lock"}

folder = package = None


def setUpModule():
    global folder, package
    if not shutil.which("dh"):
        raise unittest.SkipTest("there is no debhelper here")
    folder = tempfile.mkdtemp(prefix="tandem-package-")
    unittest.addModuleCleanup(shutil.rmtree, folder)
    run(os.path.join(ROOT, "packaging", "package.sh"), "--binary", TANDEM, "--out", folder, "--only", "debian",
        env={**os.environ, "DEB_BUILD_OPTIONS": "noautodbgsym"})
    (name,) = [name for name in os.listdir(folder) if name.endswith(".deb")]
    package = os.path.join(folder, name)


def why_no_hub():
    """What the relay says where the kernel does not let even root have the hub, as without eBPF; None where it does."""
    command = f"ip link set lo up && exec timeout 3 {TANDEM} --config-file=none --foreground --log-stderr --interface=127.0.0.1 " \
              "--listen-ng=127.0.0.1:2223 --data-path=hub"
    said = subprocess.run(["unshare", "--net", "sh", "-c", command], capture_output=True, text=True, check=False).stderr
    return None if "ready:" in said else said.strip().splitlines()[-1] if said.strip() else "the relay did not start"


def later(version, change=None):
    """The same package with a higher version, and perhaps with something else in it."""
    tree = os.path.join(folder, f"tree-{version}")
    run("dpkg-deb", "--raw-extract", package, tree)
    control = os.path.join(tree, "DEBIAN", "control")
    replace(control, r"^Version: .*", f"Version: {version}")
    if change:
        change(tree)
    made = os.path.join(folder, f"tandem_{version}_test.deb")
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, made)
    shutil.rmtree(tree)
    return made


def replace(path, pattern, words):
    text, count = re.subn(pattern, words, read(path), flags=re.M)
    assert count, f"{path} has no {pattern}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def in_a_network_of_its_own(test, command):
    log = open(os.path.join(folder, "relay.log"), "w", encoding="utf-8")
    test.addCleanup(log.close)
    program = subprocess.Popen(["unshare", "--net", "sh", "-c", f"ip link set lo up && ip address add {ADDRESS}/32 dev lo && exec {command}"],
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    test.addCleanup(program.wait)
    test.addCleanup(program.kill)
    # Until then its network is ours.
    while program.poll() is None and os.readlink(f"/proc/{program.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)
    return program


def call(test, program):
    """A call through the relay in the network of `program`."""
    done = run("nsenter", "--target", str(program.pid), "--net", *CALL, "10", check=False)
    test.assertEqual(done.returncode, 0, done.stdout + done.stderr + read(os.path.join(folder, "relay.log")))
    print(done.stdout.strip())


class Contents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = os.path.join(folder, "contents")
        run("dpkg-deb", "--extract", package, cls.tree)

    def path(self, name):
        return os.path.join(self.tree, name.lstrip("/"))

    @unittest.skipUnless(shutil.which("lintian"), "there is no lintian here")
    def test_lintian_finds_no_error(self):
        # Two warnings: a first upload to Debian itself would have to close a wish, and a word misspelt by a library.
        done = run("lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", "initial-upload-closes-no-bugs", package,
                   check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_every_file_has_its_place(self):
        for name in ("/usr/bin/tandem", CONF, "/lib/systemd/system/tandem.service", "/usr/lib/sysusers.d/tandem.conf",
                     "/usr/share/bash-completion/completions/tandem", "/usr/share/zsh/vendor-completions/_tandem",
                     "/usr/share/doc/tandem/docs/options.md", "/usr/share/doc/tandem/copyright",
                     "/usr/share/doc/tandem/examples/drain-at-stop.conf", "/usr/share/tandem/kamailio-scripts/kamailio.cfg",
                     "/usr/share/tandem/opensips-scripts/opensips.cfg", "/usr/share/tandem/grafana/alerts.yml"):
            self.assertTrue(os.path.exists(self.path(name)), name)
        self.assertEqual([name for _, folders, files in os.walk(self.tree) for name in folders + files if "__pycache__" in name], [])

    def test_the_version_is_the_programs(self):
        self.assertEqual(run("dpkg-deb", "--field", package, "Version").stdout.strip().rsplit("-", 1)[0],
                         run(TANDEM, "--version").stdout.split()[-1])

    def test_the_manual_tells_every_option_and_is_good_roff(self):
        with gzip.open(self.path("/usr/share/man/man8/tandem.8.gz"), "rt") as file:
            manual = file.read().replace(r"\-", "-")
        for name in re.findall(r"^  +(?:-\w, )?(--[a-z0-9-]+)", run(TANDEM, "--help").stdout, re.M):
            self.assertIn(name, manual)
        for line in run(TANDEM, "ctl", "help").stdout.splitlines()[1:]:
            self.assertIn(line, manual)
        if shutil.which("mandoc"):
            run("mandoc", "-T", "lint", "-W", "warning", self.path("/usr/share/man/man8/tandem.8.gz"))

    def test_the_unit_is_what_systemd_takes_and_shuts_the_service_in(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("there is no systemd-analyze here")
        done = run("systemd-analyze", "security", "--offline=true", "--no-pager", self.path("/lib/systemd/system/tandem.service"))
        exposure = float(re.search(r"Overall exposure level for tandem.service: ([0-9.]+)", done.stdout)[1])
        # 0 is a service that can do nothing, 10 one that may do everything; rtpengine-daemon's unit has 9.
        self.assertLess(exposure, 2.0, done.stdout)

    def test_the_settings_are_in_order_and_so_is_what_stands_in_comments(self):
        everything, key = os.path.join(folder, "everything.conf"), os.path.join(folder, "state.key")
        with open(key, "w", encoding="utf-8") as file:
            file.write(64 * "0")
        with open(everything, "w", encoding="utf-8") as file:
            # systemd makes the service's folder (StateDirectory), and there is no service here; nor has anybody made the key.
            text = read(self.path(CONF)).replace("/var/lib/tandem/", folder + "/").replace("/etc/tandem/state.key", key)
            file.write(re.sub(r"^#(?=[a-z-]+ = )", "", text, flags=re.M))
        for settings in (self.path(CONF), everything):
            self.assertIn("the configuration is in order", run(TANDEM, "--check-config", f"--config-file={settings}").stdout)

    def test_bash_completes_options_values_and_commands(self):
        script = ('. "$1"; shift; COMP_WORDS=(tandem "$@"); COMP_CWORD=$#; _tandem; printf "%s\\n" "${COMPREPLY[@]}"')
        tools = os.path.join(folder, "completion")
        os.makedirs(tools, exist_ok=True)
        if not os.path.exists(os.path.join(tools, "tandem")):
            os.symlink(TANDEM, os.path.join(tools, "tandem"))

        def completed(*words):
            return run("bash", "-c", script, "bash", self.path("/usr/share/bash-completion/completions/tandem"), *words,
                       env={**os.environ, "PATH": tools + ":" + os.environ["PATH"]}).stdout.split()

        self.assertEqual(completed(""), ["ctl", "doctor"])
        self.assertEqual(completed("--port-m"), ["--port-min", "--port-max"])
        self.assertEqual(completed("--recording-audio", "=", ""), ["off", "mixed", "stereo"])
        self.assertEqual(completed("--config-file", "=", "/etc/os-rel"), ["/etc/os-release"])
        self.assertEqual(completed("ctl", "dr"), ["drain"])
        self.assertEqual(completed("ctl", "-ip", "10.0.0.8", "undr"), ["undrain"])
        self.assertEqual(completed("ctl", "list", "num"), ["numsessions"])
        self.assertLessEqual({"list", "set", "terminate", "call", "debug", "params", "drain", "undrain", "reload", "version"},
                             set(completed("ctl", "")))


class InAChroot(unittest.TestCase):
    """Without a systemd that runs, as in a container."""

    def setUp(self):
        self.root = Root(os.path.join(folder, "chroot"))
        self.addCleanup(shutil.rmtree, self.root.folder)

    def start(self):
        """The unit's command as the unit's user, in a network of its own."""
        unit = read(self.root.path("/lib/systemd/system/tandem.service"))
        (command,) = re.findall(r"^ExecStart=(.*)", unit, re.M)
        (user,) = re.findall(r"^User=(.*)", unit, re.M)
        return in_a_network_of_its_own(self, f"chroot --userspec={user}:{user} {shlex.quote(self.root.folder)} {command}")

    def test_installed_called_upgraded_removed_and_purged(self):
        root = self.root
        before = root.files()

        root.install(package)
        self.assertRegex(root.run("getent", "passwd", "tandem").stdout, r"^tandem:x:\d+:\d+:[^:]*:/var/lib/tandem:/usr/sbin/nologin$")
        status = os.stat(root.path(CONF))
        self.assertEqual(oct(status.st_mode & 0o777), "0o640")
        self.assertEqual(str(status.st_gid), root.run("getent", "group", "tandem").stdout.split(":")[2])
        self.assertTrue(os.path.islink(root.path("/etc/systemd/system/multi-user.target.wants/tandem.service")))

        # With the settings as they come.
        program = self.start()
        call(self, program)
        self.assertEqual(os.stat(f"/proc/{program.pid}").st_uid, int(root.run("id", "-u", "tandem").stdout))
        program.terminate()
        self.assertEqual(program.wait(10), 0)

        # A change by the operator is neither lost nor asked about, and survives new settings of ours.
        replace(root.path(CONF), r"^timeout = 60$", "timeout = 61")
        root.install(later("99.0-1"))
        self.assertIn("\ntimeout = 61\n", read(root.path(CONF)))
        root.install(later("99.1-1", lambda tree: replace(tree + CONF, r"^log-level = 6$", "log-level = 5")), "--force-confold")
        self.assertIn("\ntimeout = 61\n", read(root.path(CONF)))
        self.assertIn("\nlog-level = 5\n", read(root.path(CONF + ".dpkg-dist")))
        self.assertEqual(oct(os.stat(root.path(CONF)).st_mode & 0o777), "0o640")

        os.makedirs(root.path("/var/lib/tandem/recordings/audio"))
        root.run("dpkg", "--remove", "tandem")
        self.assertFalse(os.path.exists(root.path("/usr/bin/tandem")))
        self.assertIn("\ntimeout = 61\n", read(root.path(CONF)))
        with open(root.path("/var/lib/tandem/state"), "w"), open(root.path("/var/lib/tandem/recordings/audio/1.wav"), "w"):
            pass
        root.run("dpkg", "--purge", "tandem")
        self.assertEqual({path for path in root.files() if path not in before and path not in USERS},
                         {"/var/lib/tandem", "/var/lib/tandem/recordings", "/var/lib/tandem/recordings/audio",
                          "/var/lib/tandem/recordings/audio/1.wav"})

        # And without recordings nothing at all.
        shutil.rmtree(root.path("/var/lib/tandem"))
        root.install(package)
        root.run("dpkg", "--purge", "tandem")
        after = root.files()
        self.assertEqual({path for path in {*before, *after} if before.get(path) != after.get(path) and path not in USERS}, set())

    def test_takes_the_place_of_rtpengine_with_its_settings(self):
        root = self.root
        for name, depends in (("rtpengine-daemon", ""), ("rtpengine-recording-daemon", "Depends: rtpengine-daemon\n")):
            root.install(stand_in(folder, name, depends))
        os.makedirs(root.path("/etc/tandem"))
        settings = (f"[rtpengine]\ntable = 0\ninterface = {ADDRESS}\nlisten-ng = localhost:2223\nlisten-cli = localhost:2224\ntos = 184\n"
                    "recording-dir = /var/spool/rtpengine\nrecording-method = proc\n")
        with open(root.path(CONF), "w", encoding="utf-8") as file:
            file.write(settings)
        os.makedirs(root.path("/var/spool/rtpengine"))

        root.install(package, "--force-confold")
        states = root.run("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n").stdout
        self.assertNotIn("rtpengine-daemon installed", states)
        self.assertIn("rtpengine-recording-daemon installed", states)
        self.assertEqual(read(root.path(CONF)), settings)
        # As the checklist of docs/operate/migrate.md says.
        root.run("chown", "tandem:", "/var/spool/rtpengine")
        program = self.start()
        call(self, program)

        # And back.
        root.run("dpkg", "--remove", "--force-depends", "tandem")
        root.install(stand_in(folder, "rtpengine-daemon"))


class WithItsSystemd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Booted(os.path.join(folder, "booted"))
        cls.addClassCleanup(shutil.rmtree, cls.root.folder, ignore_errors=True)
        cls.addClassCleanup(cls.root.log.close)
        cls.addClassCleanup(cls.root.stop)
        cls.root.install(package)

    def setUp(self):
        self.root.run("systemctl", "start", "tandem")
        self.pid = self.root.show("tandem", "MainPID")["MainPID"]

    def call(self, program=CALL, patience="10"):
        done = self.root.outside(*program, patience, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + self.journal())
        return done.stdout.strip()

    def journal(self):
        return self.root.run("journalctl", "--unit", "tandem", "--no-pager", "--lines", "30").stdout

    def test_the_installed_service_runs_and_carries_a_call(self):
        self.assertEqual(self.root.run("systemctl", "is-enabled", "tandem").stdout.strip(), "enabled")
        shown = self.root.show("tandem", "ActiveState", "Type", "User", "NRestarts")
        self.assertEqual((shown["ActiveState"], shown["Type"], shown["User"]), ("active", "notify", "tandem"))
        print(self.call())

    def test_it_can_do_what_it_needs_and_no_more(self):
        status = self.root.run("cat", f"/proc/{self.pid}/status").stdout
        facts = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.M))
        user = self.root.run("id", "-u", "tandem").stdout.strip()
        self.assertEqual(set(facts["Uid"].split()), {user})
        self.assertEqual({int(facts[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, {0})
        self.assertEqual((facts["NoNewPrivs"], facts["Seccomp"]), ("1", "2"))
        limits = self.root.run("cat", f"/proc/{self.pid}/limits").stdout
        # A test without CAP_SYS_RESOURCE can give no more than it has.
        most = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        self.assertRegex(limits, rf"Max open files +(65536|{most}) +(65536|{most})\b")
        self.assertRegex(limits, r"Max core file size +0 +0")

        def touch(path):
            """In the files as the service sees them, with the rights of root."""
            return self.root.run("nsenter", "--target", self.pid, "--mount", "touch", path, check=False)

        for path in ("/etc/tandem/x", "/usr/bin/x", "/var/lib/x", "/root/x"):
            self.assertNotEqual(touch(path).returncode, 0, path)
        self.assertEqual(touch("/var/lib/tandem/x").returncode, 0)

    def test_it_gives_the_signs_of_life_that_its_unit_asks_for(self):
        last = self.root.show("tandem", "WatchdogTimestampMonotonic")
        deadline = time.monotonic() + 15
        while self.root.show("tandem", "WatchdogTimestampMonotonic") == last:
            self.assertLess(time.monotonic(), deadline, self.journal())
            time.sleep(0.5)
        self.assertEqual(self.root.show("tandem", "MainPID")["MainPID"], self.pid)

    def test_a_reload_and_an_upgrade_leave_the_running_relay_alone(self):
        talking = threading.Thread(target=self.call)
        talking.start()
        self.root.run("systemctl", "reload", "tandem")
        said = self.root.install(later("99.2-1"))
        talking.join()
        self.assertEqual(self.root.show("tandem", "MainPID")["MainPID"], self.pid)
        self.assertIn("goes on with the program it was started with", said.stderr)
        self.call()
        self.root.run("systemctl", "restart", "tandem")
        self.assertNotEqual(self.root.show("tandem", "MainPID")["MainPID"], self.pid)
        self.call()

    def test_a_killed_relay_comes_back(self):
        self.root.run("sh", "-c", f"kill -KILL {self.pid}")
        begun = time.monotonic()
        self.call()
        self.assertLess(time.monotonic() - begun, 6)
        self.assertNotEqual(self.root.show("tandem", "MainPID")["MainPID"], self.pid)

    def test_a_stop_that_drains_waits_for_the_call(self):
        drop_in = "/etc/systemd/system/tandem.service.d/drain-at-stop.conf"
        self.root.run("install", "-D", "/usr/share/doc/tandem/examples/drain-at-stop.conf", drop_in)
        self.root.run("systemctl", "daemon-reload")
        heard = []
        talking = threading.Thread(target=lambda: heard.append(self.root.outside(*CALL, check=False)))
        talking.start()
        deadline = time.monotonic() + 5
        while "Current sessions own: 1" not in self.root.run("tandem", "ctl", "list", "numsessions").stdout:
            self.assertLess(time.monotonic(), deadline)
        self.root.run("systemctl", "stop", "tandem")
        talking.join()
        self.root.run("rm", drop_in)
        self.root.run("systemctl", "daemon-reload")
        self.assertEqual(heard[0].returncode, 0, heard[0].stdout + heard[0].stderr)

    def test_the_drop_in_for_the_hub_gives_what_the_hub_needs(self):
        if why := why_no_hub():
            self.skipTest(f"this kernel has no hub: {why}")
        drop_in = "/etc/systemd/system/tandem.service.d/hub.conf"
        self.assertIn("data path: per-port", self.journal())
        self.root.run("install", "-D", "/usr/share/doc/tandem/examples/hub.conf", drop_in)
        self.root.run("systemctl", "daemon-reload")
        self.root.run("systemctl", "restart", "tandem")
        self.call()
        said = self.journal()
        self.root.run("rm", drop_in)
        self.root.run("systemctl", "daemon-reload")
        self.root.run("systemctl", "restart", "tandem")
        # Not "hub; ...": nothing is missing.
        self.assertRegex(said, r"data path: hub\n")

    def test_removal_stops_it(self):
        self.root.run("dpkg", "--remove", "tandem")
        self.assertNotEqual(self.root.run("sh", "-c", f"kill -0 {self.pid}", check=False).returncode, 0)
        # For the others.
        self.root.install(package)


class AsAnImage(unittest.TestCase):
    """Without a shell beside it, in the network of nobody else, as nobody, without a capability."""

    def test_the_image_starts_and_carries_a_call(self):
        if not shutil.which("buildah") or os.geteuid() != 0:
            self.skipTest("there is no buildah here, or no root")
        tag = f"test-{os.getpid()}"
        run(os.path.join(ROOT, "packaging", "package.sh"), "--binary", TANDEM, "--out", os.path.join(folder, "image"), "--version", tag, "--only", "image")
        self.addCleanup(run, "buildah", "rmi", f"tandem:{tag}")
        container = run("buildah", "from", f"tandem:{tag}").stdout.strip()
        self.addCleanup(run, "buildah", "rm", container)
        image = json.loads(run("buildah", "inspect", container).stdout)["OCIv1"]["config"]
        self.assertEqual(image["User"], "65534:65534")
        mounted = os.path.join(ROOT, "packaging", "tandem.conf")
        command = ["buildah", "run", "--isolation", "chroot", "--cap-drop", "ALL", "--volume", f"{mounted}:{CONF}:ro", container, "--",
                   *image["Entrypoint"], *image["Cmd"]]
        program = in_a_network_of_its_own(self, " ".join(map(shlex.quote, command)))
        call(self, program)
        relay = next(int(number) for number in os.listdir("/proc") if number.isdigit() and os.path.exists(f"/proc/{number}/ns/net")
                     and os.readlink(f"/proc/{number}/ns/net") == os.readlink(f"/proc/{program.pid}/ns/net")
                     and read(f"/proc/{number}/comm") == "tandem\n")
        status = dict(re.findall(r"^(\w+):\s+(.*)$", read(f"/proc/{relay}/status"), re.M))
        self.assertEqual((set(status["Uid"].split()), int(status["CapEff"], 16)), ({"65534"}, 0))
        os.kill(relay, signal.SIGTERM)
        self.assertEqual(program.wait(10), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
