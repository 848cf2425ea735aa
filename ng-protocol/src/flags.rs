//! The options of a request, grouped by what they are about.
//!
//! Proxies write the same option in many ways: as a word in `flags`, as a key with a value, as an element of a list,
//! inside the `rtpp-flags` string. All of them end here, in one typed form.

pub mod addressing;
pub mod codec;
pub mod crypto;
pub mod ice;
pub mod media;
pub mod sdp;
pub mod selection;

pub use addressing::{AddressFamily, Addressing, Tos};
pub use codec::{CodecFlags, CodecSpec};
pub use crypto::{CryptoFlags, Dtls, FingerprintHash, Osrtp, Sdes, TransportProtocol};
pub use ice::{Ice, IceFlags, IceLite};
pub use media::{EndpointLearning, MediaEcho, MediaFlags, RtcpMux};
pub use sdp::{AttributeEdits, Bundle, Replace, SdpFlags, SdpSection};
pub use selection::{All, SelectionFlags};

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
}
