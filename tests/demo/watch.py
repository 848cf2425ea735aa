#!/usr/bin/env python3
"""Calls that do not end, to look at: Kamailio, the relay with its live page, Prometheus with our alerts, and Grafana if it is there.

The simulator plays WhatsApp users who call every few seconds, and are called; the PBX is baresip. All of it is on loopback and
runs until Ctrl-C, which stops every part of it. With `--fault`, one thing is wrong, to see how that looks.
"""

import argparse
import os
import shutil
import sys
import time

from demo import choose_ports, fresh_folder, step
from faults import FAULTS
from grafana import Grafana
from kamailio import Kamailio
from phone import Phone, SilentPhone
from processes import PartFailed, stop_all, stop_all_at_exit
from prometheus import Prometheus
from relay import Relay
from simulator import Simulator

NUMBER, USER = "15550783881", "15551112222"
PASSWORD = "demo-password-of-the-number"
TALK_SECONDS = 10
# So two or three calls are there at any moment; the phone takes four.
USER_CALLS_EVERY, BUSINESS_CALLS_EVERY = 6, 15
TELLS_EVERY = 30


def main():
    options = parse_options()
    stop_all_at_exit()
    run = fresh_folder(options.run)
    try:
        Scene(run, options.binaries, FAULTS[options.fault]).go_on()
    except PartFailed as failure:
        print(f"\nThe demo could not run: {failure}", file=sys.stderr)
        return 2
    except SystemExit:
        print("\nstopping ...", flush=True)
    finally:
        stop_all()
    print(f"Everything is stopped. Logs: {run}")
    return 0


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", default="target/debug", help="where tandem and simulator were built")
    parser.add_argument("--run", default=".run/watch", help="folder for logs, certificates and what Prometheus stores")
    parser.add_argument("--fault", choices=FAULTS, default="none", help="what is wrong (docs/troubleshooting.md)")
    return parser.parse_args()


class Scene:
    """All parts, running, and the calls that they make."""

    def __init__(self, run, binaries, fault):
        self.fault = fault
        tandem, simulator = (os.path.abspath(os.path.join(binaries, name)) for name in ("tandem", "simulator"))
        self.ports = choose_ports()
        numbers = {NUMBER: (PASSWORD, fault.keys)}
        self.simulator = Simulator(run, simulator, self.ports, numbers)
        with step("certificates of a throw-away authority"):
            certificates = self.simulator.make_certificates()
        with step("relay"):
            self.relay = Relay(run, "tandem", tandem, self.ports, [
                f"--listen-http=127.0.0.1:{self.ports.relay_http}", f"--listen-cli=127.0.0.1:{self.ports.relay_cli}"],
                               *filter(None, [fault.relay_interfaces]))
        with step("Kamailio"):
            known = {NUMBER: (fault.password or PASSWORD, fault.keys)}
            self.kamailio = Kamailio(run, self.ports, known, certificates, edit=fault.edit)
        with step("SIP phone (baresip)" if fault.pbx_speaks else "SIP phone that sends nothing"):
            # What it hears is not kept: this may run for days.
            self.phone = Phone(run, self.ports, numbers, records=False) if fault.pbx_speaks else SilentPhone(run, self.ports)
        self.prometheus = self.grafana = None
        if shutil.which("prometheus"):
            with step("Prometheus"):
                self.prometheus = Prometheus(run, self.ports, "2s")
        if Grafana.binary():
            with step("Grafana"):
                self.grafana = Grafana(run, self.ports)
        self.meta = self.simulator.serve(NUMBER, USER_CALLS_EVERY, TALK_SECONDS, [
            "--user", f"+{USER}", "--digits", "42", *fault.meta])

    def go_on(self):
        """Tells where to look, and makes calls until somebody ends it."""
        if self.fault is not FAULTS["none"]:
            print(f"\nWhat is wrong: {self.fault.what}.")
        print(f"\n{self.places()}\n\nA WhatsApp user calls every {USER_CALLS_EVERY} s, and is called every {BUSINESS_CALLS_EVERY} s. "
              "Ctrl-C stops everything.\n", flush=True)
        dial_at = time.monotonic() + 3
        tell_at = time.monotonic() + TELLS_EVERY
        while True:
            self.look_at_parts()
            now = time.monotonic()
            if now >= dial_at:
                dial_at += BUSINESS_CALLS_EVERY
                self.call_whatsapp()
            if now >= tell_at:
                tell_at += TELLS_EVERY
                print(self.calls_so_far(), flush=True)
            # It would wait for somebody to read what it tells.
            self.phone.forget_events()
            time.sleep(0.5)

    def call_whatsapp(self):
        """The PBX calls the WhatsApp user, and does not wait."""
        self.phone.dial(NUMBER, USER)
        self.phone.forget_events()

    def places(self):
        """Where to look."""
        relay = f"http://127.0.0.1:{self.ports.relay_http}"
        lines = [("live page", f"{relay}/"), ("metrics", f"{relay}/metrics"),
                 ("operator's commands", f"tandem ctl -port {self.ports.relay_cli}"),
                 ("metrics of the proxy", f"http://127.0.0.1:{self.ports.proxy_metrics}/metrics")]
        if self.prometheus:
            lines += [("Prometheus", f"{self.prometheus.address}/"), ("alerts", f"{self.prometheus.address}/alerts")]
        else:
            lines.append(("Prometheus", "is not installed (apt-get install prometheus): no alerts"))
        if self.grafana:
            lines.append(("Grafana", f"{self.grafana.address}/dashboards"))
        else:
            lines.append(("Grafana", "is not installed, and not in Debian 12: no dashboards (grafana/README.md)"))
        return "\n".join(f"  {name:22}{place}" for name, place in lines)

    def look_at_parts(self):
        """One that has ended ends the demo."""
        parts = [self.relay.part, self.kamailio.part, self.phone.part, self.meta]
        parts += [part.part for part in (self.prometheus, self.grafana) if part]
        for part in parts:
            if not part.is_running():
                raise PartFailed(f"{part.name} has ended, see {part.log}\n{part.last_lines()}")

    def calls_so_far(self):
        with open(self.meta.log, errors="replace") as log:
            lines = [line.rstrip() for line in log if line.startswith(("uic ", "bic "))]
        good = sum(line.endswith(": pass") for line in lines)
        return f"{time.strftime('%H:%M:%S')}  {good} calls were good, {len(lines) - good} were not; {len(self.relay.calls() or [])} now"


if __name__ == "__main__":
    sys.exit(main())
