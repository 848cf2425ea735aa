//! Writing a description of Meta's, line by line in the order of published traces.

use std::fmt::{self, Display, Write as _};
use std::net::{SocketAddrV4, SocketAddrV6};

use super::{PayloadTypes, SdpShape, Setup};

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
        tag: u32,
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
        if let LocalKeys::Sdes { tag, inline } = &self.keys {
            lines.push(format!(
                "a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{inline}"
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
            tag: 1,
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
}
