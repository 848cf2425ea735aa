//! Which worker owns which call.
//!
//! The control side writes down where it sent an offer; the worker says when a call is gone.
//! These two cross each other: a call may end on its worker while a new offer with the same call-id is on the way to it.
//! So every request carries a ticket, the worker answers with the newest ticket it has seen for the call, and the directory
//! forgets a call only on its newest ticket.

use std::collections::HashMap;
use std::net::IpAddr;

use ng_protocol::CallId;

/// Numbers the requests that were sent to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Calls that a worker may have beyond a sixteenth more than the least loaded one, and still keep the next that it is asked for.
const HEAD_START: usize = 4;

/// Calls and their workers.
#[derive(Debug)]
pub struct Directory {
    calls: HashMap<CallId, Entry>,
    /// Calls of each worker.
    load: Vec<usize>,
    last_ticket: Ticket,
}

#[derive(Debug)]
struct Entry {
    worker: usize,
    newest: Ticket,
    /// Who asked last.
    proxy: Option<IpAddr>,
}

impl Directory {
    /// No calls yet, on `workers` workers (at least one).
    pub fn new(workers: usize) -> Self {
        Self {
            calls: HashMap::new(),
            load: vec![0; workers.max(1)],
            last_ticket: Ticket(0),
        }
    }

    /// The owner of a known call, for a request about it.
    pub fn find(&mut self, call_id: &CallId) -> Option<(usize, Ticket)> {
        let entry = self.calls.get_mut(call_id)?;
        self.last_ticket.0 += 1;
        entry.newest = self.last_ticket;
        Some((entry.worker, entry.newest))
    }

    /// The owner of a new call: the worker that `asks`, which saves it a way, unless it has clearly more calls than another; else
    /// the least loaded one.
    pub fn assign(&mut self, call_id: &CallId, asks: Option<usize>) -> (usize, Ticket) {
        if let Some(known) = self.find(call_id) {
            return known;
        }
        self.last_ticket.0 += 1;
        let workers = self.load.iter().enumerate();
        let (least, calls) = workers
            .min_by_key(|(_, calls)| **calls)
            .map_or((0, 0), |(worker, calls)| (worker, *calls));
        let fair = calls + calls / 16 + HEAD_START;
        let worker = asks
            .filter(|&asks| self.load.get(asks).is_some_and(|load| *load < fair))
            .unwrap_or(least);
        self.load[worker] += 1;
        let entry = Entry {
            worker,
            newest: self.last_ticket,
            proxy: None,
        };
        self.calls.insert(call_id.clone(), entry);
        (worker, self.last_ticket)
    }

    /// A call of another process goes on with this worker.
    pub fn place(&mut self, call_id: &CallId, worker: usize) -> Ticket {
        self.last_ticket.0 += 1;
        self.load[worker] += 1;
        let entry = Entry {
            worker,
            newest: self.last_ticket,
            proxy: None,
        };
        self.calls.insert(call_id.clone(), entry);
        self.last_ticket
    }

    /// The worker has no such call after the request with this ticket.
    pub fn gone(&mut self, call_id: &CallId, ticket: Ticket) {
        let Some(entry) = self.calls.get(call_id) else {
            return;
        };
        if entry.newest == ticket {
            self.load[entry.worker] -= 1;
            self.calls.remove(call_id);
        }
    }

    /// The owner of a known call, for a question that is no request.
    pub fn worker(&self, call_id: &CallId) -> Option<usize> {
        self.calls.get(call_id).map(|entry| entry.worker)
    }

    /// A proxy asked something about a call.
    pub fn note_proxy(&mut self, call_id: &CallId, proxy: IpAddr) {
        if let Some(entry) = self.calls.get_mut(call_id) {
            entry.proxy = Some(proxy);
        }
    }

    /// The proxy that last asked about a call.
    pub fn proxy(&self, call_id: &CallId) -> Option<IpAddr> {
        self.calls.get(call_id)?.proxy
    }

    /// How many calls there are.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Whether this call is known.
    pub fn contains(&self, call_id: &CallId) -> bool {
        self.calls.contains_key(call_id)
    }

    /// At most `limit` call-ids, in no order.
    pub fn call_ids(&self, limit: usize) -> Vec<CallId> {
        self.calls.keys().take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: usize) -> CallId {
        CallId::from(format!("call-{number}").as_str())
    }

    #[test]
    fn new_calls_go_to_the_least_loaded_worker_and_stay_there() {
        let mut directory = Directory::new(3);
        let owners: Vec<usize> = (0..9).map(|n| directory.assign(&call(n), None).0).collect();
        assert_eq!(owners, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
        for number in [0, 3, 6] {
            let (_, ticket) = directory.find(&call(number)).unwrap();
            directory.gone(&call(number), ticket);
        }
        assert_eq!(directory.calls(), 6);
        assert_eq!(directory.assign(&call(10), None).0, 0);
        assert_eq!(
            directory.assign(&call(1), None).0,
            1,
            "a known call keeps its worker"
        );
    }

    #[test]
    fn a_worker_keeps_what_it_is_asked_for_until_it_has_clearly_more() {
        let mut directory = Directory::new(2);
        let owners: Vec<usize> = (0..10)
            .map(|n| directory.assign(&call(n), Some(1)).0)
            .collect();
        assert_eq!(owners, [1, 1, 1, 1, 0, 1, 0, 1, 0, 1]);
        (10..2000).for_each(|n| _ = directory.assign(&call(n), Some(0)));
        let [first, second] = directory.load[..] else {
            panic!("there are two workers");
        };
        assert!(first > second && first <= second + second / 16 + HEAD_START);
    }

    #[test]
    fn a_late_farewell_does_not_remove_a_call_that_was_made_again() {
        let mut directory = Directory::new(1);
        let (_, first) = directory.assign(&call(1), None);
        let (_, second) = directory.assign(&call(1), None);
        directory.gone(&call(1), first);
        assert!(directory.contains(&call(1)));
        directory.gone(&call(1), second);
        assert!(!directory.contains(&call(1)));
        directory.gone(&call(1), second);
        assert_eq!(directory.calls(), 0);
    }

    #[test]
    fn the_list_is_limited() {
        let mut directory = Directory::new(1);
        (0..40).for_each(|n| _ = directory.assign(&call(n), None));
        assert_eq!(directory.call_ids(32).len(), 32);
        assert!(directory.call_ids(0).is_empty());
    }
}
