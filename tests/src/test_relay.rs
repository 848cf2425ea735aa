//! A relay in this process, on a loopback address of its own.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use relay::config::Tier;
use relay::{Config, Relay};

use crate::NgClient;

/// The ports for media.
const MEDIA_PORTS: RangeInclusive<u16> = 20_000..=29_999;

/// The environment variable that says how packets are moved, for running the suite with each way. A program is attached to the
/// network namespace: give the suite one of its own (`unshare --net`).
const DATA_PATH: &str = "TANDEM_DATA_PATH";

/// A running relay and where it is.
#[derive(Debug)]
pub struct TestRelay {
    /// Its only media address, which no other test uses.
    pub address: IpAddr,
    relay: Option<Relay>,
}

impl TestRelay {
    /// A relay with one worker on `address`, such as `127.0.7.1`.
    pub fn start(address: &str) -> Self {
        Self::start_with(address, |_| {})
    }

    /// The same with some options changed.
    pub fn start_with(address: &str, change: impl FnOnce(&mut Config)) -> Self {
        let address: IpAddr = address.parse().expect("an address");
        let mut config = Config::on(address);
        config.workers = 1;
        // Below the ports that the kernel gives to the peers of the tests.
        config.ports = MEDIA_PORTS;
        change(&mut config);
        config.data_path = Some(Self::tier());
        let relay = Relay::start(config).expect("a relay that starts");
        Self {
            address,
            relay: Some(relay),
        }
    }

    /// How packets are moved in this run of the suite.
    pub fn tier() -> Tier {
        std::env::var(DATA_PATH).map_or(Tier::PerPort, |name| {
            Tier::named(&name).expect("TANDEM_DATA_PATH is kernel, hub or per-port")
        })
    }

    /// The relay itself.
    pub fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("a relay that runs")
    }

    /// Where it listens for proxies.
    pub fn control(&self) -> SocketAddr {
        self.relay().addresses().ng[0]
    }

    /// A proxy on the same address.
    pub fn client(&self) -> NgClient {
        NgClient::new(self.address, self.control())
    }

    /// How many UDP sockets of the media range the kernel has bound on the relay's address.
    pub fn media_sockets(&self) -> usize {
        udp_sockets(self.address, MEDIA_PORTS)
    }

    /// Waits until `condition` holds; says so when it never does.
    pub fn eventually(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(5);
        while !condition(self) {
            assert!(Instant::now() < end, "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it.
    pub fn shutdown(mut self) {
        if let Some(relay) = self.relay.take() {
            relay.shutdown();
        }
    }
}

/// Bound UDP sockets as the kernel lists them: `sl local_address ...`, the address in hexadecimal, little endian.
///
/// The kernel hands the list out in pieces, and where others open and close sockets meanwhile, it tells one twice or not at all:
/// hence three lists, and what is in any of them.
fn udp_sockets(address: IpAddr, ports: RangeInclusive<u16>) -> usize {
    let IpAddr::V4(address) = address else {
        panic!("these tests are for IPv4");
    };
    let wanted = format!("{:08X}", u32::from_le_bytes(address.octets()));
    let mut found = HashSet::new();
    for _ in 0..3 {
        let table =
            std::fs::read_to_string("/proc/net/udp").expect("the kernel's table of sockets");
        let locals = table.lines().skip(1).filter_map(|line| {
            let (ip, port) = line.split_whitespace().nth(1)?.split_once(':')?;
            let port = u16::from_str_radix(port, 16).ok()?;
            (ip == wanted && ports.contains(&port)).then_some(port)
        });
        found.extend(locals);
    }
    found.len()
}
