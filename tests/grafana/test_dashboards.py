#!/usr/bin/env python3
"""Dashboards and alerts with a real Prometheus, which scrapes a relay and a Kamailio while calls are made.

Every query of every panel has to return data, every alert has to be loaded, to be evaluated, to have a test in which it fires and a
section that says what to do, and good calls may raise none. The dashboards are judged by a schema made from Grafana's own types;
Grafana itself is not in Debian 12, so that they look right is not proven here.

TANDEM and SIMULATOR name the programs (target/debug without them).
"""

import glob
import html
import json
import math
import os
import re
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
GRAFANA = os.path.join(ROOT, "grafana")
sys.path[:0] = [GRAFANA, os.path.join(HERE, "..", "demo"), os.path.join(HERE, "..", "interop")]

import dashboards  # noqa: E402
import demo  # noqa: E402
import draw  # noqa: E402
import environment  # noqa: E402
from kamailio import Kamailio  # noqa: E402
from phone import Phone  # noqa: E402
from processes import free_base_port, stop_all, stop_all_at_exit  # noqa: E402
from prometheus import Prometheus  # noqa: E402
from relay import Relay  # noqa: E402
from simulator import Simulator  # noqa: E402

TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
TANDEM = os.path.abspath(os.environ.get("TANDEM", os.path.join(TARGET, "debug", "tandem")))
SIMULATOR = os.path.abspath(os.environ.get("SIMULATOR", os.path.join(TARGET, "debug", "simulator")))
SCHEMA = os.path.join(ROOT, "tests", "data", "grafana", "dashboard.schema.json")
RULE_TESTS = ["alerts_test.yml", "alerts_week_test.yml"]
# Units that Grafana knows, of those that are of use here.
UNITS = {"none", "s", "ms", "µs", "percent", "percentunit", "pps", "bps", "reqps", "cps", "bytes"}
# What stands for $__rate_interval, with a scrape each second. It has to hold what parties report every five seconds.
WINDOW = "20s"
# The PBX of the second number has no Opus: the relay transcodes, and reports to both sides itself. Both are recorded.
NUMBERS = {"15550783881": ("first-password", "DTLS", ("record", 1)), "15550783882": ("second-password", "DTLS", ("record", 1))}
CODECS = {"15550783882": "PCMA/8000/1"}
# Long enough for both ends to report what they receive.
demo.TALK_SECONDS = 10
# Every name of a metric in an expression without its strings.
METRIC_NAME = re.compile(r"\b(?:(?:tandem|rtpengine|process)_\w+|up|ALERTS)\b")


def documents():
    for path in sorted(glob.glob(os.path.join(GRAFANA, "*.json"))):
        with open(path, encoding="utf-8") as file:
            yield os.path.basename(path), json.load(file)


def queries():
    """(where, expression) of every query of every panel."""
    for name, document in documents():
        for panel in document["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name}: {panel['title']} ({target['legendFormat'] or target['refId']})", target["expr"]


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def metric_names(expression):
    return set(METRIC_NAME.findall(re.sub(r'"[^"]*"', '""', expression)))


class Files(unittest.TestCase):
    """What the files say, without anything running."""

    def test_dashboards_are_what_the_generator_writes(self):
        wanted = dashboards.files()
        self.assertEqual({name for name, _ in documents()}, set(wanted))
        for name, text in wanted.items():
            self.assertTrue(read("grafana", name) == text, f"{name} is not current: run grafana/dashboards.py")

    def test_dashboards_fit_the_types_of_grafana(self):
        for name, document in documents():
            with self.subTest(name):
                self.assertEqual(objections(document), [])
        # The schema objects where it should.
        _, document = next(documents())
        first = next(panel for panel in document["panels"] if panel["type"] == "timeseries")
        for damage in ({"schemaVersion": "42"}, {"pannels": []}, {"panels": [{**first, "unit": "s"}]},
                       {"panels": [{**first, "options": {"legend": {"placement": "above"}}}]}):
            self.assertNotEqual(objections({**document, **damage}), [], damage)

    def test_every_panel_says_what_it_shows_and_lies_beside_the_others(self):
        uids = [document["uid"] for _, document in documents()]
        self.assertEqual(len(set(uids)), len(uids))
        for name, document in documents():
            panels = document["panels"]
            self.assertEqual(len({panel["id"] for panel in panels}), len(panels), name)
            taken = set()
            for panel in panels:
                with self.subTest(name, panel=panel["title"]):
                    place = panel["gridPos"]
                    self.assertLessEqual(place["x"] + place["w"], 24)
                    squares = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
                    self.assertFalse(squares & taken)
                    taken |= squares
                    if panel["type"] != "row":
                        self.assertIn(panel["fieldConfig"]["defaults"]["unit"], UNITS)
                        self.assertTrue(panel["description"].endswith("."))

    def test_every_alert_has_a_test_in_which_it_fires_alone(self):
        """A new alert without a test fails here."""
        rules = re.findall(r"^ *- alert: (\w+)$", read("grafana", "alerts.yml"), re.M)
        fired = []
        for name in RULE_TESTS:
            fired += re.findall(r"""exp_samples: \[\{labels: '\{alertname="(\w+)"[^]]*value: 1\}\]""", read("grafana", name))
        self.assertEqual(sorted(fired), sorted(rules))
        self.assertGreater(len(rules), 30)

    def test_every_dashboard_has_its_picture_in_the_documents(self):
        shown = re.findall(r"\]\(([\w-]+)\.svg\)", read("docs", "dashboards", "README.md"))
        self.assertEqual(sorted(shown), sorted(name.removesuffix(".json") for name, _ in documents()))
        for name, document in documents():
            picture = read("docs", "dashboards", name.replace(".json", ".svg"))
            self.assertLess(len(picture), 200_000)
            for panel in document["panels"]:
                self.assertIn(html.escape(panel["title"][:20]), picture, f"{name}: draw it again with tests/grafana/draw.py")

    def test_promtool_takes_the_rules_and_their_tests_and_the_configuration(self):
        for command in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"], ["test", "rules", *RULE_TESTS]):
            with self.subTest(" ".join(command)):
                done = subprocess.run(["promtool", *command], cwd=GRAFANA, capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_alerts_and_panels_use_documented_metrics_alone(self):
        documented = set(re.findall(r"^\| `(\w+)`", read("docs", "metrics.md"), re.M)) | {"up", "ALERTS"}
        documented |= set(re.findall(r'"name=(tandem_\w+);', read("kamailio-scripts", "kamailio.cfg")))
        expressions = [expression for _, expression in queries()] + re.findall(r"^ {8}expr: (.*?)^ {8}\w", read("grafana", "alerts.yml"), re.M | re.S)
        for expression in expressions:
            used = {re.sub(r"_(bucket|count|sum)$", "", name) if name not in documented else name for name in metric_names(expression)}
            self.assertTrue(used, expression)
            self.assertLessEqual(used, documented, expression)


class Live(unittest.TestCase):
    """What Prometheus says after two good calls and a refused request."""

    @classmethod
    def setUpClass(cls):
        cls.run_folder = demo.fresh_folder(os.path.join(ROOT, ".run", "grafana"))
        try:
            cls.start()
            cls.results = cls.make_calls()
        except BaseException:
            stop_all()
            raise

    @classmethod
    def tearDownClass(cls):
        stop_all()

    @classmethod
    def start(cls):
        run = cls.run_folder
        offsets = {"kamailio_tls": 61, "kamailio_udp": 60, "meta_tls": 62, "phone_sip": 70, "phone_control": 73, "relay_ng": 22,
                   "relay_http": 24, "proxy_metrics": 83, "prometheus": 90, "meta_media": 95, "phone_media": 100, "relay_media": 200}
        base = free_base_port(offsets.values())
        cls.ports = ports = SimpleNamespace(**{name: base + offset for name, offset in offsets.items()})
        cls.simulator = Simulator(run, SIMULATOR, ports, NUMBERS)
        certificates = cls.simulator.make_certificates()
        recordings = os.path.join(run, "relay-recordings")
        cls.relay = Relay(run, "tandem", TANDEM, ports, [f"--listen-http=127.0.0.1:{ports.relay_http}", f"--recording-dir={recordings}"])
        Kamailio(run, ports, NUMBERS, certificates)
        cls.phone = Phone(run, ports, NUMBERS, CODECS)
        cls.began = time.time()
        cls.prometheus = Prometheus(run, ports)

    @classmethod
    def make_calls(cls):
        # No SDP: a request that is refused, so that the panel of refusals has something to show.
        cls.relay.ask({"command": "offer", "call-id": "refused", "from-tag": "a", "sdp": "nothing"}, 2)
        time.sleep(2)
        results = []
        for number, direction in zip(NUMBERS, ("user-initiated", "business-initiated")):
            results.append(demo.one_call(f"{direction} {number}", direction, number, direction == "user-initiated", cls.simulator, cls.phone,
                                         cls.relay))
        # Workers publish once a second, and then comes a scrape and an evaluation.
        time.sleep(3)
        return results

    def shown(self, expression):
        """Every value that a panel would show of the time since the start."""
        for variable, value in (("$__rate_interval", WINDOW), ("$instance", ".*"), ("$interface", ".*")):
            expression = expression.replace(variable, value)
        self.assertNotIn("$", expression)
        series = self.prometheus.ask("query_range", query=expression, start=self.began, end=time.time(), step=1)["result"]
        numbers = [float(value) for line in series for _, value in line["values"]]
        return [number for number in numbers if math.isfinite(number)]

    def panel(self, where):
        """The values of the one query whose place begins so."""
        [expression] = [expression for place, expression in queries() if place.startswith(where)]
        return self.shown(expression)

    def test_the_calls_were_good(self):
        for result in self.results:
            self.assertEqual(result.problems, [], result.name)

    def test_every_query_of_every_panel_returns_data(self):
        zero = []
        for where, expression in queries():
            with self.subTest(where):
                values = self.shown(expression)
                self.assertTrue(values, expression)
                if not any(values):
                    zero.append(where)
        print(f"\nShown, but nothing other than zero after good calls, {len(zero)} of {len(list(queries()))} queries:")
        for where in zero:
            print(f"  {where}")

    def test_panels_show_what_the_calls_were(self):
        self.assertEqual(max(self.panel("overview.json: Relays")), 1)
        self.assertEqual(max(self.panel("overview.json: Calls (A)")), 1)
        self.assertTrue(4 < max(self.panel("overview.json: Mean opinion score")) <= 5)
        self.assertTrue(0 < max(self.panel("overview.json: First word to WhatsApp (half of them)")) < 1)
        self.assertAlmostEqual(max(self.panel("proxies.json: Answered share (user-initiated)")), 1, 1)
        self.assertGreater(max(self.panel("relay-internals.json: Packets recorded")), 10)
        self.assertGreater(max(self.panel("relay-internals.json: Refused, a minute")), 0)
        self.assertGreater(max(self.panel("whatsapp-calls.json: DTLS (half of them)")), 0)
        for direction in ("user_initiated", "business_initiated"):
            [there] = self.prometheus.values(f'tandem_calls_answered_total{{direction="{direction}", interface="pub"}}')
            self.assertEqual(there, 1, direction)
        self.assertAlmostEqual(max(self.panel("whatsapp-calls.json: Answered share")), 1, 1)
        self.assertTrue(4 < max(self.panel("call-quality.json: Mean opinion score ({{interface}} half of them)")) <= 4.5)
        self.assertEqual(max(self.panel("call-quality.json: Streams that are transcoded")), 1)
        self.assertGreater(max(self.panel("relay-internals.json: Memory")), 1e6)

    def test_every_dashboard_can_be_drawn_with_its_numbers(self):
        paths = draw.draw_all(self.prometheus, self.began, time.time(), WINDOW, os.path.join(self.run_folder, "pictures"))
        self.assertEqual([os.path.basename(path) for path in paths], [name.replace(".json", ".svg") for name, _ in documents()])
        for path, (name, document) in zip(paths, documents()):
            with self.subTest(name):
                self.assertLess(os.path.getsize(path), 200_000)
                picture = xml.etree.ElementTree.parse(path).getroot()
                words = "".join(picture.itertext())
                for panel in document["panels"]:
                    self.assertIn(panel["title"][:20], words)
                self.assertNotIn("no data", words)
                graphs = sum(panel["type"] == "timeseries" for panel in document["panels"])
                self.assertGreaterEqual(sum(element.tag.endswith("polyline") for element in picture.iter()), graphs)

    def test_variables_have_values(self):
        for name, document in documents():
            for variable in document["templating"]["list"]:
                if variable["type"] != "query":
                    continue
                with self.subTest(name, variable=variable["name"]):
                    selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
                    values = self.prometheus.ask(f"label/{label}/values", **{"match[]": selector.replace("$instance", ".*")})
                    port = self.ports.proxy_metrics if "proxies" in name else self.ports.relay_http
                    self.assertEqual(values, [f"127.0.0.1:{port}"] if variable["name"] == "instance" else ["priv", "pub"])

    def test_every_alert_is_evaluated_and_good_calls_raise_none(self):
        rules = self.rules()
        for rule in rules:
            with self.subTest(rule["name"]):
                self.assertEqual(rule["health"], "ok", rule.get("lastError"))
                self.assertEqual(rule["alerts"], [])
        self.assertEqual(len(rules), len(re.findall(r"- alert:", read("grafana", "alerts.yml"))))

    def test_every_alert_asks_for_what_is_there(self):
        there = set(self.prometheus.ask("label/__name__/values")) | {"ALERTS"}
        for rule in self.rules():
            with self.subTest(rule["name"]):
                self.assertTrue(metric_names(rule["query"]))
                self.assertLessEqual(metric_names(rule["query"]), there)
                for name, values in re.findall(r'(\w+)(?:=~?|!=|!~)"([\w|-]+)"', rule["query"]):
                    self.assertLessEqual(set(values.split("|")), set(self.prometheus.ask(f"label/{name}/values")), name)

    def test_every_alert_says_what_it_is_and_what_to_do(self):
        labels = {name for series in self.prometheus.ask("series", **{"match[]": '{__name__=~"tandem_.+|rtpengine_.+|up"}'}) for name in series}
        for rule in self.rules():
            with self.subTest(rule["name"]):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
                said = rule["annotations"]
                self.assertEqual(set(said), {"summary", "description", "runbook_url"})
                for name in re.findall(r"\$labels\.(\w+)", said["summary"] + said["description"]):
                    self.assertIn(name, labels)
                    grouped = re.search(r"by \(([^)]*)\)", rule["query"])
                    if grouped:
                        self.assertIn(name, grouped[1])
                page, anchor = said["runbook_url"].split("#")
                self.assertEqual(anchor, rule["name"].lower())
                section = re.search(rf"^## {rule['name']}\n(.*?)(?=^## |\Z)", read(*page.split("/")), re.M | re.S)
                self.assertTrue(section, f"{page} has no section {rule['name']}")
                self.assertTrue(section[1].strip().startswith(rule["labels"]["severity"].capitalize() + "."), "another severity")
                self.assertGreater(len(section[1].split()), 15, "the section says nothing")

    def rules(self):
        return [rule for group in self.prometheus.ask("rules")["groups"] for rule in group["rules"]]


def objections(document):
    """What the schema has against a dashboard, and against the options of its panels."""
    import jsonschema

    with open(SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)

    def against(kind, value):
        validator = jsonschema.Draft7Validator({**schema, "$ref": f"#/definitions/Everything/properties/{kind}"})
        return [f"{kind} {list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(value)]

    found = against("dashboard", document)
    for panel in document.get("panels", ()):
        if panel["type"] != "row":
            found += against(f"{panel['type']}/properties/options", panel["options"])
        if panel["type"] == "timeseries":
            found += against("timeseries/properties/custom", panel["fieldConfig"]["defaults"]["custom"])
        for target in panel.get("targets", ()):
            # Queries have no type in @grafana/schema; these are the keys of Grafana's Prometheus data source.
            found += [f"unknown key {key} of a query" for key in set(target) - {"refId", "expr", "legendFormat", "range"}]
    return found


def main():
    try:
        import jsonschema  # noqa: F401
    except ImportError:
        try:
            python = environment.python_of(TARGET)
        except (environment.NoEnvironment, OSError) as failure:
            print(f"no virtual environment with jsonschema: {failure}")
            return 1
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])
    stop_all_at_exit()
    unittest.main(verbosity=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
