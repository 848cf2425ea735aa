//! The last calls, in bounded memory. Workers leave a call here when it is over: a lock a call, never one a packet.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CallView;

/// The last calls.
#[derive(Debug)]
pub struct History {
    most: usize,
    calls: Mutex<VecDeque<Arc<CallView>>>,
}

impl History {
    /// Room for so many.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            calls: Mutex::default(),
        }
    }

    /// A call is over; the oldest makes room.
    pub fn push(&self, view: CallView) {
        let mut calls = self.calls();
        calls.push_back(Arc::new(view));
        while calls.len() > self.most {
            calls.pop_front();
        }
    }

    /// Those that a search finds, the newest first.
    pub fn find(&self, search: &str, most: usize) -> Vec<Arc<CallView>> {
        let calls = self.calls();
        let found = calls.iter().rev().filter(|view| view.is_found_by(search));
        found.take(most).cloned().collect()
    }

    /// The last call of this name, or the one that began then.
    pub fn call(&self, id: &str, started_ms: Option<u64>) -> Option<Arc<CallView>> {
        let calls = self.calls();
        let is_meant = |view: &&Arc<CallView>| {
            view.id == id && started_ms.is_none_or(|started| view.started_ms == started)
        };
        calls.iter().rev().find(is_meant).cloned()
    }

    fn calls(&self) -> MutexGuard<'_, VecDeque<Arc<CallView>>> {
        // A list is whole after every step.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(id: &str, started_ms: u64) -> CallView {
        CallView {
            id: id.to_owned(),
            started_ms,
            about: vec!["+4930123456".to_owned()],
            ..CallView::default()
        }
    }

    #[test]
    fn the_oldest_calls_make_room() {
        let history = History::new(3);
        for number in 0..10 {
            history.push(view(&format!("call-{number}"), number));
        }
        let found = history.find("", 100);
        let ids: Vec<&str> = found.iter().map(|view| view.id.as_str()).collect();
        assert_eq!(ids, ["call-9", "call-8", "call-7"]);
        assert_eq!(history.find("all-8", 100).len(), 1);
        assert_eq!(history.find("4930123", 2).len(), 2);
        assert!(history.find("call-1", 100).is_empty());
        let none = History::new(0);
        none.push(view("call", 1));
        assert!(none.find("", 100).is_empty());
    }

    #[test]
    fn calls_of_one_name_are_told_apart_by_their_beginning() {
        let history = History::new(3);
        history.push(view("call", 1));
        history.push(view("call", 2));
        let started = |asked| history.call("call", asked).map(|view| view.started_ms);
        assert_eq!(started(None), Some(2));
        assert_eq!(started(Some(1)), Some(1));
        assert_eq!(started(Some(3)), None);
        assert!(history.call("another", None).is_none());
    }
}
