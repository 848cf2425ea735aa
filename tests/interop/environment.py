"""The virtual environments of the tests, that of the interop tests by default: made once, and again when the requirements change."""

import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REQUIREMENTS = os.path.join(HERE, "requirements.txt")


class NoEnvironment(Exception):
    """It cannot be made; the message says why."""


def python_of(target, requirements=REQUIREMENTS, name="interop-venv"):
    """The interpreter in the environment below `target`, which is made when it is missing."""
    folder = os.path.join(target, name)
    python, stamp = os.path.join(folder, "bin", "python3"), os.path.join(folder, "made-from")
    wanted = fingerprint(requirements)
    if os.path.exists(stamp) and os.path.exists(python):
        with open(stamp) as file:
            if file.read() == wanted:
                return python
    print(f"virtual environment in {folder} (a minute) ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    run([sys.executable, "-m", "venv", folder])
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
         "--requirement", requirements])
    with open(stamp, "w") as file:
        file.write(wanted)
    return python


def fingerprint(requirements):
    with open(requirements, "rb") as file:
        return f"{sys.version}\n{hashlib.sha256(file.read()).hexdigest()}\n"


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise NoEnvironment(f"{' '.join(command[1:4])} failed: {last}")
