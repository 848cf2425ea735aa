//! Every option by name: rtpengine's, and a few of our own.
//!
//! Operators bring their `rtpengine.conf` and their start scripts with them.
//! So every name that rtpengine knows is known here: what means something to this relay works, the rest is accepted with a line
//! in the log that says why nothing comes of it, and the few that would leave a proxy without its relay are refused.
//! `docs/options.md` is made from this table.

mod foreign;
mod working;

use std::fmt::Write as _;

/// One option of the command line, and of the file under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt {
    /// The long name, without dashes.
    pub name: &'static str,
    /// The letter, if it has one.
    pub short: Option<char>,
    /// What follows the name.
    pub takes: Takes,
    /// What the option does.
    pub meaning: Meaning,
}

/// What follows an option's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing; `=true` and `=false` are understood.
    Nothing,
    /// One value; of several the last counts. The text stands for it in the help.
    One(&'static str),
    /// Values that add up: the option repeated, or the values separated by `;`.
    Many(&'static str),
}

/// Whether an option does anything here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It does; this is its help text.
    Works(&'static str),
    /// It is rtpengine's, is accepted, and has no effect for this reason.
    Accepted(&'static str),
    /// It would need something that cannot be had; this is what to do instead.
    Refused(&'static str),
}

/// All of them; those that work come first, in the order of the help.
pub fn all() -> impl Iterator<Item = &'static Opt> {
    working::WORKING
        .into_iter()
        .flatten()
        .chain(foreign::FOREIGN)
}

/// The option called `name`, `_` counting as `-`.
pub fn by_name(name: &str) -> Option<&'static Opt> {
    let name = name.replace('_', "-");
    let name = match name.as_str() {
        "check" => "check-config",
        "section" => "config-section",
        name => name,
    };
    all().find(|option| option.name == name)
}

/// The option with this letter.
pub fn by_letter(letter: char) -> Option<&'static Opt> {
    all().find(|option| option.short == Some(letter))
}

/// The option that somebody who wrote `name` may have meant.
pub fn nearest(name: &str) -> Option<&'static Opt> {
    let name = name.trim_start_matches('-').replace('_', "-");
    let distances = all().map(|option| (edits(&name, option.name), option));
    let (distance, option) = distances.min_by_key(|(distance, _)| *distance)?;
    // Half of the letters wrong is another word.
    (distance <= 2 && distance * 2 < name.len()).then_some(option)
}

/// How many letters must be put in, taken out or changed to turn one word into the other.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..other.len() {
            let changed = diagonal + usize::from(letter != other[j]);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

/// The table for people, `docs/options.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Options\n\n\
         Every option of rtpengine, and our own: on the command line with two dashes, in the file without.\n\
         This page is made from the table in `relay/src/config/options`; a test compares the two.\n",
    );
    let cell = |text: &str| text.replace('|', "\\|");
    let mut part = |heading: &str, of: &dyn Fn(Meaning) -> Option<&'static str>| {
        let _ = write!(text, "\n## {heading}\n\n| option | |\n|---|---|\n");
        for option in all() {
            let Some(says) = of(option.meaning) else {
                continue;
            };
            let mut name = option.name.to_owned();
            if let Takes::One(value) | Takes::Many(value) = option.takes
                && !value.is_empty()
            {
                let _ = write!(name, "={value}");
            }
            let letter = option.short.map(|letter| format!(", `-{letter}`"));
            let _ = writeln!(
                text,
                "| `{}`{} | {} |",
                cell(&name),
                letter.unwrap_or_default(),
                cell(says)
            );
        }
    };
    part("What works", &|meaning| match meaning {
        Meaning::Works(help) => Some(help),
        _ => None,
    });
    part("Accepted, without effect", &|meaning| match meaning {
        Meaning::Accepted(reason) => Some(reason),
        _ => None,
    });
    part("Refused", &|meaning| match meaning {
        Meaning::Refused(reason) => Some(reason),
        _ => None,
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_letters_are_unique() {
        for option in all() {
            let same_name = all().filter(|o| o.name == option.name);
            assert_eq!(same_name.count(), 1, "{}", option.name);
            if let Some(letter) = option.short {
                let same_letter = all().filter(|o| o.short == Some(letter));
                assert_eq!(same_letter.count(), 1, "-{letter}");
            }
        }
    }

    #[test]
    fn names_are_found_in_either_spelling() {
        assert_eq!(by_name("port_min"), by_name("port-min"));
        assert_eq!(by_letter('m'), by_name("port-min"));
        assert_eq!(by_name("port-mid"), None);
    }

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let nearest = |name| nearest(name).map(|option| option.name);
        assert_eq!(nearest("--port-mni"), Some("port-min"));
        assert_eq!(nearest("timout"), Some("timeout"));
        assert_eq!(nearest("interfaces"), Some("interface"));
        assert_eq!(nearest("nothing-like-it"), None);
        assert_eq!(nearest("x"), None);
    }

    /// What Debian's rtpengine 10.5 lists under `--help`.
    const RTPENGINE_10_5: &str = include_str!("options/rtpengine-10.5.txt");

    #[test]
    fn every_option_of_rtpengine_is_known_with_its_letter() {
        let mut count = 0;
        for line in RTPENGINE_10_5.lines() {
            let (letter, name) = line.split_once(' ').unwrap();
            let option = by_name(name).unwrap_or_else(|| panic!("--{name} is unknown"));
            if letter != "-" {
                assert_eq!(option.short, letter.chars().next(), "--{name}");
            }
            count += 1;
        }
        assert!(count > 130, "{count}");
    }

    /// What operators write behind an option that wants a certain kind of value.
    fn plausible(name: &str) -> &'static str {
        match name {
            "config-file" => "none",
            "config-section" => "rtpengine",
            "interface" => "internal/127.0.0.1!203.0.113.1",
            "log-facility" | "log-facility-cdr" | "log-facility-rtcp" | "log-facility-dtmf" => {
                "local0"
            }
            "log-format" => "parsable",
            "listen-ng" | "listen-tcp-ng" | "listen-cli" | "listen-http" | "listen-https" => {
                "127.0.0.1:2224"
            }
            "dtmf-log-dest" | "homer" | "graphite" => "127.0.0.1:9060",
            "homer-protocol" => "tcp",
            "live-page" => "off",
            "redis" | "redis-write" => "secret@127.0.0.1:6379/1",
            "b2b-url" => "http://127.0.0.1:8090/RPC2",
            "port-min" => "20000",
            "port-max" => "49999",
            "recording-dir" => "/var/spool/rtpengine",
            "recording-method" => "proc",
            "recording-format" => "eth",
            "endpoint-learning" => "delayed",
            "mos" => "LQ",
            "dtls-cert-cipher" => "RSA",
            "dtls-rsa-key-size" => "2048",
            "dtls-signature" => "SHA-1",
            "dtls-mtu" => "1200",
            "dtls-ciphers" => "DEFAULT:!NULL:!aNULL",
            "pidfile" | "https-cert" | "https-key" | "mqtt-cafile" => "/run/rtpengine/file",
            "max-load" | "max-cpu" | "silence-detect" => "80.5",
            "scheduling" | "idle-scheduling" => "default",
            "amr-dtx" => "native",
            "mqtt-publish-scope" => "media",
            _ => "1",
        }
    }

    #[test]
    fn every_option_of_rtpengine_is_accepted_with_a_value_that_it_has_there() {
        use super::super::{Wish, read};
        let names = || {
            let names = RTPENGINE_10_5
                .lines()
                .filter_map(|line| line.split_once(' '));
            names.map(|(_, name)| name)
        };
        let on_the_command_line = |name: &str| match by_name(name).unwrap().takes {
            Takes::Nothing => format!("--{name}"),
            Takes::One(_) | Takes::Many(_) => format!("--{name}={}", plausible(name)),
        };
        let check = |options: &mut dyn Iterator<Item = String>| {
            let least = "--check-config --config-file=none -i 127.0.0.1 -n 127.0.0.1:2223";
            let least = least.split(' ').map(str::to_owned);
            match read(least.chain(options)) {
                Ok(Wish::Print(text)) => Ok(text),
                Ok(Wish::Check(_, remarks)) => Ok(remarks.join("\n")),
                Ok(Wish::Run(..)) => panic!("it would run"),
                Err(error) => Err(error.to_string()),
            }
        };
        let mut refused = Vec::new();
        for name in names() {
            if let Err(error) = check(&mut [on_the_command_line(name)].into_iter()) {
                assert!(error.contains(name), "{error}");
                refused.push(name);
            }
        }
        // The protocol of rtpproxy is not spoken, and a proxy that speaks it would find nobody.
        assert_eq!(refused, ["listen-tcp", "listen-udp"]);
        // All at once, too, but for those after which nothing is read any more.
        let others = ["version", "codecs", "help"];
        let all = names().filter(|name| !refused.contains(name) && !others.contains(name));
        let told = check(&mut all.map(on_the_command_line)).unwrap();
        assert!(
            told.contains("without effect: table, no-fallback"),
            "{told}"
        );
    }

    #[test]
    fn the_page_about_options_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/options.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == markdown(),
            "docs/options.md is not what the table says; run this test with UPDATE_DOCS=1"
        );
    }
}
