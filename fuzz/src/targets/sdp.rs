//! Session descriptions: what is read is written, and reads the same again; every typed view takes any text.

use relay_call::sdp::parse::MAX_BYTES;
use relay_call::sdp::{PayloadFormat, RemoteMedia, SessionDescription};
use relay_transport::dtls::Fingerprint;
use relay_transport::ice::Candidate;
use relay_transport::srtp::sdes::CryptoAttribute;

use crate::{Target, recorded};

/// This target.
pub const TARGET: Target = Target {
    name: "sdp",
    run: target,
    seeds,
    words: &[
        b"v=0\r\n",
        b"\n",
        b"\r",
        b"m=audio 1 RTP/AVP 0\n",
        b"m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n",
        b"m=image 9 udptl t38\n",
        b"c=IN IP4 192.0.2.1/127/3\n",
        b"c=IN IP6 ::\n",
        b"a=",
        b"a=rtpmap:111 ",
        b"a=fmtp:111 ",
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:",
        b"|2^31|1:4",
        b"a=candidate:1 1 udp 1 192.0.2.1 9 typ host ",
        b"a=fingerprint:sha-256 ",
        b"a=ice-ufrag:",
        b"a=group:BUNDLE ",
        b"a=rtcp:65536 IN IP4 ",
        b"a=sendonly\n",
        b"/65535",
        b"4294967296",
        b"-1",
        b"\xff",
        b"\0",
    ],
};

/// A description.
pub fn target(data: &[u8]) {
    let Ok(description) = SessionDescription::parse(data) else {
        return;
    };
    look_at(&description);
    let written = description.to_bytes();
    // Line ends may have grown.
    if written.len() <= MAX_BYTES {
        let again = SessionDescription::parse(&written).expect("a description that we wrote");
        assert_eq!(again, description);
        assert_eq!(again.to_bytes(), written);
    }
}

/// Everything that anybody reads out of it.
fn look_at(description: &SessionDescription) {
    let _ = (description.origin(), description.connection());
    for media in &description.media {
        let _ = (media.connection(), media.direction());
        let formats = PayloadFormat::of_section(media);
        assert!(formats.len() <= 128, "a payload type has seven bits");
    }
    for media in RemoteMedia::read_all(description) {
        for crypto in &media.crypto {
            if let Ok(attribute) = crypto.parse::<CryptoAttribute>() {
                let written = attribute.to_string();
                let again: Result<CryptoAttribute, _> = written.parse();
                assert_eq!(again.expect("a crypto attribute that we wrote"), attribute);
            }
        }
        for fingerprint in &media.fingerprints {
            if let Ok(fingerprint) = fingerprint.parse::<Fingerprint>() {
                assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
            }
        }
        for candidate in media.ice.iter().flat_map(|ice| &ice.candidates) {
            if let Ok(candidate) = Candidate::parse(candidate) {
                // The words in front may be missing, so a foundation that looks like them needs them.
                let written = format!("a=candidate:{candidate}");
                assert_eq!(Candidate::parse(&written), Ok(candidate));
            }
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    recorded::descriptions()
}
