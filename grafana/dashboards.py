#!/usr/bin/env python3
"""Writes the dashboards, one JSON file each, so that all of them look and select alike.

In the queries below `{I` stands for the chosen instances, `{N` and `{T` for these and the chosen interfaces in metrics of
rtpengine and of our own, and `[R]` for the window that Grafana chooses by the scrape interval. Run it after a change; tests/grafana says when a file is not current.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# What @grafana/schema 13.2 writes; an older Grafana ignores what it does not know.
SCHEMA_VERSION = 42
STAT_HEIGHT, GRAPH_HEIGHT = 4, 8
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SHORTHAND = {"{I": '{instance=~"$instance"', "{N": '{instance=~"$instance", name=~"$interface"',
             "{T": '{instance=~"$instance", interface=~"$interface"', "[R]": "[$__rate_interval]"}


def graph(title, unit, description, *queries, stacked=False):
    """A panel with lines; a query is (expression, legend)."""
    # Where calls are few, figures of single calls stand alone, and would not be seen without points.
    custom = {"fillOpacity": 10, "showPoints": "auto"}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    return {
        "type": "timeseries", "title": title, "description": description, "queries": queries,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                    "tooltip": {"mode": "multi", "sort": "desc"}},
    }


def figure(title, unit, description, query, warn=None, bad=None):
    """A panel with one number, green until `warn` or `bad`."""
    steps = [{"value": None, "color": "green"}]
    steps += [{"value": value, "color": color} for value, color in ((warn, "orange"), (bad, "red")) if value is not None]
    return {
        "type": "stat", "title": title, "description": description, "queries": [(query, "")],
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}}, "overrides": []},
        "options": {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"], "values": False}},
    }


def quantiles(metric, labels="", chosen="{I"):
    """Half, nineteen of twenty and ninety-nine of a hundred of a histogram."""
    return [(f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket{chosen}{labels}}}[R])))", name)
            for q, name in ((0.5, "half of them"), (0.95, "95 of 100"), (0.99, "99 of 100"))]


def each_trunk(metric, *parts):
    """Parts of a histogram of single calls, by interface."""
    return [(f"histogram_quantile({part}, sum by (interface, le) (rate({metric}_bucket{{T}}[R])))", f"{{{{interface}}}} {name}") for part, name in parts]


def share_within(metric, bound):
    """The share of single calls that are not above a bound, by interface."""
    return f'sum by (interface) (rate({metric}_bucket{{T, le="{bound}"}}[R])) / sum by (interface) (rate({metric}_count{{T}}[R]))'


def mean(figure_name):
    """The mean of a sampled figure, by interface."""
    metric = f"rtpengine_interface_{figure_name}"
    return f"sum by (name) (rate({metric}_total{{N}}[R])) / sum by (name) (rate({metric}_samples_total{{N}}[R]))"


def each_counter(prefix, names):
    """Steps a minute of counters that differ in their names."""
    return [(f"60 * sum(rate({prefix}{name}{{I}}[R]))", label) for name, label in names]


OVERVIEW = ("tandem-overview", "Tandem: overview", "Are calls made, and are they good?", "relay", [
    ("Now", [
        figure("Relays", "none", "Relays that answer Prometheus.", "count(tandem_build_info{I})"),
        figure("Calls", "none", "Answered calls that the relays hold.", 'sum(tandem_calls{I, state="answered"})'),
        figure("Ringing", "none", "Calls that were offered and not answered yet.", 'sum(tandem_calls{I, state="offered"})'),
        figure("Ports used", "percentunit", "Of the interface that has the fewest media ports left.",
               "max(rtpengine_ports_used{N} / rtpengine_ports{N})", 0.8, 0.95),
        figure("Busiest worker", "percentunit", "A worker is one thread; 100 % is all it has.",
               "max(rate(tandem_worker_busy_seconds_total{I}[R]))", 0.6, 0.8),
        figure("Alerts", "none", "Alerts of alerts.yml that are firing, those of proxies included.",
               '(count(ALERTS{alertstate="firing", alertname=~"Tandem.+"}) or vector(0))', 1, 3),
    ]),
    ("Calls", [
        graph("Calls by state", "none", "Calls that the relays hold: offered is ringing, answered is talking.",
              ("sum by (state) (tandem_calls{I})", "{{state}}"), stacked=True),
        graph("New calls a minute", "none", "Calls made, by relay, those included whose first offer failed.",
              ("60 * sum by (instance) (rate(tandem_calls_created_total{I}[R]))", "{{instance}}")),
        graph("Ends of calls a minute", "none", "terminated is a hang-up; timeouts mean that nobody told the relay, or that media stopped.",
              ("60 * sum by (reason) (rate(rtpengine_closed_sessions_total{I}[R]))", "{{reason}}"), stacked=True),
    ]),
    ("Are they good", [
        graph("Failures inside calls, a minute", "none", "By kind; the log has a sentence for each, docs/runbooks.md a section.",
              ("60 * sum by (kind) (rate(tandem_call_failures_total{I}[R]))", "{{kind}}"), stacked=True),
        graph("First word to WhatsApp", "s", "From the answer to the first packet sent to the encrypted leg.",
              *quantiles("tandem_first_packet_seconds", ', leg="encrypted"', "{T")),
        graph("Mean opinion score", "none", "1 is unbearable, 4.3 what G.711 and Opus usually reach; computed from reports of loss, jitter and delay.",
              (mean("mos"), "{{name}}")),
    ]),
    ("Load", [
        graph("Media packets", "pps", "RTP and RTCP by interface and direction.",
              ("sum by (name, direction) (rate(rtpengine_interface_packets{N}[R]))", "{{name}} {{direction}}")),
        graph("Load of workers", "percentunit", "The share of time in which each worker was not waiting.",
              ("rate(tandem_worker_busy_seconds_total{I}[R])", "{{instance}} {{worker}}")),
        graph("Ports used", "percentunit", "Of the media ports of each interface.",
              ("rtpengine_ports_used{N} / rtpengine_ports{N}", "{{instance}} {{name}} {{address}}")),
    ]),
])

CALLS = ("tandem-whatsapp-calls", "Tandem: WhatsApp calls", "Who calls, how fast calls begin to be heard, and what goes wrong.", "relay", [
    ("Who calls", [
        graph("Calls by direction", "none", "Answered calls that the relays hold. user_initiated: a WhatsApp user called; other: neither side can be told for WhatsApp.",
              ('sum by (direction) (tandem_calls{T, state="answered"})', "{{direction}}"), stacked=True),
        graph("Offered a minute", "none", "By direction and by the interface towards WhatsApp.",
              ("60 * sum by (direction, interface) (rate(tandem_calls_offered_total{T}[R])) > 0", "{{interface}} {{direction}}")),
        graph("Answered share", "percentunit", "Of the calls that were offered meanwhile.",
              ("sum by (direction) (rate(tandem_calls_answered_total{T}[R])) / sum by (direction) (rate(tandem_calls_offered_total{T}[R]))", "{{direction}}")),
    ]),
    ("From the answer to the first word", [
        graph("First packet to WhatsApp", "s", "From the answer to the first packet sent to the encrypted (SRTP) leg.",
              *quantiles("tandem_first_packet_seconds", ', leg="encrypted"', "{T")),
        graph("First packet to the PBX", "s", "From the answer to the first packet sent to the plain leg.",
              *quantiles("tandem_first_packet_seconds", ', leg="plain"', "{T")),
        graph("Audio cut off, per call", "s", "Audio that came before it could be sent and was too old when it could.",
              ('sum by (instance) (rate(tandem_clipped_audio_seconds_total{I}[R]))'
               ' / sum by (instance) (rate(tandem_first_packet_seconds_count{I, leg="encrypted"}[R]))', "{{instance}}")),
    ]),
    ("What takes the time", [
        graph("ICE", "s", "From the first check to the nominated pair.", *quantiles("tandem_ice_pair_seconds", chosen="{T")),
        graph("DTLS", "s", "From the start of the handshake to the keys. Calls with SDES have none.",
              *quantiles("tandem_dtls_handshake_seconds", chosen="{T")),
        graph("Calls with a first word within 250 ms", "percentunit", "Of those that came to a first packet to WhatsApp.",
              ('sum by (instance) (rate(tandem_first_packet_seconds_bucket{I, leg="encrypted", le="0.25"}[R]))'
               ' / sum by (instance) (rate(tandem_first_packet_seconds_count{I, leg="encrypted"}[R]))', "{{instance}}")),
    ]),
    ("Who is not heard", [
        graph("Parties not heard, a minute", "none", "By cause: nothing had come from them 5 s after the answer.",
              ("60 * sum by (cause) (rate(tandem_no_media_total{T}[R]))", "{{cause}}"), stacked=True),
        graph("Calls that Meta was about to end, a minute", "none",
              "Nothing left for WhatsApp: half of the 20 s after the answer, or of the 30 s later on, were over.",
              ("60 * sum by (limit) (rate(tandem_calls_at_risk_total{T}[R]))", "{{limit}}"), stacked=True),
        graph("Keys pressed, a minute", "none", "By the way they came: as events (RFC 4733), as sounds in speech, by requests of the proxy.",
              ("60 * sum by (way) (rate(tandem_dtmf_total{T}[R]))", "{{way}}"), stacked=True),
    ]),
    ("Calls that were not good", [
        graph("Failures per call", "percentunit", "Failures by kind, as a share of the calls that began meanwhile.",
              ("sum by (kind) (rate(tandem_call_failures_total{I}[R])) / on () group_left () sum(rate(tandem_calls_created_total{I}[R]))",
               "{{kind}}")),
        graph("Heard one way, or not at all", "percentunit", "Of the calls that ended. Calls that were never answered count as not heard.",
              ("sum(rate(rtpengine_one_way_sessions_total{I}[R])) / sum(rate(rtpengine_sessions_total{I}[R]))", "one way"),
              ("sum(rate(rtpengine_zero_packet_streams_total{I}[R])) / sum(rate(rtpengine_sessions_total{I}[R]))", "not at all")),
        graph("Length of calls", "s", "The mean of those that ended.",
              ("sum by (instance) (rate(rtpengine_call_duration_total{I}[R])) / sum by (instance) (rate(rtpengine_sessions_total{I}[R]))",
               "{{instance}}")),
    ]),
])

QUALITY = ("tandem-call-quality", "Tandem: call quality", "How single calls sounded, and how they sound now, by interface.", "relay", [
    ("Calls that ended, each as one", [
        graph("Mean opinion score", "none", "Of half of the calls, and of the worst in twenty. 1 is unbearable, 4.3 what G.711 and Opus usually reach.",
              *each_trunk("tandem_call_mos", (0.5, "half of them"), (0.05, "worst of 20"))),
        graph("Loss", "percentunit", "Of half of the calls, and of the worst in twenty.",
              *each_trunk("tandem_call_loss_ratio", (0.5, "half of them"), (0.95, "worst of 20"))),
        graph("Jitter", "s", "Of half of the calls, and of the worst in twenty.",
              *each_trunk("tandem_call_jitter_seconds", (0.5, "half of them"), (0.95, "worst of 20"))),
    ]),
    ("How many were bad", [
        graph("Calls that sounded bad", "percentunit", "With a mean opinion score of 3.5 or less.", (share_within("tandem_call_mos", "3.5"), "{{interface}}")),
        graph("Calls with more than 3 % lost", "percentunit", "Concealment hides less.", ("1 - " + share_within("tandem_call_loss_ratio", "0.03"), "{{interface}}")),
        graph("Calls of which more than 100 ms were cut off", "percentunit", "Audio for WhatsApp that came before it could be sent.",
              ("1 - " + share_within("tandem_call_clipped_seconds", "0.1"), "{{interface}}")),
    ]),
    ("How they sound, by interface", [
        graph("Mean opinion score", "none", "1 is unbearable, 4.3 what G.711 and Opus usually reach.", (mean("mos"), "{{name}}")),
        graph("Loss that parties report", "percent", "What receivers behind each interface report to have lost (RTCP).", (mean("packetloss"), "{{name}}")),
        graph("Loss on the way to us", "percentunit", "RTP that was sent to an interface and did not come.",
              ('sum by (name) (rate(rtpengine_interface_packets_lost{N}[R])) / (sum by (name) (rate(rtpengine_interface_packets_lost{N}[R]))'
               ' + sum by (name) (rate(rtpengine_interface_packets{N, direction="ingress"}[R])))', "{{name}}")),
    ]),
    ("Delay, by interface", [
        graph("Jitter that parties report", "ms", "The mean of what receivers report (RTCP).", (mean("jitter"), "{{name}}")),
        graph("Jitter on the way to us", "ms", "The mean of what the relay measures.", (mean("jitter_measured"), "{{name}}")),
        graph("Round trip", "µs", "Of each leg between relay and party, and of both together.",
              (mean("rtt_dsct"), "{{name}} leg"), (mean("rtt_e2e"), "{{name}} end to end")),
    ]),
    ("Transcoding", [
        graph("Streams that are transcoded", "none", "By codecs; a call has two.", ("sum by (chain) (rtpengine_transcoders{I})", "{{chain}}"), stacked=True),
        graph("Calls that began to be transcoded, a minute", "none", "By codecs; a call counts for each way.",
              ("60 * sum by (chain) (rate(tandem_transcoded_calls_total{I}[R]))", "{{chain}}")),
        graph("Packets that are transcoded", "pps", "By codecs.", ("sum by (chain) (rate(rtpengine_transcode_packets_total{I}[R]))", "{{chain}}")),
    ]),
])

INTERNALS = ("tandem-relay-internals", "Tandem: relay internals", "Requests, workers, packets, recordings.", "relay", [
    ("Requests of proxies", [
        graph("Requests", "reqps", "By command.", ("sum by (request) (rate(tandem_request_duration_seconds_count{I}[R]))", "{{request}}")),
        graph("Time to the reply", "s", "Of offers and answers together.",
              *quantiles("tandem_request_duration_seconds", ', request=~"offer|answer"')),
        graph("Refused, a minute", "none", "Requests that ended with an error, by command.",
              ('60 * sum by (request) (rate(tandem_request_duration_seconds_count{I, result="error"}[R]))', "{{request}}")),
        graph("Not served, a minute", "none", "undelivered and late: workers were too busy. The others: a client is broken, or no proxy.",
              ("60 * sum by (problem) (rate(tandem_control_problems_total{I}[R]))", "{{problem}}")),
    ]),
    ("Workers", [
        graph("Load", "percentunit", "The share of time in which each worker was not waiting.",
              ("rate(tandem_worker_busy_seconds_total{I}[R])", "{{instance}} {{worker}}")),
        graph("Calls", "none", "On each worker.", ("tandem_worker_calls{I}", "{{instance}} {{worker}}")),
        graph("Datagrams in one round", "none", "How many a worker finds each time it wakes up; more is cheaper, and later.",
              ('sum by (instance, worker) (rate(tandem_datagrams_total{I, direction="received"}[R]))'
               " / sum by (instance, worker) (rate(tandem_worker_rounds_total{I}[R]))", "{{instance}} {{worker}}")),
        graph("Naps", "cps", "Naps that let datagrams gather; there are none while there is little to do.",
              ("sum by (instance, worker) (rate(tandem_worker_naps_total{I}[R]))", "{{instance}} {{worker}}")),
    ]),
    ("Data path", [
        graph("Way in use", "none", "How packets are moved: by a hub for each worker, or by a socket for each port. Relays by way.",
              ("sum by (tier) (tandem_data_path{I})", "{{tier}}"), stacked=True),
        graph("Time of a round", "s", "From taking a batch of datagrams to having sent what came of it: so late may be what arrived meanwhile.",
              *quantiles("tandem_worker_round_seconds")),
        graph("Detours", "pps", "What the hub left to slower ways: there should be none.",
              ("sum by (detour) (rate(tandem_data_path_detours_total{I}[R]))", "{{detour}}")),
    ]),
    ("Packets", [
        graph("Datagrams", "pps", "Of all kinds: RTP, RTCP, ICE, DTLS.", ("sum by (instance, direction) (rate(tandem_datagrams_total{I}[R]))", "{{instance}} {{direction}}")),
        graph("Traffic", "bps", "What these datagrams carry.",
              ("8 * sum by (instance, direction) (rate(tandem_datagram_bytes_total{I}[R]))", "{{instance}} {{direction}}")),
        graph("Not forwarded", "pps", "By reason. gate_closed is media before the answer, not_wanted media on hold or blocked.",
              ("sum by (reason) (rate(tandem_drops_total{I}[R]))", "{{reason}}")),
        graph("Lost by sockets", "pps", "Between the kernel and the relay, by error.", ("sum by (error) (rate(tandem_datagram_errors_total{I}[R]))", "{{error}}")),
    ]),
    ("Streams and ports", [
        graph("Order of RTP", "pps", "What came otherwise than it was sent: twice, late, after a gap, or from a sender that began anew.",
              ("sum(rate(rtpengine_rtp_duplicates{I}[R]))", "twice"), ("sum(rate(rtpengine_rtp_reordered{I}[R]))", "late"),
              ("sum(rate(rtpengine_rtp_skips{I}[R]))", "gaps"), ("sum(rate(rtpengine_rtp_seq_resets{I}[R]))", "began anew")),
        graph("Streams heard", "none", "Media streams in which something arrives.", ('sum by (instance) (rtpengine_mediastreams{I, type="userspace"})', "{{instance}}")),
        graph("Ports used", "none", "Media ports by interface.", ("rtpengine_ports_used{N}", "{{instance}} {{name}} {{address}}")),
        graph("Ports free", "none", "Media ports by interface.", ("rtpengine_ports_free{N}", "{{instance}} {{name}} {{address}}")),
    ]),
    ("Process", [
        graph("Processor time", "percentunit", "Of one processor; four busy workers are 400 %.", ("rate(process_cpu_seconds_total{I}[R])", "{{instance}}")),
        graph("Memory", "bytes", "In RAM.", ("process_resident_memory_bytes{I}", "{{instance}}")),
        graph("Open descriptors", "percentunit", "Of those that the process may have; a media port is one.", ("process_open_fds{I} / process_max_fds{I}", "{{instance}}")),
        graph("Calls", "percentunit", "Of max-sessions, where there is one.",
              ('rtpengine_sessions{I, type="own"} / on (instance) (tandem_limit{I, limit="sessions"} > 0)', "{{instance}}")),
    ]),
    ("Recordings and restarts", [
        graph("Calls being recorded", "none", "Now.", ("sum by (instance) (tandem_recordings{I})", "{{instance}}")),
        graph("Packets recorded", "pps", "Written to recordings.", ("sum by (instance) (rate(tandem_recorded_packets_total{I}[R]))", "{{instance}}")),
        graph("Missing in recordings, a minute", "none", "file: one that could not be made, written or moved; lost: what the disk was too slow for.",
              ("60 * sum by (instance, problem) (rate(tandem_recording_problems_total{I}[R]))", "{{instance}} {{problem}}")),
        graph("Time since the start", "s", "By version; back to zero is a restart, which costs the calls of that moment their media.",
              ("rtpengine_uptime_seconds{I} * on (instance) group_left (version, commit) tandem_build_info{I}", "{{instance}} {{version}} {{commit}}")),
    ]),
])

PROXIES = ("tandem-proxies", "Tandem: proxies", "What the SIP scripts count; Kamailio and OpenSIPS have the same names.", "proxy", [
    ("Calls", [
        graph("Calls a minute", "none", "That were let in: user-initiated from WhatsApp, business-initiated from the PBX.",
              *each_counter("tandem_calls_", [("user_initiated", "user-initiated"), ("business_initiated", "business-initiated")])),
        graph("Answered a minute", "none", "Calls that came to talking.",
              *each_counter("tandem_answered_", [("user_initiated", "user-initiated"), ("business_initiated", "business-initiated")])),
        graph("Answered share", "percentunit", "Of the calls that were let in meanwhile.",
              *[(f"sum(rate(tandem_answered_{way}_initiated{{I}}[R])) / sum(rate(tandem_calls_{way}_initiated{{I}}[R]))", f"{way}-initiated")
                for way in ("user", "business")]),
    ]),
    ("Refused", [
        graph("By us, a minute", "none", "By reason; kamailio-scripts/README.md says what to do about each.",
              *each_counter("tandem_refused_", [(name, name) for name in (
                  "source", "rate", "malformed", "number", "password", "dialled", "busy", "no_audio", "backed_off")])),
        graph("By Meta, a minute", "none", "By the status that Meta gave.",
              *each_counter("tandem_meta_refused_", [(name, name) for name in ("400", "403", "404", "408", "480", "486", "4xx", "5xx", "6xx")])),
        graph("By Meta for want of permission or by a limit, a minute", "none", "By the words that Meta gave; no fault, but calls that are not made.",
              *each_counter("tandem_meta_refused_", [("permission", "permission"), ("limit", "limit")])),
    ]),
    ("Something is broken", [
        graph("Relays, a minute", "none", "No relay for a call, or one that refused the answer.",
              *each_counter("tandem_relay_", [("unavailable", "none for a call"), ("answer_failed", "refused the answer")])),
        graph("Way to Meta, a minute", "none", "Each of these means that calls to WhatsApp users fail.",
              *each_counter("tandem_meta_", [("unreachable", "unreachable"), ("wrong_certificate", "wrong certificate"), ("refused_password", "refused our password")])),
        graph("PBX, a minute", "none", "Calls for which no target of the PBX was there.", *each_counter("tandem_pbx_", [("unavailable", "unavailable")])),
    ]),
    ("During calls", [
        graph("Changes of the PBX, a minute", "none", "Hold, resume and session refresh: answered by the proxy, Meta never sees them.",
              *each_counter("tandem_shield_", [("answered", "answered"), ("refused", "refused")])),
        graph("Transfers refused, a minute", "none", "REFER, which Meta does not have: let the PBX connect the calls itself.",
              *each_counter("tandem_transfer_", [("refused", "refused")])),
    ]),
])

DASHBOARDS = [OVERVIEW, CALLS, QUALITY, INTERNALS, PROXIES]
# Which metric knows the instances of a kind.
KNOWS_INSTANCES = {"relay": "tandem_build_info", "proxy": "tandem_calls_user_initiated"}


def dashboard(uid, title, description, kind, rows):
    return {
        "uid": uid, "title": title, "description": description, "tags": ["tandem"], "schemaVersion": SCHEMA_VERSION,
        "editable": True, "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "timezone": "",
        "links": [{"type": "dashboards", "title": "Tandem", "tags": ["tandem"], "asDropdown": False, "icon": "dashboard", "includeVars": True,
                   "keepTime": True, "targetBlank": False, "tooltip": "", "url": ""}],
        "annotations": {"list": []},
        "templating": {"list": variables(kind)},
        "panels": list(panels(rows)),
    }


def variables(kind):
    chosen = [{"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"},
              variable("instance", "Instance", f"label_values({KNOWS_INSTANCES[kind]}, instance)")]
    if kind == "relay":
        chosen.append(variable("interface", "Interface", 'label_values(rtpengine_ports{instance=~"$instance"}, name)'))
    return chosen


def variable(name, label, query):
    return {"type": "query", "name": name, "label": label, "datasource": DATA_SOURCE, "query": {"query": query, "refId": name},
            "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}


def panels(rows):
    """Each row: its title, and its panels side by side, six at most."""
    number, y = 0, 0
    for title, members in rows:
        number += 1
        yield {"type": "row", "id": number, "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}
        y += 1
        width = 24 // len(members)
        height = STAT_HEIGHT if all(member["type"] == "stat" for member in members) else GRAPH_HEIGHT
        for place, member in enumerate(members):
            number += 1
            yield panel(number, {"x": place * width, "y": y, "w": width, "h": height}, **member)
        y += height


def panel(number, place, queries, **rest):
    targets = [{"refId": chr(ord("A") + at), "expr": expand(expression), "legendFormat": legend, "range": True}
               for at, (expression, legend) in enumerate(queries)]
    return {"id": number, "gridPos": place, "datasource": DATA_SOURCE, "targets": targets, **rest}


def expand(expression):
    for short, long in SHORTHAND.items():
        expression = expression.replace(short, long)
    return expression


def files():
    """What each file has to contain, by its name."""
    return {uid.removeprefix("tandem-") + ".json": json.dumps(dashboard(uid, *rest), indent=1, ensure_ascii=False) + "\n" for uid, *rest in DASHBOARDS}


def main():
    for name, text in files().items():
        with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
            file.write(text)
        print(os.path.join("grafana", name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
