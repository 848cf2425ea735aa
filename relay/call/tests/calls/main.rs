//! Whole calls: requests in, replies out; datagrams in, datagrams out. No sockets, no sleeping.

#![expect(
    clippy::unwrap_used,
    reason = "everything here is a test or reads test data"
)]

mod agents;
mod allocations;
mod bundle;
mod bypass;
mod connectivity;
mod dtmf_security;
mod examples;
mod exchange;
#[path = "../../../../tests/data/ng/exchanges.rs"]
mod exchanges;
mod extended_reports;
mod fax;
mod generated_reports;
mod hold_music;
mod keys;
mod keys_in_speech;
mod masked;
mod media;
mod media_path;
mod pair;
mod passthrough;
mod pauses;
mod play_dtmf;
mod play_media;
mod quality;
mod recorded;
mod recorded_egress;
mod recording;
mod restored;
mod restrict;
mod sdp_options;
mod shortcomings;
mod sides;
mod subscribe;
mod support;
mod transcoded;
mod transcoded_quality;
mod whatsapp;
// What the transcoder's own tests use: the codecs of `transcoded` are by the same other hands.
#[path = "../../../media/tests/transcoding/ogg.rs"]
mod ogg;
#[path = "../../../media/tests/transcoding/programs.rs"]
mod programs;
#[path = "../../../media/tests/transcoding/signal.rs"]
mod signal;
#[allow(dead_code, reason = "some of it is for those tests alone")]
#[path = "../../../media/tests/transcoding/stream.rs"]
mod stream;
