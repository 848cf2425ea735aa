//! What Meta would dislike about a session description of the business.
//!
//! The media engine reads what it needs to carry the call; this module reads the rest, the lines
//! that a laxer peer accepts and Meta does not. It never refuses anything itself.

use std::net::IpAddr;

use crate::report::Remark;

/// How keys are agreed on this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// DTLS-SRTP with ICE.
    Dtls,
    /// `a=crypto` without ICE.
    Sdes,
}

/// Whether the description answers Meta's offer or is an offer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// The answer to this offer.
    AnswerTo(&'a str),
    /// The business' own offer.
    Offer,
}

/// The lines of a description, sorted by where they stand.
struct Lines<'a> {
    session: Vec<&'a str>,
    sections: Vec<Vec<&'a str>>,
}

impl<'a> Lines<'a> {
    fn of(sdp: &'a str) -> Self {
        let mut lines = Self {
            session: Vec::new(),
            sections: Vec::new(),
        };
        for line in sdp
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
        {
            if line.starts_with("m=") {
                lines.sections.push(vec![line]);
            } else if let Some(section) = lines.sections.last_mut() {
                section.push(line);
            } else {
                lines.session.push(line);
            }
        }
        lines
    }

    /// The first audio section and its position.
    fn audio(&self) -> Option<&[&'a str]> {
        self.sections
            .iter()
            .find(|section| section[0].starts_with("m=audio "))
            .map(Vec::as_slice)
    }

    /// Values of an attribute in the audio section, or at session level when it is not there.
    fn inherited(&self, name: &str) -> Vec<&'a str> {
        let own = attribute(self.audio().unwrap_or(&[]), name);
        if own.is_empty() {
            attribute(&self.session, name)
        } else {
            own
        }
    }
}

fn attribute<'a>(lines: &[&'a str], name: &str) -> Vec<&'a str> {
    lines
        .iter()
        .filter_map(|line| line.strip_prefix("a="))
        .filter_map(|line| match line.split_once(':') {
            Some((found, value)) if found == name => Some(value),
            None if line == name => Some(""),
            _ => None,
        })
        .collect()
}

/// Looks at a description. `allow_private` is for demos on one machine or one network.
pub fn check(sdp: &str, kind: Kind<'_>, keys: Keys, allow_private: bool) -> Vec<Remark> {
    let mut checker = Checker {
        what: match kind {
            Kind::AnswerTo(_) => "the SDP answer",
            Kind::Offer => "the SDP offer",
        },
        remarks: Vec::new(),
    };
    let lines = Lines::of(sdp);
    let Some(audio) = lines.audio() else {
        checker.violation("has no audio section");
        return checker.remarks;
    };
    checker.sections(&lines, kind);
    checker.addresses(&lines, audio, allow_private);
    match keys {
        Keys::Dtls => checker.dtls(&lines, audio, kind),
        Keys::Sdes => checker.sdes(&lines, audio, kind),
    }
    checker.codecs(audio, kind);
    checker.remarks
}

struct Checker {
    what: &'static str,
    remarks: Vec<Remark>,
}

impl Checker {
    fn violation(&mut self, text: impl AsRef<str>) {
        let what = self.what;
        self.remarks
            .push(Remark::violation(format!("{what} {}", text.as_ref())));
    }

    fn note(&mut self, text: impl AsRef<str>) {
        let what = self.what;
        self.remarks
            .push(Remark::note(format!("{what} {}", text.as_ref())));
    }

    fn sections(&mut self, lines: &Lines<'_>, kind: Kind<'_>) {
        let expected = match kind {
            Kind::AnswerTo(offer) => Lines::of(offer).sections.len(),
            Kind::Offer => 1,
        };
        let found = lines.sections.len();
        if found != expected {
            self.violation(format!("has {found} m= lines instead of {expected}"));
        }
        for direction in ["sendonly", "recvonly", "inactive"] {
            if !lines.inherited(direction).is_empty() {
                self.violation(format!(
                    "says a={direction}; Meta knows no hold, a call starts and stays sendrecv"
                ));
            }
        }
        if !lines.inherited("extmap").is_empty() {
            self.violation("has a=extmap lines; Meta offers no header extensions");
        }
    }

    fn addresses(&mut self, lines: &Lines<'_>, audio: &[&str], allow_private: bool) {
        if allow_private {
            return;
        }
        let connection = audio
            .iter()
            .chain(&lines.session)
            .find_map(|line| line.strip_prefix("c="));
        let addresses = connection
            .and_then(|value| value.split_whitespace().nth(2))
            .into_iter()
            .chain(
                attribute(audio, "candidate")
                    .into_iter()
                    .filter_map(|value| value.split_whitespace().nth(4)),
            );
        let mut private = Vec::new();
        let mut public = 0;
        for text in addresses {
            match text.parse::<IpAddr>() {
                Ok(address) if is_private(address) => private.push(text),
                Ok(_) => public += 1,
                Err(_) => self.violation(format!("names {text:?} where an IP address belongs")),
            }
        }
        if public == 0 {
            self.violation(format!(
                "names only addresses that Meta cannot reach ({}); write the public address \
                 (rtpengine: interface = private!public)",
                private.join(", ")
            ));
        } else if !private.is_empty() {
            self.note(format!(
                "names addresses that Meta cannot reach beside public ones: {}",
                private.join(", ")
            ));
        }
    }

    fn dtls(&mut self, lines: &Lines<'_>, audio: &[&str], kind: Kind<'_>) {
        let protocol = audio[0].split_whitespace().nth(2).unwrap_or("");
        if protocol != "UDP/TLS/RTP/SAVPF" {
            self.violation(format!(
                "has the profile {protocol} instead of UDP/TLS/RTP/SAVPF"
            ));
        }
        let wanted = match kind {
            Kind::AnswerTo(_) => "active",
            Kind::Offer => "actpass",
        };
        match lines.inherited("setup").as_slice() {
            [setup] if *setup == wanted => {}
            [] => self.violation("has no a=setup line"),
            found => self.violation(format!(
                "says a=setup:{} instead of {wanted}; Meta does not start DTLS itself",
                found.join(" and ")
            )),
        }
        self.fingerprints(lines, audio);
        if !lines.inherited("ice-lite").is_empty() {
            self.violation("says a=ice-lite; Meta is lite itself and sends no checks");
        }
        for (name, least) in [("ice-ufrag", 4), ("ice-pwd", 22)] {
            match lines.inherited(name).first() {
                None => self.violation(format!("has no a={name}: Meta needs ICE with DTLS")),
                Some(value) if value.len() < least => self.violation(format!(
                    "has an a={name} of {} characters, RFC 8839 asks for {least}",
                    value.len()
                )),
                Some(_) => {}
            }
        }
        self.candidates(audio);
        if attribute(audio, "rtcp-mux").is_empty() {
            self.violation("has no a=rtcp-mux; there is no other way for RTCP to reach Meta");
        }
        if !attribute(audio, "crypto").is_empty() {
            self.violation("has a=crypto lines beside a DTLS fingerprint");
        }
        if lines
            .inherited("ice-options")
            .iter()
            .any(|options| options.contains("trickle"))
        {
            self.note("says a=ice-options:trickle; Meta takes no later candidates over SIP");
        }
    }

    fn fingerprints(&mut self, lines: &Lines<'_>, audio: &[&str]) {
        let mut fingerprints = attribute(&lines.session, "fingerprint");
        fingerprints.extend(attribute(audio, "fingerprint"));
        match fingerprints.as_slice() {
            [] => self.violation("has no a=fingerprint; Meta: \"No fingerprint found in SDP\""),
            [one] => {
                let (hash, value) = one.split_once(' ').unwrap_or((one, ""));
                if !hash.eq_ignore_ascii_case("sha-256") {
                    self.violation(format!(
                        "has a fingerprint by {hash}, Meta takes sha-256 only"
                    ));
                }
                let pairs: Vec<&str> = value.trim().split(':').collect();
                let is_hex = pairs
                    .iter()
                    .all(|pair| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok());
                if hash.eq_ignore_ascii_case("sha-256") && (pairs.len() != 32 || !is_hex) {
                    self.violation("has a sha-256 fingerprint that is not 32 pairs of hex digits");
                }
            }
            several => self.violation(format!(
                "has {} fingerprints, Meta takes exactly one by sha-256",
                several.len()
            )),
        }
    }

    fn candidates(&mut self, audio: &[&str]) {
        let candidates = attribute(audio, "candidate");
        if candidates.is_empty() {
            self.violation("has no a=candidate line");
        }
        let field =
            |line: &&str, at: usize| line.split_whitespace().nth(at).unwrap_or("").to_owned();
        let udp = candidates
            .iter()
            .filter(|line| field(line, 1) == "1" && field(line, 2).eq_ignore_ascii_case("udp"))
            .count();
        if !candidates.is_empty() && udp == 0 {
            self.violation("has no UDP candidate for component 1");
        }
        if candidates.iter().any(|line| field(line, 1) != "1") {
            self.note("has candidates for component 2, though RTCP is multiplexed with Meta");
        }
        if candidates
            .iter()
            .any(|line| !field(line, 2).eq_ignore_ascii_case("udp"))
        {
            self.note("has candidates that are not UDP; Meta speaks only UDP");
        }
    }

    fn sdes(&mut self, lines: &Lines<'_>, audio: &[&str], kind: Kind<'_>) {
        let protocol = audio[0].split_whitespace().nth(2).unwrap_or("");
        if protocol != "RTP/SAVP" {
            self.note(format!(
                "has the profile {protocol}; Meta's own SDES samples say RTP/SAVP"
            ));
        }
        let crypto = attribute(audio, "crypto");
        match (crypto.as_slice(), kind) {
            ([], _) => self.violation("has no a=crypto line"),
            ([_, _, ..], Kind::AnswerTo(_)) => self.violation(format!(
                "has {} a=crypto lines, an answer has exactly one (RFC 4568 §5.1.2)",
                crypto.len()
            )),
            ([one], Kind::AnswerTo(_)) => self.crypto_answer(one),
            (lines, _) => {
                if !lines
                    .iter()
                    .any(|line| line.contains(" AES_CM_128_HMAC_SHA1_80 "))
                {
                    self.violation("offers no a=crypto with AES_CM_128_HMAC_SHA1_80");
                }
            }
        }
        for name in ["fingerprint", "ice-ufrag", "candidate"] {
            if !lines.inherited(name).is_empty() {
                self.note(format!(
                    "has a={name} though SDES with Meta goes without ICE and DTLS"
                ));
            }
        }
        if attribute(audio, "rtcp-mux").is_empty() {
            self.note("has no a=rtcp-mux; Meta has no other port for RTCP");
        }
    }

    fn crypto_answer(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (tag, suite, key) = match words.as_slice() {
            [tag, suite, key, ..] => (*tag, *suite, *key),
            _ => return self.violation("has an a=crypto line that cannot be read"),
        };
        if tag != "1" {
            self.violation(format!("answers crypto tag {tag}, Meta offered tag 1"));
        }
        if suite != "AES_CM_128_HMAC_SHA1_80" {
            self.violation(format!(
                "answers the suite {suite}, which Meta did not offer"
            ));
        }
        if key.contains('|') {
            self.note("gives its SDES key a lifetime or MKI; Meta's lines have neither");
        }
    }

    fn codecs(&mut self, audio: &[&str], kind: Kind<'_>) {
        let formats: Vec<&str> = audio[0].split_whitespace().skip(3).collect();
        let maps = attribute(audio, "rtpmap");
        let encoding_of = |format: &str| {
            maps.iter()
                .filter_map(|map| map.split_once(' '))
                .find(|(number, _)| *number == format)
                .map(|(_, encoding)| encoding.trim().to_owned())
        };
        for format in &formats {
            let encoding = encoding_of(format).unwrap_or_default();
            if encoding.eq_ignore_ascii_case("telephone-event/48000") {
                self.violation(
                    "has telephone-event/48000, which Meta does not support; offer 8000",
                );
            }
        }
        if let Kind::AnswerTo(offer) = kind {
            self.answered_formats(&formats, &encoding_of, offer);
        }
        let opus = formats.iter().find(|format| {
            encoding_of(format)
                .is_some_and(|encoding| encoding.eq_ignore_ascii_case("opus/48000/2"))
        });
        match opus {
            None => {
                self.note("has no Opus; Meta transcodes only for numbers with G.711 switched on")
            }
            Some(opus) => self.opus(audio, opus),
        }
        if !formats.iter().any(|format| {
            encoding_of(format)
                .is_some_and(|encoding| encoding.eq_ignore_ascii_case("telephone-event/8000"))
        }) {
            self.note("has no telephone-event/8000; keypad digits of the user may get lost");
        }
        match attribute(audio, "ptime").as_slice() {
            ["20"] => {}
            [] => self.note("has no a=ptime; Meta sends and expects 20 ms"),
            found => self.violation(format!(
                "says a=ptime:{}; Meta sends and expects 20 ms",
                found.join(" and ")
            )),
        }
    }

    fn answered_formats(
        &mut self,
        formats: &[&str],
        encoding_of: &dyn Fn(&str) -> Option<String>,
        offer: &str,
    ) {
        let offer = Lines::of(offer);
        let offered_audio = offer.audio().unwrap_or(&[]);
        let offered: Vec<&str> = offered_audio
            .first()
            .map(|line| line.split_whitespace().skip(3).collect())
            .unwrap_or_default();
        let offered_maps = attribute(offered_audio, "rtpmap");
        for format in formats {
            if !offered.contains(format) {
                self.violation(format!(
                    "has the payload type {format}, which Meta did not offer (RFC 3264 §6.1)"
                ));
                continue;
            }
            let offered_encoding = offered_maps
                .iter()
                .filter_map(|map| map.split_once(' '))
                .find(|(number, _)| number == format)
                .map(|(_, encoding)| encoding.trim());
            if let (Some(offered), Some(answered)) = (offered_encoding, encoding_of(format))
                && !offered.eq_ignore_ascii_case(&answered)
            {
                self.violation(format!(
                    "uses payload type {format} for {answered}, Meta offered it for {offered}"
                ));
            }
        }
    }

    fn opus(&mut self, audio: &[&str], format: &str) {
        let parameters: Vec<(String, String)> = attribute(audio, "fmtp")
            .iter()
            .filter_map(|line| line.split_once(' '))
            .filter(|(number, _)| *number == format)
            .flat_map(|(_, parameters)| parameters.split(';'))
            .filter_map(|parameter| parameter.split_once('='))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let value = |name: &str| {
            parameters
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        for name in ["stereo", "sprop-stereo"] {
            if value(name) == Some("1") {
                self.note(format!("says {name}=1; Meta's audio is mono"));
            }
        }
        if value("useinbandfec") != Some("1") {
            self.note("does not say useinbandfec=1; Meta sends and expects in-band FEC");
        }
    }
}

/// Whether Meta could not reach this address from the public Internet.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let shared = address.octets()[0] == 100 && (address.octets()[1] & 0xc0) == 64;
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || shared
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests;
