"""Grafana with our dashboards, if there is one. Debian 12 has none, so this was only ever tried against what its manual says."""

import os
import shutil

from processes import Part, tcp_answers
from prometheus import GRAFANA

DATASOURCE = """\
apiVersion: 1
datasources:
  - name: Prometheus
    type: prometheus
    url: http://127.0.0.1:{port}
    isDefault: true
"""
DASHBOARDS = """\
apiVersion: 1
providers:
  - name: tandem
    options:
      path: {folder}
"""


class Grafana:
    def __init__(self, run, ports):
        self.address = f"http://127.0.0.1:{ports.grafana}"
        provisioning = os.path.join(run, "grafana", "provisioning")
        for name, text in (("datasources", DATASOURCE.format(port=ports.prometheus)), ("dashboards", DASHBOARDS.format(folder=GRAFANA))):
            os.makedirs(os.path.join(provisioning, name))
            with open(os.path.join(provisioning, name, "tandem.yaml"), "w") as file:
                file.write(text)
        settings = {
            "server.http_addr": "127.0.0.1", "server.http_port": ports.grafana, "paths.provisioning": provisioning,
            "paths.data": os.path.join(run, "grafana", "data"), "paths.logs": os.path.join(run, "grafana", "logs"),
            # Whoever reaches loopback may look.
            "auth.anonymous.enabled": "true", "analytics.check_for_updates": "false", "analytics.reporting_enabled": "false"}
        self.part = Part("grafana", [*self.binary(), "--homepath=/usr/share/grafana", *(f"cfg:{key}={value}" for key, value in settings.items())], run)
        self.part.wait_until(tcp_answers(ports.grafana), 60)

    @staticmethod
    def binary():
        """The command that starts it; None where there is none. Its newer packages have one program for all."""
        if shutil.which("grafana"):
            return ["grafana", "server"]
        return ["grafana-server"] if shutil.which("grafana-server") else None
