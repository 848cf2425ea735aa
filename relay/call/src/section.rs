//! One `m=` line of one leg: what signalling has settled about it.
//!
//! Plain data, cloned when a request begins and swapped in when it succeeded. Sockets' names are in it, packets are not;
//! what moves packets stands in `live.rs`.

use std::net::SocketAddr;
use std::sync::Arc;

use ng_protocol::flags::{CodecSpec, MediaFlags, Sdes};
use relay_transport::LocalSocket;
use relay_transport::dtls::{DtlsRole, Fingerprint, FingerprintHash};
use relay_transport::ice::IceCredentials;
use relay_transport::rtp::Ssrc;
use relay_transport::srtp::sdes::CryptoAttribute;

use crate::sdp::protocol::RtpProfile;
use crate::sdp::{PayloadFormat, Protocol, RemoteMedia};

/// A media section of one leg.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct MediaSection {
    /// `audio`, `video`, ...
    pub kind: String,
    /// What becomes of it.
    pub state: SectionState,
    /// The transport in use with this party, as it was last offered by it or to it.
    pub protocol: Protocol,
    /// The RTP profile that was in use before the section turned to something else (T.38), to return to.
    pub profile: Option<RtpProfile>,
    /// What the party last said about it.
    #[serde(with = "crate::snapshot::shared::optional")]
    pub remote: Option<Arc<RemoteMedia>>,
    /// Where its RTP goes, after `received-from` and holds were considered.
    pub rtp_endpoint: Option<SocketAddr>,
    /// Where its RTCP goes without rtcp-mux.
    pub rtcp_endpoint: Option<SocketAddr>,
    /// Our ports towards the party.
    pub ports: SectionPorts,
    /// The section of the same party whose port and transport this one shares (BUNDLE, RFC 9143), by its index.
    pub carrier: Option<usize>,
    /// Offered on that port and no other (`a=bundle-only`), and not answered yet.
    pub bundle_only: bool,
    /// The `a=mid` that the party knows.
    pub mid: Option<String>,
    /// ICE and keys are between the parties, and every datagram passes as it is (`passthrough`).
    pub passthrough: bool,
    /// rtcp-mux.
    pub mux: MuxState,
    /// ICE.
    pub ice: IceState,
    /// Keys where the profile promises none.
    pub opportunistic: Opportunistic,
    /// DTLS.
    pub dtls: DtlsState,
    /// SDES.
    pub sdes: SdesState,
    /// What the request with the party's offer said about suites; it counts for the answer too.
    pub sdes_wishes: Sdes,
    /// The formats in our last description for this party, in its numbers.
    pub told: Vec<PayloadFormat>,
    /// Whether that description was an answer.
    pub we_answered: bool,
    /// The number under which recorders know the stream (`a=label`).
    pub recording_label: Option<u32>,
    /// Left out of descriptions for this party (`sdp-media-remove`).
    pub hidden: bool,
    /// The packet time that the operator wants towards this party (`ptime`, `ptime-reverse`).
    pub ptime_ms: Option<u32>,
    /// What the operator says about encoders of speech for this party (`codec-set`, `codec-transcode`).
    pub encoding: Vec<CodecSpec>,
    /// Speech from the party and to it is decoded and encoded even where it could pass (`force-transcoding`).
    pub always_transcodes: bool,
    /// The party's codecs that it is answered with although the other side has others (`codec-accept`, `codec-consume`,
    /// `always-transcode`), as of its last offer.
    pub accepted: Vec<CodecSpec>,
    /// The one SSRC under which the party hears us.
    pub ssrc: Ssrc,
    /// What the operator said about the way to the party.
    pub way: Way,
}

/// What a party's network is like, in the operator's words. Each stays once it was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Way {
    /// The party sends from another address than it receives on (`asymmetric`).
    pub asymmetric: bool,
    /// Nothing is sent before the party has sent (`NAT-wait`).
    pub waits: bool,
    /// Empty packets open the way for the party's own (`pierce-NAT`).
    pub pierces: bool,
    /// Speech of the party in packets much shorter than agreed does not pass (`block-short`).
    pub blocks_short: bool,
}

impl Way {
    /// Takes note of what a request says about its sender.
    pub fn note(&mut self, flags: &MediaFlags) {
        self.asymmetric |= flags.asymmetric;
        self.waits |= flags.nat_wait;
        self.pierces |= flags.pierce_nat;
        self.blocks_short |= flags.block_short;
    }
}

/// What becomes of a section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum SectionState {
    /// Relayed.
    #[default]
    Live,
    /// Port 0.
    Rejected,
    /// Passed on without a relay: a transport that is none of ours (`TCP/MSRP`).
    Foreign,
}

/// Our ports of a section, one per local address, the primary address first.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SectionPorts {
    /// For RTP, and RTCP when it is multiplexed.
    pub rtp: Vec<LocalSocket>,
    /// For RTCP.
    pub rtcp: Vec<LocalSocket>,
}

impl SectionPorts {
    /// Every socket.
    pub fn all(&self) -> impl Iterator<Item = &LocalSocket> {
        self.rtp.iter().chain(&self.rtcp)
    }

    /// The socket whose address stands in `c=` and `m=`.
    pub fn primary(&self) -> Option<&LocalSocket> {
        self.rtp.first()
    }
}

/// rtcp-mux towards one party (RFC 5761).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MuxState {
    /// The party offered it to us.
    pub peer_offered: bool,
    /// We offered it to the party.
    pub we_offered: bool,
    /// Agreed: RTCP shares the RTP port for good.
    pub in_use: bool,
    /// What the offer's options said about the answer to this party.
    pub answer: MuxAnswer,
}

/// How a party's offer of rtcp-mux is to be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum MuxAnswer {
    /// As the other party decides.
    #[default]
    AsReceiver,
    /// Accepted whatever the other party decides (`accept`, `demux`).
    Accept,
    /// Refused (`reject`).
    Refuse,
}

/// ICE towards one party.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct IceState {
    /// Our credentials, from the moment ICE was first offered or answered.
    pub local: Option<IceCredentials>,
    /// Our last description for the party has ICE in it.
    pub offered: bool,
    /// Both have it.
    pub in_use: bool,
    /// We act lite.
    pub lite: bool,
    /// We say `ice2` (RFC 8445 §10).
    pub ice2: bool,
    /// The party's offer of ICE is to be answered without (`reject-ICE`).
    pub refuse: bool,
    /// The party answered our ICE without; it is not offered again until `reset`.
    pub declined: bool,
    /// We were the offerer of the exchange in which ICE began.
    pub we_offered: bool,
}

/// Opportunistic SRTP with one party (RFC 8643): keys beside `RTP/AVP`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Opportunistic {
    /// Nobody has offered keys beside a plain profile.
    #[default]
    No,
    /// Offered, and not answered.
    Offered,
    /// In use: media is SRTP although the profile does not say so.
    Agreed,
    /// The answer had no keys: media is plain.
    Declined,
}

/// Who the far end of a DTLS association is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PeerIdentity {
    /// `a=fingerprint`, the one that is checked.
    pub fingerprint: Fingerprint,
    /// `a=tls-id`.
    pub tls_id: Option<String>,
}

/// DTLS towards one party.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct DtlsState {
    /// As of the last settled exchange.
    pub peer: Option<PeerIdentity>,
    /// Counts the associations: another number is another association (RFC 8842 §4).
    pub association: u32,
    /// The party said `a=setup:holdconn`: no handshake for the time being.
    pub on_hold: bool,
    /// Our last offer for the party has it.
    pub offered: bool,
    /// Our role, once it is settled. It stays for the life of the association (RFC 8842 §5.1).
    pub role: Option<DtlsRole>,
    /// `a=tls-id` of ours.
    pub tls_id: Option<String>,
    /// The hash our fingerprint is written with.
    pub hash: Option<FingerprintHash>,
    /// The proxy asked for the passive role towards this party, if it leaves us the choice.
    pub passive_wanted: bool,
}

impl DtlsState {
    /// Whether keys come from DTLS.
    pub fn in_use(&self) -> bool {
        self.role.is_some()
    }
}

/// SDES towards one party.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct SdesState {
    /// The lines we gave the party, with our keys.
    pub local: Vec<CryptoAttribute>,
    /// The line in use for what we send, once it is settled.
    pub outbound: Option<CryptoAttribute>,
    /// The line in use for what the party sends.
    pub inbound: Option<CryptoAttribute>,
}

impl SdesState {
    /// Whether keys come from SDES.
    pub fn in_use(&self) -> bool {
        self.outbound.is_some()
    }
}

impl MediaSection {
    /// A section of which nothing is known yet.
    pub fn new(kind: &str, protocol: Protocol, ssrc: Ssrc) -> Self {
        Self {
            kind: kind.to_owned(),
            state: SectionState::Live,
            profile: protocol.rtp(),
            protocol,
            remote: None,
            rtp_endpoint: None,
            rtcp_endpoint: None,
            ports: SectionPorts::default(),
            carrier: None,
            bundle_only: false,
            mid: None,
            passthrough: false,
            mux: MuxState::default(),
            ice: IceState::default(),
            opportunistic: Opportunistic::default(),
            dtls: DtlsState::default(),
            sdes: SdesState::default(),
            sdes_wishes: Sdes::default(),
            told: Vec::new(),
            we_answered: false,
            recording_label: None,
            hidden: false,
            ptime_ms: None,
            encoding: Vec::new(),
            always_transcodes: false,
            accepted: Vec::new(),
            ssrc,
            way: Way::default(),
        }
    }

    /// Remembers what a request says about encoders towards the party, until another says otherwise.
    pub fn note_encoding<'a>(&mut self, wishes: impl Iterator<Item = &'a CodecSpec>) {
        let of_effect = |wish: &&CodecSpec| {
            let numbers = wish.bitrate.is_some() || wish.ptime_ms.is_some();
            numbers || wish.fmtp.is_some() || wish.options.is_some()
        };
        let wishes: Vec<CodecSpec> = wishes.filter(of_effect).cloned().collect();
        if !wishes.is_empty() {
            self.encoding = wishes;
        }
    }

    /// Whether packets flow.
    pub fn is_live(&self) -> bool {
        self.state == SectionState::Live
    }

    /// Whether the transport is none of RTP.
    pub fn is_opaque(&self) -> bool {
        self.protocol.is_opaque()
    }

    /// Whether datagrams pass as they are: they are no RTP, or none of ours to look into.
    pub fn passes_unread(&self) -> bool {
        self.is_opaque() || self.passthrough
    }

    /// Turns to another transport, remembering the profile of the one before.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.profile = protocol.rtp().or(self.profile);
        self.protocol = protocol;
    }

    /// Whether packets towards and from this party are SRTP.
    pub fn is_secure(&self) -> bool {
        self.protocol.is_secure() || self.opportunistic == Opportunistic::Agreed
    }

    /// Whether our description for this party has keys in it.
    pub fn offers_keys(&self) -> bool {
        let opportunistic = [Opportunistic::Offered, Opportunistic::Agreed];
        self.protocol.is_secure() || opportunistic.contains(&self.opportunistic)
    }

    /// Whether the party wants to receive: its direction attribute, and the old hold by address 0.0.0.0.
    pub fn wants_media(&self) -> bool {
        self.is_live()
            && self
                .remote
                .as_ref()
                .is_none_or(|r| r.direction.receives() && !r.is_held_by_address())
    }

    /// Whether the party said that it sends.
    pub fn sends_media(&self) -> bool {
        self.is_live() && self.remote.as_ref().is_some_and(|r| r.direction.sends())
    }

    /// Formats the party may send: what it was told, and, because many send by their own numbers, what it said itself.
    /// What it was told stands last and so wins where numbers collide.
    pub fn received_formats(&self) -> impl Iterator<Item = &PayloadFormat> {
        let own = self.remote.iter().flat_map(|r| &r.codecs);
        own.chain(&self.told)
    }

    /// Formats the party takes, in its numbers; the one in use stands first.
    pub fn sent_formats(&self) -> impl Iterator<Item = &PayloadFormat> + Clone {
        let told = &self.told[..];
        let own = self.remote.as_ref().map(|remote| &remote.codecs[..]);
        // The formats of the first that are among those of the second, or are not asked about.
        let (formats, others) = match own {
            None => (told, None),
            Some(own) if told.is_empty() => (own, None),
            Some(own) if self.we_answered => (told, Some(own)),
            Some(own) => (own, Some(told)),
        };
        let known = |others: Option<&[PayloadFormat]>, format: &PayloadFormat| {
            others.is_none_or(|others| others.iter().any(|other| other.same_encoding(format)))
        };
        let mut agreed = formats.iter().filter(|format| known(others, format));
        let can_speak = own.is_some_and(|own| own.iter().any(PayloadFormat::is_speech));
        let is_enough = if can_speak {
            agreed.any(PayloadFormat::is_speech)
        } else {
            agreed.next().is_some()
        };
        let (formats, others) = match own {
            Some(own) if !is_enough => (own, None),
            _ => (formats, others),
        };
        formats.iter().filter(move |format| known(others, format))
    }
}
