//! Fuzz targets, usable from libFuzzer and from a plain program.
//!
//! A target is a function that takes any bytes and must neither panic nor take long. Each lives in a file of
//! [`targets`] together with the seeds that mutation starts from. To add one: write the file, add it to [`TARGETS`],
//! and for libFuzzer copy one of the three-line programs in `fuzz_targets/` and its entry in `Cargo.toml`.

pub mod mutation;
pub mod recorded;
pub mod script;
pub mod targets;

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name on the command line, that of its file.
    pub name: &'static str,
    /// Takes any bytes; a panic is a bug found.
    pub run: fn(&[u8]),
    /// Valid inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces of the language that mutation should try to insert.
    pub words: &'static [&'static [u8]],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    targets::ng_frame::TARGET,
    targets::ng_request::TARGET,
    targets::sdp::TARGET,
    targets::stun::TARGET,
    targets::rtp::TARGET,
    targets::rtcp::TARGET,
    targets::srtp::TARGET,
    targets::dtls::TARGET,
    targets::media_transport::TARGET,
    targets::call::TARGET,
];
