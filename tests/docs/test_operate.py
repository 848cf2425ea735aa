#!/usr/bin/env python3
"""docs/operate: every link leads somewhere, every option and metric is there, and every block of shell commands works.

The blocks of a page are run one after the other on a bare Debian that systemd-nspawn boots, with the package in the current folder, and
a call has to pass after each page. TANDEM names the program that is packed (target/debug without it).
"""

import glob
import os
import re
import shutil
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
OPERATE = os.path.join(ROOT, "docs", "operate")
PACKAGING = os.path.join(ROOT, "tests", "packaging")
sys.path.insert(0, PACKAGING)

import debian  # noqa: E402
from debian import Booted, read, run  # noqa: E402

TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
TANDEM = os.path.abspath(os.environ.get("TANDEM", os.path.join(TARGET, "debug", "tandem")))
CALL = [sys.executable, os.path.join(PACKAGING, "call.py")]
INSIDE = "10.0.0.7"
# In the order of the table in README.md; a page finds the host as the one before has left it. Where NG is after each.
DAY = [("install.md", "127.0.0.1"), ("network.md", "127.0.0.1"), ("security.md", "127.0.0.1"), ("scaling.md", INSIDE), ("upgrade.md", INSIDE)]
# Debian's own, as far as it matters; the program would bring a hundred megabytes of libraries.
RTPENGINE_CONF = """[rtpengine]
table = 0
interface = any
listen-ng = localhost:2223
listen-http = localhost:2225
listen-cli = localhost:2224
timeout = 60
silent-timeout = 3600
tos = 184
port-min = 30000
port-max = 40000
recording-dir = /var/spool/rtpengine
recording-method = proc
"""


def pages():
    return sorted(glob.glob(os.path.join(OPERATE, "*.md")))


def blocks(page):
    return re.findall(r"^```sh\n(.*?)^```$", read(os.path.join(OPERATE, page)), re.M | re.S)


def anchors(path):
    """As GitHub names headings."""
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", read(path), re.M)}


class Words(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        for page in pages():
            for target in re.findall(r"\]\(([^)]+)\)", read(page)):
                path, _, anchor = target.partition("#")
                path = os.path.normpath(os.path.join(OPERATE, path)) if path else page
                self.assertTrue(os.path.exists(path), f"{page}: {target}")
                if anchor:
                    self.assertIn(anchor, anchors(path), f"{page}: {target}")

    def test_every_option_and_metric_that_is_linked_is_there(self):
        for document in ("options.md", "metrics.md"):
            known = read(os.path.join(ROOT, "docs", document))
            for page in pages():
                for words in re.findall(rf"\[([^\]]*)\]\(\.\./{document}\)", read(page)):
                    for name in re.findall(r"`([^`]+)`", words):
                        self.assertRegex(known, rf"\| `{name}[=`]", page)

    def test_every_page_with_commands_is_run(self):
        run_here = {name for name, _ in DAY} | {"migrate.md"}
        self.assertEqual({os.path.basename(page) for page in pages() if blocks(page)}, run_here)


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("dh"):
            raise unittest.SkipTest("there is no debhelper here")
        cls.folder = tempfile.mkdtemp(prefix="tandem-operate-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        run(os.path.join(ROOT, "packaging", "package.sh"), "--binary", TANDEM, "--out", cls.folder, "--only", "debian",
            env={**os.environ, "DEB_BUILD_OPTIONS": "noautodbgsym"})

    def boot(self, name):
        host = Booted(os.path.join(self.folder, name))
        self.addCleanup(host.log.close)
        self.addCleanup(host.stop)
        host.outside("ip", "address", "add", f"{INSIDE}/32", "dev", "lo")
        (package,) = glob.glob(os.path.join(self.folder, "*.deb"))
        shutil.copy(package, host.path("/root"))
        return host

    def follow(self, host, page, ng):
        for block in blocks(page):
            done = host.run("sh", "-c", 'cd /root && exec bash -euo pipefail -c "$1"', "sh", block, check=False)
            self.assertEqual(done.returncode, 0, f"{page}:\n{block}\n{done.stdout}{done.stderr}")
        done = host.outside(*CALL, f"{ng}:2223", "10", check=False)
        self.assertEqual(done.returncode, 0, f"after {page}: {done.stdout}{done.stderr}")
        print(f"{page}: {len(blocks(page))} blocks, {done.stdout.strip()}")

    def test_a_day_of_an_operator(self):
        host = self.boot("day")
        for page, ng in DAY:
            self.follow(host, page, ng)
        settings = read(host.path("/etc/tandem/tandem.conf"))
        self.assertIn("\ninterface = pub/198.51.100.7;priv/10.0.0.7\n", settings)

    def test_the_migration_from_rtpengine(self):
        host = self.boot("migration")
        files = {"/etc/rtpengine/rtpengine.conf": RTPENGINE_CONF, "/var/spool/rtpengine/": None}
        host.install(debian.stand_in(self.folder, "rtpengine-daemon", files=files))
        self.follow(host, "migrate.md", "127.0.0.1")
        self.assertEqual(host.run("dpkg-query", "--show", "--showformat", "${db:Status-Status}", "rtpengine-daemon").stdout, "config-files")


if __name__ == "__main__":
    unittest.main(verbosity=2)
