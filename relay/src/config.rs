//! What the relay was told: one struct, from the command line and a file.
//!
//! A value is either understood or stops the start, with its place and its name in the message; an option of rtpengine that has no
//! effect here is reported with the reason (`config/options.rs` says which is which).

pub mod arguments;
mod dtls;
pub mod file;
pub mod interface;
pub mod options;
mod settings;
mod templates;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ng_protocol::Templates;
use relay_call::EndpointLearning;
use thiserror::Error;

pub use dtls::Dtls;
pub use interface::{Interface, MediaAddress};
use interface::{Machine, Names};
use settings::bad;
pub use settings::{Origin, Setting, Settings, Unknown};

use crate::logging::{Facility, Subsystem};

/// Everything the relay needs to know at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Local media addresses by name; the first is the default.
    pub interfaces: Vec<Interface>,
    /// Where the control protocol listens.
    pub listen_ng: Vec<SocketAddr>,
    /// The ports for media.
    pub ports: RangeInclusive<u16>,
    /// A call ends when nothing arrived for this long.
    pub timeout: Duration,
    /// The same while it is muted.
    pub silent_timeout: Duration,
    /// A call that was never answered ends after this long.
    pub offer_timeout: Duration,
    /// Every call ends after this long, if set.
    pub final_timeout: Option<Duration>,
    /// A deleted call goes on for this long.
    pub delete_delay: Duration,
    /// When new calls are refused.
    pub limits: Limits,
    /// Flags strings that apply to requests by their name.
    pub templates: Templates,
    /// TCP addresses for operators' commands.
    pub listen_cli: Vec<SocketAddr>,
    /// TCP addresses for the control protocol.
    pub listen_tcp_ng: Vec<SocketAddr>,
    /// Addresses for HTTP and WebSocket.
    pub listen_http: Vec<SocketAddr>,
    /// Addresses for the same over TLS.
    pub listen_https: Vec<SocketAddr>,
    /// The certificate chain for TLS, PEM.
    pub https_cert: Option<PathBuf>,
    /// Its private key, PEM; absent means that it stands in the same file.
    pub https_key: Option<PathBuf>,
    /// Type-of-service byte of media.
    pub tos: Option<u8>,
    /// Type-of-service byte of control replies.
    pub control_tos: Option<u8>,
    /// How the far end's address is learned.
    pub endpoint_learning: EndpointLearning,
    /// Believe the SIP message's source address instead of the SDP's, unless a request says otherwise.
    pub sip_source: bool,
    /// Be the DTLS server towards peers that leave the choice.
    pub dtls_passive: bool,
    /// Who is told of pressed keys when the call does not say.
    pub dtmf_log: Option<SocketAddr>,
    /// How we speak DTLS.
    pub dtls: Dtls,
    /// What we call ourselves.
    pub software_id: String,
    /// Media worker threads.
    pub workers: usize,
    /// Audio kept for a leg without keys.
    pub hold: Duration,
    /// Whether silence is sent to a WhatsApp leg while nobody speaks.
    pub silence_fill: bool,
    /// The longest nap of a busy worker.
    pub coalesce: Duration,
    /// Whether workers stay on one processor each.
    pub pin_workers: bool,
    /// Where all randomness comes from, in tests; drawn from the system otherwise.
    pub seed: Option<u64>,
    /// How the process runs.
    pub process: Process,
    /// The command line this came from, for a reload.
    pub arguments: Vec<String>,
}

/// When offers of new calls are refused. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Calls at the same time (`max-sessions`).
    pub sessions: Option<usize>,
    /// The system's load average (`max-load`).
    pub load: Option<f64>,
    /// Use of all processors together, in per cent (`max-cpu`).
    pub cpu: Option<f64>,
    /// Media received, in bytes per second (`max-bandwidth`).
    pub bandwidth: Option<u64>,
}

/// How the process runs: what `main` does and tests do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Stay in the foreground.
    pub foreground: bool,
    /// Where to write the process number.
    pub pidfile: Option<PathBuf>,
    /// What is logged, and how.
    pub log: Log,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// 0 to 7, as in syslog.
    pub level: u8,
    /// Parts of the relay with a level of their own.
    pub levels: Vec<(Subsystem, u8)>,
    /// Log to stderr even in the background.
    pub stderr: bool,
    /// Begin lines with the time.
    pub timestamps: bool,
    /// The facility in syslog.
    pub facility: Facility,
    /// Our name in syslog.
    pub name: String,
    /// `ID="..."` instead of `[...]`.
    pub parsable: bool,
    /// What stands around a call-id.
    pub mark: (String, String),
    /// Several lines for a message of several lines.
    pub split: bool,
    /// The longest line, in bytes.
    pub longest_line: Option<usize>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: 6,
            levels: Vec::new(),
            stderr: false,
            timestamps: true,
            facility: Facility::default(),
            name: "tandem".to_owned(),
            parsable: false,
            mark: Default::default(),
            split: false,
            longest_line: None,
        }
    }
}

/// A line of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.path.display(), self.line)
    }
}

/// Why the relay does not start.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The command line cannot be read.
    #[error("{0}")]
    CommandLine(String),
    /// The file cannot be read.
    #[error("configuration file {}: {problem}", path.display())]
    File {
        /// Its name.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A line of the file cannot be read.
    #[error("{place}: {problem}")]
    Syntax {
        /// Which.
        place: Place,
        /// What is wrong.
        problem: String,
    },
    /// A name is no option.
    #[error("{}{problem}", before(place.as_ref()))]
    Unknown {
        /// Where, if in the file.
        place: Option<Place>,
        /// The name, and what may have been meant.
        problem: String,
    },
    /// A value means nothing.
    #[error("{}option {option}: `{value}`: {problem}", before(place.as_ref()))]
    Value {
        /// Where, if in the file.
        place: Option<Place>,
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing can work without it.
    #[error("option {option} is missing; {hint}")]
    Missing {
        /// The option.
        option: &'static str,
        /// How it looks.
        hint: &'static str,
    },
}

/// A place as the beginning of a sentence.
fn before(place: Option<&Place>) -> String {
    place.map(|place| format!("{place}: ")).unwrap_or_default()
}

impl Config {
    /// A relay on one address with its control socket beside it, everything else at its default. Tests begin with it.
    pub fn on(address: IpAddr) -> Self {
        Self {
            interfaces: vec![Interface {
                name: "default".to_owned(),
                aliases: Vec::new(),
                addresses: vec![MediaAddress {
                    bound: address,
                    advertised: address,
                }],
                ports: None,
                excluded_ports: Vec::new(),
            }],
            listen_ng: vec![SocketAddr::new(address, 0)],
            ports: 30_000..=39_999,
            timeout: Duration::from_secs(60),
            silent_timeout: Duration::from_secs(3600),
            offer_timeout: Duration::from_secs(3600),
            final_timeout: None,
            delete_delay: Duration::from_secs(30),
            limits: Limits::default(),
            templates: Templates::default(),
            listen_cli: Vec::new(),
            listen_tcp_ng: Vec::new(),
            listen_http: Vec::new(),
            listen_https: Vec::new(),
            https_cert: None,
            https_key: None,
            tos: None,
            control_tos: None,
            endpoint_learning: EndpointLearning::Heuristic,
            sip_source: false,
            dtls_passive: false,
            dtmf_log: None,
            dtls: Dtls::default(),
            software_id: concat!("tandem-", env!("CARGO_PKG_VERSION")).to_owned(),
            workers: processors(),
            hold: Duration::from_millis(2000),
            silence_fill: true,
            coalesce: Duration::from_millis(1),
            pin_workers: false,
            seed: None,
            process: Process {
                foreground: false,
                pidfile: None,
                log: Log::default(),
            },
            arguments: Vec::new(),
        }
    }

    /// Makes sense of the settings, on this machine.
    pub fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        Self::from_settings_on(settings, &Machine)
    }

    fn from_settings_on(settings: &Settings, names: &dyn Names) -> Result<Self, ConfigError> {
        Self::understood(settings, names).map_err(|mut error| {
            if let ConfigError::Value { place, option, .. } = &mut error
                && place.is_none()
            {
                *place = settings.place(option);
            }
            error
        })
    }

    fn understood(settings: &Settings, names: &dyn Names) -> Result<Self, ConfigError> {
        settings.refuse()?;
        let mut interfaces = interface::parse(&settings.all("interface"), names)
            .map_err(|(entry, problem)| bad("interface", &entry, problem))?;
        interface::read_sections(settings, names, &mut interfaces)?;
        if interfaces.is_empty() {
            return Err(ConfigError::Missing {
                option: "interface",
                hint: "give at least one, such as --interface=192.0.2.1",
            });
        }
        let listeners = |option| listeners(settings, option, names);
        let listen_ng = listeners("listen-ng")?;
        let listen_tcp_ng = listeners("listen-tcp-ng")?;
        let listen_http = listeners("listen-http")?;
        let listen_https = listeners("listen-https")?;
        if [&listen_ng, &listen_tcp_ng, &listen_http, &listen_https]
            .into_iter()
            .all(Vec::is_empty)
        {
            return Err(ConfigError::Missing {
                option: "listen-ng",
                hint: "give at least one, such as --listen-ng=127.0.0.1:2223",
            });
        }
        let defaults = Self::on(Ipv4Addr::LOCALHOST.into());
        let port_min = settings.number("port-min", 1..=u16::MAX, *defaults.ports.start())?;
        let port_max = settings.number("port-max", 1..=u16::MAX, *defaults.ports.end())?;
        if port_max <= port_min {
            let value = port_max.to_string();
            let problem = format!("must be above port-min, which is {port_min}");
            return Err(bad("port-max", &value, problem));
        }
        let dtls = dtls::parse(settings, &interfaces)?;
        let final_timeout = settings.seconds("final-timeout", 0)?;
        let software_id = settings.last("software-id");
        let hold_ms: u16 = settings.number("hold-ms", 0..=10_000, 2000)?;
        let coalesce_us: u16 = settings.number("coalesce-us", 0..=2000, 1000)?;
        // rtpengine takes 0 for "as many as there are processors".
        let workers = match settings.number("num-threads", 0..=256, 0)? {
            0 => processors(),
            workers => workers,
        };
        Ok(Self {
            interfaces,
            listen_ng,
            ports: port_min..=port_max,
            timeout: settings.seconds("timeout", 60)?,
            silent_timeout: settings.seconds("silent-timeout", 3600)?,
            offer_timeout: settings.seconds("offer-timeout", 3600)?,
            final_timeout: (!final_timeout.is_zero()).then_some(final_timeout),
            delete_delay: settings.seconds("delete-delay", 30)?,
            limits: limits(settings)?,
            templates: templates::read(settings)?,
            listen_cli: listeners("listen-cli")?,
            listen_tcp_ng,
            listen_http,
            listen_https,
            https_cert: settings.last("https-cert").map(PathBuf::from),
            https_key: settings.last("https-key").map(PathBuf::from),
            tos: settings.type_of_service("tos")?,
            control_tos: settings.type_of_service("control-tos")?,
            endpoint_learning: endpoint_learning(settings)?,
            sip_source: settings.switch("sip-source", false)?,
            dtls_passive: settings.switch("dtls-passive", false)?,
            dtmf_log: destination(settings, "dtmf-log-dest", names)?,
            dtls,
            software_id: software_id.unwrap_or(&defaults.software_id).to_owned(),
            workers,
            hold: Duration::from_millis(u64::from(hold_ms)),
            silence_fill: settings.switch("silence-fill", true)?,
            coalesce: Duration::from_micros(u64::from(coalesce_us)),
            pin_workers: settings.switch("pin-workers", false)?,
            seed: None,
            process: Process {
                foreground: settings.switch("foreground", false)?,
                pidfile: settings.last("pidfile").map(PathBuf::from),
                log: log(settings)?,
            },
            arguments: Vec::new(),
        })
    }
}

fn log(settings: &Settings) -> Result<Log, ConfigError> {
    let mut levels = Vec::new();
    for subsystem in Subsystem::ALL {
        let option = subsystem.option();
        // A level below zero is rtpengine's for "as the others".
        let level = settings.number(option, -1..=7, -1)?;
        if let Ok(level) = u8::try_from(level) {
            levels.push((subsystem, level));
        }
    }
    let facility = match settings.last("log-facility") {
        None => Facility::default(),
        Some(name) => Facility::parse(name).ok_or_else(|| {
            let known: Vec<&str> = Facility::names().collect();
            bad(
                "log-facility",
                name,
                format!("one of {} is expected", known.join(", ")),
            )
        })?,
    };
    let parsable = match settings.last("log-format") {
        None | Some("default") => false,
        Some("parsable") => true,
        Some(other) => {
            let expected = "default or parsable is expected".to_owned();
            return Err(bad("log-format", other, expected));
        }
    };
    let text = |option| settings.last(option).unwrap_or_default().to_owned();
    let longest_line: usize = settings.number("max-log-line-length", 0..=1 << 20, 0)?;
    Ok(Log {
        level: settings.number("log-level", 0..=7, 6)?,
        levels,
        stderr: settings.switch("log-stderr", false)?,
        timestamps: !settings.switch("no-log-timestamps", false)?,
        facility,
        name: settings.last("log-name").unwrap_or("tandem").to_owned(),
        parsable,
        mark: (text("log-mark-prefix"), text("log-mark-suffix")),
        split: settings.switch("split-logs", false)?,
        longest_line: (longest_line > 0).then_some(longest_line),
    })
}

/// The values of a `listen-` option.
fn listeners(
    settings: &Settings,
    option: &'static str,
    names: &dyn Names,
) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut listeners = Vec::new();
    for entry in settings.all(option) {
        let addresses =
            listen_addresses(&entry, names).map_err(|problem| bad(option, &entry, problem))?;
        listeners.extend(addresses);
    }
    Ok(listeners)
}

/// `ADDRESS:PORT` or `HOST:PORT`: where something is sent to.
fn destination(
    settings: &Settings,
    option: &'static str,
    names: &dyn Names,
) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(entry) = settings.last(option) else {
        return Ok(None);
    };
    if !entry.contains(':') {
        let problem = "an address and a port are expected, such as 127.0.0.1:2226".to_owned();
        return Err(bad(option, entry, problem));
    }
    let addresses =
        listen_addresses(entry, names).map_err(|problem| bad(option, entry, problem))?;
    Ok(addresses.first().copied())
}

fn limits(settings: &Settings) -> Result<Limits, ConfigError> {
    // rtpengine takes zero for "no limit" in these three.
    let positive = |value: f64| (value > 0.0).then_some(value);
    let sessions = settings.number("max-sessions", -1..=i64::from(u32::MAX), -1)?;
    let bandwidth = settings.number("max-bandwidth", 0..=u64::MAX, 0)?;
    Ok(Limits {
        sessions: usize::try_from(sessions).ok(),
        load: positive(settings.number("max-load", 0.0..=1e6, 0.0)?),
        cpu: positive(settings.number("max-cpu", 0.0..=100.0, 0.0)?),
        bandwidth: (bandwidth > 0).then_some(bandwidth),
    })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn endpoint_learning(settings: &Settings) -> Result<EndpointLearning, ConfigError> {
    let Some(value) = settings.last("endpoint-learning") else {
        return Ok(EndpointLearning::Heuristic);
    };
    match value.to_ascii_lowercase().as_str() {
        "heuristic" => Ok(EndpointLearning::Heuristic),
        "immediate" => Ok(EndpointLearning::Immediate),
        "delayed" => Ok(EndpointLearning::Delayed),
        "off" | "no-learning" => Ok(EndpointLearning::Off),
        _ => Err(bad(
            "endpoint-learning",
            value,
            "heuristic, immediate, delayed or off is expected".to_owned(),
        )),
    }
}

/// `PORT` listens on all addresses of both families, `ADDRESS:PORT` and `[ADDRESS]:PORT` on one, `HOST:PORT` on all of the host.
fn listen_addresses(entry: &str, names: &dyn Names) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = entry.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let port_of = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| format!("`{text}` is no port number"))
    };
    let Some((host, port)) = entry.rsplit_once(':') else {
        let port = port_of(entry)?;
        return Ok(vec![
            (Ipv4Addr::UNSPECIFIED, port).into(),
            (Ipv6Addr::UNSPECIFIED, port).into(),
        ]);
    };
    let port = port_of(port)?;
    let mut addresses: Vec<SocketAddr> = names
        .host(host)
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect();
    // IPv4 first: a machine may know `::1` by name and have IPv6 switched off.
    addresses.sort();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(format!(
            "{host} is no address and no host name that resolves"
        ));
    }
    Ok(addresses)
}

/// What is to be done.
#[derive(Debug)]
pub enum Wish {
    /// Run with this configuration, and say these sentences about it.
    Run(Box<Config>, Vec<String>),
    /// Print this text and exit.
    Print(String),
}

/// Reads the command line and, unless told not to, a file.
pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Wish, ConfigError> {
    let arguments: Vec<String> = arguments.into_iter().collect();
    let (mut settings, check) = match arguments::read(arguments.clone())? {
        arguments::Wish::Run(settings) => (settings, false),
        arguments::Wish::Check(settings) => (settings, true),
        arguments::Wish::Print(text) => return Ok(Wish::Print(text)),
    };
    file::read_into(&mut settings)?;
    let mut config = Config::from_settings(&settings)?;
    config.arguments = arguments;
    let mut remarks = settings.remarks();
    remarks.extend(templates::remarks(&config.templates, &settings));
    if check {
        let mut text = remarks.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str("the configuration is in order\n");
        return Ok(Wish::Print(text));
    }
    Ok(Wish::Run(Box::new(config), remarks))
}

#[cfg(test)]
mod tests {
    use relay_net::interfaces::SystemAddress;

    use super::*;

    struct NoNames;

    impl Names for NoNames {
        fn system(&self) -> Vec<SystemAddress> {
            Vec::new()
        }

        fn host(&self, name: &str) -> Vec<IpAddr> {
            match name {
                "localhost" => vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
                _ => Vec::new(),
            }
        }
    }

    fn config(line: &str) -> Result<Config, String> {
        let words = line.split_whitespace().map(str::to_owned);
        let Ok(arguments::Wish::Run(settings)) = arguments::read(words) else {
            panic!("nothing to run");
        };
        Config::from_settings_on(&settings, &NoNames).map_err(|error| error.to_string())
    }

    const LEAST: &str = "-i 192.0.2.1 -n 2223";

    #[test]
    fn the_defaults_are_rtpengines() {
        let config = config(LEAST).unwrap();
        assert_eq!(config.ports, 30_000..=39_999);
        assert_eq!(config.timeout, Duration::from_secs(60));
        assert_eq!(config.delete_delay, Duration::from_secs(30));
        assert_eq!(config.final_timeout, None);
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.process.log.level, 6);
        assert_eq!(
            config.listen_ng,
            [
                "0.0.0.0:2223".parse().unwrap(),
                "[::]:2223".parse().unwrap()
            ]
        );
    }

    #[test]
    fn options_that_act_are_obeyed() {
        let config = config(&format!(
            "{LEAST} -m 40000 -M 40010 -o 5 -a 7200 -d 0 --max-sessions=0 -T 184 --hold-ms=0 \
             --coalesce-us 500 -L 7 -fE --silence-fill=false --endpoint-learning=off --num-threads=3 -t -1"
        ))
        .unwrap();
        assert_eq!(config.ports, 40_000..=40_010);
        assert_eq!(config.timeout, Duration::from_secs(5));
        assert_eq!(config.final_timeout, Some(Duration::from_secs(7200)));
        assert_eq!(config.delete_delay, Duration::ZERO);
        assert_eq!(config.limits.sessions, Some(0));
        assert_eq!(config.tos, Some(184));
        assert_eq!(config.hold, Duration::ZERO);
        assert_eq!(config.coalesce, Duration::from_micros(500));
        assert_eq!(config.process.log.level, 7);
        assert!(config.process.foreground && config.process.log.stderr);
        assert!(!config.silence_fill);
        assert_eq!(config.endpoint_learning, EndpointLearning::Off);
        assert_eq!(config.workers, 3);
    }

    #[test]
    fn a_bad_value_is_named_with_its_option() {
        for (line, words) in [
            (
                "--port-min=x",
                "option port-min: `x`: a number from 1 to 65535",
            ),
            (
                "--port-max=20",
                "option port-max: `20`: must be above port-min",
            ),
            ("--timeout=-3", "option timeout: `-3`"),
            (
                "--log-level=8",
                "option log-level: `8`: a number from 0 to 7",
            ),
            ("--foreground=maybe", "option foreground: `maybe`"),
            (
                "--endpoint-learning=guess",
                "option endpoint-learning: `guess`",
            ),
            ("-n here:99999", "option listen-ng: `here:99999`"),
            (
                "-n nohost:2223",
                "option listen-ng: `nohost:2223`: nohost is no address",
            ),
            ("-i pub/nowhere", "option interface: `pub/nowhere`"),
        ] {
            let error = config(&format!("{LEAST} {line}")).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn what_must_be_there_is_asked_for() {
        assert!(
            config("-n 2223")
                .unwrap_err()
                .contains("option interface is missing")
        );
        assert!(
            config("-i 192.0.2.1")
                .unwrap_err()
                .contains("option listen-ng is missing")
        );
    }

    #[test]
    fn listeners_are_addresses_hosts_and_ports() {
        let listeners = |entry: &str| {
            config(&format!("-i 192.0.2.1 -n {entry}"))
                .unwrap()
                .listen_ng
        };
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|a| a.parse().unwrap()).collect()
        };
        assert_eq!(listeners("127.0.0.1:2223"), addresses(&["127.0.0.1:2223"]));
        assert_eq!(listeners("[::1]:2223"), addresses(&["[::1]:2223"]));
        assert_eq!(
            listeners("localhost:2223"),
            addresses(&["127.0.0.1:2223", "[::1]:2223"])
        );
        assert_eq!(
            listeners("127.0.0.1:1;127.0.0.1:2 -n 127.0.0.1:3"),
            addresses(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"])
        );
    }

    fn config_of_file(text: &str) -> Result<Config, String> {
        let settings = Settings::default().with_file(text);
        settings
            .and_then(|settings| Config::from_settings_on(&settings, &NoNames))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_bad_line_of_the_file_is_named() {
        let least = "[tandem]\ninterface = 192.0.2.1\nlisten-ng = 2223\n";
        for (line, words) in [
            (
                "port-min = x",
                "/etc/test.conf, line 4: option port-min: `x`: a number",
            ),
            (
                "prot-max = 7",
                "/etc/test.conf, line 4: there is no option prot-max; is port-max meant?",
            ),
            (
                "listen-udp = 12222",
                "line 4: option listen-udp: `12222`: the letter protocol",
            ),
            (
                "log-facility = foo",
                "line 4: option log-facility: `foo`: one of",
            ),
            (
                "log-format = xml",
                "line 4: option log-format: `xml`: default or parsable",
            ),
            ("log-level-ice = 9", "line 4: option log-level-ice: `9`"),
            (
                "max-cpu = 101",
                "line 4: option max-cpu: `101`: a number from 0",
            ),
            ("max-load = much", "line 4: option max-load: `much`"),
            (
                "dtmf-log-dest = 2226",
                "line 4: option dtmf-log-dest: `2226`: an address and a port",
            ),
            ("listen-cli = here", "line 4: option listen-cli: `here`"),
            (
                "templates = nowhere",
                "line 4: option templates: `nowhere`: there is no section",
            ),
            (
                "interfaces-config = nowhere",
                "line 4: option interfaces-config: `nowhere`: there is no section [nowhere-",
            ),
        ] {
            let error = config_of_file(&format!("{least}{line}\n")).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn a_name_that_is_no_option_stops_the_command_line() {
        let error = config(&format!("{LEAST} --port-mni=2")).unwrap_err();
        assert_eq!(error, "there is no option --port-mni; is port-min meant?");
    }

    #[test]
    fn the_log_is_as_the_options_say() {
        let config = config(&format!(
            "{LEAST} -L 5 --log-level-ice=7 --log-level-internals=-1 --log-facility=local3 --log-name=relay \
             --log-format=parsable --log-mark-prefix=< --log-mark-suffix=> --split-logs --max-log-line-length=200"
        ))
        .unwrap();
        let log = config.process.log;
        assert_eq!(log.level, 5);
        assert_eq!(log.levels, [(Subsystem::Ice, 7)]);
        assert_eq!(log.facility, Facility::parse("local3").unwrap());
        assert_eq!(log.name, "relay");
        assert!(log.parsable && log.split);
        assert_eq!(log.mark, ("<".to_owned(), ">".to_owned()));
        assert_eq!(log.longest_line, Some(200));
    }

    #[test]
    fn limits_are_read_and_zero_is_none() {
        let limits = |line: &str| config(&format!("{LEAST} {line}")).unwrap().limits;
        assert_eq!(
            limits("--max-sessions=5 --max-load=3.5 --max-cpu=90 --max-bandwidth=1000"),
            Limits {
                sessions: Some(5),
                load: Some(3.5),
                cpu: Some(90.0),
                bandwidth: Some(1000),
            }
        );
        assert_eq!(
            limits("--max-sessions=-1 --max-load=0 --max-cpu=0 --max-bandwidth=0"),
            Limits::default()
        );
    }
}
