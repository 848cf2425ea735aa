"""A bare Debian in a folder, to install packages into: in a chroot, or booted with its own systemd.

It is the Debian of this machine, made by debootstrap from the mirror that apt uses here, and kept for the next time.
"""

import os
import shutil
import subprocess
import time
import unittest

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "tandem-tests")
# What a server has anyway, so that nothing but the package under test is installed later.
INCLUDED = "systemd-sysv,libssl3,nftables"
# A documentation address, for there is no network in here; `any` finds it.
ADDRESS = "198.51.100.7"
BOOT_SECONDS = 60


def run(*command, check=True, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def base():
    """The folder of the bare system. It is not to be written into."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("a Debian in a folder needs root")
    for program in ("debootstrap", "nsenter", "unshare", "ip"):
        if not shutil.which(program):
            raise unittest.SkipTest(f"there is no {program} here")
    codename = next(line for line in read("/etc/os-release").splitlines() if line.startswith("VERSION_CODENAME=")).split("=")[1]
    folder = os.path.join(CACHE, f"debian-{codename}-with-{INCLUDED.replace(',', '-')}")
    if os.path.isdir(folder):
        return folder
    os.makedirs(CACHE, exist_ok=True)
    unfinished = f"{folder}.{os.getpid()}"
    print(f"making a bare Debian in {folder} (a minute or two, once) ...", flush=True)
    try:
        done = subprocess.run(["debootstrap", "--variant=minbase", f"--include={INCLUDED}", codename, unfinished, mirror(codename)],
                              capture_output=True, text=True, check=False, timeout=900)
        if done.returncode != 0:
            raise unittest.SkipTest("debootstrap: " + " ".join((done.stdout + done.stderr).splitlines()[-2:]))
        os.rename(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def mirror(codename):
    listed = run("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Created-By: Packages").stdout
    for line in listed.splitlines():
        site, *rest = line.split()
        if rest == [codename, "main"]:
            return site
    raise unittest.SkipTest(f"apt has no mirror for {codename} here")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def stand_in(folder, name, fields="", files=None):
    """A package without a program: Debian's rtpengine wants a hundred megabytes of libraries, and its name and files are what matters."""
    tree = os.path.join(folder, name)
    os.makedirs(os.path.join(tree, "DEBIAN"))
    for path, text in (files or {}).items():
        if path.endswith("/"):
            os.makedirs(tree + path)
            continue
        os.makedirs(os.path.dirname(tree + path))
        with open(tree + path, "w", encoding="utf-8") as file:
            file.write(text)
        with open(os.path.join(tree, "DEBIAN", "conffiles"), "a", encoding="utf-8") as file:
            file.write(path + "\n")
    with open(os.path.join(tree, "DEBIAN", "control"), "w", encoding="utf-8") as file:
        file.write(f"Package: {name}\nVersion: 10.5\nArchitecture: all\nMaintainer: a test <test@tandem.example>\n{fields}Description: stands in\n")
    made = os.path.join(folder, f"{name}.deb")
    run("dpkg-deb", "--root-owner-group", "--build", tree, made)
    shutil.rmtree(tree)
    return made


class Root:
    """A copy of the bare system, as a chroot."""

    def __init__(self, folder):
        self.folder = folder
        run("cp", "-a", "--reflink=auto", base(), folder)
        # Debian's installer writes it, debootstrap does not.
        with open(self.path("/etc/hosts"), "w", encoding="utf-8") as file:
            file.write("127.0.0.1 localhost\n")

    def path(self, inside):
        return os.path.join(self.folder, inside.lstrip("/"))

    def run(self, *command, check=True):
        return run("chroot", self.folder, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", *command, check=check)

    def install(self, package, *options):
        """As an operator would, who is not there to answer questions."""
        return self.hand_over(package, lambda name: self.run("dpkg", *options, "--install", name))

    def hand_over(self, package, install):
        name = "/tmp/" + os.path.basename(package)
        shutil.copy(package, self.path(name))
        try:
            return install(name)
        finally:
            os.unlink(self.path(name))

    def files(self):
        """{path: what it is and holds}, but for logs, caches and what dpkg writes down about itself."""
        passed_over = tuple(self.path(name) for name in ("/var/lib/dpkg", "/var/log", "/var/cache", "/proc", "/sys", "/dev", "/run"))
        found = {}
        for folder, _, names in os.walk(self.folder):
            if folder.startswith(passed_over):
                continue
            for path in [folder, *(os.path.join(folder, name) for name in names)]:
                status = os.lstat(path)
                found[path[len(self.folder):]] = (status.st_mode, status.st_uid, status.st_gid)
        return found


class Booted(Root):
    """The same, with its systemd running, in a network of its own."""

    def __init__(self, folder):
        super().__init__(folder)
        if not shutil.which("systemd-nspawn"):
            raise unittest.SkipTest("there is no systemd-nspawn here (systemd-container)")
        self.log = open(folder + ".log", "w+")
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", f"--machine=tandem-test-{os.getpid()}", "-D", folder, "--boot", "--private-network", "--register=no",
             "--keep-unit", "--capability=CAP_BPF", "--system-call-filter=bpf", "--console=pipe"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + BOOT_SECONDS
        while self.state() not in ("running", "degraded"):
            if self.nspawn.poll() is not None or time.monotonic() > deadline:
                self.stop()
                self.log.seek(0)
                raise unittest.SkipTest("systemd-nspawn does not boot here: " + " ".join(self.log.read().splitlines()[-3:]))
            time.sleep(0.2)
        self.outside("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")

    def state(self):
        try:
            children = read(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").split()
        except FileNotFoundError:
            children = []
        if not children:
            return "not there"
        self.leader = children[0]
        return self.run("systemctl", "is-system-running", check=False).stdout.strip()

    def run(self, *command, check=True):
        return run("nsenter", "--target", self.leader, "--all", "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", *command, check=check)

    def outside(self, *command, check=True):
        """A program of this machine, in the network of that one."""
        return run("nsenter", "--target", self.leader, "--net", *command, check=check)

    def hand_over(self, package, install):
        # systemd has put a file system of its own over /tmp.
        name = "/root/" + os.path.basename(package)
        shutil.copy(package, self.path(name))
        return install(name)

    def show(self, unit, *properties):
        shown = self.run("systemctl", "show", unit, *("-p" + name for name in properties)).stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def stop(self):
        if self.nspawn.poll() is None:
            self.nspawn.terminate()
            try:
                self.nspawn.wait(10)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
