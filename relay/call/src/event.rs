//! What a call tells about itself: structured data for metrics, and a sentence for the person who reads the log.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ng_protocol::Tag;
use ng_protocol::request::Playback;
use relay_packet::SocketId;

use crate::dtmf::DtmfReport;
use crate::leg::LegId;

/// Something worth telling. `Display` gives the log line without the call-id, which the daemon puts in front.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEvent {
    /// Ports that belong to nobody any more: the daemon closes them.
    PortsReleased(Vec<SocketId>),
    /// An `offer` was accepted.
    Offered {
        /// Who sent it.
        from: String,
        /// What the receiver is offered, one a section.
        towards_receiver: Vec<SectionSummary>,
    },
    /// An `answer` was accepted.
    Answered {
        /// Who sent it.
        by: String,
        /// What the offerer is answered, one a section.
        towards_offerer: Vec<SectionSummary>,
    },
    /// A third party is offered what parties of the call say.
    Subscribed {
        /// Its tag.
        subscriber: String,
        /// Whom it is to hear.
        sources: Vec<String>,
        /// What it is offered, one a section.
        sections: Vec<SectionSummary>,
    },
    /// A part of a request could not be followed; the call goes on.
    Warning(String),
    /// ICE has a pair.
    PairSelected {
        /// Whose side.
        leg: String,
        /// Ours.
        local: SocketAddr,
        /// Theirs.
        remote: SocketAddr,
        /// Since the checks began.
        after: Duration,
    },
    /// DTLS has keys.
    DtlsConnected {
        /// Whose side.
        leg: String,
        /// The library: `dimpl` or `openssl`.
        engine: &'static str,
        /// Whether we began the handshake.
        as_client: bool,
        /// `DTLS 1.2`.
        version: String,
        /// The cipher suite.
        cipher: String,
        /// The SRTP profile.
        profile: String,
        /// Since the handshake began.
        after: Duration,
    },
    /// The first media packet of a party arrived.
    FirstPacketIn {
        /// Whose side.
        leg: String,
        /// From where.
        source: SocketAddr,
    },
    /// The first media packet to a party left.
    FirstPacketOut {
        /// Whose side.
        leg: String,
        /// Whether it left as SRTP.
        encrypted: bool,
        /// Since `answer`.
        after_answer: Duration,
        /// Audio that was held for it and is lost.
        clipped: Duration,
        /// Audio that was held and is on its way.
        held: Duration,
    },
    /// The source of a party's media moved.
    SourceLearned {
        /// Whose side.
        leg: String,
        /// Where it was expected.
        from: Option<SocketAddr>,
        /// Where it is.
        to: SocketAddr,
    },
    /// The call is recorded from now on, or no longer.
    Recording {
        /// Which of the two.
        on: bool,
        /// The file.
        path: String,
    },
    /// A party holds the other from now on, or no longer.
    Hold {
        /// Who holds.
        leg: String,
        /// Which of the two.
        on: bool,
    },
    /// A party hears a recording.
    PlaybackBegan {
        /// Whose side.
        leg: String,
        /// How long it is, if that is known.
        duration: Option<Duration>,
    },
    /// A party holds another, which is to hear this. Whoever drives the call opens it and calls `play_hold_music`.
    HoldMusic {
        /// Who holds.
        holder: LegId,
        /// What is to be heard.
        playback: Playback,
    },
    /// A party hears a recording no more.
    PlaybackEnded {
        /// Whose side.
        leg: String,
        /// How far in it the last packet was.
        position: Duration,
    },
    /// A key of the telephone was pressed.
    Dtmf(DtmfReport),
    /// RTCP came in, and the configuration wants it told ([`crate::CallConfig::tells_rtcp`]).
    Rtcp(Box<ReceivedRtcp>),
    /// A timeout ends the call, which somebody may want to be told of (`b2b-url`).
    TimedOut {
        /// The parties, the caller first.
        tags: Vec<Tag>,
        /// Who is to be told (`xmlrpc-callback`).
        callback: Option<IpAddr>,
    },
    /// Something failed that an operator must know; the sentence says what to look at.
    Failure {
        /// Whose side.
        leg: String,
        /// The kind, as a metric label.
        kind: Failure,
        /// Why a party is not heard, if that is what failed.
        silence: Option<Silence>,
        /// The sentence.
        text: String,
    },
    /// The call is over. The last event of a call.
    Ended(EndReason),
}

/// A compound packet of RTCP as it came in, decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRtcp {
    /// Where from.
    pub source: SocketAddr,
    /// To which of our ports.
    pub local: SocketAddr,
    /// When, since 1970.
    pub at: Duration,
    /// Its bytes.
    pub packet: Vec<u8>,
}

/// Kinds of failure, each a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No ICE check was ever answered.
    IceStalled,
    /// The peer stopped answering consent checks.
    ConsentLost,
    /// The DTLS handshake failed.
    Dtls,
    /// The certificate is not the one the SDP announced.
    Fingerprint,
    /// Keys are there and nothing arrives.
    NoMedia,
    /// Media arrives and cannot be authenticated.
    Authentication,
}

impl Failure {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::IceStalled,
        Self::ConsentLost,
        Self::Dtls,
        Self::Fingerprint,
        Self::NoMedia,
        Self::Authentication,
    ];

    /// The label in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::IceStalled => "ice_stalled",
            Self::ConsentLost => "consent_lost",
            Self::Dtls => "dtls",
            Self::Fingerprint => "fingerprint",
            Self::NoMedia => "no_media",
            Self::Authentication => "authentication",
        }
    }
}

/// Why nothing is heard of a party that should speak, each a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Silence {
    /// ICE has no pair: no check was answered.
    IceUnanswered,
    /// DTLS has no keys.
    DtlsUnfinished,
    /// The way is there as far as we know, and the encrypted side sends nothing, or nothing arrives.
    WhatsAppSilent,
    /// The same of the plain side.
    PbxSilent,
}

impl Silence {
    /// Every cause.
    pub const ALL: [Self; 4] = [
        Self::IceUnanswered,
        Self::DtlsUnfinished,
        Self::WhatsAppSilent,
        Self::PbxSilent,
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::IceUnanswered => "no_ice_answer",
            Self::DtlsUnfinished => "dtls_not_completed",
            Self::WhatsAppSilent => "whatsapp_silent",
            Self::PbxSilent => "pbx_silent",
        }
    }
}

/// Why a call ended; the names are those of the metric `closed_sessions_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// `delete`.
    Terminated,
    /// The operator.
    ForceTerminated,
    /// No media (`timeout`).
    Timeout,
    /// On hold for too long (`silent-timeout`).
    SilentTimeout,
    /// Never answered (`offer-timeout`).
    OfferTimeout,
    /// Too old (`final-timeout`).
    FinalTimeout,
    /// The first offer failed: there never was a call.
    Refused,
}

impl EndReason {
    /// The label in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Terminated => "terminated",
            Self::ForceTerminated => "force_terminated",
            Self::Timeout => "timeout",
            Self::SilentTimeout => "silent_timeout",
            Self::OfferTimeout => "offer_timeout",
            Self::FinalTimeout => "final_timeout",
            Self::Refused => "refused",
        }
    }
}

/// One section of a description of ours. `Display` gives `audio UDP/TLS/RTP/SAVPF 198.51.100.7:30000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionSummary {
    /// Media type.
    pub kind: String,
    /// Transport.
    pub protocol: String,
    /// The address in `c=`.
    pub address: IpAddr,
    /// Our port.
    pub port: u16,
}

impl fmt::Display for SectionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            protocol,
            address,
            port,
        } = self;
        write!(f, "{kind} {protocol} {address}:{port}")
    }
}

fn joined(sections: &[SectionSummary]) -> String {
    if sections.is_empty() {
        return "what came, unchanged".to_owned();
    }
    let words: Vec<String> = sections.iter().map(ToString::to_string).collect();
    words.join(", ")
}

impl fmt::Display for CallEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = Duration::as_millis;
        match self {
            Self::PortsReleased(sockets) => write!(f, "{} ports closed", sockets.len()),
            Self::Offered {
                from,
                towards_receiver,
            } => write!(
                f,
                "offer from {from}: receiver is offered {}",
                joined(towards_receiver)
            ),
            Self::Answered {
                by,
                towards_offerer,
            } => write!(
                f,
                "answer from {by}: offerer is answered {}",
                joined(towards_offerer)
            ),
            Self::Subscribed {
                subscriber,
                sources,
                sections,
            } => write!(
                f,
                "{subscriber} is offered what {} says: {}",
                sources.join(" and "),
                joined(sections)
            ),
            Self::Warning(text) => f.write_str(text),
            Self::PairSelected {
                leg,
                local,
                remote,
                after,
            } => write!(
                f,
                "{leg}: ICE pair {local} -> {remote} after {} ms",
                ms(after)
            ),
            Self::DtlsConnected {
                leg,
                engine,
                as_client,
                version,
                cipher,
                profile,
                after,
            } => write!(
                f,
                "{leg}: {version} {cipher}, SRTP {profile} after {} ms, as {} by {engine}",
                ms(after),
                if *as_client { "client" } else { "server" }
            ),
            Self::FirstPacketIn { leg, source } => write!(f, "{leg}: first media from {source}"),
            Self::FirstPacketOut {
                leg,
                after_answer,
                clipped,
                held,
                ..
            } => write!(
                f,
                "{leg}: first media sent {} ms after the answer, {} ms held, {} ms clipped",
                ms(after_answer),
                ms(held),
                ms(clipped)
            ),
            Self::SourceLearned { leg, from, to } => match from {
                Some(from) => write!(f, "{leg}: media comes from {to}, not from {from}"),
                None => write!(f, "{leg}: media comes from {to}"),
            },
            Self::Recording { on: true, path } => write!(f, "recording to {path}"),
            Self::Recording { on: false, path } => write!(f, "no longer recording to {path}"),
            Self::Hold { leg, on: true } => write!(f, "{leg}: holds the other party"),
            Self::Hold { leg, on: false } => write!(f, "{leg}: hears the other party again"),
            Self::PlaybackBegan { leg, duration } => match duration {
                Some(duration) => write!(f, "{leg}: hears a recording of {} ms", ms(duration)),
                None => write!(f, "{leg}: hears a recording"),
            },
            Self::HoldMusic { .. } => write!(f, "a party is on hold, and is to hear music"),
            Self::PlaybackEnded { leg, position } => {
                write!(f, "{leg}: the recording ended at {} ms", ms(position))
            }
            Self::Dtmf(report) => report.fmt(f),
            Self::Rtcp(seen) => write!(f, "RTCP from {}", seen.source),
            Self::TimedOut { tags, .. } => {
                write!(f, "no media: {} parties are given up", tags.len())
            }
            Self::Failure { leg, text, .. } => write!(f, "{leg}: {text}"),
            Self::Ended(reason) => write!(f, "call ended: {}", reason.label()),
        }
    }
}
