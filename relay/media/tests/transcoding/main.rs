//! Speech through the transcoder: every pair of codecs, loss, pauses, and codecs that are not ours.
//!
//! Signals are made here, so that nothing must be shipped; what is heard is judged by signal-to-noise ratios whose floors stand
//! beside each codec.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[cfg(feature = "audio-files")]
mod files;
mod independent;
mod loss;
mod ogg;
mod pairs;
mod pauses;
mod programs;
mod signal;
mod stream;
