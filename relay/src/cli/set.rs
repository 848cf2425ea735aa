//! `set`: values that change while the relay runs, in rtpengine's words.

use std::time::Duration;

use super::{Console, MORE, NO_REDIS, unknown};
use crate::config::Config;
use crate::logging::{self, Subsystem};

/// What can be set.
pub(super) const NAMES: [&str; 17] = [
    "maxopenfiles",
    "maxsessions",
    "maxcpu",
    "maxload",
    "maxbw",
    "timeout",
    "silenttimeout",
    "offertimeout",
    "finaltimeout",
    "loglevel",
    "redisallowederrors",
    "redisdisabletime",
    "redisconnecttimeout",
    "rediscmdtimeout",
    "controltos",
    "deletedelay",
    "debug",
];

/// The longest time that can be set: a century, as for the options.
const LONGEST: u64 = 3_155_760_000;

/// Sets the value called `what`.
pub(super) fn set(console: &Console, what: &str, values: &[&str]) -> String {
    let Some(&value) = values.first() else {
        return MORE.to_owned();
    };
    match what {
        "maxsessions" => maxsessions(console, value),
        "maxload" => fraction(console, "maxload", value, f64::MAX, |config, limit| {
            config.limits.load = limit;
        }),
        "maxcpu" => fraction(console, "maxcpu", value, 100.0, |config, limit| {
            config.limits.cpu = limit;
        }),
        "maxbw" => match value.parse::<u64>() {
            Ok(most) => {
                console.live.change(|config| {
                    config.limits.bandwidth = (most > 0).then_some(most);
                });
                format!("Success setting maxbw to {most}\n")
            }
            Err(_) => no_number("maxbw", value),
        },
        "timeout" => seconds(console, what, value, |config, time| config.timeout = time),
        "silenttimeout" => seconds(console, what, value, |config, time| {
            config.silent_timeout = time;
        }),
        "offertimeout" => seconds(console, what, value, |config, time| {
            config.offer_timeout = time;
        }),
        "finaltimeout" => seconds(console, what, value, |config, time| {
            config.final_timeout = (!time.is_zero()).then_some(time);
        }),
        "deletedelay" => seconds(console, what, value, |config, time| {
            config.delete_delay = time;
        }),
        "loglevel" => loglevel(console, values),
        "debug" => super::sessions::debug(console, value, &values[1..]),
        "maxopenfiles" => {
            "Fail setting open_files: the limit is already as high as the system allows\n"
                .to_owned()
        }
        "controltos" => "Fail setting control-tos: it needs a restart\n".to_owned(),
        redis if redis.starts_with("redis") => NO_REDIS.to_owned(),
        other => unknown(other),
    }
}

fn maxsessions(console: &Console, value: &str) -> String {
    let most = match value.parse::<i64>() {
        Ok(-1) => None,
        Ok(most) => match usize::try_from(most) {
            Ok(most) => Some(most),
            Err(_) => {
                return format!(
                    "Fail setting maxsessions to {value}; either positive or -1 values allowed\n"
                );
            }
        },
        // The slip in the text is rtpengine's, and scripts know it.
        Err(_) => return format!("Fail setting maxsessions to {value}; no digists found\n"),
    };
    console.live.change(|config| config.limits.sessions = most);
    match most {
        None => "Success setting maxsessions to -1; disable feature\n".to_owned(),
        Some(most) => format!("Success setting maxsessions to {most}\n"),
    }
}

/// A limit with a decimal point; zero switches it off.
fn fraction(
    console: &Console,
    what: &str,
    value: &str,
    greatest: f64,
    store: fn(&mut Config, Option<f64>),
) -> String {
    match value.parse::<f64>() {
        Ok(limit) if (0.0..=greatest).contains(&limit) => {
            console.live.change(|config| {
                store(config, (limit > 0.0).then_some(limit));
            });
            match what {
                "maxcpu" => format!("Success setting {what} to {limit:.1}\n"),
                _ => format!("Success setting {what} to {limit:.2}\n"),
            }
        }
        _ => no_number(what, value),
    }
}

fn seconds(console: &Console, what: &str, value: &str, store: fn(&mut Config, Duration)) -> String {
    // rtpengine calls all its timeouts `timeout` in these sentences.
    let called = match what {
        "deletedelay" => "delete-delay",
        _ => "timeout",
    };
    match value.parse::<u64>() {
        Ok(time) if time <= LONGEST => {
            console
                .live
                .change(|config| store(config, Duration::from_secs(time)));
            format!("Success setting {called} to {time}\n")
        }
        _ => no_number(called, value),
    }
}

fn loglevel(console: &Console, values: &[&str]) -> String {
    let level = |text: &str| text.parse::<u8>().ok().filter(|level| *level <= 7);
    match *values {
        [value] => {
            let Some(level) = level(value) else {
                return format!(
                    "Fail setting loglevel to {value}; a number from 0 to 7 is expected\n"
                );
            };
            console.live.change(|config| {
                config.process.log.level = level;
                config.process.log.levels.clear();
            });
            for part in Subsystem::ALL {
                logging::set_level(part, level);
            }
            format!("Success setting loglevel to {level}\n")
        }
        [name, value, ..] => {
            let Some(part) = Subsystem::parse(name) else {
                return format!(
                    "Fail setting loglevel: there is no part called {name}; see `list loglevels`\n"
                );
            };
            let Some(level) = level(value) else {
                return format!(
                    "Fail setting loglevel to {value}; a number from 0 to 7 is expected\n"
                );
            };
            console.live.change(|config| {
                let levels = &mut config.process.log.levels;
                levels.retain(|(known, _)| *known != part);
                levels.push((part, level));
            });
            format!("Success setting loglevel to {level}\n")
        }
        [] => MORE.to_owned(),
    }
}

fn no_number(what: &str, value: &str) -> String {
    format!("Fail setting {what} to {value}; no such number is possible\n")
}
