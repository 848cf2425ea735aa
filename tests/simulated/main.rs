//! Whole calls in invented time: the relay's core between a simulated Meta, which stands on other libraries, and a PBX, over a
//! seeded network that loses, delays, reorders and repeats. No socket is opened and nobody sleeps.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

mod alaw;
mod pbx;
mod restored_call;
mod transcoding;
mod whatsapp_call;
mod world;
