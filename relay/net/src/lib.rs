//! UDP sockets and the ways to move packets through them.
//!
//! This crate knows file descriptors and the kernel; it knows no call, no protocol and no control language.
//! It is the only place where the relay makes system calls that the standard library does not wrap.
//!
//! - [`Backend`] is the shape. [`PerPort`] is the implementation that works anywhere: one bound, unconnected socket per media
//!   port, epoll, a bounded drain, and a nap that lets packets gather while the worker is busy ([`Coalescer`]). [`Hub`] steers
//!   all ports of a worker to one socket, so that a system call moves many packets. [`DataPath`] chooses.
//! - [`KernelPath`] has the kernel forward what needs no process, beside either of them.
//! - [`ControlSocket`] answers from the address that was asked.
//! - [`tcp`] listens for the transports that are no datagrams.
//! - [`Wake`], [`affinity`], [`interfaces`], [`open_files`], [`code`], [`clock`] and [`background`] are what a worker thread and a daemon need besides.

pub mod affinity;
mod backend;
pub mod background;
mod bpf;
pub mod clock;
mod coalesce;
pub mod code;
mod control_socket;
mod data_path;
mod hub;
pub mod interfaces;
mod kernel_path;
pub mod open_files;
mod per_port;
mod routes;
mod socket;
pub mod tcp;
#[cfg(test)]
mod testing;
mod wake;

pub use backend::{Backend, NetCounters, SendError, Woken};
pub use bpf::{Forwarding, Steering};
pub use coalesce::Coalescer;
pub use control_socket::{Arrival, ControlSocket};
pub use data_path::{DataPath, Tier, Unavailable};
pub use hub::Hub;
pub use kernel_path::{Forwarded, KernelPath};
pub use per_port::PerPort;
pub use socket::{SocketOptions, bind, local_address};
pub use wake::{Wake, Waker};
