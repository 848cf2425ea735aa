//! The shape that every way of moving packets has.
//!
//! A worker owns one back-end and calls it in a fixed order each round: [`Backend::wait`], [`Backend::receive`], and
//! [`Backend::flush`] after the calls have spoken.
//! The calls name sockets by [`SocketId`] and never learn what is behind one.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use relay_packet::{Outbox, Received, SocketId};

use crate::wake::Waker;

/// One worker's sockets.
pub trait Backend {
    /// Binds a media port; fails with `AddrInUse` when somebody has it.
    fn bind(&mut self, address: SocketAddr) -> io::Result<(SocketId, SocketAddr)>;

    /// Closes a media port. The id is not used again soon, so that a packet queued for it goes nowhere and not to a stranger.
    fn close(&mut self, socket: SocketId);

    /// Marks what leaves a media port with a type-of-service octet; `None` stands for that of every new port.
    fn set_tos(&mut self, socket: SocketId, tos: Option<u8>);

    /// Wakes up for a control socket as well, which other back-ends listen on too: of those that sleep, one is woken.
    ///
    /// The caller keeps the socket open and takes the datagrams itself; [`Woken::asked`] is set for as long as there are some.
    fn listen(&mut self, socket: BorrowedFd<'_>) -> io::Result<()>;

    /// Leaves a control socket to the other back-ends, until [`Backend::listen`] is called again.
    fn stop_listening(&mut self, socket: BorrowedFd<'_>) -> io::Result<()>;

    /// How many media ports are bound.
    fn bound(&self) -> usize;

    /// Sleeps until datagrams or a wake-up arrive, at most `timeout` (for ever when `None`).
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Woken>;

    /// Takes at most `limit` datagrams into `batch`, in buffers of `out`. What is left is taken in the next round.
    fn receive(&mut self, now: Instant, limit: usize, out: &mut Outbox, batch: &mut Vec<Received>);

    /// Sends everything that is queued in `out`.
    fn flush(&mut self, out: &mut Outbox);

    /// A handle that ends [`Backend::wait`] from another thread.
    fn waker(&self) -> Waker;

    /// What was moved so far.
    fn counters(&self) -> &NetCounters;
}

/// Why a wait ended. Neither is set when the time was up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// There are datagrams to take.
    pub media: bool,
    /// Somebody called the waker.
    pub called: bool,
    /// A control socket has datagrams, unless another worker was faster.
    pub asked: bool,
}

/// Datagrams and bytes that passed the sockets since the start. Plain integers: one worker writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetCounters {
    /// Datagrams taken from the kernel.
    pub received: u64,
    /// Their payload bytes.
    pub received_bytes: u64,
    /// Datagrams longer than a packet buffer: no audio, no DTLS flight; not looked at.
    pub oversized: u64,
    /// Datagrams that the kernel dropped because a hub was full.
    pub overflowed: u64,
    /// Datagrams at a hub for ports that were closed meanwhile.
    pub unclaimed: u64,
    /// Datagrams at the socket of a port that is steered to a hub: somebody has detached the program.
    pub beside_hub: u64,
    /// Ports that were flooded and left to their own sockets.
    pub flooded: u64,
    /// Sockets that reported an error instead of a datagram.
    pub receive_errors: u64,
    /// Datagrams handed to the kernel.
    pub sent: u64,
    /// Their payload bytes.
    pub sent_bytes: u64,
    /// Datagrams that the kernel refused.
    pub send_failed: u64,
    /// Datagrams for a port that was closed meanwhile.
    pub send_closed: u64,
    /// Datagrams that a raw socket refused, and that were tried once more by the socket of their port.
    pub send_retried: u64,
    /// The last refusal, for a log line a second, not for one per packet.
    pub last_send_error: Option<SendError>,
    /// How often the worker was woken.
    pub wakeups: u64,
    /// How often it napped to let datagrams gather.
    pub naps: u64,
}

/// Where a datagram could not be sent, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendError {
    /// The far end.
    pub destination: SocketAddr,
    /// The kind of error, in the kernel's words when displayed through [`io::Error`].
    pub kind: io::ErrorKind,
    /// The number of the error, for those kinds that the library does not name.
    pub errno: i32,
}
