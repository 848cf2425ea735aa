//! The real daemon in this process, real UDP on loopback addresses.
//!
//! Each test has a loopback address of its own, so that tests can run side by side and can count the kernel's sockets.

mod control;
mod hold_music;
mod http;
mod hygiene;
mod kernel;
mod limits;
mod live_page;
mod media;
mod outside;
mod recording;
mod soak;
mod tcp;
mod third_party;
mod websocket;
