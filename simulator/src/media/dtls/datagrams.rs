//! The socket OpenSSL believes it has.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
#[cfg(test)]
use std::time::Duration;

use super::timer::Timer;

/// What OpenSSL takes for its socket: one write is one datagram, one read is one datagram.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    pub(super) inbound: VecDeque<Vec<u8>>,
    pub(super) outbound: VecDeque<Vec<u8>>,
    pub(super) timer: Arc<Timer>,
    /// Tests play a slow machine.
    #[cfg(test)]
    pub(super) pause: Option<Duration>,
}

impl Datagrams {
    /// Datagrams that may wait; the reader empties the queue at once, so it stays nearly empty.
    pub(super) const CAPACITY: usize = 64;
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(test)]
        if let Some(pause) = self.pause {
            std::thread::sleep(pause);
        }
        let datagram = self.inbound.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if self.timer.lets_out(datagram) && self.outbound.len() < Self::CAPACITY {
            self.outbound.push_back(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
