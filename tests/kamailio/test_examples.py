#!/usr/bin/env python3
"""The examples for systemd and Docker: can they be read, and is everything there that they name?"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PACKAGING = os.path.join(ROOT, "packaging")
COMPOSE = ["one-host/compose.yaml", "one-host/opensips.yaml", "two-hosts/proxy.yaml", "two-hosts/opensips.yaml",
           "two-hosts/relay.yaml"]
# What the operator copies or makes, as the head of each file says.
MADE_BY_HAND = {"tandem.conf": ["tandem.conf", "two-hosts/tandem.conf.example"],
                "settings.cfg": ["../kamailio-scripts/settings.cfg", "../opensips-scripts/settings.cfg"],
                "tls.cfg": ["../kamailio-scripts/tls.cfg"], "certificate": []}


class Examples(unittest.TestCase):
    def test_compose_files_name_what_is_there(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("there is no YAML module for Python (python3-yaml)")
        for name in COMPOSE:
            with self.subTest(name):
                path = os.path.join(PACKAGING, name)
                with open(path) as file:
                    document = yaml.safe_load(file)
                services = document["services"]
                for service in services.values():
                    context = os.path.normpath(os.path.join(os.path.dirname(path), service["build"]["context"]))
                    self.assertEqual(context, ROOT)
                    self.assertTrue(os.path.exists(os.path.join(context, service["build"]["dockerfile"])))
                    self.assertLessEqual(set(service.get("depends_on", [])), set(services))
                    for volume in service["volumes"]:
                        source = volume.split(":")[0].removeprefix("./")
                        if source in document.get("volumes", {}):
                            continue
                        for template in MADE_BY_HAND[source]:
                            self.assertTrue(os.path.exists(os.path.join(PACKAGING, template)), template)

    def test_dockerfiles_copy_what_is_there(self):
        for name in ("relay", "kamailio", "opensips"):
            with open(os.path.join(PACKAGING, "docker", name + ".Dockerfile")) as file:
                text = file.read()
            for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
                for source in line.split()[:-1]:
                    self.assertTrue(os.path.exists(os.path.join(ROOT, source)), source)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze here")
    def test_units_are_what_systemd_takes(self):
        with tempfile.TemporaryDirectory() as folder:
            for program in ("tandem", "kamailio", "opensips"):
                shutil.copy("/bin/true", os.path.join(folder, program))
            with open(os.path.join(PACKAGING, "tandem.service")) as file:
                self.write(folder, "tandem.service", file.read().replace("/usr/bin/tandem", f"{folder}/tandem"))
            # The units of the proxies' packages, as far as the drop-ins matter.
            for proxy in ("kamailio", "opensips"):
                self.write(folder, proxy + ".service", f"[Service]\nType=forking\nExecStart={folder}/{proxy}\n")
                os.makedirs(os.path.join(folder, proxy + ".service.d"))
                shutil.copy(os.path.join(ROOT, proxy + "-scripts", "check.sh"), folder)
                with open(os.path.join(PACKAGING, proxy + ".service.d", "tandem.conf")) as file:
                    self.write(folder, proxy + ".service.d/tandem.conf", file.read().replace(f"/etc/{proxy}/", folder + "/"))
            for unit in ("tandem.service", "kamailio.service", "opensips.service"):
                done = subprocess.run(["systemd-analyze", "verify", "--man=no", os.path.join(folder, unit)], capture_output=True,
                                      text=True, check=False)
                ours = [line for line in (done.stdout + done.stderr).splitlines() if folder in line or unit in line]
                self.assertEqual(ours, [], unit)

    def test_relay_settings_are_what_the_relay_takes(self):
        """By names only: the addresses are examples."""
        with open(os.path.join(PACKAGING, "tandem.conf")) as file:
            known = set(re.findall(r"^([a-z-]+) =", file.read(), re.M))
        with open(os.path.join(PACKAGING, "two-hosts", "tandem.conf.example")) as file:
            self.assertLessEqual(set(re.findall(r"^([a-z-]+) =", file.read(), re.M)), known)

    @staticmethod
    def write(folder, name, text):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
