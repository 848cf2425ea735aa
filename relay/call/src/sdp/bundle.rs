//! What sections of a bundle share (RFC 9143, RFC 8859).
//!
//! One section of a bundle, the tagged one, says where all of them live: address, ICE, keys. A description that has been agreed
//! on says it there alone. Here it is written out for every section, so that the rest of the relay need not know which is tagged.

use super::description::SessionDescription;
use super::remote::RemoteMedia;

/// Copies what the tagged section of each bundle says to those sections of it that do not say it themselves.
pub fn share_transport(description: &SessionDescription, sections: &mut [RemoteMedia]) {
    for group in description.attributes("group") {
        let mut words = group.split_ascii_whitespace();
        let is_bundle = words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("BUNDLE"));
        if !is_bundle {
            continue;
        }
        let mids: Vec<&str> = words.collect();
        let is_named = |section: &RemoteMedia, mid: &str| section.mid.as_deref() == Some(mid);
        let tagged = mids.iter().find_map(|mid| {
            let mut named = sections.iter().filter(|section| is_named(section, mid));
            named.find(|section| section.port != 0).cloned()
        });
        let Some(tagged) = tagged else { continue };
        for section in sections.iter_mut() {
            let is_member = mids.iter().any(|mid| is_named(section, mid));
            if is_member && section.mid != tagged.mid {
                section.share(&tagged);
            }
        }
    }
}

impl RemoteMedia {
    fn share(&mut self, tagged: &Self) {
        if self.port != 0 {
            // RFC 9143 §6: `bundle-only` means something with port 0 alone.
            self.bundle_only = false;
        } else if self.bundle_only {
            self.port = tagged.port;
            self.address = tagged.address;
            self.rtcp = tagged.rtcp;
        } else {
            return;
        }
        self.rtcp_mux |= tagged.rtcp_mux;
        if self.ice.is_none() {
            self.ice.clone_from(&tagged.ice);
        }
        if self.fingerprints.is_empty() && self.crypto.is_empty() {
            self.fingerprints.clone_from(&tagged.fingerprints);
            self.crypto.clone_from(&tagged.crypto);
        }
        self.setup = self.setup.or(tagged.setup);
        if self.tls_id.is_none() {
            self.tls_id.clone_from(&tagged.tls_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn read(text: &str) -> Vec<Arc<RemoteMedia>> {
        let description = SessionDescription::parse(text.as_bytes()).unwrap();
        RemoteMedia::read_all(&description)
    }

    #[test]
    fn the_tagged_section_speaks_for_the_bundle() {
        let sections = read(
            "v=0\na=group:BUNDLE a v\nm=audio 9000 UDP/TLS/RTP/SAVPF 0\nc=IN IP4 192.0.2.1\na=mid:a\na=ice-ufrag:abcd\n\
             a=ice-pwd:abcdefghijklmnopqrstuvwx\na=fingerprint:sha-256 AA\na=setup:actpass\na=rtcp-mux\n\
             m=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:v\na=bundle-only\nm=text 9002 RTP/AVP 98\na=mid:t\n",
        );
        let [audio, video, text] = &sections[..] else {
            panic!("{sections:?}");
        };
        assert_eq!(video.rtp_endpoint(), audio.rtp_endpoint());
        assert_eq!(
            (&video.ice, &video.fingerprints),
            (&audio.ice, &audio.fingerprints)
        );
        assert!(video.rtcp_mux && video.bundle_only && !video.is_rejected());
        assert!(text.ice.is_none() && !text.rtcp_mux);
    }

    #[test]
    fn a_refused_section_stays_refused() {
        let sections = read(
            "v=0\na=group:BUNDLE a v\nm=audio 9000 RTP/AVP 0\nc=IN IP4 192.0.2.1\na=mid:a\nm=video 0 RTP/AVP 96\na=mid:v\n",
        );
        assert!(sections[1].is_rejected());
    }
}
