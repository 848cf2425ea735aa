//! STUN, ICE, DTLS, SRTP, RTP and RTCP on one local port. Pure: no sockets, no clock.

pub mod dtls;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
