//! What the suites share: a client of the control protocol, a relay in this process, and peers that send and receive media.
//!
//! The peers here are deliberately not made of our own crates where that would hide a mistake: SRTP is done by `webrtc-srtp`.

pub mod ng_client;
pub mod rtp_peer;
pub mod sdp;
pub mod srtp_peer;
pub mod test_relay;

pub use ng_client::NgClient;
pub use rtp_peer::{Packet, RtpPeer};
pub use srtp_peer::SrtpPeer;
pub use test_relay::TestRelay;
