//! The session descriptions Meta's media servers write, and the reading of the ones they are sent.
//!
//! The shapes are those of Meta's SIP guide and of published traces: `c=` below `m=`, `a=ice-lite` at session
//! level, an ICE password that ends in `==` although RFC 8839 §5.4 has no `=` among its characters, `o=` with
//! 127.0.0.1, RTCP at port 9 of 0.0.0.0. A relay that is stricter than Meta breaks here and not with customers.
//!
//! This is not a general SDP parser (RFC 8866): it reads what Meta is known to look at and passes over the rest.

use std::fmt::{self, Display, Write as _};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// How the SRTP keys of a call come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyExchange {
    /// ICE-lite and DTLS-SRTP (RFC 5764), Meta's default.
    Dtls,
    /// Keys in `a=crypto` (RFC 4568), and no ICE.
    Sdes,
}

/// Which generation of Meta's descriptions to imitate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SdpShape {
    /// What traces have shown since 2024.
    #[default]
    Current,
    /// The samples of the API reference: other priorities, `ufrag` at the end of candidates, a random CNAME with
    /// `msid`, `mslabel` and `label` lines, extmaps, and `ice-options:trickle` in answers.
    Older,
}

/// The codecs Meta can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// RFC 7587, always there.
    #[default]
    Opus,
    /// G.711 µ-law, only for numbers that have it switched on.
    Pcmu,
    /// G.711 A-law, likewise.
    Pcma,
}

impl Codec {
    /// The clock of RTP timestamps (RFC 7587 §4.1 for Opus, RFC 3551 §4.5.14 for G.711).
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    /// RTP timestamp units in one packet of 20 ms.
    pub fn samples_per_packet(self) -> u32 {
        self.clock_rate() / 50
    }

    fn static_payload_type(self) -> u8 {
        match self {
            Self::Opus => 111,
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    fn encoding(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}

/// `a=setup` (RFC 4145 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The writer is the DTLS client.
    Active,
    /// The writer is the DTLS server.
    Passive,
    /// Either; only in offers.
    Actpass,
}

impl Setup {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Actpass => "actpass",
        }
    }

    fn read(value: &str) -> Option<Self> {
        match value {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            "actpass" => Some(Self::Actpass),
            _ => None,
        }
    }
}

/// A description Meta would not accept, with the words that go into the refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SdpRejected {
    /// What is wrong, for the SIP reason phrase or a `Warning` header.
    pub text: String,
}

impl SdpRejected {
    pub(crate) fn because(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

/// The payload numbers of a call, ours in a user-initiated call and echoed in a business-initiated one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PayloadTypes {
    pub(crate) opus: u8,
    pub(crate) telephone_event: u8,
    /// G.711 where the number has it, in the order of the description.
    pub(crate) g711: Vec<(Codec, u8)>,
}

impl PayloadTypes {
    /// Meta's own numbers.
    pub(crate) fn of_meta(additional: &[Codec]) -> Self {
        Self {
            opus: Codec::Opus.static_payload_type(),
            telephone_event: 126,
            g711: additional
                .iter()
                .filter(|codec| **codec != Codec::Opus)
                .map(|codec| (*codec, codec.static_payload_type()))
                .collect(),
        }
    }

    pub(crate) fn codec_of(&self, payload_type: u8) -> Option<Codec> {
        if payload_type == self.opus {
            return Some(Codec::Opus);
        }
        self.g711
            .iter()
            .find(|(_, number)| *number == payload_type)
            .map(|(codec, _)| *codec)
    }

    pub(crate) fn number_of(&self, codec: Codec) -> Option<u8> {
        match codec {
            Codec::Opus => Some(self.opus),
            other => self
                .g711
                .iter()
                .find(|(offered, _)| *offered == other)
                .map(|(_, number)| *number),
        }
    }
}

/// Everything that varies from call to call in a description of Meta's.
#[derive(Clone, Debug)]
pub(crate) struct LocalDescription {
    pub(crate) shape: SdpShape,
    pub(crate) is_answer: bool,
    pub(crate) session_id: u64,
    pub(crate) stream_id: String,
    pub(crate) mid: String,
    pub(crate) ipv4: SocketAddrV4,
    pub(crate) ipv6: Option<SocketAddrV6>,
    pub(crate) foundations: [u32; 2],
    pub(crate) keys: LocalKeys,
    pub(crate) payload_types: PayloadTypes,
    pub(crate) ssrc: u32,
    pub(crate) cname: String,
}

/// The half of a description that depends on the key exchange.
#[derive(Clone, Debug)]
pub(crate) enum LocalKeys {
    Dtls {
        ufrag: String,
        password: String,
        fingerprint: String,
        setup: Setup,
    },
    Sdes {
        inline: String,
    },
}

/// What Meta says of Opus, the same since 2024.
const OPUS_FMTP: &str = "maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1";
const OLDER_OPUS_FMTP: &str = "minptime=10;useinbandfec=1";
/// Meta's name for its one track.
const TRACK: &str = "WhatsAppTrack1";
/// Meta's CNAME since 2024.
pub(crate) const CNAME: &str = "WhatsAppAudioStream1";

impl LocalDescription {
    fn candidates(&self, ufrag: &str) -> Vec<String> {
        // The priorities differ in their local preference only, and IPv6 ranks higher (RFC 8445 §5.1.2.1).
        let (ipv4_priority, ipv6_priority) = match self.shape {
            SdpShape::Current => (2_122_260_223u32, 2_122_262_783u32),
            SdpShape::Older => (2_113_937_151, 2_113_939_711),
        };
        let tail = match self.shape {
            SdpShape::Current => String::new(),
            SdpShape::Older => format!(" ufrag {ufrag}"),
        };
        let mut lines = vec![format!(
            "a=candidate:{} 1 udp {ipv4_priority} {} {} typ host generation 0 network-cost 50{tail}",
            self.foundations[0],
            self.ipv4.ip(),
            self.ipv4.port()
        )];
        if let Some(ipv6) = self.ipv6 {
            lines.push(format!(
                "a=candidate:{} 1 udp {ipv6_priority} {} {} typ host generation 0 network-cost 50{tail}",
                self.foundations[1],
                ipv6.ip(),
                ipv6.port()
            ));
        }
        lines
    }

    fn lines(&self) -> Vec<String> {
        let payload_types = &self.payload_types;
        let opus = payload_types.opus;
        let event = payload_types.telephone_event;
        let mut formats = opus.to_string();
        for (_, number) in &payload_types.g711 {
            let _ = write!(formats, " {number}");
        }
        let _ = write!(formats, " {event}");
        let (profile, is_dtls) = match self.keys {
            LocalKeys::Dtls { .. } => ("UDP/TLS/RTP/SAVPF", true),
            LocalKeys::Sdes { .. } => ("RTP/SAVP", false),
        };

        let mut lines = vec![
            "v=0".to_owned(),
            format!("o=- {} 2 IN IP4 127.0.0.1", self.session_id),
            "s=-".to_owned(),
            "t=0 0".to_owned(),
            format!("a=group:BUNDLE {}", self.mid),
            format!("a=msid-semantic: WMS {}", self.stream_id),
        ];
        if is_dtls {
            lines.push("a=ice-lite".to_owned());
        }
        lines.push(format!("m=audio {} {profile} {formats}", self.ipv4.port()));
        lines.push(format!("c=IN IP4 {}", self.ipv4.ip()));
        lines.push("a=rtcp:9 IN IP4 0.0.0.0".to_owned());
        if let LocalKeys::Dtls {
            ufrag,
            password,
            fingerprint,
            setup,
        } = &self.keys
        {
            lines.extend(self.candidates(ufrag));
            lines.push(format!("a=ice-ufrag:{ufrag}"));
            lines.push(format!("a=ice-pwd:{password}"));
            if self.shape == SdpShape::Older && self.is_answer {
                lines.push("a=ice-options:trickle".to_owned());
            }
            lines.push(format!("a=fingerprint:sha-256 {fingerprint}"));
            lines.push(format!("a=setup:{}", setup.name()));
        }
        lines.push(format!("a=mid:{}", self.mid));
        if self.shape == SdpShape::Older && is_dtls {
            lines.push("a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level".to_owned());
            lines.push(
                "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time".to_owned(),
            );
        }
        lines.push("a=sendrecv".to_owned());
        lines.push(format!("a=msid:{} {TRACK}", self.stream_id));
        lines.push("a=rtcp-mux".to_owned());
        if let LocalKeys::Sdes { inline } = &self.keys {
            lines.push(format!(
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{inline}"
            ));
        }
        lines.push(format!("a=rtpmap:{opus} opus/48000/2"));
        if is_dtls {
            lines.push(format!("a=rtcp-fb:{opus} transport-cc"));
        }
        let fmtp = match self.shape {
            SdpShape::Current => OPUS_FMTP,
            SdpShape::Older => OLDER_OPUS_FMTP,
        };
        lines.push(format!("a=fmtp:{opus} {fmtp}"));
        for (codec, number) in &payload_types.g711 {
            lines.push(format!("a=rtpmap:{number} {}/8000", codec.encoding()));
        }
        lines.push(format!("a=rtpmap:{event} telephone-event/8000"));
        lines.push("a=maxptime:20".to_owned());
        lines.push("a=ptime:20".to_owned());
        lines.push(format!("a=ssrc:{} cname:{}", self.ssrc, self.cname));
        if self.shape == SdpShape::Older {
            lines.push(format!(
                "a=ssrc:{} msid:{} {TRACK}",
                self.ssrc, self.stream_id
            ));
            lines.push(format!("a=ssrc:{} mslabel:{}", self.ssrc, self.stream_id));
            lines.push(format!("a=ssrc:{} label:{TRACK}", self.ssrc));
        }
        lines
    }
}

impl Display for LocalDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            write!(f, "{line}\r\n")?;
        }
        Ok(())
    }
}

/// What a business wrote, as far as Meta looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteDescription {
    pub(crate) address: SocketAddr,
    pub(crate) profile: String,
    pub(crate) formats: Vec<RemoteFormat>,
    pub(crate) mid: Option<String>,
    pub(crate) has_rtcp_mux: bool,
    pub(crate) is_ice_lite: bool,
    pub(crate) ice: Option<(String, String)>,
    pub(crate) candidates: usize,
    pub(crate) setup: Option<Setup>,
    pub(crate) fingerprints: Vec<(String, String)>,
    pub(crate) crypto: Vec<RemoteCrypto>,
    pub(crate) ptime: Option<u32>,
    pub(crate) media_sections: usize,
    pub(crate) ssrcs: Vec<u32>,
}

/// One number of the `m=` line with what `rtpmap` says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteFormat {
    pub(crate) number: u8,
    pub(crate) encoding: String,
    pub(crate) clock_rate: u32,
}

/// One `a=crypto` line (RFC 4568 §9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteCrypto {
    pub(crate) tag: u32,
    pub(crate) suite: String,
    pub(crate) key_and_salt: String,
}

impl RemoteDescription {
    /// Reads the first audio section and what stands above it.
    pub(crate) fn parse(text: &str) -> Result<Self, SdpRejected> {
        let mut lines = text.lines().map(str::trim_end);
        if lines.next() != Some("v=0") {
            return Err(SdpRejected::because("the SDP does not begin with v=0"));
        }
        let mut reader = Reader::default();
        for line in lines {
            let Some((kind, value)) = line.split_once('=') else {
                continue;
            };
            match kind {
                "m" => reader.media(value)?,
                "c" => reader.connection(value)?,
                "a" => reader.attribute(value)?,
                _ => {}
            }
        }
        reader.finish()
    }

    /// The number this description gives to a codec.
    pub(crate) fn number_of(&self, codec: Codec) -> Option<u8> {
        self.formats
            .iter()
            .find(|format| {
                format.encoding.eq_ignore_ascii_case(codec.encoding())
                    && format.clock_rate == codec.clock_rate()
            })
            .map(|format| format.number)
    }

    /// The number of the telephone-events of the given clock rate.
    pub(crate) fn telephone_event(&self, clock_rate: u32) -> Option<u8> {
        self.formats
            .iter()
            .find(|format| {
                format.encoding.eq_ignore_ascii_case("telephone-event")
                    && format.clock_rate == clock_rate
            })
            .map(|format| format.number)
    }
}

/// Which part of the description the next line belongs to.
#[derive(Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Session,
    Audio,
    /// A second audio section or another medium: counted, not read.
    Other,
}

#[derive(Debug, Default)]
struct Reader {
    part: Part,
    port: Option<u16>,
    session_address: Option<IpAddr>,
    audio_address: Option<IpAddr>,
    profile: String,
    formats: Vec<RemoteFormat>,
    mid: Option<String>,
    has_rtcp_mux: bool,
    is_ice_lite: bool,
    ufrag: Option<String>,
    password: Option<String>,
    candidates: usize,
    setup: Option<Setup>,
    fingerprints: Vec<(String, String)>,
    crypto: Vec<RemoteCrypto>,
    ptime: Option<u32>,
    media_sections: usize,
    ssrcs: Vec<u32>,
}

impl Reader {
    fn media(&mut self, value: &str) -> Result<(), SdpRejected> {
        self.media_sections += 1;
        let mut words = value.split_ascii_whitespace();
        if words.next() != Some("audio") || self.port.is_some() {
            self.part = Part::Other;
            return Ok(());
        }
        self.part = Part::Audio;
        let port = words
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| SdpRejected::because(format!("no port in m={value}")))?;
        self.port = Some(port);
        self.profile = words.next().unwrap_or_default().to_owned();
        for word in words {
            let number: u8 = word
                .parse()
                .map_err(|_| SdpRejected::because(format!("payload type {word} in the m= line")))?;
            // RFC 3551 §6: numbers that need no rtpmap.
            let (encoding, clock_rate) = match number {
                0 => ("PCMU", 8_000),
                8 => ("PCMA", 8_000),
                9 => ("G722", 8_000),
                _ => ("", 0),
            };
            self.formats.push(RemoteFormat {
                number,
                encoding: encoding.to_owned(),
                clock_rate,
            });
        }
        Ok(())
    }

    fn connection(&mut self, value: &str) -> Result<(), SdpRejected> {
        let address = value
            .split_ascii_whitespace()
            .nth(2)
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| SdpRejected::because(format!("no address in c={value}")))?;
        match self.part {
            Part::Session => self.session_address = Some(address),
            Part::Audio => self.audio_address = Some(address),
            Part::Other => {}
        }
        Ok(())
    }

    fn attribute(&mut self, attribute: &str) -> Result<(), SdpRejected> {
        if self.part == Part::Other {
            return Ok(());
        }
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "mid" => self.mid = Some(value.to_owned()),
            "rtcp-mux" => self.has_rtcp_mux = true,
            "ice-lite" => self.is_ice_lite = true,
            "ice-ufrag" => self.ufrag = Some(value.to_owned()),
            "ice-pwd" => self.password = Some(value.to_owned()),
            "candidate" => self.candidates += 1,
            "ptime" => self.ptime = value.parse().ok(),
            "setup" => {
                let setup = Setup::read(value)
                    .ok_or_else(|| SdpRejected::because(format!("a=setup:{value} is not known")))?;
                self.setup = Some(setup);
            }
            "fingerprint" => {
                let (hash, digest) = value.split_once(' ').ok_or_else(|| {
                    SdpRejected::because(format!("no value in a=fingerprint:{value}"))
                })?;
                self.fingerprints.push((
                    hash.to_ascii_lowercase(),
                    digest.trim().to_ascii_uppercase(),
                ));
            }
            "crypto" => self.crypto.push(read_crypto(value)?),
            "rtpmap" => self.rtpmap(value)?,
            "ssrc" => {
                let ssrc = value.split(' ').next().and_then(|word| word.parse().ok());
                if let Some(ssrc) = ssrc
                    && !self.ssrcs.contains(&ssrc)
                {
                    self.ssrcs.push(ssrc);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn rtpmap(&mut self, value: &str) -> Result<(), SdpRejected> {
        let malformed = || SdpRejected::because(format!("a=rtpmap:{value} cannot be read"));
        let (number, mapping) = value.split_once(' ').ok_or_else(malformed)?;
        let number: u8 = number.parse().map_err(|_| malformed())?;
        let mut words = mapping.trim().split('/');
        let encoding = words.next().ok_or_else(malformed)?.to_owned();
        let clock_rate = words
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or_else(malformed)?;
        for format in &mut self.formats {
            if format.number == number {
                format.encoding.clone_from(&encoding);
                format.clock_rate = clock_rate;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<RemoteDescription, SdpRejected> {
        let port = self
            .port
            .ok_or_else(|| SdpRejected::because("no audio section in the SDP"))?;
        if port == 0 {
            return Err(SdpRejected::because("the audio section has port 0"));
        }
        let ip = self
            .audio_address
            .or(self.session_address)
            .ok_or_else(|| SdpRejected::because("no c= line in the SDP"))?;
        Ok(RemoteDescription {
            address: SocketAddr::new(ip, port),
            profile: self.profile,
            formats: self.formats,
            mid: self.mid,
            has_rtcp_mux: self.has_rtcp_mux,
            is_ice_lite: self.is_ice_lite,
            ice: self.ufrag.zip(self.password),
            candidates: self.candidates,
            setup: self.setup,
            fingerprints: self.fingerprints,
            crypto: self.crypto,
            ptime: self.ptime,
            media_sections: self.media_sections,
            ssrcs: self.ssrcs,
        })
    }
}

fn read_crypto(value: &str) -> Result<RemoteCrypto, SdpRejected> {
    let malformed = || SdpRejected::because("an a=crypto line cannot be read");
    let mut words = value.split_ascii_whitespace();
    let tag = words
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or_else(malformed)?;
    let suite = words.next().ok_or_else(malformed)?.to_owned();
    let inline = words
        .next()
        .and_then(|word| word.strip_prefix("inline:"))
        .ok_or_else(malformed)?;
    // Lifetime and MKI follow the key behind bars; Meta writes neither and is taken to read past them.
    let key_and_salt = inline.split('|').next().unwrap_or_default().to_owned();
    Ok(RemoteCrypto {
        tag,
        suite,
        key_and_salt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(keys: LocalKeys) -> LocalDescription {
        LocalDescription {
            shape: SdpShape::Current,
            is_answer: false,
            session_id: 1_790_000_000_123,
            stream_id: "5f0c1c9e-1111-4222-8333-444455556666".to_owned(),
            mid: "audio".to_owned(),
            ipv4: "192.0.2.49:3480".parse().expect("an address"),
            ipv6: Some(
                "[2001:db8:f312:131:face:b00c:0:699c]:3480"
                    .parse()
                    .expect("an address"),
            ),
            foundations: [1_234_567_890, 987_654_321],
            keys,
            payload_types: PayloadTypes::of_meta(&[]),
            ssrc: 613_000_001,
            cname: CNAME.to_owned(),
        }
    }

    #[test]
    fn an_offer_with_dtls_has_the_lines_of_a_trace_in_their_order() {
        let text = description(LocalKeys::Dtls {
            ufrag: "Qw3rTy6uIoP9aSdF".to_owned(),
            password: "AAECAwQFBgcICQoLDA0ODw==".to_owned(),
            fingerprint: "AB:CD".to_owned(),
            setup: Setup::Actpass,
        })
        .to_string();
        let expected = [
            "v=0",
            "o=- 1790000000123 2 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE audio",
            "a=msid-semantic: WMS 5f0c1c9e-1111-4222-8333-444455556666",
            "a=ice-lite",
            "m=audio 3480 UDP/TLS/RTP/SAVPF 111 126",
            "c=IN IP4 192.0.2.49",
            "a=rtcp:9 IN IP4 0.0.0.0",
            "a=candidate:1234567890 1 udp 2122260223 192.0.2.49 3480 typ host generation 0 network-cost 50",
            "a=candidate:987654321 1 udp 2122262783 2001:db8:f312:131:face:b00c:0:699c 3480 typ host generation 0 \
             network-cost 50",
            "a=ice-ufrag:Qw3rTy6uIoP9aSdF",
            "a=ice-pwd:AAECAwQFBgcICQoLDA0ODw==",
            "a=fingerprint:sha-256 AB:CD",
            "a=setup:actpass",
            "a=mid:audio",
            "a=sendrecv",
            "a=msid:5f0c1c9e-1111-4222-8333-444455556666 WhatsAppTrack1",
            "a=rtcp-mux",
            "a=rtpmap:111 opus/48000/2",
            "a=rtcp-fb:111 transport-cc",
            "a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;\
             useinbandfec=1",
            "a=rtpmap:126 telephone-event/8000",
            "a=maxptime:20",
            "a=ptime:20",
            "a=ssrc:613000001 cname:WhatsAppAudioStream1",
        ];
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_offer_with_sdes_has_neither_ice_nor_dtls() {
        let text = description(LocalKeys::Sdes {
            inline: "A".repeat(40),
        })
        .to_string();
        assert!(text.contains("m=audio 3480 RTP/SAVP 111 126\r\n"));
        assert!(text.contains(&format!(
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\n",
            "A".repeat(40)
        )));
        for absent in ["ice-", "candidate", "fingerprint", "setup", "rtcp-fb"] {
            assert!(!text.contains(absent), "{absent} in {text}");
        }
    }

    #[test]
    fn an_answer_is_read_to_its_essentials() {
        let answer = "v=0\r\no=- 42 1 IN IP4 198.51.100.7\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio\r\n\
            m=audio 30000 UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP4 198.51.100.7\r\na=mid:audio\r\na=rtcp-mux\r\n\
            a=ice-ufrag:k2Zq\r\na=ice-pwd:0123456789abcdefghijklmn\r\n\
            a=candidate:1 1 udp 2130706431 198.51.100.7 30000 typ host\r\na=fingerprint:SHA-256 ab:cd\r\n\
            a=setup:active\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\na=ptime:20\r\n\
            m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n";
        let remote = RemoteDescription::parse(answer).expect("a readable answer");
        assert_eq!(
            remote.address,
            "198.51.100.7:30000".parse().expect("an address")
        );
        assert_eq!(remote.setup, Some(Setup::Active));
        assert_eq!(
            remote.fingerprints,
            [("sha-256".to_owned(), "AB:CD".to_owned())]
        );
        assert_eq!(remote.number_of(Codec::Opus), Some(111));
        assert_eq!(remote.telephone_event(8_000), Some(126));
        assert_eq!(remote.mid.as_deref(), Some("audio"));
        assert_eq!(remote.media_sections, 2);
        assert!(remote.has_rtcp_mux && !remote.is_ice_lite);
    }

    #[test]
    fn lifetime_and_mki_of_a_crypto_line_are_read_past() {
        let crypto =
            read_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:abc|2^31|1:4 FEC_ORDER=FEC_SRTP");
        assert_eq!(
            crypto.map(|crypto| crypto.key_and_salt),
            Ok("abc".to_owned())
        );
    }

    #[test]
    fn a_description_without_audio_is_refused_in_words() {
        let rejected = RemoteDescription::parse("v=0\r\ns=-\r\nm=video 9 RTP/AVP 96\r\n");
        assert_eq!(
            rejected,
            Err(SdpRejected::because("no audio section in the SDP"))
        );
    }
}
