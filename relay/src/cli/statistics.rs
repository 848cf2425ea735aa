//! `list totals`, `counters`, `interfaces` and `jsonstats`: the dictionary of the NG command `statistics`, as text.

use std::fmt::Write as _;
use std::net::IpAddr;

use ng_protocol::{Dictionary, Value};

use super::Console;

/// The statistics at present.
pub(super) fn of(console: &Console) -> Dictionary<'static> {
    let response = console.dispatch.statistics();
    match response.body().get("statistics") {
        Some(Value::Dictionary(statistics)) => statistics.clone().into_owned(),
        _ => Dictionary::new(),
    }
}

/// A label, where its value stands, and its unit.
type Line = (&'static str, &'static str, &'static str);

const CURRENT: &[Line] = &[
    ("Owned sessions", "sessionsown", ""),
    ("Foreign sessions", "sessionsforeign", ""),
    ("Total sessions", "sessionstotal", ""),
    ("Transcoded media", "transcodedmedia", ""),
];
const RATES: &[Line] = &[
    ("Packets per second (userspace)", "packetrate_user", ""),
    ("Bytes per second (userspace)", "byterate_user", ""),
    ("Errors per second (userspace)", "errorrate_user", ""),
    ("Packets per second (kernel)", "packetrate_kernel", ""),
    ("Bytes per second (kernel)", "byterate_kernel", ""),
    ("Errors per second (kernel)", "errorrate_kernel", ""),
    ("Packets per second (total)", "packetrate", ""),
    ("Bytes per second (total)", "byterate", ""),
    ("Errors per second (total)", "errorrate", ""),
];
const MEDIA: &[Line] = &[
    ("Userspace-only media streams", "media_userspace", ""),
    ("Kernel-only media streams", "media_kernel", ""),
    ("Mixed kernel/userspace media streams", "media_mixed", ""),
];
const TOTALS: &[Line] = &[
    ("Uptime of rtpengine", "uptime", " seconds"),
    ("Total managed sessions", "managedsessions", ""),
    ("Total rejected sessions", "rejectedsessions", ""),
    (
        "Total timed-out sessions via TIMEOUT",
        "timeoutsessions",
        "",
    ),
    (
        "Total timed-out sessions via SILENT_TIMEOUT",
        "silenttimeoutsessions",
        "",
    ),
    (
        "Total timed-out sessions via FINAL_TIMEOUT",
        "finaltimeoutsessions",
        "",
    ),
    (
        "Total timed-out sessions via OFFER_TIMEOUT",
        "offertimeoutsessions",
        "",
    ),
    (
        "Total regular terminated sessions",
        "regularterminatedsessions",
        "",
    ),
    (
        "Total forced terminated sessions",
        "forcedterminatedsessions",
        "",
    ),
    (
        "Total relayed packets (userspace)",
        "relayedpackets_user",
        "",
    ),
    (
        "Total relayed packet errors (userspace)",
        "relayedpacketerrors_user",
        "",
    ),
    ("Total relayed bytes (userspace)", "relayedbytes_user", ""),
    (
        "Total relayed packets (kernel)",
        "relayedpackets_kernel",
        "",
    ),
    (
        "Total relayed packet errors (kernel)",
        "relayedpacketerrors_kernel",
        "",
    ),
    ("Total relayed bytes (kernel)", "relayedbytes_kernel", ""),
    ("Total relayed packets", "relayedpackets", ""),
    ("Total relayed packet errors", "relayedpacketerrors", ""),
    ("Total relayed bytes", "relayedbytes", ""),
    (
        "Total number of streams with no relayed packets",
        "zerowaystreams",
        "",
    ),
    ("Total number of 1-way streams", "onewaystreams", ""),
    ("Average call duration", "avgcallduration", " seconds"),
    ("Total calls duration", "totalcallsduration", " seconds"),
    (
        "Total calls duration squared",
        "totalcallsduration2",
        " seconds squared",
    ),
    (
        "Total calls duration standard deviation",
        "totalcallsduration_stddev",
        " seconds",
    ),
];
const MOS: &[Line] = &[
    ("Sum of all MOS values sampled", "mos_total", ""),
    ("Sum of all MOS square values sampled", "mos2_total", ""),
    ("Total number of MOS samples", "mos_samples_total", ""),
    ("Average MOS", "mos_average", ""),
    ("MOS standard deviation", "mos_stddev", ""),
];
/// The columns of the table of proxies: heading, and the key's part before `count`.
const COLUMNS: &[(&str, &str)] = &[
    ("Ping", "ping"),
    ("Offer", "offer"),
    ("Answer", "answer"),
    ("Delete", "delete"),
    ("Query", "query"),
    ("List", "list"),
    ("StartRec", "startrec"),
    ("StopRec", "stoprec"),
    ("StartFwd", "startfwd"),
    ("StopFwd", "stopfwd"),
    ("BlkDTMF", "blkdtmf"),
    ("UnblkDTMF", "unblkdtmf"),
    ("BlkMedia", "blkmedia"),
    ("UnblkMedia", "unblkmedia"),
    ("PlayMedia", "playmedia"),
    ("StopMedia", "stopmedia"),
    ("PlayDTMF", "playdtmf"),
    ("Stats", "stats"),
    ("SlnMedia", "slnmedia"),
    ("UnslnMedia", "unslnmedia"),
    ("Pub", "pub"),
    ("SubReq", "subreq"),
    ("SubAns", "subans"),
    ("Unsub", "unsub"),
];

/// `list totals`.
pub(super) fn totals(statistics: &Dictionary<'_>) -> String {
    let mut text = String::from("\nStatistics over currently running sessions:\n\n");
    for lines in [CURRENT, RATES, MEDIA] {
        write_lines(&mut text, statistics, "currentstatistics", lines);
    }
    text.push_str("\nTotal statistics (does not include current running sessions):\n\n");
    write_lines(&mut text, statistics, "totalstatistics", TOTALS);
    text.push_str("\n\nMOS statistics:\n\n");
    write_lines(&mut text, statistics, "mos", MOS);
    text.push_str("\n\nControl statistics:\n\n");
    proxies(&mut text, statistics);
    text.push('\n');
    text
}

/// `list counters`.
pub(super) fn counters(statistics: &Dictionary<'_>) -> String {
    let mut text = String::from("\nCurrent per-second counters:\n\n");
    write_lines(&mut text, statistics, "currentstatistics", RATES);
    text
}

fn write_lines(text: &mut String, statistics: &Dictionary<'_>, part: &str, lines: &[Line]) {
    let part = statistics.get(part).and_then(Value::as_dictionary);
    for (label, key, unit) in lines {
        let value = part.and_then(|part| part.get(key)).map(ToString::to_string);
        let value = value.unwrap_or_else(|| "0".to_owned());
        let _ = writeln!(text, " {label:<48}:{value}{unit}");
    }
}

fn proxies(text: &mut String, statistics: &Dictionary<'_>) {
    let _ = write!(text, " {:>20} ", "Proxy");
    for (heading, _) in COLUMNS {
        let _ = write!(text, "| {heading:>10} ");
    }
    text.push('\n');
    let control = statistics.get("controlstatistics");
    let proxies = control
        .and_then(Value::as_dictionary)
        .and_then(|control| control.get("proxies"))
        .and_then(Value::as_list)
        .unwrap_or(&[]);
    for proxy in proxies.iter().filter_map(Value::as_dictionary) {
        let name = proxy.get("proxy").map(ToString::to_string);
        let _ = write!(text, " {:>20} ", name.unwrap_or_default());
        for (_, command) in COLUMNS {
            let count = proxy.get(&format!("{command}count"));
            let count = count.and_then(Value::as_integer).unwrap_or(0);
            let _ = write!(text, "| {count:>10} ");
        }
        text.push('\n');
    }
}

/// `list interfaces`.
pub(super) fn interfaces(statistics: &Dictionary<'_>) -> String {
    let list = statistics.get("interfaces").and_then(Value::as_list);
    let mut text = String::new();
    for interface in list.unwrap_or(&[]).iter().filter_map(Value::as_dictionary) {
        let string = |key: &str| interface.get(key).map(ToString::to_string);
        let name = string("name").unwrap_or_default();
        let address = string("address").unwrap_or_default();
        let family = match address.parse() {
            Ok(IpAddr::V6(_)) => "IPv6",
            _ => "IPv4",
        };
        let ports = interface.get("ports").and_then(Value::as_dictionary);
        let count = |key| {
            ports
                .and_then(|ports| ports.get(key)?.as_integer())
                .unwrap_or(0)
        };
        let (used, totals) = (count("used"), count("totals"));
        let share = if totals > 0 {
            100.0 * used as f64 / totals as f64
        } else {
            0.0
        };
        let _ = write!(
            text,
            "Interface '{name}' address '{address}' ({family})\n \
             Port range: {:>5} - {:>5}\n \
             Ports used: {used:>5} / {totals:>5} ({share:>5.1}%)\n",
            count("min"),
            count("max")
        );
    }
    text
}

/// `list jsonstats`: fractions are numbers here, unlike in the reply to `statistics`.
pub(super) fn json(statistics: &Dictionary<'_>) -> String {
    let mut text = String::new();
    write_dictionary(&mut text, statistics);
    text
}

fn write_dictionary(text: &mut String, dictionary: &Dictionary<'_>) {
    text.push('{');
    for (index, (key, value)) in dictionary.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_string(text, &String::from_utf8_lossy(key));
        text.push(':');
        write_value(text, value);
    }
    text.push('}');
}

fn write_value(text: &mut String, value: &Value<'_>) {
    match value {
        Value::Integer(number) => {
            let _ = write!(text, "{number}");
        }
        Value::String(_) => {
            let string = value.to_string();
            if is_number(&string) {
                text.push_str(&string);
            } else {
                write_string(text, &string);
            }
        }
        Value::List(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_value(text, item);
            }
            text.push(']');
        }
        Value::Dictionary(dictionary) => write_dictionary(text, dictionary),
    }
}

/// A decimal number as JSON writes it (RFC 8259 section 6): digits, and perhaps a fraction.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    digits(whole) && digits(fraction) && (whole.len() == 1 || !whole.starts_with('0'))
}

fn write_string(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            control if control.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

/// The number at a path of keys, zero if there is none.
pub(super) fn number_at(statistics: &Dictionary<'_>, path: &str) -> i64 {
    let mut dictionary = statistics;
    let mut number = 0;
    for step in path.split('/') {
        match dictionary.get(step) {
            Some(Value::Dictionary(inner)) => dictionary = inner,
            Some(value) => number = value.as_integer().unwrap_or(0),
            None => return 0,
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Dictionary<'static> {
        let proxy = Dictionary::new()
            .with("proxy", "127.0.0.1")
            .with("offercount", 3u32);
        Dictionary::new()
            .with(
                "currentstatistics",
                Dictionary::new().with("sessionsown", 3u32),
            )
            .with(
                "totalstatistics",
                Dictionary::new()
                    .with("uptime", "4")
                    .with("avgcallduration", "1.524884"),
            )
            .with(
                "controlstatistics",
                Dictionary::new().with("proxies", vec![Value::from(proxy)]),
            )
    }

    #[test]
    fn totals_are_aligned_as_scripts_expect() {
        let text = totals(&example());
        for line in [
            " Owned sessions                                  :3",
            " Uptime of rtpengine                             :4 seconds",
            " Total number of streams with no relayed packets :0",
            " Average call duration                           :1.524884 seconds",
            "                Proxy |       Ping |      Offer |     Answer |",
            "            127.0.0.1 |          0 |          3 |          0 |",
        ] {
            assert!(text.contains(&format!("\n{line}")), "{line}\n{text}");
        }
    }

    #[test]
    fn json_has_numbers_where_the_dictionary_has_decimal_strings() {
        assert_eq!(
            json(&example()),
            "{\"currentstatistics\":{\"sessionsown\":3},\
             \"totalstatistics\":{\"uptime\":4,\"avgcallduration\":1.524884},\
             \"controlstatistics\":{\"proxies\":[{\"proxy\":\"127.0.0.1\",\"offercount\":3}]}}"
        );
        for (text, number) in [
            ("1.5", true),
            ("-0.5", true),
            ("007", false),
            ("1.2.3.4", false),
            ("", false),
            ("1.", false),
        ] {
            assert_eq!(is_number(text), number, "{text}");
        }
        let mut text = String::new();
        write_string(&mut text, "a\"b\\c\n");
        assert_eq!(text, "\"a\\\"b\\\\c\\u000a\"");
    }
}
