//! Whole calls: requests in, replies out; datagrams in, datagrams out. No sockets, no sleeping.

#![expect(
    clippy::unwrap_used,
    reason = "everything here is a test or reads test data"
)]

mod examples;
mod exchange;
mod exchanges;
mod masked;
mod media;
mod recorded;
mod restrict;
mod support;
mod whatsapp;
