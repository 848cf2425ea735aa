//! `list` (or `get`): single values, in rtpengine's words.

use std::fmt::Write as _;

use super::{Console, statistics, unknown};
use crate::logging::{self, Subsystem};

/// What can be listed.
pub(super) const NAMES: [&str; 24] = [
    "numsessions",
    "sessions",
    "totals",
    "counters",
    "maxopenfiles",
    "maxsessions",
    "maxcpu",
    "maxload",
    "maxbw",
    "timeout",
    "silenttimeout",
    "offertimeout",
    "finaltimeout",
    "loglevels",
    "loglevel",
    "redisallowederrors",
    "redisdisabletime",
    "redisconnecttimeout",
    "rediscmdtimeout",
    "controltos",
    "deletedelay",
    "interfaces",
    "jsonstats",
    "transcoders",
];

/// The value called `what`.
pub(super) fn list(console: &Console, what: &str, rest: &[&str]) -> String {
    let config = console.live.now();
    let limits = config.limits;
    match what {
        "numsessions" => numsessions(console),
        "maxsessions" => {
            let most = limits
                .sessions
                .map_or(-1, |most| i64::try_from(most).unwrap_or(i64::MAX));
            format!("Maximum sessions configured on rtpengine: {most}\n")
        }
        "maxload" => {
            let most = limits.load.unwrap_or(0.0);
            format!("Maximum load average configured on rtpengine: {most:.2}\n")
        }
        "maxcpu" => {
            let most = limits.cpu.unwrap_or(0.0);
            format!("Maximum CPU usage configured on rtpengine: {most:.1}\n")
        }
        "maxbw" => {
            let most = limits.bandwidth.unwrap_or(0);
            format!("Maximum bandwidth configured on rtpengine: {most}\n")
        }
        "maxopenfiles" => {
            let limit = relay_net::open_files::raise_limit();
            let limit = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
            format!("Maximum open-files configured on rtpengine: {limit}\n")
        }
        "timeout" => format!("TIMEOUT={}\n", config.timeout.as_secs()),
        "silenttimeout" => format!("SILENT_TIMEOUT={}\n", config.silent_timeout.as_secs()),
        "offertimeout" => format!("OFFER_TIMEOUT={}\n", config.offer_timeout.as_secs()),
        "finaltimeout" => {
            let last = config.final_timeout.unwrap_or_default();
            format!("FINAL_TIMEOUT={}\n", last.as_secs())
        }
        "deletedelay" => format!("{}\n", config.delete_delay.as_secs()),
        "controltos" => format!("{}\n", config.control_tos.unwrap_or(0)),
        // rtpengine's values where nothing was configured.
        "redisallowederrors" => "-1\n".to_owned(),
        "redisdisabletime" => "10\n".to_owned(),
        "redisconnecttimeout" => "1000\n".to_owned(),
        "rediscmdtimeout" => "0\n".to_owned(),
        "loglevels" => {
            let mut text = String::new();
            for part in Subsystem::ALL {
                let _ = writeln!(text, "{} - {}", part.name(), part.explanation());
            }
            text
        }
        "loglevel" => loglevel(rest.first().copied()),
        "interfaces" => statistics::interfaces(&statistics::of(console)),
        "totals" => statistics::totals(&statistics::of(console)),
        "counters" => statistics::counters(&statistics::of(console)),
        "transcoders" => "No stats entries\n".to_owned(),
        "jsonstats" => statistics::json(&statistics::of(console)),
        "version" => super::version(),
        other => unknown(other),
    }
}

fn numsessions(console: &Console) -> String {
    let sessions = console.dispatch.sessions();
    let statistics = statistics::of(console);
    let transcoded = statistics::number_at(&statistics, "currentstatistics/transcodedmedia");
    format!(
        "Current sessions own: {sessions}\n\
         Current sessions foreign: 0\n\
         Current sessions total: {sessions}\n\
         Current transcoded media: {transcoded}\n"
    )
}

fn loglevel(name: Option<&str>) -> String {
    match name {
        Some(name) => match Subsystem::parse(name) {
            Some(part) => format!("{}\n", logging::level(part)),
            None => format!("there is no part called {name}; see `list loglevels`\n"),
        },
        None => {
            let mut text = String::new();
            for part in Subsystem::ALL {
                let _ = writeln!(text, "{} = {}", part.name(), logging::level(part));
            }
            text
        }
    }
}
