//! NG over TCP: the same messages as over UDP, one after the other.
//!
//! There is nothing between the messages; [`Boundary`] finds where one ends.
//! A client may ask again before it has the reply, and gets the replies in the order of its requests.
//! What cannot be a message is answered, as far as there is a cookie to answer to, and ends the connection: nobody can tell where
//! the next message would begin.

use std::future::pending;
use std::io;
use std::sync::Arc;

use ng_protocol::stream::{Boundary, Found};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};

use super::connections::{LONGEST_MESSAGE, PATIENCE, Peer, Place};
use super::exchange::{Control, Ends, InOrder};

/// Bytes read at once.
const PIECE: usize = 16 * 1024;

/// Serves one connection to its end.
pub(crate) async fn serve<S>(mut stream: S, peer: Peer, control: Control, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ends = Ends {
        client: peer.client.ip(),
        local: peer.local,
    };
    let mut connection = Connection {
        ends,
        control: control.clone(),
        boundary: Boundary::default(),
        buffer: Vec::new(),
        begun: None,
        replies: InOrder::default(),
        notices: control.notices(),
    };
    if let Err(problem) = connection.run(&mut stream).await {
        control
            .dispatch()
            .note_broken_connection("tcp", peer.client, &problem);
    }
    // The client may have gone first.
    let _ = stream.shutdown().await;
    drop(place);
}

struct Connection {
    ends: Ends,
    control: Control,
    boundary: Boundary,
    /// What has arrived and is not a whole message yet.
    buffer: Vec<u8>,
    /// Since when a message is incomplete.
    begun: Option<Instant>,
    replies: InOrder,
    /// What the client is told without having asked.
    notices: Option<broadcast::Receiver<Arc<[u8]>>>,
}

impl Connection {
    async fn run<S>(&mut self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut piece = vec![0; PIECE];
        loop {
            if let Err(problem) = self.take() {
                self.answer_all(stream).await?;
                return Err(problem);
            }
            let late = self.begun.map(|begun| begun + PATIENCE);
            tokio::select! {
                biased;
                reply = self.replies.next() => write(stream, reply).await?,
                notice = next_notice(&mut self.notices) => write(stream, Some(notice)).await?,
                read = stream.read(&mut piece), if self.replies.has_room() => match read? {
                    0 => return self.end(stream).await,
                    len => self.buffer.extend_from_slice(&piece[..len]),
                },
                () = sleep_until_some(late), if self.replies.is_empty() => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }

    /// Takes the messages that are whole.
    fn take(&mut self) -> io::Result<()> {
        while self.replies.has_room() {
            match self.boundary.find(&self.buffer) {
                Found::Message(range) => {
                    let exchange = self.control.take(self.ends, &self.buffer[range.clone()]);
                    self.replies.push(exchange.map_err(io::Error::other)?);
                    self.buffer.drain(..range.end);
                    self.begun = None;
                }
                Found::Incomplete if self.buffer.len() > LONGEST_MESSAGE => {
                    return Err(broken("the message is too long"));
                }
                Found::Incomplete => {
                    if self.boundary.is_between_messages() {
                        // Line ends alone.
                        self.buffer.clear();
                        self.boundary = Boundary::default();
                    } else {
                        self.begun.get_or_insert_with(Instant::now);
                    }
                    return Ok(());
                }
                Found::Broken(range) => {
                    self.refuse(range.start);
                    return Err(broken("this is no message"));
                }
            }
        }
        Ok(())
    }

    /// The client has said all it wanted to say, and still wants its replies.
    async fn end<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        let mut taken = self.take();
        while taken.is_ok() && !self.replies.is_empty() {
            write(stream, self.replies.next().await).await?;
            taken = self.take();
        }
        if taken.is_ok() && !self.boundary.is_between_messages() {
            let cookie = self.buffer.iter().position(|byte| !b"\r\n".contains(byte));
            self.refuse(cookie.unwrap_or(0));
            taken = Err(broken("the connection ended within a message"));
        }
        self.answer_all(stream).await?;
        taken
    }

    fn refuse(&mut self, start: usize) {
        let refusal = self.control.refuse(self.ends.client, &self.buffer[start..]);
        if let Some(exchange) = refusal {
            self.replies.push(exchange);
        }
    }

    async fn answer_all<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        while !self.replies.is_empty() {
            write(stream, self.replies.next().await).await?;
        }
        Ok(())
    }
}

/// The next message for a client that did not ask. One that reads too slowly misses some.
async fn next_notice(notices: &mut Option<broadcast::Receiver<Arc<[u8]>>>) -> Arc<[u8]> {
    while let Some(receiver) = notices {
        match receiver.recv().await {
            Ok(notice) => return notice,
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => *notices = None,
        }
    }
    pending().await
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, reply: Option<Arc<[u8]>>) -> io::Result<()> {
    let reply = reply.ok_or_else(|| broken("a request met a defect of the relay"))?;
    stream.write_all(&reply).await?;
    stream.flush().await
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

fn broken(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
