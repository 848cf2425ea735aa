//! The control side: what proxies ask, and who answers it.
//!
//! A datagram goes through `udp` (cookie, retransmission), `dispatch` (which worker, limits, the commands that need no call), and
//! comes back the same way.
//! All of it runs on one thread: a request is microseconds of work here, and the media workers are other threads.

pub mod directory;
pub mod dispatch;
pub mod retransmission;
pub mod udp;
