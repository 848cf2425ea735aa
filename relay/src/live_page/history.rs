//! The last calls, in bounded memory. Workers leave a call here when it is over: a lock a call, never one a packet.
//!
//! Offers that were refused have room of their own, so that somebody who sends many of them cannot push out the calls.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CallView;

/// The last calls.
#[derive(Debug)]
pub struct History {
    most: usize,
    kept: Mutex<Kept>,
}

/// In the order in which they ended.
#[derive(Debug, Default)]
struct Kept {
    calls: VecDeque<Arc<CallView>>,
    refused: VecDeque<Arc<CallView>>,
}

impl History {
    /// Room for so many.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            kept: Mutex::default(),
        }
    }

    /// A call is over; the oldest makes room.
    pub fn push(&self, view: CallView) {
        keep(&mut self.kept().calls, view, self.most);
    }

    /// A first offer was refused; there is room for a quarter as many of them.
    pub fn push_refused(&self, view: CallView) {
        keep(&mut self.kept().refused, view, self.most.div_ceil(4));
    }

    /// Those that a search finds, the newest first.
    pub fn find(&self, search: &str, most: usize) -> Vec<Arc<CallView>> {
        let kept = self.kept();
        let of = |views: &VecDeque<Arc<CallView>>| -> Vec<Arc<CallView>> {
            let found = views.iter().rev().filter(|view| view.is_found_by(search));
            found.take(most).cloned().collect()
        };
        let mut found = of(&kept.calls);
        let refused = of(&kept.refused);
        drop(kept);
        if !refused.is_empty() {
            found.extend(refused);
            found.sort_by_key(|view| std::cmp::Reverse(view.started_ms + view.lasted_ms));
            found.truncate(most);
        }
        found
    }

    /// The last call of this name, or the one that began then.
    pub fn call(&self, id: &str, started_ms: Option<u64>) -> Option<Arc<CallView>> {
        let kept = self.kept();
        let is_meant = |view: &&Arc<CallView>| {
            view.id == id && started_ms.is_none_or(|started| view.started_ms == started)
        };
        let mut all = kept.calls.iter().rev().chain(kept.refused.iter().rev());
        all.find(is_meant).cloned()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A list is whole after every step.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(views: &mut VecDeque<Arc<CallView>>, view: CallView, most: usize) {
    views.push_back(Arc::new(view));
    while views.len() > most {
        views.pop_front();
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
    fn many_refused_offers_push_out_no_call() {
        let history = History::new(4);
        history.push(view("call-1", 1));
        for number in 2..50 {
            history.push_refused(view(&format!("refused-{number}"), number));
        }
        history.push(view("call-50", 50));
        let found = history.find("", 100);
        let ids: Vec<&str> = found.iter().map(|view| view.id.as_str()).collect();
        assert_eq!(ids, ["call-50", "refused-49", "call-1"]);
        assert_eq!(history.find("", 2).len(), 2);
        assert!(history.call("refused-49", Some(49)).is_some());
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
