//! A trickle-ICE fragment: candidates that come after the description they belong to (RFC 8840 §9).
//!
//! ```text
//! a=ice-ufrag:8hhY
//! a=ice-pwd:...
//! m=audio 9 RTP/AVP 0
//! a=mid:1
//! a=candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host
//! a=end-of-candidates
//! ```

use super::description::SessionDescription;
use super::parse::SdpError;

/// What a fragment says about one media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentSection {
    /// `a=mid`, which names the section.
    pub mid: Option<String>,
    /// Its place in the fragment, for those who leave the mid out.
    pub index: usize,
    /// `a=ice-ufrag`, which names the ICE session.
    pub ufrag: Option<String>,
    /// `a=candidate` values.
    pub candidates: Vec<String>,
}

impl FragmentSection {
    /// Reads a fragment, section by section. Candidates that stand before any `m=` line belong to the first section.
    pub fn read_all(body: &[u8]) -> Result<Vec<Self>, SdpError> {
        let fragment = SessionDescription::parse_fragment(body)?;
        let owned = |text: &str| text.to_owned();
        let ufrag = fragment.attribute("ice-ufrag").map(owned);
        let loose: Vec<String> = fragment.attributes("candidate").map(owned).collect();
        let mut sections: Vec<Self> = fragment
            .media
            .iter()
            .enumerate()
            .map(|(index, media)| Self {
                mid: media.attribute("mid").map(owned),
                index,
                ufrag: media
                    .attribute("ice-ufrag")
                    .map(owned)
                    .or_else(|| ufrag.clone()),
                candidates: media.attributes("candidate").map(owned).collect(),
            })
            .collect();
        match sections.first_mut() {
            Some(first) => first.candidates.extend(loose),
            None => sections.push(Self {
                mid: fragment.attribute("mid").map(owned),
                index: 0,
                ufrag,
                candidates: loose,
            }),
        }
        sections.retain(|section| !section.candidates.is_empty());
        Ok(sections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANDIDATE: &str = "1 1 udp 2130706431 192.0.2.1 4000 typ host";

    fn read(text: &str) -> Vec<FragmentSection> {
        FragmentSection::read_all(text.as_bytes()).unwrap()
    }

    #[test]
    fn candidates_belong_to_the_section_above_them() {
        let text = format!(
            "a=ice-ufrag:8hhY\r\na=ice-pwd:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:a\r\na=end-of-candidates\r\n\
             m=video 9 RTP/AVP 0\r\na=mid:v\r\na=ice-ufrag:other\r\na=candidate:{CANDIDATE}\r\n"
        );
        let expected = FragmentSection {
            mid: Some("v".into()),
            index: 1,
            ufrag: Some("other".into()),
            candidates: vec![CANDIDATE.into()],
        };
        assert_eq!(read(&text), [expected]);
    }

    #[test]
    fn a_lone_candidate_is_about_the_first_section() {
        let sections = read(&format!("a=mid:7\na=candidate:{CANDIDATE}\n"));
        assert_eq!(sections[0].mid.as_deref(), Some("7"));
        assert_eq!((sections[0].index, sections[0].candidates.len()), (0, 1));
        assert_eq!(read("a=end-of-candidates\n"), []);
    }

    #[test]
    fn what_is_no_sdp_is_refused() {
        let error = FragmentSection::read_all(b"hello").unwrap_err();
        assert!(error.to_string().starts_with("line 1:"), "{error}");
        assert!(FragmentSection::read_all(b"").is_err());
    }
}
