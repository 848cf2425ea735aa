//! What a call must know about the machine it runs on. One value for all calls, made by the daemon.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ng_protocol::flags::RecordingCodes;

/// How media sources are learned.
pub use relay_transport::LearningMode as EndpointLearning;
/// The certificate for DTLS, and the pace of ICE and DTLS: what the daemon makes and the call hands on.
pub use relay_transport::TransportConfig;
pub use relay_transport::dtls::{
    CertificateKey, CertificateSettings, DtlsConfig, DtlsError, DtlsIdentity, DtlsSettings,
    EngineChoice, FingerprintHash, Verdict,
};

/// Settings that every call shares.
#[derive(Clone, Debug)]
pub struct CallConfig {
    /// Named interfaces, the default one first. Never empty in a daemon that started.
    pub interfaces: Vec<Interface>,
    /// When calls end by themselves.
    pub timeouts: Timeouts,
    /// Use the source address of the SIP message instead of the SDP's (`sip-source`).
    pub sip_source: bool,
    /// Be the DTLS server towards a peer that leaves the choice (`dtls-passive`).
    pub dtls_passive: bool,
    /// How media sources are learned when the request does not say (`endpoint-learning`).
    pub endpoint_learning: EndpointLearning,
    /// The newest audio that is held for a leg whose keys are not there yet; zero drops it.
    pub hold: Duration,
    /// Send silence and RTCP to encrypted audio legs while nobody speaks.
    pub fill: bool,
    /// Who is told of pressed keys when the call does not say (`dtmf-log-dest`).
    pub dtmf_log: Option<SocketAddr>,
    /// RTCP that comes in is told of by events, for the operator's own tools (`homer`).
    pub tells_rtcp: bool,
    /// So are timeouts that end a call, with its parties (`b2b-url`).
    pub tells_timeouts: bool,
    /// How good calls are: what the scores say, and where replies have them.
    pub quality: QualityReports,
    /// What recordings are; nothing is recorded without it.
    pub recording: Option<RecordingPlan>,
    /// The mark of this relay in `a=rtpengine:` (`loop-protect`): 12 hex digits.
    pub instance: String,
    /// From one of our own RTCP reports to the next, where no other passed meanwhile (`rtcp-interval`).
    pub report_interval: Duration,
    /// The name in `s=` of descriptions that have none (`software-id`).
    pub software: String,
    /// What the clock on the wall said when.
    pub clock: WallClock,
    /// The certificate for DTLS. A call keeps the one of the configuration it was made with.
    pub identity: Arc<DtlsIdentity>,
    /// Pace of ICE and DTLS, length of the learning window.
    pub transport: Arc<TransportConfig>,
    /// The same for interfaces that want it otherwise (`dtls-engine=NAME/...`), by their names.
    pub transport_by_interface: Vec<(String, Arc<TransportConfig>)>,
}

impl CallConfig {
    /// What transports on the interface of this name are made with.
    pub fn transport_on(&self, interface: &str) -> &Arc<TransportConfig> {
        let own = self
            .transport_by_interface
            .iter()
            .find(|(name, _)| name == interface);
        own.map_or(&self.transport, |(_, transport)| transport)
    }

    /// The interface of this name: the name itself, an alias of it, or `BASE` where the names are `BASE:1`, `BASE:2`.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces_of(name).into_iter().next()
    }

    /// Every interface that a name may mean: one, or all of a `BASE` among which calls are spread.
    pub fn interfaces_of(&self, name: &str) -> Vec<&Interface> {
        let all = self.interfaces.iter();
        let exact = all.clone().find(|i| i.name == name);
        let alias = || all.clone().find(|i| i.aliases.iter().any(|a| a == name));
        match exact.or_else(alias) {
            Some(interface) => vec![interface],
            None => all
                .clone()
                .filter(|i| i.name.split_once(':').is_some_and(|(base, _)| base == name))
                .collect(),
        }
    }
}

/// A named set of local addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name that `direction` refers to.
    pub name: String,
    /// Other names for it (`ALIAS=NAME`).
    pub aliases: Vec<String>,
    /// The addresses, the preferred one first.
    pub addresses: Vec<InterfaceAddress>,
}

/// One local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// What sockets are bound to.
    pub address: IpAddr,
    /// What is written to SDP and candidates; differs behind a static NAT.
    pub advertised: IpAddr,
}

/// When calls end by themselves. Zero switches a rule off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// No packet on any stream that should receive (`timeout`).
    pub media: Duration,
    /// No packet on a call that is on hold everywhere (`silent-timeout`).
    pub silent: Duration,
    /// Never answered (`offer-timeout`).
    pub offer: Duration,
    /// However lively (`final-timeout`).
    pub last: Duration,
    /// Between `delete` and the end (`delete-delay`).
    pub delete_delay: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            media: Duration::from_secs(60),
            silent: Duration::from_secs(3600),
            offer: Duration::from_secs(3600),
            last: Duration::ZERO,
            delete_delay: Duration::from_secs(30),
        }
    }
}

/// Ties the monotonic clock of the core to the time of day, which only replies and RTCP need.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// A moment.
    pub at: Instant,
    /// The same moment as time since 1970 (UTC).
    pub unix: Duration,
}

impl WallClock {
    /// Time since 1970 at `instant`.
    pub fn unix_at(&self, instant: Instant) -> Duration {
        match instant.checked_duration_since(self.at) {
            Some(after) => self.unix + after,
            None => self.unix.saturating_sub(self.at.duration_since(instant)),
        }
    }

    /// The moment of that time since 1970, if the machine can name it.
    pub(crate) fn instant_at(&self, unix: Duration) -> Option<Instant> {
        match unix.checked_sub(self.unix) {
            Some(after) => self.at.checked_add(after),
            None => self.at.checked_sub(self.unix - unix),
        }
    }
}

/// How the quality of a call is scored and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QualityReports {
    /// What a mean opinion score says (`mos`).
    pub mos: MosKind,
    /// `query` and `delete` tell of each source under `SSRC` (`ssrc-reporting`: `full`, `global`).
    pub global: bool,
    /// They do so beside the media it belongs to (`ssrc-reporting`: `full`, `inline`).
    pub inline: bool,
}

impl Default for QualityReports {
    fn default() -> Self {
        Self {
            mos: MosKind::default(),
            global: true,
            inline: true,
        }
    }
}

/// What a mean opinion score is about (ITU-T P.800.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MosKind {
    /// Talking and listening: delay counts, so that reports without a round trip from end to end give no score.
    #[default]
    Conversational,
    /// Listening alone: jitter and loss count, delay does not.
    Listening,
}

/// What is recorded of a call that is to be, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingPlan {
    /// The folder (`recording-dir`), without a slash at its end.
    pub directory: Arc<str>,
    /// A file with the packets as they came.
    pub packets: bool,
    /// A file with what is heard in them; its name ends so.
    pub audio: Option<&'static str>,
    /// A document about the conversation, which has the audio with it.
    pub vcon: bool,
    /// Of which streams.
    pub streams: RecordedStreams,
    /// Keys by which parties that may do so order it, unless they have their own (`vsc-...`).
    pub codes: RecordingCodes,
}

/// Which side of the relay a recording is taken from (`record-egress`, `record-both`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordedStreams {
    /// What parties send, before anything is changed in it.
    #[default]
    Ingress,
    /// What parties are sent, with all that was changed or played, before it is encrypted.
    Egress,
    /// The packets of both; audio is what parties are sent, for both would be everything twice.
    Both,
}

impl RecordedStreams {
    /// Whether what comes in is recorded.
    pub(crate) fn ingress(self) -> bool {
        self != Self::Egress
    }

    /// Whether what leaves is.
    pub(crate) fn egress(self) -> bool {
        self != Self::Ingress
    }
}
