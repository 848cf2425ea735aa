//! What the control side counts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ng_protocol::Command;

use super::Histogram;

/// Proxies that are counted one by one. Strangers beyond that share one line.
pub(super) const MOST_PROXIES: usize = 256;
/// What every proxy asks: shown from the start, so that the first refusal is a step from zero.
const USUAL: [Command; 5] = [
    Command::Ping,
    Command::Offer,
    Command::Answer,
    Command::Delete,
    Command::Query,
];

/// What the control side counts.
#[derive(Clone, Debug, Default)]
pub struct ControlCounters {
    /// Offers refused because of a limit.
    pub rejected: u64,
    /// Requests that no worker could take.
    pub undelivered: u64,
    /// Requests that a worker answered too late.
    pub late: u64,
    /// Datagrams that were no request.
    pub undecodable: u64,
    /// Datagrams without a cookie.
    pub no_cookie: u64,
    /// Connections that ended because of what the client said or did not say.
    pub broken_connections: u64,
    /// Connections that found no room.
    pub refused_connections: u64,
    /// `None` collects those beyond the limit.
    pub(super) proxies: BTreeMap<Option<IpAddr>, ProxyCounters>,
    /// How long requests took, by command: those that were served, those that were refused.
    pub(super) durations: BTreeMap<&'static str, [Histogram; 2]>,
}

/// What is counted for one proxy.
#[derive(Clone, Debug, Default)]
pub(super) struct ProxyCounters {
    /// By short name: how many, and how long together.
    commands: BTreeMap<&'static str, (u64, Duration)>,
    pub(super) errors: u64,
}

impl ControlCounters {
    /// A request of `client` was answered.
    pub fn note(&mut self, client: IpAddr, command: Command, took: Duration, is_error: bool) {
        let known = self.proxies.contains_key(&Some(client)) || self.proxies.len() < MOST_PROXIES;
        let proxy = self.proxies.entry(known.then_some(client)).or_default();
        let (count, total) = proxy.commands.entry(command.short_name()).or_default();
        *count += 1;
        *total += took;
        proxy.errors += u64::from(is_error);
        let durations = self.durations.entry(command.name()).or_default();
        durations[usize::from(is_error)].note(took);
    }

    /// How long requests took, by command: those that were served, those that were refused.
    pub(super) fn durations(&self) -> BTreeMap<&'static str, [Histogram; 2]> {
        let mut durations = self.durations.clone();
        for command in USUAL {
            durations.entry(command.name()).or_default();
        }
        durations
    }

    /// The proxies by the names they have in statistics.
    pub(super) fn by_proxy(&self) -> impl Iterator<Item = (String, &ProxyCounters)> {
        let name = |address: &Option<IpAddr>| {
            address.map_or_else(|| "others".to_owned(), |address| address.to_string())
        };
        self.proxies
            .iter()
            .map(move |(address, counters)| (name(address), counters))
    }
}

impl ProxyCounters {
    /// How many requests of this kind there were, and how long they took together.
    pub(super) fn of(&self, command: Command) -> (u64, Duration) {
        self.commands
            .get(command.short_name())
            .copied()
            .unwrap_or_default()
    }
}
