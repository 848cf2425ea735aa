//! The peer's handshake messages, put together, in order, each once.
//!
//! The library gets nothing but that. It would cope with most of what a lossy path does to a flight, but not with all: peers
//! that cut their messages otherwise when they repeat them can stall it, and what it cannot place fills its queue, which is fatal.

use super::DtlsRole;
use super::record::{
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_STATUS, CERTIFICATE_VERIFY, CLIENT_HELLO,
    CLIENT_KEY_EXCHANGE, HELLO_VERIFY_REQUEST, HandshakeFragment, NEW_SESSION_TICKET, SERVER_HELLO,
    SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE, handshake_record,
};

/// Longest message we put together; certificate chains are the longest and stay well below.
const MAX_MESSAGE_LEN: usize = 16_000;
/// How many messages may wait for an earlier one. No flight has more.
const MAX_AHEAD: u16 = 8;

/// What a fragment turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// Part of a message that is still needed.
    Awaited,
    /// The message that ends a flight, again: the peer has not got our answer.
    FlightRepeated,
    /// Anything else: a repetition within a flight, or nothing that this peer may send.
    Useless,
}

/// Messages under way.
#[derive(Debug)]
pub(super) struct Reassembly {
    peer: DtlsRole,
    next_seq: u16,
    /// Messages from `next_seq` on, in no order; at most [`MAX_AHEAD`].
    partial: Vec<Partial>,
    record_sequence: u32,
}

#[derive(Debug)]
struct Partial {
    message_type: u8,
    message_seq: u16,
    body: Vec<u8>,
    /// Which bytes of the body are there, as disjoint ascending ranges.
    present: Vec<(usize, usize)>,
}

impl Reassembly {
    /// For the messages of a peer in that role.
    pub(super) fn new(peer: DtlsRole) -> Self {
        Self {
            peer,
            next_seq: 0,
            partial: Vec::new(),
            record_sequence: 0,
        }
    }

    /// Whether a whole message has come.
    pub(super) fn has_begun(&self) -> bool {
        self.next_seq > 0
    }

    /// Takes a fragment of epoch 0.
    pub(super) fn add(&mut self, fragment: &HandshakeFragment<'_>) -> Placed {
        if !may_send(self.peer, fragment.message_type) || fragment.length > MAX_MESSAGE_LEN {
            return Placed::Useless;
        }
        if fragment.message_seq < self.next_seq {
            return if ends_flight(fragment) {
                Placed::FlightRepeated
            } else {
                Placed::Useless
            };
        }
        if fragment.message_seq - self.next_seq >= MAX_AHEAD {
            return Placed::Useless;
        }
        let same = |partial: &&mut Partial| partial.message_seq == fragment.message_seq;
        match self.partial.iter_mut().find(same) {
            Some(partial) => partial.add(fragment),
            None => {
                let mut partial = Partial::new(fragment);
                partial.add(fragment);
                self.partial.push(partial);
            }
        }
        Placed::Awaited
    }

    /// The next message as a record with its type and body, when it is complete.
    pub(super) fn next_message(&mut self) -> Option<Message> {
        let next_seq = self.next_seq;
        let ready = |partial: &Partial| partial.message_seq == next_seq && partial.is_complete();
        let place = self.partial.iter().position(ready)?;
        let Partial {
            message_type, body, ..
        } = self.partial.swap_remove(place);
        let record = handshake_record(self.record_sequence, message_type, next_seq, &body);
        self.next_seq += 1;
        self.record_sequence += 1;
        Some(Message {
            message_type,
            body,
            record,
        })
    }
}

/// A whole handshake message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) message_type: u8,
    pub(super) body: Vec<u8>,
    /// The message in a record of its own.
    pub(super) record: Vec<u8>,
}

impl Partial {
    fn new(fragment: &HandshakeFragment<'_>) -> Self {
        Self {
            message_type: fragment.message_type,
            message_seq: fragment.message_seq,
            body: vec![0; fragment.length],
            present: Vec::new(),
        }
    }

    /// Fragments of one message must agree about it; what does not is left out.
    fn add(&mut self, fragment: &HandshakeFragment<'_>) {
        let end = fragment.offset + fragment.body.len();
        if fragment.message_type != self.message_type || fragment.length != self.body.len() {
            return;
        }
        let Some(place) = self.body.get_mut(fragment.offset..end) else {
            return;
        };
        place.copy_from_slice(fragment.body);
        let (mut start, mut stop) = (fragment.offset, end);
        self.present.retain(|(from, to)| {
            let touches = *from <= stop && start <= *to;
            if touches {
                start = start.min(*from);
                stop = stop.max(*to);
            }
            !touches
        });
        let at = self.present.partition_point(|(from, _)| *from < start);
        self.present.insert(at, (start, stop));
    }

    fn is_complete(&self) -> bool {
        self.present == [(0, self.body.len())]
    }
}

/// RFC 5246 section 7.3: which messages come from which side before its ChangeCipherSpec.
fn may_send(peer: DtlsRole, message_type: u8) -> bool {
    match peer {
        DtlsRole::Client => {
            matches!(
                message_type,
                CLIENT_HELLO | CERTIFICATE | CERTIFICATE_VERIFY | CLIENT_KEY_EXCHANGE
            )
        }
        DtlsRole::Server => matches!(
            message_type,
            SERVER_HELLO
                | HELLO_VERIFY_REQUEST
                | NEW_SESSION_TICKET
                | CERTIFICATE
                | SERVER_KEY_EXCHANGE
                | CERTIFICATE_REQUEST
                | SERVER_HELLO_DONE
                | CERTIFICATE_STATUS
        ),
    }
}

/// Whether this is the beginning of a message that occurs once in each repetition of a flight (RFC 6347 section 4.2.4).
fn ends_flight(fragment: &HandshakeFragment<'_>) -> bool {
    let once = matches!(
        fragment.message_type,
        CLIENT_HELLO | HELLO_VERIFY_REQUEST | SERVER_HELLO_DONE | CLIENT_KEY_EXCHANGE
    );
    once && fragment.offset == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fragment(message_seq: u16, body: &[u8], from: usize, to: usize) -> HandshakeFragment<'_> {
        HandshakeFragment {
            message_type: CERTIFICATE,
            length: body.len(),
            message_seq,
            offset: from,
            body: &body[from..to],
        }
    }

    #[test]
    fn messages_come_out_in_order_and_once() {
        let mut reassembly = Reassembly::new(DtlsRole::Client);
        assert_eq!(
            reassembly.add(&fragment(1, b"second", 0, 6)),
            Placed::Awaited
        );
        assert!(reassembly.next_message().is_none());
        assert_eq!(
            reassembly.add(&fragment(0, b"first", 0, 5)),
            Placed::Awaited
        );
        assert_eq!(reassembly.next_message().unwrap().body, b"first");
        assert_eq!(reassembly.next_message().unwrap().body, b"second");
        assert!(reassembly.next_message().is_none());
        assert_eq!(
            reassembly.add(&fragment(0, b"first", 0, 5)),
            Placed::Useless
        );
    }

    #[test]
    fn only_the_end_of_a_flight_counts_as_its_repetition() {
        let mut reassembly = Reassembly::new(DtlsRole::Server);
        let mut done = fragment(0, b"", 0, 0);
        done.message_type = SERVER_HELLO_DONE;
        assert_eq!(reassembly.add(&done), Placed::Awaited);
        assert!(reassembly.next_message().is_some());
        assert_eq!(reassembly.add(&done), Placed::FlightRepeated);
        done.message_type = SERVER_HELLO;
        assert_eq!(reassembly.add(&done), Placed::Useless);
    }

    #[test]
    fn what_this_peer_may_not_send_is_left_out() {
        let mut reassembly = Reassembly::new(DtlsRole::Server);
        let mut hello = fragment(0, b"hello", 0, 5);
        hello.message_type = CLIENT_HELLO;
        assert_eq!(reassembly.add(&hello), Placed::Useless);
        assert_eq!(reassembly.add(&fragment(8, b"far", 0, 3)), Placed::Useless);
        let long = HandshakeFragment {
            length: 1 << 20,
            ..fragment(0, b"long", 0, 4)
        };
        assert_eq!(reassembly.add(&long), Placed::Useless);
    }

    proptest! {
        /// A message is whole exactly when every byte has come, however it was cut and mixed.
        #[test]
        fn overlapping_fragments_in_any_order(cuts in prop::collection::vec((0usize..50, 0usize..50), 1..30)) {
            let body: Vec<u8> = (0..50).collect();
            let mut reassembly = Reassembly::new(DtlsRole::Client);
            let mut present = [false; 50];
            for (a, b) in cuts {
                let (from, to) = (a.min(b), a.max(b));
                reassembly.add(&fragment(0, &body, from, to));
                present[from..to].fill(true);
                let message = reassembly.next_message();
                prop_assert_eq!(message.is_some(), present.iter().all(|p| *p));
                if let Some(message) = message {
                    prop_assert_eq!(message.body, body);
                    break;
                }
            }
        }
    }
}
