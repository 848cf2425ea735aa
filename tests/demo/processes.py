"""The parts of the demo as processes: started in their own group, logged, and always ended.

Nothing may be left running, however the demo ends: each part is killed with its whole process
group when the demo exits, and the kernel sends it a signal should the demo itself be killed.
"""

import atexit
import ctypes
import os
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

running = []


class PartFailed(Exception):
    """A part did not start, or ended on its own. The message names its log."""


class Part:
    """One process of the demo, with its log file."""

    def __init__(self, name, command, folder, signal_when_orphaned=signal.SIGTERM, ends_its_children=False):
        self.name = name
        self.ends_its_children = ends_its_children
        self.log = os.path.join(folder, name + ".log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
                preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal_when_orphaned),
            )
        running.append(self)

    def is_running(self):
        return self.process.poll() is None

    def wait_until(self, ready, seconds=15):
        """Wait until `ready()` is true; a part that ends before that has failed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if ready():
                return
            if not self.is_running():
                raise PartFailed(f"{self.name} ended at once, see {self.log}\n{self.last_lines()}")
            time.sleep(0.05)
        raise PartFailed(f"{self.name} was not ready after {seconds} s, see {self.log}\n{self.last_lines()}")

    def last_lines(self, count=15):
        with open(self.log, errors="replace") as log:
            return "".join("    | " + line for line in log.readlines()[-count:])

    def stop(self, seconds=3):
        """SIGTERM to the group, or to its first process where that ends the others, then SIGKILL to what remains of it."""
        if self in running:
            running.remove(self)
        if self.ends_its_children:
            self.process.terminate()
            seconds = 10
        else:
            signal_group(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait()


def signal_group(group, number):
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def stop_all():
    for part in list(reversed(running)):
        part.stop()


def stop_all_at_exit():
    """Also on Ctrl-C, on SIGTERM and when the terminal goes away."""
    atexit.register(stop_all)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def leave(number, _frame):
    raise SystemExit(128 + number)


def tcp_answers(port):
    """A condition for `wait_until`: somebody accepts connections there."""

    def check():
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return True
        except OSError:
            return False

    return check


def free_base_port(offsets, step=500):
    """The first base at which every offset is free for UDP and TCP. TEST_PORTS=FIRST-LAST keeps runs at the same time apart."""
    first, last = map(int, os.environ.get("TEST_PORTS", "20000-30000").split("-"))
    for base in range(first, last, step):
        if all(port_is_free(base + offset) for offset in offsets):
            return base
    raise PartFailed(f"no free ports between {first} and {last}")


def port_is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
