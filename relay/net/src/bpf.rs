//! As much of eBPF as the relay needs: an assembler, the system call, the program that steers datagrams and the one that forwards them.
//!
//! The programs are instructions written in Rust, so that no compiler, no header and no object file is needed where the relay
//! runs, and what the kernel is given can be read here.

mod forwarding;
mod instruction;
mod steering;
mod system_call;

pub use forwarding::Forwarding;
pub(crate) use forwarding::{Key, LONGEST, PAYLOAD_TYPES, Position, Rewriting};
pub use steering::Steering;
pub(crate) use steering::{BuildDestinationHasher, Destination};
