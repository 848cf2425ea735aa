//! One file a target.

pub mod call;
pub mod dtls;
pub mod media_transport;
pub mod ng_frame;
pub mod ng_request;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod srtp;
pub mod stun;
