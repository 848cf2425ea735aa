//! `tandem doctor`: looks a host over before the first call, and explains what it finds.
//!
//! It reads the configuration that the relay would read, and tries for itself what calls will need: addresses, ports, the way
//! of moving packets, names, certificates, the ways to Meta and to the relays that a proxy names.
//! What cannot be tried from here is said to be so; that is no fault.

mod finding;
mod host;
mod recent;
mod relays;
mod sip;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Config, Wish};
use crate::{StartError, check};
use finding::{Report, Verdict};

const USAGE: &str = "\
usage: tandem doctor [--sip-host=NAME[:PORT]] [--meta=NAME[:PORT]] [--proxy-config=FILE]... [--offline]
                     [options of the relay]

Looks the host over before the first call. The relay's options are read as the relay reads them: from the command line and
from its configuration file.

  --sip-host=NAME[:PORT]  our own SIP host as it is entered at Meta: its name and certificate are checked [port: 5061]
  --meta=NAME[:PORT]      Meta's SIP host [default: wa.meta.vc:5061]
  --proxy-config=FILE     a file of the proxy that names relays [default: those of Kamailio and OpenSIPS in /etc]
  --offline               leave out what needs the internet: both SIP hosts

Exit status: 0 nothing is wrong, 1 something is (lines that begin with WRONG), 2 this command line cannot be read.
";

/// Where Meta takes calls from businesses.
const META: &str = "wa.meta.vc:5061";
/// SIP over TLS (RFC 3261 section 19.1.2).
const SIPS_PORT: u16 = 5061;
/// Where the packages of the proxies put their configuration.
const PROXY_CONFIGS: [&str; 4] = [
    "/etc/kamailio/kamailio.cfg",
    "/etc/kamailio/settings.cfg",
    "/etc/opensips/opensips.cfg",
    "/etc/opensips/settings.cfg",
];

/// Options of the doctor's own.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    sip_host: Option<(String, u16)>,
    meta: (String, u16),
    /// Those that were asked for must be there.
    proxy_configs: Option<Vec<PathBuf>>,
    offline: bool,
    /// What is for the relay.
    relay: Vec<String>,
}

/// Runs the command that stands behind `doctor`.
pub fn run(arguments: &[String]) -> ExitCode {
    if arguments
        .iter()
        .any(|word| matches!(word.as_str(), "--help" | "-h" | "help"))
    {
        // Nobody listens when the pipe is closed.
        let _ = io::stdout().write_all(USAGE.as_bytes());
        return ExitCode::SUCCESS;
    }
    let options = match understand(arguments) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("tandem doctor: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut report = Report::new(io::stdout());
    let mut not_started = Vec::new();
    if let Some(config) = configuration(&options, &mut report) {
        not_started = relays::own(&config, &mut report);
        let running = not_started.len() < config.listen_ng.len();
        let unbindable = start(&config, running, &mut report);
        host::look_over(&config, running, &unbindable, &mut report);
        if running {
            recent::look_over(&config, &mut report);
        }
    }
    relays::of_proxies(options.proxy_configs.as_deref(), &not_started, &mut report);
    sip::look_over(
        options.sip_host.as_ref(),
        &options.meta,
        options.offline,
        &mut report,
    );
    if report.end() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The relay's configuration, if there is one that can be read.
fn configuration<W: Write>(options: &Options, report: &mut Report<W>) -> Option<Config> {
    match config::read(options.relay.clone()) {
        Ok(Wish::Run(config, remarks) | Wish::Check(config, remarks)) => {
            report.add(Verdict::Good, "configuration", "can be read", None);
            for remark in remarks {
                report.add(Verdict::Note, "configuration", &remark, None);
            }
            Some(*config)
        }
        // `--version` and the like have their own commands.
        Ok(Wish::Print(text)) => {
            report.add(Verdict::Note, "configuration", text.trim(), None);
            None
        }
        Err(error) => {
            let advice =
                "nothing that depends on it was looked at; the relay would not start either";
            report.add(
                Verdict::Wrong,
                "configuration",
                &error.to_string(),
                Some(advice),
            );
            None
        }
    }
}

/// What `--check-config` says: whether the relay would start. Gives the media addresses that cannot be bound.
fn start<W: Write>(config: &Config, running: bool, report: &mut Report<W>) -> Vec<IpAddr> {
    let found = check::look_over(config);
    let mut unbindable = Vec::new();
    if found.problems.is_empty() {
        report.add(Verdict::Good, "start", "nothing would stop the relay", None);
    }
    for problem in found.problems {
        let advice = match &problem {
            StartError::Interface { address, .. } => {
                unbindable.push(*address);
                "write an address of this machine, and behind `!` the one that the world knows it by"
            }
            StartError::DataPath(_) => "give it the capability, or write data-path = auto",
            _ => "the relay would not start",
        };
        report.add(Verdict::Wrong, "start", &problem.to_string(), Some(advice));
    }
    // What is in use has the relay itself, if it runs.
    let verdict = if running {
        Verdict::Note
    } else {
        Verdict::Doubtful
    };
    for remark in found.remarks {
        report.add(verdict, "start", &remark, None);
    }
    unbindable
}

fn understand(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        sip_host: None,
        meta: host_and_port("meta", META)?,
        proxy_configs: None,
        offline: false,
        relay: Vec::new(),
    };
    for word in arguments {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "--sip-host" => options.sip_host = Some(host_and_port("sip-host", value)?),
            "--meta" => options.meta = host_and_port("meta", value)?,
            "--proxy-config" if value.is_empty() => {
                return Err("--proxy-config: `` is no file; write --proxy-config=FILE".to_owned());
            }
            "--proxy-config" => options
                .proxy_configs
                .get_or_insert_default()
                .push(value.into()),
            "--offline" if value.is_empty() => options.offline = true,
            _ => options.relay.push(word.clone()),
        }
    }
    Ok(options)
}

/// `NAME[:PORT]`; names alone, for that is what certificates are made for.
fn host_and_port(option: &str, text: &str) -> Result<(String, u16), String> {
    let wrong = |what: &str| format!("--{option}: `{text}`: {what}; write --{option}=NAME[:PORT]");
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, port.parse().map_err(|_| wrong("no port number"))?),
        None => (text, SIPS_PORT),
    };
    if name.is_empty() {
        return Err(wrong("no name"));
    }
    Ok((name.to_owned(), port))
}

/// The files of proxies to look into: those that were asked for, or those that are there.
fn proxy_configs(asked: Option<&[PathBuf]>) -> Vec<PathBuf> {
    match asked {
        Some(asked) => asked.to_vec(),
        None => PROXY_CONFIGS
            .iter()
            .map(PathBuf::from)
            .filter(|path| path.exists())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn its_own_options_are_taken_out_and_the_rest_is_the_relays() {
        let line = "--sip-host=sbc.example.com -i 192.0.2.1 --offline --meta=localhost:5071 --port-min=40000";
        let options = understand(&words(line)).unwrap();
        assert_eq!(options.sip_host, Some(("sbc.example.com".to_owned(), 5061)));
        assert_eq!(options.meta, ("localhost".to_owned(), 5071));
        assert!(options.offline);
        assert_eq!(options.relay, words("-i 192.0.2.1 --port-min=40000"));
    }

    #[test]
    fn a_bad_value_is_named_with_its_option() {
        for (line, sentence) in [
            (
                "--sip-host=",
                "--sip-host: ``: no name; write --sip-host=NAME[:PORT]",
            ),
            (
                "--meta=a:b",
                "--meta: `a:b`: no port number; write --meta=NAME[:PORT]",
            ),
        ] {
            assert_eq!(understand(&words(line)), Err(sentence.to_owned()));
        }
        assert!(understand(&words("--proxy-config")).is_err());
    }
}
