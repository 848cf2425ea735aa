//! What is counted and logged about requests, and about what came in place of them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ng_protocol::{CallId, Command, Request, Response};
use tracing::{debug, warn};

use super::{Dispatch, PATIENCE};

/// Different words that are complained about once each. A proxy with a bug must not fill memory with them.
const MOST_WORDS: usize = 1000;

impl Dispatch {
    /// A request was answered: count it, and log what an operator wants to know about it.
    pub fn note(
        &self,
        command: Command,
        call_id: Option<&CallId>,
        client: IpAddr,
        took: Duration,
        response: &Response,
    ) {
        {
            let mut state = self.state();
            let is_error = response.error_reason().is_some();
            state.counters.note(client, command, took, is_error);
            state.counters.late += u64::from(took > PATIENCE);
            if let Some(call_id) = call_id {
                state.directory.note_proxy(call_id, client);
            }
        }
        let name = command.name();
        let call = call_id.map(ToString::to_string).unwrap_or_default();
        if let Some(reason) = response.error_reason() {
            warn!(call = %call, "{name} from {client} refused: {reason}");
        } else {
            debug!(call = %call, "{name} from {client} answered in {} us", took.as_micros());
        }
    }

    /// A datagram was not even a request.
    pub fn note_undecodable(&self, client: IpAddr, problem: &dyn std::fmt::Display) {
        let mut state = self.state();
        state.counters.undecodable += 1;
        // The first one tells the operator; a broken or hostile sender must not fill the log.
        if state.counters.undecodable.is_power_of_two() {
            warn!(
                "request number {} that cannot be decoded, from {client}: {problem}",
                state.counters.undecodable
            );
        }
    }

    /// A datagram had no cookie, so that nobody could match a reply.
    pub fn note_no_cookie(&self, client: IpAddr) {
        let mut state = self.state();
        state.counters.no_cookie += 1;
        if state.counters.no_cookie.is_power_of_two() {
            warn!(
                "datagram number {} without a cookie on the control port, from {client}: dropped",
                state.counters.no_cookie
            );
        }
    }

    /// A connection ended because of what the client said or did not say.
    pub(in crate::control) fn note_broken_connection(
        &self,
        transport: &str,
        client: SocketAddr,
        problem: &dyn std::fmt::Display,
    ) {
        let mut state = self.state();
        state.counters.broken_connections += 1;
        if state.counters.broken_connections.is_power_of_two() {
            warn!(
                "{transport} connection number {} that ended in an error, from {client}: {problem}",
                state.counters.broken_connections
            );
        }
    }

    /// There are as many connections as there may be.
    pub(in crate::control) fn note_refused_connection(&self, client: SocketAddr) {
        let mut state = self.state();
        state.counters.refused_connections += 1;
        if state.counters.refused_connections.is_power_of_two() {
            warn!(
                "connection number {} that found no room, from {client}: closed",
                state.counters.refused_connections
            );
        }
    }

    /// Words that nobody knows, or that have no effect here: each is told of once.
    pub(super) fn complain_about_words(&self, request: &Request) {
        if request.unknown.is_empty() && request.inert.is_empty() {
            return;
        }
        let mut state = self.state();
        for (words, problem) in [
            (&request.unknown, "is unknown and ignored"),
            (&request.inert, "has no effect here"),
        ] {
            for word in words {
                if state.words.len() >= MOST_WORDS || state.words.contains(word) {
                    continue;
                }
                state.words.insert(word.clone());
                let call = request
                    .call_id
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                warn!(call = %call, "{}={} {problem} (told once)", word.key, word.value);
            }
        }
    }
}
