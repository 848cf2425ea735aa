//! What the relay was told: one struct, from the command line and a file.
//!
//! A value is either understood or stops the start, with its place and its name in the message; an option of rtpengine that has no
//! effect here is reported with the reason (`config/options.rs` says which is which).

mod addresses;
pub mod arguments;
mod dtls;
mod error;
pub mod file;
pub mod interface;
mod log;
pub mod options;
mod outside;
mod persistence;
mod quality;
mod recording;
mod settings;
mod templates;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ng_protocol::Templates;
use relay_call::{EndpointLearning, QualityReports};
pub use relay_net::Tier;

use addresses::{destination, listeners};
pub use dtls::Dtls;
pub use error::{ConfigError, Place};
pub use interface::{Interface, MediaAddress};
use interface::{Machine, Names};
use log::log;
pub use log::{Log, LogFormat};
pub use outside::{Homer, Teardown, TeardownFormat};
use recording::recording;
use settings::bad;
pub use settings::{Origin, Setting, Settings, Unknown};

use crate::live_page;
use crate::persistence::PersistenceSettings;
use crate::recording::RecordingSettings;

/// Milliseconds between reports of our own: more of them are a burden, and fewer keep no call alive.
const REPORT_INTERVALS: RangeInclusive<u64> = 500..=60_000;

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
    /// Who may see the page about calls, and what it remembers.
    pub live_page: live_page::Settings,
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
    /// Every connection for the control protocol over TCP is told of pressed keys.
    pub dtmf_log_connections: bool,
    /// Who gets the RTCP that comes in.
    pub homer: Option<Homer>,
    /// Who is told of calls that end by a timeout.
    pub teardown: Option<Teardown>,
    /// What scores say, and where replies have them.
    pub quality: QualityReports,
    /// Where and how calls are recorded.
    pub recording: Option<RecordingSettings>,
    /// Where calls are kept for the next process.
    pub persistence: Option<PersistenceSettings>,
    /// Where recordings have to be that are played.
    pub media_dir: Option<PathBuf>,
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
    /// From one of our own RTCP reports to the next.
    pub rtcp_interval: Duration,
    /// How packets are moved; the best way that the machine allows if `None`.
    pub data_path: Option<Tier>,
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
    /// How long calls may take to end by themselves when the process is asked to.
    pub shutdown_drain: Duration,
    /// What is logged, and how.
    pub log: Log,
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
            live_page: live_page::Settings::default(),
            tos: None,
            control_tos: None,
            endpoint_learning: EndpointLearning::Heuristic,
            sip_source: false,
            dtls_passive: false,
            dtmf_log: None,
            dtmf_log_connections: false,
            homer: None,
            teardown: None,
            quality: QualityReports::default(),
            recording: None,
            persistence: None,
            media_dir: None,
            dtls: Dtls::default(),
            software_id: concat!("tandem-", env!("CARGO_PKG_VERSION")).to_owned(),
            workers: processors(),
            hold: Duration::from_millis(2000),
            silence_fill: true,
            rtcp_interval: Duration::from_secs(5),
            // The one that attaches nothing to the machine.
            data_path: Some(Tier::PerPort),
            coalesce: Duration::from_millis(1),
            pin_workers: false,
            seed: None,
            process: Process {
                foreground: false,
                pidfile: None,
                shutdown_drain: Duration::ZERO,
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
            live_page: live_page(settings)?,
            tos: settings.type_of_service("tos")?,
            control_tos: settings.type_of_service("control-tos")?,
            endpoint_learning: endpoint_learning(settings)?,
            sip_source: settings.switch("sip-source", false)?,
            dtls_passive: settings.switch("dtls-passive", false)?,
            dtmf_log: destination(settings, "dtmf-log-dest", names)?,
            dtmf_log_connections: settings.switch("dtmf-log-ng-tcp", false)?,
            homer: outside::homer(settings, names)?,
            teardown: outside::teardown(settings)?,
            quality: quality::quality(settings)?,
            recording: recording(settings)?,
            persistence: persistence::persistence(settings)?,
            media_dir: settings.last("media-dir").map(PathBuf::from),
            dtls,
            software_id: software_id.unwrap_or(&defaults.software_id).to_owned(),
            workers,
            hold: Duration::from_millis(u64::from(hold_ms)),
            silence_fill: settings.switch("silence-fill", true)?,
            rtcp_interval: Duration::from_millis(settings.number(
                "rtcp-interval",
                REPORT_INTERVALS,
                5000,
            )?),
            data_path: data_path(settings)?,
            coalesce: Duration::from_micros(u64::from(coalesce_us)),
            pin_workers: settings.switch("pin-workers", false)?,
            seed: None,
            process: Process {
                foreground: settings.switch("foreground", false)?,
                pidfile: settings.last("pidfile").map(PathBuf::from),
                shutdown_drain: settings.seconds("shutdown-drain", 0)?,
                log: log(settings)?,
            },
            arguments: Vec::new(),
        })
    }
}

fn live_page(settings: &Settings) -> Result<live_page::Settings, ConfigError> {
    let usual = live_page::Settings::default();
    let access = match settings.last("live-page") {
        None => usual.access,
        Some(text) => live_page::Access::parse(text).map_err(|why| {
            // What stands there may be a secret.
            let shown = text.split_once(':').map_or(text, |(kind, _)| kind);
            bad("live-page", shown, why)
        })?,
    };
    Ok(live_page::Settings {
        access,
        calls: settings.number("live-page-calls", 0..=10_000, usual.calls)?,
    })
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

fn data_path(settings: &Settings) -> Result<Option<Tier>, ConfigError> {
    match settings.last("data-path") {
        None | Some("auto") => Ok(None),
        Some(name) => Tier::named(name).map(Some).ok_or_else(|| {
            let problem = "auto, kernel, hub or per-port is expected";
            bad("data-path", name, problem.to_owned())
        }),
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Wish {
    /// Run with this configuration, and say these sentences about it.
    Run(Box<Config>, Vec<String>),
    /// Say what is wrong with this configuration, after these sentences about it.
    Check(Box<Config>, Vec<String>),
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
    remarks.extend(recording::remarks(&settings));
    remarks.extend(quality::remarks(&settings));
    let config = Box::new(config);
    Ok(if check {
        Wish::Check(config, remarks)
    } else {
        Wish::Run(config, remarks)
    })
}
