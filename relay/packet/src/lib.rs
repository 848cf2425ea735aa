//! The packet buffer that everybody shares.
//!
//! One buffer travels from receive to send: the back-end fills it, the core decrypts, rewrites and encrypts it in place, the
//! back-end sends it and gives it back to the [`Pool`].
//! Nothing here knows a protocol, a socket or the time.

mod buf;
mod drop_reason;
mod outbox;
mod plain_stream;
mod pool;

pub use buf::{CAPACITY, HEADROOM, PacketBuf, TAILROOM};
pub use drop_reason::DropReason;
pub use outbox::{Outbox, Received, SocketId, Transmit};
pub use plain_stream::{PlainStream, StreamProgress};
pub use pool::Pool;
