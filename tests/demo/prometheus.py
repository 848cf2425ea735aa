"""Debian's Prometheus with the configuration and the alert rules that we ship; targets and pace alone are filled in."""

import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request

from processes import Part, PartFailed

GRAFANA = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "grafana"))


class Prometheus:
    """It scrapes a relay and a proxy. `ports` says where they are, and where it listens itself."""

    def __init__(self, run, ports, every="1s"):
        if shutil.which("prometheus") is None:
            raise PartFailed("prometheus is not installed (apt-get install prometheus)")
        self.address = f"http://127.0.0.1:{ports.prometheus}"
        self.part = Part("prometheus", [
            "prometheus", f"--config.file={write_configuration(run, ports, every)}", f"--storage.tsdb.path={run}/prometheus",
            "--storage.tsdb.retention.size=256MB", f"--web.listen-address=127.0.0.1:{ports.prometheus}", "--log.level=warn"], run)
        self.part.wait_until(self.is_scraping_everything, 30)

    def is_scraping_everything(self):
        try:
            return self.values("sum(up)") == [2.0]
        except (OSError, AssertionError):  # it says that it is not ready
            return False

    def ask(self, path, **parameters):
        """What its interface for programs answers."""
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as problem:
            raise AssertionError(f"{parameters}: {problem.read().decode()}") from None

    def values(self, expression):
        """The values of an expression now."""
        return [float(series["value"][1]) for series in self.ask("query", query=expression)["result"]]


def write_configuration(run, ports, every):
    """prometheus.yml as shipped, with these targets, and as quick as asked for."""
    shutil.copy(os.path.join(GRAFANA, "alerts.yml"), run)
    with open(os.path.join(GRAFANA, "prometheus.yml"), encoding="utf-8") as file:
        text = file.read()
    for shipped, here in (("scrape_interval: 15s", f"scrape_interval: {every}"), ("evaluation_interval: 30s", f"evaluation_interval: {every}"),
                          ("10.0.0.8:2225", f"127.0.0.1:{ports.relay_http}"), ("10.0.0.7:9092", f"127.0.0.1:{ports.proxy_metrics}")):
        assert text.count(shipped) == 1, f"prometheus.yml does not have {shipped}"
        text = text.replace(shipped, here)
    path = os.path.join(run, "prometheus.yml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
