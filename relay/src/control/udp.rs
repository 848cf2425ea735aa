//! NG over UDP: one datagram in, one datagram back, from the address that was asked.
//!
//! Nearly every request comes this way, so it takes no way round: each worker listens beside its media ports, the one that the
//! kernel wakes reads the request, and if the call is its own, or a new one, it carries the request out and answers at once.
//! Otherwise the request goes into the queue of the call's worker, which answers itself; and while requests are few, whoever was
//! woken in vain leaves the sockets to the others for a moment.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ng_protocol::frame::MAX_DATAGRAM;
use ng_protocol::{CallId, Command, Encoding, Frame, Request, Response};
use relay_net::{Arrival, ControlSocket};
use tokio::runtime;
use tracing::error;

use super::directory::Ticket;
use super::dispatch::Route;
use super::exchange::{Asked, Begun, Control};
use super::retransmission::{RequestId, Seen};
use crate::homer::Reporter;
use crate::worker::{Handled, ReplyTo};

thread_local! {
    /// Where a reply is written, whose length nobody knows before.
    static REPLY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Room for the longest datagram that there is.
pub(crate) const LONGEST: usize = u16::MAX as usize;

/// The control sockets of UDP, which all workers share.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<ControlSocket>,
    waiting: Waiting,
    control: Control,
    /// Sees every request and every reply, once (`homer-enable-ng`).
    witness: Option<Reporter>,
    /// For commands that a worker cannot wait for.
    tasks: runtime::Handle,
}

/// How many workers wait for the control sockets at this moment.
#[derive(Debug, Default)]
pub(crate) struct Waiting(AtomicUsize);

impl Waiting {
    pub(crate) fn join(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a worker may leave the sockets to the others: the last one may not.
    pub(crate) fn leave(&self) -> bool {
        let one_less = |waiting: usize| (waiting > 1).then(|| waiting - 1);
        let left = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
        left.is_ok()
    }
}

/// What a worker has to do with a datagram that it took.
pub(crate) enum Taken {
    /// Nothing any more.
    Served,
    /// Nothing: it is for the worker that has the call, and on its way there.
    Passed,
    /// Send the reply.
    Answered(Reply),
    /// Carry it out, and then [`UdpExchange::give`].
    Yours(Box<Yours>),
}

/// A request for the worker that took it.
pub(crate) struct Yours {
    pub(crate) request: Request,
    pub(crate) exchange: UdpExchange,
}

impl Listener {
    /// Answers on `sockets`. Long commands run on `tasks`.
    pub(crate) fn new(
        sockets: Vec<ControlSocket>,
        control: Control,
        witness: Option<Reporter>,
        tasks: runtime::Handle,
    ) -> Self {
        Self {
            sockets,
            waiting: Waiting::default(),
            control,
            witness,
            tasks,
        }
    }

    /// The workers that wait for the sockets.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// The sockets, to wait for them.
    pub(crate) fn sockets(&self) -> &[ControlSocket] {
        &self.sockets
    }

    /// Takes the next datagram of a socket for `worker`; `None` if there is none.
    pub(crate) fn take(
        self: &Arc<Self>,
        socket: usize,
        worker: usize,
        buffer: &mut [u8],
    ) -> Option<Taken> {
        let arrival = match self.sockets[socket].receive(buffer) {
            Ok(arrival) => arrival,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) => {
                // An error that the network reported for an earlier reply; the next datagram is not affected.
                error!("control port {}: {error}", self.sockets[socket].address());
                return Some(Taken::Served);
            }
        };
        let datagram = &buffer[..arrival.len];
        let taken = catch_unwind(AssertUnwindSafe(|| {
            self.begin(socket, worker, datagram, arrival)
        }));
        // A defect that a datagram touches costs this datagram, and not everybody the control port.
        Some(taken.unwrap_or_else(|_| {
            error!(
                "a request from {} met a defect of the relay; please report the lines above",
                arrival.source
            );
            Taken::Served
        }))
    }

    fn begin(
        self: &Arc<Self>,
        socket: usize,
        worker: usize,
        datagram: &[u8],
        arrival: Arrival,
    ) -> Taken {
        let at = Instant::now();
        let client = arrival.source;
        let Ok(frame) = Frame::split(datagram) else {
            self.control.dispatch().note_no_cookie(client.ip());
            return Taken::Served;
        };
        let port = self.sockets[socket].address().port();
        let mut way = Way {
            listener: Arc::clone(self),
            socket,
            arrival,
            id: RequestId {
                client,
                local: SocketAddr::new(arrival.local, port),
                cookie: frame.cookie.into(),
            },
            encoding: frame.encoding(),
            correlation: None,
        };
        let seen = self.control.cache().look_up(at, &way.id);
        match seen {
            Seen::New => {}
            Seen::InProgress => return Taken::Served,
            Seen::Answered(datagram) => {
                return Taken::Answered(Reply {
                    way,
                    datagram,
                    copies: 1,
                });
            }
        }
        let read = self.control.read(client.ip(), frame.payload, at);
        if let Some(witness) = &self.witness {
            let asked = read.as_ref().ok().map(|(_, asked)| asked);
            let call_id = asked.and_then(|asked| asked.call_id.as_ref());
            let correlation = call_id.map_or(frame.cookie, CallId::as_bytes);
            witness.control([client, way.id.local], correlation, datagram);
            way.correlation = Some(correlation.into());
        }
        match read {
            Ok((request, asked)) => self.distribute(worker, request, asked, way),
            Err(response) => Taken::Answered(way.answer(&response)),
        }
    }

    fn distribute(&self, worker: usize, request: Request, asked: Asked, way: Way) -> Taken {
        if request.command == Command::Cli {
            match self.control.begin(request, asked) {
                Begun::Done(response) => return Taken::Answered(way.answer(&response)),
                Begun::Underway(underway) => {
                    self.tasks
                        .spawn(async move { way.answer(&underway.finish().await).send() });
                    return Taken::Served;
                }
            }
        }
        let dispatch = self.control.dispatch();
        let owner = match dispatch.route(&request, Some(worker)) {
            Route::Worker(owner) => owner,
            Route::Answered(response) => {
                self.control.note(&asked, &response);
                return Taken::Answered(way.answer(&response));
            }
        };
        let exchange = UdpExchange {
            way,
            asked,
            ticket: owner.ticket,
        };
        if owner.worker == worker {
            return Taken::Yours(Box::new(Yours { request, exchange }));
        }
        let reply = ReplyTo::Proxy(Box::new(exchange));
        match dispatch.deliver(owner, Box::new(request), reply) {
            Ok(()) => Taken::Passed,
            Err((reply, handled)) => reply.give(handled).map_or(Taken::Served, Taken::Answered),
        }
    }
}

/// A request about a call that came over UDP, for whoever has the reply.
#[derive(Debug)]
pub struct UdpExchange {
    way: Way,
    asked: Asked,
    ticket: Ticket,
}

impl UdpExchange {
    /// Its number in the directory.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// The reply, ready to be sent. The directory has heard what became of the call.
    pub(crate) fn give(self, handled: &Handled) -> Reply {
        let control = &self.way.listener.control;
        let call_id: Option<&CallId> = self.asked.call_id.as_ref();
        if let Some(call_id) = call_id {
            control.dispatch().settle(call_id, self.ticket, handled);
        }
        control.note(&self.asked, &handled.response);
        self.way.answer(&handled.response)
    }
}

/// A reply on its way out.
#[derive(Debug)]
#[must_use = "whoever asked waits for it"]
pub(crate) struct Reply {
    way: Way,
    datagram: Arc<[u8]>,
    /// How many copies of the request there were.
    copies: u32,
}

impl Reply {
    pub(crate) fn send(&self) {
        let arrival = &self.way.arrival;
        let socket = &self.way.listener.sockets[self.way.socket];
        for _ in 0..self.copies {
            let sent = socket.send(&self.datagram, arrival.source, arrival.local);
            // A full socket buffer loses the reply as the network might; the proxy asks again and gets it from the cache.
            if let Err(error) = sent
                && error.kind() != io::ErrorKind::WouldBlock
            {
                error!("reply to {} could not be sent: {error}", arrival.source);
                return;
            }
        }
    }
}

/// Back to whoever asked.
#[derive(Debug)]
struct Way {
    listener: Arc<Listener>,
    socket: usize,
    arrival: Arrival,
    id: RequestId,
    encoding: Encoding,
    /// What the witness knows the request by.
    correlation: Option<Box<[u8]>>,
}

impl Way {
    /// Encodes the reply, and keeps it for copies of the request.
    fn answer(self, response: &Response) -> Reply {
        let datagram = REPLY.with_borrow_mut(|reply| {
            reply.clear();
            response.append_datagram(&self.id.cookie, self.encoding, reply);
            let size = reply.len();
            if size > MAX_DATAGRAM {
                let error = Response::error(format!(
                    "the reply of {size} bytes is too long for UDP; ask for less, or over TCP or HTTP"
                ));
                *reply = error.to_datagram(&self.id.cookie, self.encoding);
            }
            Arc::from(reply.as_slice())
        });
        if let (Some(witness), Some(correlation)) = (&self.listener.witness, &self.correlation) {
            witness.control([self.id.local, self.id.client], correlation, &datagram);
        }
        let copies = self.listener.control.cache().answered(&self.id, &datagram);
        Reply {
            way: self,
            datagram,
            copies,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_worker_does_not_leave_the_sockets() {
        let waiting = Waiting::default();
        waiting.join();
        assert!(!waiting.leave());
        waiting.join();
        assert!(waiting.leave());
        assert!(!waiting.leave());
    }
}
