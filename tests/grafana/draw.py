#!/usr/bin/env python3
"""Draws what our dashboards show, as SVG: every panel at its place, with what a real Prometheus answers to its queries.

It is no Grafana, which Debian 12 does not have: shapes and colours are this program's own, places, titles, units, legends and numbers
the dashboards'. Without Prometheus' address it runs `make demo DEMO=watch` for some minutes over a road that loses packets, and asks
that one.

usage: draw.py [--seconds 240] [--out docs/dashboards]
"""

import argparse
import glob
import html
import json
import math
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path[:0] = [os.path.join(HERE, "..", "demo")]

# In pixels: a picture, a row of Grafana's grid, the gap between panels.
WIDTH, ROW, GAP, COLUMNS = 1200, 30, 6, 24
TITLE, LEGEND_LINE, AXIS = 18, 12, 44
# Colours that people who see few of them can tell apart.
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a8a00", "#000000"]
# Lines and names of a panel; more cannot be told apart.
MOST_LINES, MOST_NAMES = 12, 6
MOST_POINTS = 60


def dashboards():
    """(name, dashboard) of every file."""
    for path in sorted(glob.glob(os.path.join(ROOT, "grafana", "*.json"))):
        with open(path, encoding="utf-8") as file:
            yield os.path.basename(path).removesuffix(".json"), json.load(file)


def picture(dashboard, ask, begin, end, window):
    """A dashboard as SVG. `ask(expression)` gives the series of query_range."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) * ROW + 30
    drawn = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="10">',
             f'<rect width="{WIDTH}" height="{height}" fill="#f4f5f5"/>', text(8, 20, dashboard["title"], size=15, bold=True)]
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        x, y = place["x"] * WIDTH / COLUMNS + GAP / 2, place["y"] * ROW + 30
        w, h = place["w"] * WIDTH / COLUMNS - GAP, place["h"] * ROW - GAP
        if panel["type"] == "row":
            drawn.append(text(x + 4, y + 18, panel["title"], size=13, bold=True))
            continue
        drawn.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="2" fill="#fff" stroke="#d8d9da"/>')
        drawn.append(text(x + 6, y + 14, fitting(panel["title"], w - 12, 6.2), size=11, bold=True))
        lines = [line for target in panel["targets"] for line in lines_of(target, ask, window)]
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if panel["type"] == "stat":
            last = lines[0][1][-1][1] if lines else None
            drawn.append(text(x + w / 2, y + h / 2 + 16, written(last, unit), size=24, colour=colour_of(panel, last), anchor="middle"))
        else:
            stacked = "stacking" in panel["fieldConfig"]["defaults"].get("custom", {})
            drawn += graph(x, y + TITLE, w, h - TITLE, stack(lines) if stacked else lines, unit, begin, end)
    return "\n".join([*drawn, "</svg>", ""])


def lines_of(target, ask, window):
    """(legend, points) of each series of a query that has numbers."""
    expression = target["expr"]
    for variable, value in (("$__rate_interval", window), ("$instance", ".*"), ("$interface", ".*")):
        expression = expression.replace(variable, value)
    for series in ask(expression):
        points = [(float(at), float(value)) for at, value in series["values"] if math.isfinite(float(value))]
        if points:
            legend = re.sub(r"{{(\w+)}}", lambda name: series["metric"].get(name[1], ""), target["legendFormat"])
            yield legend.strip(), points


def stack(lines):
    """Each on top of those before it."""
    below, stacked = {}, []
    for legend, points in lines:
        raised = [(at, value + below.get(at, 0)) for at, value in points]
        below.update(raised)
        stacked.append((legend, raised))
    return stacked


def graph(x, y, w, h, lines, unit, begin, end):
    names = lines[:MOST_NAMES]
    left, right, top, bottom = x + AXIS, x + w - 8, y + 6, y + h - 8 - LEGEND_LINE * math.ceil(len(names) / 2)
    most = max((value for _, points in lines for _, value in points), default=0) or 1
    drawn = []
    for part in (0, 0.5, 1):
        at = bottom - (bottom - top) * part
        drawn.append(f'<path d="M{left:g} {at:.1f}H{right:g}" stroke="#e5e5e5"/>')
        drawn.append(text(left - 4, at + 3, written(most * part, unit), anchor="end", colour="#666"))
    if not lines:
        drawn.append(text((left + right) / 2, (top + bottom) / 2, "no data", colour="#999", anchor="middle"))
    for number, (_, points) in enumerate(lines[:MOST_LINES]):
        step = max(1, len(points) // MOST_POINTS)
        where = " ".join(f"{left + (right - left) * (at - begin) / (end - begin):.0f},{bottom - (bottom - top) * value / most:.1f}"
                         for at, value in points[::step])
        drawn.append(f'<polyline points="{where}" fill="none" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="1.3"/>')
    for number, (legend, _) in enumerate(names):
        at = x + 8 + (number % 2) * w / 2, bottom + 14 + LEGEND_LINE * (number // 2)
        drawn.append(f'<path d="M{at[0]:g} {at[1] - 3:.1f}h10" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="2"/>')
        drawn.append(text(at[0] + 14, at[1], fitting(legend or "value", w / 2 - 24, 5.4), colour="#444"))
    return drawn


def written(value, unit):
    """A number as Grafana writes it, nearly."""
    if value is None:
        return "no data"
    scale, end = {"percentunit": (100, " %"), "percent": (1, " %"), "s": (1, " s"), "ms": (1, " ms"), "µs": (1, " µs")}.get(unit, (1, ""))
    value *= scale
    if unit == "s" and 0 < abs(value) < 1:
        value, end = value * 1000, " ms"
    if unit in ("bytes", "bps", "pps", "none", "reqps", "cps"):
        end = {"bytes": "B", "bps": "b/s", "pps": " p/s", "reqps": " req/s", "cps": " c/s"}.get(unit, "")
        for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= factor:
                return f"{value / factor:.3g} {letter}{end.strip()}"
    return f"{value:.3g}{end}"


def colour_of(panel, value):
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    reached = [step["color"] for step in steps if step["value"] is None or (value is not None and value >= step["value"])]
    return {"green": "#1a7f37", "orange": "#b35900", "red": "#c4162a"}.get(reached[-1] if reached else "", "#333")


def fitting(words, width, of_a_letter):
    most = int(width / of_a_letter)
    return words if len(words) <= most else words[:max(most - 1, 1)] + "…"


def text(x, y, words, size=None, bold=False, colour=None, anchor=None):
    more = "".join(f' {name}="{value}"' for name, value in (
        ("font-size", size), ("font-weight", "bold" if bold else None), ("fill", colour), ("text-anchor", anchor)) if value)
    return f'<text x="{x:.0f}" y="{y:.0f}"{more}>{html.escape(words)}</text>'


def draw_all(prometheus, begin, end, window, folder):
    """Writes a picture of each dashboard; gives their paths."""
    os.makedirs(folder, exist_ok=True)
    step = max(1, int((end - begin) / MOST_POINTS))

    def ask(expression):
        return prometheus.ask("query_range", query=expression, start=begin, end=end, step=step)["result"]

    paths = []
    for name, dashboard in dashboards():
        paths.append(os.path.join(folder, name + ".svg"))
        with open(paths[-1], "w", encoding="utf-8") as file:
            file.write(picture(dashboard, ask, begin, end, window))
    return paths


def main():
    import dataclasses

    import watch
    from faults import FAULTS
    from processes import stop_all, stop_all_at_exit

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", default="target/debug", help="where tandem and simulator were built")
    parser.add_argument("--seconds", type=int, default=240, help="how long calls are made")
    parser.add_argument("--out", default=os.path.join(ROOT, "docs", "dashboards"))
    options = parser.parse_args()
    stop_all_at_exit()
    try:
        # Some loss and some jitter, so that there is something to see.
        road = dataclasses.replace(FAULTS["none"], meta=("--loss", "1", "--delay-ms", "30", "--jitter-ms", "15"))
        scene = watch.Scene(watch.fresh_folder(".run/draw"), options.binaries, road)
        begin = time.time()
        while time.time() < begin + options.seconds:
            scene.look_at_parts()
            scene.call_whatsapp()
            time.sleep(watch.BUSINESS_CALLS_EVERY)
        for path in draw_all(scene.prometheus, begin, time.time(), "30s", options.out):
            print(f"{path}: {os.path.getsize(path)} octets")
    finally:
        stop_all()


if __name__ == "__main__":
    main()
