#!/usr/bin/env python3
"""The examples for containers: compose files and manifests against their schemas, and what they start, started here.

Neither Docker nor a cluster is needed, and neither is proven: the programs run in a network of their own with the commands, settings
and mounts that stand in the files. TANDEM and SIMULATOR name the programs (target/debug without them).
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
PACKAGING = os.path.join(ROOT, "packaging")
sys.path[:0] = [HERE, os.path.join(HERE, "..", "interop")]

import environment  # noqa: E402
from debian import ADDRESS, read, run  # noqa: E402

TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
PROGRAMS = {"/usr/bin/tandem": os.path.abspath(os.environ.get("TANDEM", os.path.join(TARGET, "debug", "tandem"))),
            "/usr/bin/simulator": os.path.abspath(os.environ.get("SIMULATOR", os.path.join(TARGET, "debug", "simulator")))}
CALL = [sys.executable, os.path.join(HERE, "call.py")]
SCHEMAS = os.path.join(ROOT, "tests", "data", "compose", "compose_spec.json")
CHECK_COMPOSE = """
import json, sys, jsonschema, yaml
check = jsonschema.Draft7Validator(json.load(open(sys.argv[1])))
wrong = [f"{name}: {'/'.join(map(str, error.path))}: {error.message}" for name in sys.argv[2:] for error in check.iter_errors(yaml.safe_load(open(name)))]
sys.exit("\\n".join(wrong) or 0)
"""

python = None


def setUpModule():
    global python
    try:
        # It has PyYAML and jsonschema, which the schemas need anyway.
        python = environment.python_of(TARGET, os.path.join(HERE, "requirements.txt"), "packaging-venv")
    except environment.NoEnvironment as problem:
        raise unittest.SkipTest(str(problem)) from problem


def documents(*path):
    """Every document of a YAML file."""
    script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))"
    return json.loads(run(python, "-c", script, os.path.join(PACKAGING, *path)).stdout)


class Network:
    """A network of their own for some programs, which end with the test."""

    def __init__(self, test):
        if os.geteuid() != 0:
            test.skipTest("a network of its own needs root")
        self.test = test
        self.folder = tempfile.mkdtemp(prefix="tandem-deployments-")
        test.addCleanup(shutil.rmtree, self.folder)
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        test.addCleanup(self.end, self.holder)
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        self.enter = ["nsenter", "--target", str(self.holder.pid), "--net"]
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")

    def run(self, *command, check=True):
        return run(*self.enter, *command, check=check)

    def start(self, name, command):
        with open(self.log_of(name), "w", encoding="utf-8") as log:
            program = subprocess.Popen([*self.enter, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        self.test.addCleanup(self.end, program)
        return program

    def log_of(self, name):
        return os.path.join(self.folder, name + ".log")

    @staticmethod
    def end(program):
        program.terminate()
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()

    def get(self, url, patience, wanted):
        """The document at `url`, as soon as it holds `wanted`."""
        script = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=2).read().decode())"
        deadline = time.monotonic() + patience
        while True:
            done = self.run(sys.executable, "-c", script, url, check=False)
            if wanted(done.stdout):
                return
            self.test.assertLess(time.monotonic(), deadline, f"{url}: {done.stdout[:500]}{done.stderr[-300:]}")
            time.sleep(0.5)


class Schemas(unittest.TestCase):
    def test_compose_files(self):
        files = [name for name in glob.glob(os.path.join(PACKAGING, "*", "*.yaml")) if "kubernetes" not in name]
        self.assertGreaterEqual(len(files), 7)
        run(python, "-c", CHECK_COMPOSE, SCHEMAS, *files)

    def test_manifests(self):
        done = run(os.path.join(os.path.dirname(python), "kubernetes-validate"), "--strict", os.path.join(PACKAGING, "kubernetes", "tandem.yaml"))
        self.assertEqual(done.stdout.count("passed"), 3, done.stdout)

    def test_what_a_file_names_is_there(self):
        for folder, name in (("one-host", "monitoring.yaml"), ("trial", "compose.yaml")):
            (document,) = documents(folder, name)
            for service in document["services"].values():
                if "extends" in service:
                    (other,) = documents(folder, service["extends"]["file"])
                    self.assertIn(service["extends"]["service"], other["services"])
                if "build" in service:
                    self.assertTrue(os.path.exists(os.path.join(ROOT, service["build"]["dockerfile"])))
                for volume in service.get("volumes", ()):
                    source = volume.split(":")[0]
                    # prometheus.yml is the operator's, as the head of the file says.
                    self.assertTrue(source in document["volumes"] or source == "./prometheus.yml"
                                    or os.path.exists(os.path.join(PACKAGING, folder, source)), volume)


class OnANode(unittest.TestCase):
    def test_the_relay_of_the_manifests_starts_answers_its_probes_carries_a_call_and_drains(self):
        _, settings, daemons = documents("kubernetes", "tandem.yaml")
        pod = daemons["spec"]["template"]["spec"]
        (relay,) = pod["containers"]
        self.assertGreater(pod["terminationGracePeriodSeconds"], int(relay["lifecycle"]["preStop"]["exec"]["command"][-1]) + 5)
        self.assertEqual(relay["image"], "tandem:" + run(PROGRAMS["/usr/bin/tandem"], "--version").stdout.split()[-1])
        network = Network(self)
        with open(os.path.join(network.folder, "tandem.conf"), "w", encoding="utf-8") as file:
            file.write(settings["data"]["tandem.conf"])
        arguments = [word.replace("$(NODE)", ADDRESS).replace("/etc/tandem", network.folder) for word in relay["args"]]
        program = network.start("relay", [PROGRAMS["/usr/bin/tandem"], *arguments])
        done = network.run(*CALL, f"{ADDRESS}:2223", "10", check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + read(network.log_of("relay")))
        for probe in ("startupProbe", "livenessProbe"):
            get = relay[probe]["httpGet"]
            (port,) = [port["containerPort"] for port in relay["ports"] if port["name"] == get["port"]]
            network.get(f"http://{ADDRESS}:{port}{get['path']}", 5, lambda said: said.strip() == "pong")
        program_name, *words = relay["lifecycle"]["preStop"]["exec"]["command"]
        self.assertIn("draining", network.run(PROGRAMS[program_name], *words).stdout)
        program.terminate()
        self.assertEqual(program.wait(pod["terminationGracePeriodSeconds"] - 600), 0)


class Trial(unittest.TestCase):
    def test_a_call_from_the_simulator_reaches_the_phone_and_the_dashboards(self):
        for program in ("kamailio", "baresip", "prometheus"):
            if not shutil.which(program):
                self.skipTest(f"there is no {program} here")
        (document,) = documents("trial", "compose.yaml")
        services = document["services"]
        network = Network(self)
        made = os.path.join(network.folder, "made")

        def command(name, *image):
            service = services[name]
            words = [*service.get("entrypoint", image), *service.get("command", ())]
            return [PROGRAMS.get(word, word) for word in
                    (re.sub(r"/prometheus$", network.folder + "/data", re.sub("^/tandem", ROOT, word)).replace("/made", made) for word in words)]

        # The images' programs, and what the tests put in their place.
        settings = [PROGRAMS.get(word, word) for word in services["settings"]["entrypoint"]]
        run(*[word.replace("/tandem/", ROOT + "/") if word.startswith("/tandem/") else {"/tandem": ROOT, "/made": made}.get(word, word)
              for word in settings])
        self.assertIn("the configuration is in order", run(PROGRAMS["/usr/bin/tandem"], "--check-config", f"--config-file={made}/tandem.conf").stdout)
        for name, image in (("relay", ["/usr/bin/tandem"]), ("proxy", []), ("phone", []), ("prometheus", ["prometheus"])):
            network.start(name, command(name, *image))
        network.get("http://127.0.0.1:9092/metrics", 20, lambda said: "tandem_calls" in said)
        serve = command("simulator", "/usr/bin/simulator")
        serve[serve.index("--place") + 1] = "1"
        # Relative to the service's working_dir.
        serve = [os.path.join(made, word) if word.startswith("certs/") else word for word in serve]
        simulator = network.start("simulator", [*serve, "--expect-tone", "440", "--duration", "14"])
        simulator.wait(40)
        logs = {name: read(network.log_of(name))[-3000:] for name in ("simulator", "relay", "proxy", "phone", "prometheus")}
        self.assertEqual(simulator.returncode, 0, json.dumps(logs, indent=1))
        self.assertRegex(logs["simulator"], r"\bpass\b")
        network.get("http://127.0.0.1:9090/api/v1/query?query=up", 20, lambda said: said.count('"1"]') == 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
