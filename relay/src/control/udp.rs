//! NG over UDP: one datagram in, one datagram back, from the address that was asked.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use ng_protocol::frame::MAX_DATAGRAM;
use ng_protocol::{Encoding, Frame, Response};
use relay_net::{Arrival, ControlSocket};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tracing::error;

use super::exchange::{Begun, Control};
use super::retransmission::{RequestId, Seen};

/// Datagrams taken from the socket before the other tasks of this thread have their turn.
const TURN: usize = 64;

/// Listens on `socket` until the task is dropped.
pub async fn listen(socket: ControlSocket, control: Control) -> io::Result<()> {
    let socket = Arc::new(socket.wrap(UdpSocket::from_std)?);
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let arrived = socket
            .socket()
            .async_io(Interest::READABLE, || socket.receive(&mut buffer))
            .await;
        match arrived {
            Ok(arrival) => take_safely(&socket, &control, &buffer[..arrival.len], arrival),
            // An error that the network reported for an earlier reply; the next datagram is not affected.
            Err(error) => error!("control port {}: {error}", socket.address()),
        }
        for _ in 1..TURN {
            // Told to the runtime when there is nothing more, so that it need not look again before it waits.
            let next = || socket.receive(&mut buffer);
            let Ok(arrival) = socket.socket().try_io(Interest::READABLE, next) else {
                break;
            };
            take_safely(&socket, &control, &buffer[..arrival.len], arrival);
        }
        tokio::task::yield_now().await;
    }
}

/// One exchange, from the datagram to its reply.
struct Exchange {
    socket: Arc<ControlSocket<UdpSocket>>,
    control: Control,
    arrival: Arrival,
    id: RequestId,
    encoding: Encoding,
}

/// Takes a datagram. A defect that it touches costs this datagram, and not everybody the control port.
fn take_safely(
    socket: &Arc<ControlSocket<UdpSocket>>,
    control: &Control,
    datagram: &[u8],
    arrival: Arrival,
) {
    let taken = catch_unwind(AssertUnwindSafe(|| {
        take(socket, control, datagram, arrival);
    }));
    if taken.is_err() {
        error!(
            "a request from {} met a defect of the relay; please report the lines above",
            arrival.source
        );
    }
}

fn take(
    socket: &Arc<ControlSocket<UdpSocket>>,
    control: &Control,
    datagram: &[u8],
    arrival: Arrival,
) {
    let at = Instant::now();
    let client = arrival.source;
    let Ok(frame) = Frame::split(datagram) else {
        control.dispatch().note_no_cookie(client.ip());
        return;
    };
    let id = RequestId {
        client,
        local: SocketAddr::new(arrival.local, socket.address().port()),
        cookie: frame.cookie.into(),
    };
    let exchange = Exchange {
        socket: Arc::clone(socket),
        control: control.clone(),
        arrival,
        id,
        encoding: frame.encoding(),
    };
    let seen = control.cache().look_up(at, &exchange.id);
    match seen {
        Seen::New => match control.begin(client.ip(), frame.payload, at) {
            Begun::Done(response) => exchange.answer(&response),
            Begun::Underway(underway) => {
                tokio::spawn(async move { exchange.answer(&underway.finish().await) });
            }
        },
        Seen::InProgress => {}
        Seen::Answered(reply) => exchange.send(&reply, 1),
    }
}

impl Exchange {
    /// Encodes the reply, keeps it for copies of the request, and sends it.
    fn answer(self, response: &Response) {
        let mut reply = response.to_datagram(&self.id.cookie, self.encoding);
        if reply.len() > MAX_DATAGRAM {
            let size = reply.len();
            let error = Response::error(format!(
                "the reply of {size} bytes is too long for UDP; ask for less, or over TCP or HTTP"
            ));
            reply = error.to_datagram(&self.id.cookie, self.encoding);
        }
        let reply: Arc<[u8]> = reply.into();
        let copies = self.control.cache().answered(&self.id, &reply);
        self.send(&reply, copies);
    }

    fn send(self, reply: &Arc<[u8]>, copies: u32) {
        for _ in 0..copies {
            let sent = self
                .socket
                .send(reply, self.arrival.source, self.arrival.local);
            // A full socket buffer loses the reply as the network might; the proxy asks again and gets it from the cache.
            if let Err(error) = sent
                && error.kind() != io::ErrorKind::WouldBlock
            {
                error!(
                    "reply to {} could not be sent: {error}",
                    self.arrival.source
                );
                return;
            }
        }
    }
}
