//! The decisions of an offer and its answer, one topic a file. Nothing here writes SDP or opens ports.

pub mod codecs;
pub mod crypto;
pub mod dtls;
pub mod ice;
pub mod mux;
pub mod sdes;
