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
pub mod sdes;
pub mod sdp;
pub mod selection;
pub mod transport_protocol;

pub use addressing::{AddressFamily, Addressing, Tos};
pub use codec::{CodecFlags, CodecSpec};
pub use crypto::{CryptoFlags, Dtls, FingerprintHash, Osrtp};
pub use dtmf::{DtmfFlags, DtmfSecurity};
pub use ice::{Ice, IceFlags, IceLite};
pub use media::{EndpointLearning, MediaEcho, MediaFlags, RtcpMux};
pub use sdes::Sdes;
pub use sdp::{AttributeEdits, Bundle, Replace, SdpFlags, SdpSection};
pub use selection::{All, SelectionFlags};
pub use transport_protocol::TransportProtocol;

use crate::error::NgError;
use crate::spelling::{Report, Spelled};
use crate::value::Value;

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
}

/// Keys that are known and change nothing here.
const INERT_KEYS: &[&str] = &[
    "alias-key",
    "audio-player",
    "blob64",
    "calls",
    "codecs-offer",
    "delay-buffer",
    "dtmf-delay",
    "dtmf-security-trigger",
    "dtmf-security-trigger-end",
    "frequencies",
    "frequency",
    "instance",
    "media",
    "medias",
    "moh",
    "recording-announcement",
    "recording-media-slot-answer",
    "recording-media-slot-offer",
    "recording-media-slots",
    "source-call-id",
    "source-tag",
    "tags",
    "trigger",
    "trigger-end",
    "trigger-end-digits",
    "trigger-end-time",
];

/// Flag words that are known and change nothing here.
const INERT_WORDS: &[&str] = &[
    "block-short",
    "exclude-recording",
    "no-redis-update",
    "recording-announcement",
    "recording-vsc",
    "rtcp-mirror",
    "skip-recording-db",
    "unsubscribe",
];

impl Flags {
    /// Applies a key in canonical spelling; false if no family of options knows it.
    pub(crate) fn apply_key(
        &mut self,
        key: &str,
        value: &Value<'_>,
        report: &mut Report,
    ) -> Result<bool, NgError> {
        if self.addressing.apply_key(key, value, report)
            || self.media.apply_key(key, value, report)
            || self.rtcp_mux.apply_key(key, value, report)
            || self.ice.apply_key(key, value, report)
            || self.crypto.apply_key(key, value, report)
            || self.codec.apply_key(key, value, report)
            || self.selection.apply_key(key, value, report)
            || self.dtmf.apply_key(key, value, report)
            || self.sdp.apply_key(key, value, report)?
        {
            return Ok(true);
        }
        if INERT_KEYS.contains(&key) || key.starts_with("vsc-") {
            report.inert(key, value);
            return Ok(true);
        }
        Ok(false)
    }

    /// Applies a flag word; false if no family of options knows it.
    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>, report: &mut Report) -> bool {
        if word.canonical == "webrtc" {
            self.apply_webrtc();
            return true;
        }
        if self.addressing.apply_word(word, report)
            || self.media.apply_word(word, report)
            || self.rtcp_mux.apply_word(word, report)
            || self.codec.apply_word(word, report)
            || self.selection.apply_word(word)
            || self.ice.apply_word(word, report)
            || self.crypto.apply_word(word, report)
            || self.sdp.apply_word(word, report)
        {
            return true;
        }
        if INERT_WORDS.contains(&word.canonical.as_str()) {
            report.inert("flags", word.original);
            return true;
        }
        false
    }

    /// The word `WebRTC`: what a browser needs to be offered, in one word (RFC 8827, RFC 8829).
    fn apply_webrtc(&mut self) {
        self.crypto.transport_protocol = Some(TransportProtocol::UdpTlsRtpSavpf);
        self.crypto.sdes.off = true;
        self.ice.mode = Some(Ice::Force);
        self.ice.trickle = true;
        self.rtcp_mux.offer = true;
        self.rtcp_mux.require = true;
        self.sdp.no_rtcp_attribute = true;
        self.sdp.generate_mid = true;
        self.sdp.bundle.offer = true;
        self.sdp.bundle.require = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn what_is_known_and_has_no_effect_is_told_apart_from_the_unknown() {
        let request =
            offer(r#""instance":"a","vsc-star-rec":"*1","flags":["unsubscribe","frobnicate"]"#);
        let inert: Vec<_> = request.inert.iter().map(|word| word.key.as_str()).collect();
        assert_eq!(inert, ["instance", "vsc-star-rec", "flags"]);
        assert_eq!(request.unknown.len(), 1);
        assert_eq!(request.unknown[0].value, "frobnicate");
        assert_eq!(request.flags, Flags::default());
    }

    /// Every flag word that the language has.
    const WORDS: &str = "trust-address SIP-source-address symmetric asymmetric unidirectional strict-source \
        media-handover port-latching no-port-latching endpoint-learning-off endpoint-learning-immediate \
        endpoint-learning-delayed endpoint-learning-heuristic NAT-wait pierce-NAT reset recrypt passthrough \
        no-passthrough loop-protect block-DTMF inject-DTMF detect-DTMF block-egress block-short no-jitter-buffer \
        early-media debug no-redis-update all directional new-branch provisional fragment static-codecs reuse-codecs \
        no-codec-renegotiation single-codec allow-transcoding force-transcoding always-transcode \
        allow-asymmetric-codecs allow-no-codec-media record-call recording-announcement exclude-recording \
        discard-recording skip-recording-db recording-vsc WebRTC asymmetric-codecs symmetric-codecs reorder-codecs \
        bidirectional mix inactive siprec RTCP-mirror egress unsubscribe fatal fast to-tag pause generate-mid \
        no-rtcp-attribute full-rtcp-attribute original-sendrecv strip-extmap no-tls-id BUNDLE-accept BUNDLE-offer \
        BUNDLE-require BUNDLE-strict BUNDLE-reject replace-origin replace-origin_full replace-SDP-version \
        replace-force-increment-sdp-ver replace-username replace-session-name replace-zero-address \
        replace-session-connection sdp-attr-add-audio-X sdp-attr-remove-none-X sdp-attr-substitute-audio-A>B \
        reject-ICE ICE-reject ICE-lite-forward ICE-lite-backward ICE-lite-both ICE-lite-off trickle-ICE \
        rtcp-mux-offer rtcp-mux-require rtcp-mux-demux rtcp-mux-accept rtcp-mux-reject SDES-off SDES-no SDES-disable \
        SDES-disabled SDES-no-NULL_HMAC_SHA1_80 SDES-only-AES_CM_128_HMAC_SHA1_80 SDES-nonew SDES-order:A;B; \
        SDES-offerer_pref:A;B; SDES-pad pad-crypto SDES-lifetime SDES-static SDES-prefer SDES-priority \
        SDES-unencrypted_srtp SDES-unencrypted_srtcp SDES-unauthenticated_srtp SDES-encrypted_srtp \
        SDES-encrypted_srtcp SDES-authenticated_srtp SDES-UNENCRYPTED_SRTP OSRTP-offer OSRTP-offer-RFC \
        OSRTP-offer-legacy OSRTP-accept-RFC OSRTP-accept-legacy OSRTP-accept codec-strip-X codec-except-X \
        codec-offer-X codec-transcode-X transcode-X codec-mask-X codec-consume-X codec-accept-X codec-ignore-X \
        codec-set-X T.38-decode generate-RTCP RTP SRTP AVP AVPF DTLS RTP/AVP RTP/AVPF RTP/SAVP RTP/SAVPF \
        UDP/TLS/RTP/SAVP UDP/TLS/RTP/SAVPF internal external";

    /// Every key that the language has, with a value that it takes, as a flags string.
    const KEYS: &str = "received-from=[IP4 192.0.2.1] from-interface=a to-interface=b interface=c inbound-peer=192.0.2.1 \
        outbound-peer=192.0.2.1 peer=192.0.2.1 address-family=IP6 media-address=192.0.2.1 xmlrpc-callback=192.0.2.1 \
        TOS=184 endpoint-learning=off drop-traffic=start media-echo=blackhole media-echo=forward \
        media-echo=backwards media-echo=both passthrough=on all=all all=offer-answer all=except-offer-answer \
        all=flows replace=[origin] extmap=[strip=[all] mask=[urn:x]] bundle=[accept] \
        sdp-attr=[audio=[add=[x] remove=[y] substitute=[[a b]]]] sdp-media-remove=[video] label=a set-label=b \
        from-label=a to-label=b metadata=x supports=[load-limit] sip-message-type=sip_request \
        sip-message-type=sip_reply sip-code=200 sip_response_code=200 ICE=default ICE=remove ICE=force ICE=optional \
        ICE=force-relay ICE=force_relay ICE=[trickle ice2 lite lite-forward lite-backward lite-both lite-off] \
        ICE-lite=both rtcp-mux=require transport-protocol=udptl transport-protocol=accept DTLS=off DTLS=no \
        DTLS=disable DTLS=disabled DTLS=passive DTLS=active DTLS-reverse=passive DTLS-fingerprint=SHA-1 \
        DTLS-fingerprint=SHA-512 SDES=[off pad] OSRTP=[offer] codec=[strip=[a] except=[b] set=[c]] ptime=20 \
        ptime-reverse=30 repacketize=20 T.38=[decode force] T.38-version=0 delay-buffer=10 audio-player=on \
        moh=[file=x mode=sendonly] DTMF-security=drop DTMF-log-dest=192.0.2.1:5000 record-call=yes \
        recording-media-slot-offer=1 recording-media-slot-answer=1 recording-media-slots=2 vsc-pause-rec=x \
        generate-RTCP=on instance=x alias-key=off codecs-offer=x limit=3 delete-delay=0 via-branch=b file=x blob=x \
        blob64=eA db-id=1 repeat-times=2 repeat-duration=3 start-pos=4 code=5 digit=5 duration=250 volume=-8 \
        pause=100 output-destination=x output-file=x recording-file=x recording-dest=x recording-dir=x output-dir=x \
        recording-path=x recording-folder=x recording-directory=x recording-pattern=x output-pattern=x body=x \
        frequency=400 frequencies=[400] DTMF-delay=1 trigger=1 trigger-end=2 trigger-end-time=3 trigger-end-digits=4 \
        DTMF-security-trigger=1 DTMF-security-trigger-end=2 address=192.0.2.1 from-tags=[a b] to-call-id=x \
        source-tag=x source-call-id=x medias=[[type=audio]] calls=[a b] tags=[[from=a to=[b]]] media=[[id=x]]";

    #[test]
    fn no_word_of_the_language_is_unknown() {
        for word in WORDS.split_whitespace() {
            let request = offer(&format!(r#""flags":["{word}"]"#));
            assert_eq!(request.unknown, [], "{word}");
            let spaces = word.replace('-', " ");
            let request = offer(&format!(r#""flags":["{spaces}"]"#));
            assert_eq!(request.unknown, [], "{spaces}");
        }
    }

    #[test]
    fn no_key_of_the_language_is_unknown() {
        assert_eq!(offer_of_string(KEYS).unknown, []);
    }
}
