//! What the relay was told: one struct, from the command line and a file.
//!
//! A value that acts is either understood or stops the start with its name in the message; a name that does not act is reported
//! and ignored (`config/options.rs` says which is which).

pub mod arguments;
pub mod file;
pub mod interface;
pub mod options;
mod settings;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ng_protocol::Templates;
use relay_call::EndpointLearning;
use thiserror::Error;

pub use interface::{Interface, MediaAddress};
use interface::{Machine, Names};
use settings::bad;
pub use settings::{Origin, Setting, Settings};

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
    /// Media received and sent, in bytes per second (`max-bandwidth`).
    pub bandwidth: Option<u64>,
}

/// How the process runs: what `main` does and tests do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Stay in the foreground.
    pub foreground: bool,
    /// Where to write the process number.
    pub pidfile: Option<PathBuf>,
    /// 0 to 7, as in syslog.
    pub log_level: u8,
    /// Log to stderr even in the background.
    pub log_stderr: bool,
    /// Begin log lines with the time.
    pub log_timestamps: bool,
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
    /// A value means nothing.
    #[error("option {option}: `{value}`: {problem}")]
    Value {
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
                log_level: 6,
                log_stderr: false,
                log_timestamps: true,
            },
        }
    }

    /// Makes sense of the settings, on this machine.
    pub fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        Self::from_settings_on(settings, &Machine)
    }

    fn from_settings_on(settings: &Settings, names: &dyn Names) -> Result<Self, ConfigError> {
        let interfaces = interface::parse(&settings.all("interface"), names)
            .map_err(|(entry, problem)| bad("interface", &entry, problem))?;
        if interfaces.is_empty() {
            return Err(ConfigError::Missing {
                option: "interface",
                hint: "give at least one, such as --interface=192.0.2.1",
            });
        }
        let listeners = |option| listeners(settings, option, names);
        let listen_ng = listeners("listen-ng")?;
        if listen_ng.is_empty() {
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
            templates: Templates::default(),
            listen_cli: listeners("listen-cli")?,
            listen_tcp_ng: listeners("listen-tcp-ng")?,
            listen_http: listeners("listen-http")?,
            listen_https: listeners("listen-https")?,
            https_cert: settings.last("https-cert").map(PathBuf::from),
            https_key: settings.last("https-key").map(PathBuf::from),
            tos: settings.type_of_service("tos")?,
            control_tos: settings.type_of_service("control-tos")?,
            endpoint_learning: endpoint_learning(settings)?,
            sip_source: settings.switch("sip-source", false)?,
            dtls_passive: settings.switch("dtls-passive", false)?,
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
                log_level: settings.number("log-level", 0..=7, 6)?,
                log_stderr: settings.switch("log-stderr", false)?,
                log_timestamps: !settings.switch("no-log-timestamps", false)?,
            },
        })
    }
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
    addresses.dedup();
    if addresses.is_empty() {
        return Err(format!(
            "{host} is no address and no host name that resolves"
        ));
    }
    Ok(addresses)
}

/// Reads the command line and, unless told not to, a file. Gives the configuration and what is to be said about it.
pub fn read(
    arguments: impl IntoIterator<Item = String>,
) -> Result<Result<(Config, Vec<String>), String>, ConfigError> {
    let mut settings = match arguments::read(arguments)? {
        arguments::Wish::Run(settings) => settings,
        arguments::Wish::Print(text) => return Ok(Err(text)),
    };
    let path = file::read_into(&mut settings)?;
    let mut remarks = settings.remarks();
    if let Some(path) = path {
        remarks.insert(0, format!("configuration file {}", path.display()));
    }
    Ok(Ok((Config::from_settings(&settings)?, remarks)))
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
        let arguments::Wish::Run(settings) = arguments::read(words).unwrap() else {
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
        assert_eq!(config.process.log_level, 6);
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
        assert_eq!(config.process.log_level, 7);
        assert!(config.process.foreground && config.process.log_stderr);
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
            addresses(&["[::1]:2223", "127.0.0.1:2223"])
        );
        assert_eq!(
            listeners("127.0.0.1:1;127.0.0.1:2 -n 127.0.0.1:3"),
            addresses(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"])
        );
    }
}
