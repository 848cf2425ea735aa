//! One call: legs, SDP, offer and answer, forward paths. Pure: no sockets, no clock.

pub mod ports;
pub mod sdp;
