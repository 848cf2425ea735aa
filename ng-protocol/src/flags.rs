//! The options of a request, grouped by what they are about.
//!
//! Proxies write the same option in many ways: as a word in `flags`, as a key with a value, as an element of a list,
//! inside the `rtpp-flags` string. All of them end here, in one typed form.

pub mod addressing;
pub mod codec;
pub mod crypto;
pub mod dtmf;
pub mod ice;
pub mod media;
pub mod recording;
pub mod sdes;
pub mod sdp;
pub mod selection;
pub mod transport_protocol;

pub use addressing::{AddressFamily, Addressing, Tos};
pub use codec::{CodecFlags, CodecSpec};
pub use crypto::{CryptoFlags, Dtls, DtlsEngine, FingerprintHash, Osrtp};
pub use dtmf::{DtmfFlags, DtmfSecurity};
pub use ice::{Ice, IceFlags, IceLite};
pub use media::{EndpointLearning, MediaEcho, MediaFlags, RtcpMux};
pub use recording::{RecordingCodes, RecordingFlags, RecordingOrder};
pub use sdes::Sdes;
pub use sdp::{AttributeEdits, Bundle, Replace, SdpFlags, SdpSection};
pub use selection::{All, SelectionFlags};
pub use transport_protocol::TransportProtocol;

use crate::error::NgError;
use crate::spelling::{Report, Spelled};
use crate::value::Value;
use crate::vocabulary;

/// Every option of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Interfaces and addresses.
    pub addressing: Addressing,
    /// The media path.
    pub media: MediaFlags,
    /// RTCP multiplexing.
    pub rtcp_mux: RtcpMux,
    /// The shape of the session description.
    pub sdp: SdpFlags,
    /// ICE.
    pub ice: IceFlags,
    /// Transport protocol, DTLS, SDES.
    pub crypto: CryptoFlags,
    /// Codecs.
    pub codec: CodecFlags,
    /// Which party, and how.
    pub selection: SelectionFlags,
    /// How DTMF is blocked.
    pub dtmf: DtmfFlags,
    /// Who is recorded, and who may order it.
    pub recording: RecordingFlags,
}

impl Flags {
    /// Applies a key in canonical spelling; false if no family of options knows it.
    pub(crate) fn apply_key(
        &mut self,
        key: &str,
        value: &Value<'_>,
        report: &mut Report,
    ) -> Result<bool, NgError> {
        Ok(self.addressing.apply_key(key, value, report)
            || self.media.apply_key(key, value, report)
            || self.rtcp_mux.apply_key(key, value, report)
            || self.ice.apply_key(key, value, report)
            || self.crypto.apply_key(key, value, report)
            || self.codec.apply_key(key, value, report)
            || self.selection.apply_key(key, value, report)
            || self.dtmf.apply_key(key, value, report)
            || self.recording.apply_key(key, value, report)
            || self.sdp.apply_key(key, value, report)?)
    }

    /// Applies a flag word; false if no family of options knows it.
    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>, report: &mut Report) -> bool {
        let ignored = vocabulary::is_ignored(&word.canonical);
        if ignored {
            report.inert("flags", word.original);
        }
        self.addressing.apply_word(word, report)
            || self.media.apply_word(word, report)
            || self.rtcp_mux.apply_word(word, report)
            || self.codec.apply_word(word)
            || self.selection.apply_word(word)
            || self.recording.apply_word(word)
            || self.ice.apply_word(word, report)
            || self.crypto.apply_word(word, report)
            || self.sdp.apply_word(word, report)
            || ignored
    }

    /// The word `WebRTC`: what a browser needs to be offered, in one word (RFC 8827, RFC 8829).
    ///
    /// In an answer (`offers` is false) it cannot choose the transport and the keys: the offer has settled them, and a script
    /// that writes the word into every answer has callers without WebRTC too.
    pub(crate) fn apply_webrtc(&mut self, offers: bool) {
        if offers {
            self.crypto.transport_protocol = Some(TransportProtocol::UdpTlsRtpSavpf);
            self.crypto.sdes.off = true;
            self.rtcp_mux.offer = true;
            self.rtcp_mux.require = true;
        } else {
            self.rtcp_mux.accept = true;
        }
        self.ice.mode = Some(Ice::Force);
        self.ice.trickle = true;
        self.sdp.no_rtcp_attribute = true;
        self.sdp.generate_mid = true;
        self.sdp.bundle.offer = true;
        self.sdp.bundle.require = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Request;
    use crate::testing::{offer, offer_of_string};

    #[test]
    fn webrtc_stands_for_what_browsers_need() {
        let spelt_out = offer_of_string(
            "UDP/TLS/RTP/SAVPF ICE=force trickle-ICE rtcp-mux=[offer require] no-rtcp-attribute SDES=[off] \
             generate-mid bundle=[offer require]",
        );
        assert_eq!(offer(r#""flags":["WebRTC"]"#), spelt_out);
    }

    #[test]
    fn webrtc_in_an_answer_leaves_transport_and_keys_to_the_offer() {
        let parse = |payload: &str| Request::parse(payload.as_bytes()).unwrap().flags;
        let flags = parse(r#"{"command":"answer","flags":["WebRTC","SDES-pad"]}"#);
        assert_eq!(flags.crypto.transport_protocol, None);
        assert!(!flags.crypto.sdes.off && flags.crypto.sdes.pad);
        assert!(flags.rtcp_mux.accept && flags.sdp.no_rtcp_attribute);
        let named = parse(r#"{"command":"answer","rtpp-flags":"WebRTC RTP/SAVP"}"#);
        let transport = named.crypto.transport_protocol;
        assert_eq!(transport, Some(TransportProtocol::RtpSavp));
    }

    #[test]
    fn what_is_known_and_has_no_effect_is_told_apart_from_the_unknown() {
        let request =
            offer(r#""instance":"a","vsc-star-rec":"*1","flags":["unsubscribe","frobnicate"]"#);
        let inert: Vec<_> = request.inert.iter().map(|word| word.key.as_str()).collect();
        assert_eq!(inert, ["instance", "flags"]);
        let unknown = request.unknown.iter().map(|word| word.value.as_str());
        assert_eq!(unknown.collect::<Vec<_>>(), ["*1", "frobnicate"]);
        assert_eq!(request.flags, Flags::default());
    }
}
