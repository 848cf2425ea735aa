//! The layout of a description of ours: which line stands where.
//!
//! The order is the one rtpengine writes, because scripts and phones have seen it for years: one `c=` per section and none for
//! the session, `mid` first, formats, attributes that are passed on, direction, RTCP, keys, packet times, ICE.

use std::net::IpAddr;

use super::attribute::{Connection, Direction, Origin, RtcpAttribute, Setup};
use super::codec::PayloadFormat;
use super::description::{Line, MediaDescription, SessionDescription};
use super::remote::{is_known_bandwidth, other_attributes};

/// What stands before the first `m=` line.
#[derive(Clone, Debug)]
pub struct SessionOutput {
    /// `o=`.
    pub origin: Origin,
    /// `s=`.
    pub name: String,
    /// `a=rtpengine:`, the mark by which a relay knows its own work again (`loop-protect`).
    pub loop_mark: Option<String>,
    /// `a=ice-lite`.
    pub ice_lite: bool,
    /// The mids of `a=group:BUNDLE`; no line when empty.
    pub bundle: Vec<String>,
}

/// One section.
#[derive(Clone, Debug)]
pub struct SectionOutput {
    /// Media type.
    pub kind: String,
    /// Port; 0 writes a rejected section, which ends after its mid.
    pub port: u16,
    /// Transport.
    pub protocol: String,
    /// Formats, when they are not [`Self::codecs`].
    pub formats: Vec<String>,
    /// `i=`.
    pub title: Option<String>,
    /// `c=`.
    pub connection: IpAddr,
    /// `b=`.
    pub bandwidths: Vec<String>,
    /// `a=mid`.
    pub mid: Option<String>,
    /// `a=label`.
    pub label: Option<String>,
    /// `a=bundle-only`.
    pub bundle_only: bool,
    /// RTP formats in order.
    pub codecs: Vec<PayloadFormat>,
    /// `a=rtcp-fb` values for every format.
    pub feedback: Vec<String>,
    /// `a=extmap-allow-mixed`.
    pub extmap_allow_mixed: bool,
    /// `a=extmap`.
    pub extmaps: Vec<String>,
    /// Attributes passed on.
    pub other: Vec<String>,
    /// The direction attribute, unless it is left out.
    pub direction: Option<Direction>,
    /// `a=rtcp`.
    pub rtcp: Option<RtcpAttribute>,
    /// `a=rtcp-mux`.
    pub rtcp_mux: bool,
    /// `a=crypto` values.
    pub crypto: Vec<String>,
    /// DTLS.
    pub dtls: Option<DtlsOutput>,
    /// `a=ptime`.
    pub ptime: Option<String>,
    /// `a=maxptime`.
    pub maxptime: Option<String>,
    /// ICE.
    pub ice: Option<IceOutput>,
}

/// The DTLS lines of a section.
#[derive(Clone, Debug)]
pub struct DtlsOutput {
    /// `a=setup`.
    pub setup: Setup,
    /// `a=fingerprint`.
    pub fingerprint: String,
    /// `a=tls-id`.
    pub tls_id: Option<String>,
}

/// The ICE lines of a section.
#[derive(Clone, Debug)]
pub struct IceOutput {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub pwd: String,
    /// `a=ice-options:trickle` and `a=end-of-candidates`.
    pub trickle: bool,
    /// `a=ice-options:ice2` (RFC 8445 §10).
    pub ice2: bool,
    /// `a=candidate` values.
    pub candidates: Vec<String>,
    /// `a=remote-candidates` value.
    pub remote_candidates: Option<String>,
}

/// Lays out a description for the other party; what is passed on comes from `source`.
pub fn compose(
    source: &SessionDescription,
    session: &SessionOutput,
    sections: &[SectionOutput],
) -> SessionDescription {
    SessionDescription {
        lines: session_lines(source, session),
        media: sections.iter().map(section).collect(),
    }
}

/// Room for the lines of most sections.
const USUAL_LINES: usize = 16;

fn session_lines(source: &SessionDescription, session: &SessionOutput) -> Vec<Line> {
    let mut lines = vec![
        Line::new('v', "0"),
        Line::new('o', session.origin.to_string()),
        Line::new('s', session.name.clone()),
    ];
    for letter in ['i', 'u', 'e', 'p'] {
        lines.extend(source.lines.iter().filter(|l| l.letter == letter).cloned());
    }
    lines.extend(
        source
            .lines
            .iter()
            .filter(|l| l.letter == 'b' && is_known_bandwidth(&l.value))
            .cloned(),
    );
    let times = lines.len();
    lines.extend(source.lines.iter().filter(|l| l.letter == 't').cloned());
    if lines.len() == times {
        lines.push(Line::new('t', "0 0"));
    }
    let mut attributes = Attributes(lines);
    attributes.valued("rtpengine", session.loop_mark.as_deref());
    attributes.flag("ice-lite", session.ice_lite);
    if !session.bundle.is_empty() {
        attributes.push(format!("group:BUNDLE {}", session.bundle.join(" ")));
    }
    attributes.all("", &other_attributes(&source.lines));
    attributes.0
}

fn section(output: &SectionOutput) -> MediaDescription {
    let formats = if output.codecs.is_empty() {
        output.formats.clone()
    } else {
        output
            .codecs
            .iter()
            .map(|c| c.payload_type.to_string())
            .collect()
    };
    MediaDescription {
        kind: output.kind.clone(),
        port: output.port,
        port_count: None,
        protocol: output.protocol.clone(),
        formats,
        lines: section_lines(output),
    }
}

fn section_lines(output: &SectionOutput) -> Vec<Line> {
    let mut lines = Vec::with_capacity(USUAL_LINES);
    lines.extend(
        output
            .title
            .iter()
            .map(|title| Line::new('i', title.clone())),
    );
    let connection = Connection {
        address: output.connection,
    };
    lines.push(Line::new('c', connection.to_string()));
    lines.extend(output.bandwidths.iter().map(|b| Line::new('b', b.clone())));

    let mut attributes = Attributes(lines);
    attributes.valued("mid", output.mid.as_deref());
    if output.port == 0 && !output.bundle_only {
        return attributes.0;
    }
    attributes.valued("label", output.label.as_deref());
    attributes.flag("bundle-only", output.bundle_only);
    for codec in &output.codecs {
        let number = codec.payload_type.to_string();
        let mut about = |name, value: &str| attributes.push([name, &*number, " ", value].concat());
        if let Some(mapping) = codec.mapping() {
            about("rtpmap:", &mapping);
        }
        if let Some(fmtp) = &codec.fmtp {
            about("fmtp:", fmtp);
        }
        for feedback in &codec.feedback {
            about("rtcp-fb:", feedback);
        }
    }
    attributes.all("rtcp-fb:", &output.feedback);
    attributes.flag("extmap-allow-mixed", output.extmap_allow_mixed);
    attributes.all("extmap:", &output.extmaps);
    attributes.all("", &output.other);
    if let Some(direction) = output.direction {
        attributes.flag(direction.name(), true);
    }
    attributes.valued("rtcp", output.rtcp.map(|r| r.to_string()).as_deref());
    attributes.flag("rtcp-mux", output.rtcp_mux);
    attributes.all("crypto:", &output.crypto);
    if let Some(dtls) = &output.dtls {
        attributes.valued("setup", Some(dtls.setup.name()));
        attributes.valued("fingerprint", Some(&dtls.fingerprint));
        attributes.valued("tls-id", dtls.tls_id.as_deref());
    }
    attributes.valued("ptime", output.ptime.as_deref());
    attributes.valued("maxptime", output.maxptime.as_deref());
    if let Some(ice) = &output.ice {
        attributes.valued("ice-ufrag", Some(&ice.ufrag));
        attributes.valued("ice-pwd", Some(&ice.pwd));
        let options = match (ice.trickle, ice.ice2) {
            (true, true) => Some("trickle ice2"),
            (true, false) => Some("trickle"),
            (false, true) => Some("ice2"),
            (false, false) => None,
        };
        attributes.valued("ice-options", options);
        attributes.all("candidate:", &ice.candidates);
        attributes.valued("remote-candidates", ice.remote_candidates.as_deref());
        attributes.flag("end-of-candidates", ice.trickle);
    }
    attributes.0
}

/// Lines to which attributes are appended.
struct Attributes(Vec<Line>);

impl Attributes {
    fn push(&mut self, text: String) {
        self.0.push(Line::new('a', text));
    }

    fn flag(&mut self, name: &str, present: bool) {
        if present {
            self.push(name.to_owned());
        }
    }

    fn valued(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.push([name, ":", value].concat());
        }
    }

    fn all(&mut self, prefix: &str, values: &[String]) {
        for value in values {
            self.push([prefix, value].concat());
        }
    }
}

/// Textual edits that an operator asked for (`sdp-attr`). They change what is written and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeEdits {
    /// Attributes to append, without `a=`.
    pub add: Vec<String>,
    /// Attributes to leave out: a name, a name with its first value word, or the whole text.
    pub remove: Vec<String>,
    /// Attributes to replace: what matches as in [`Self::remove`], and the text that takes the place of the match.
    pub substitute: Vec<(String, String)>,
}

impl AttributeEdits {
    /// Applies the edits to the attributes among `lines`.
    pub fn apply(&self, lines: &mut Vec<Line>) {
        let mut edited: Vec<Line> = Vec::with_capacity(lines.len() + self.add.len());
        for mut line in lines.drain(..) {
            if line.letter == 'a' {
                if self
                    .remove
                    .iter()
                    .any(|r| matched_prefix(&line.value, r).is_some())
                {
                    continue;
                }
                let substitution = self
                    .substitute
                    .iter()
                    .find_map(|(from, to)| Some((matched_prefix(&line.value, from)?, to)));
                if let Some((length, to)) = substitution {
                    line.value.replace_range(..length, to);
                }
            }
            edited.push(line);
        }
        edited.extend(
            self.add
                .iter()
                .map(|text| Line::new('a', text.strip_prefix("a=").unwrap_or(text))),
        );
        *lines = edited;
    }
}

/// How much of `attribute` the pattern covers, if it covers the name, the name with its first word, or everything.
fn matched_prefix(attribute: &str, pattern: &str) -> Option<usize> {
    let pattern = pattern.strip_prefix("a=").unwrap_or(pattern);
    let head = attribute.get(..pattern.len())?;
    if !head.eq_ignore_ascii_case(pattern) {
        return None;
    }
    match attribute[pattern.len()..].chars().next() {
        None | Some(':' | ' ') => Some(pattern.len()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(edits: &AttributeEdits, attributes: &[&str]) -> Vec<String> {
        let mut lines: Vec<Line> = attributes.iter().map(|a| Line::new('a', *a)).collect();
        edits.apply(&mut lines);
        lines.into_iter().map(|l| l.value).collect()
    }

    #[test]
    fn removes_by_name_by_first_word_and_by_whole_line() {
        let edits = AttributeEdits {
            remove: vec!["ssrc".into(), "rtpmap:101".into(), "x-a:1 2".into()],
            ..AttributeEdits::default()
        };
        assert_eq!(
            edited(
                &edits,
                &[
                    "ssrc:1 cname:x",
                    "rtpmap:101 telephone-event/8000",
                    "rtpmap:10 L16/44100",
                    "x-a:1 2",
                    "x-a:1 3",
                    "ssrc-group:F 1"
                ]
            ),
            ["rtpmap:10 L16/44100", "x-a:1 3", "ssrc-group:F 1"]
        );
    }

    #[test]
    fn substitutes_and_adds() {
        let edits = AttributeEdits {
            substitute: vec![("SENDRECV".into(), "sendonly".into())],
            add: vec!["a=x-test".into()],
            ..AttributeEdits::default()
        };
        assert_eq!(
            edited(&edits, &["sendrecv", "mid:1"]),
            ["sendonly", "mid:1", "x-test"]
        );
    }

    #[test]
    fn a_rejected_section_ends_after_its_mid() {
        let output = SectionOutput {
            kind: "video".into(),
            port: 0,
            protocol: "RTP/AVP".into(),
            formats: vec!["96".into()],
            title: None,
            connection: IpAddr::from([0, 0, 0, 0]),
            bandwidths: Vec::new(),
            mid: Some("1".into()),
            label: None,
            bundle_only: false,
            codecs: Vec::new(),
            feedback: Vec::new(),
            extmap_allow_mixed: false,
            extmaps: Vec::new(),
            other: vec!["x".into()],
            direction: Some(Direction::SendRecv),
            rtcp: None,
            rtcp_mux: false,
            crypto: Vec::new(),
            dtls: None,
            ptime: None,
            maxptime: None,
            ice: None,
        };
        let description = SessionDescription {
            lines: Vec::new(),
            media: vec![section(&output)],
        };
        assert_eq!(
            description.to_string(),
            "m=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n"
        );
    }
}
