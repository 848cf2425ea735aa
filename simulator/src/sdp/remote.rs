//! Reading the description of a business: the first audio section and what stands above it.

use std::net::{IpAddr, SocketAddr};

use super::{Codec, SdpRejected, Setup};

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
