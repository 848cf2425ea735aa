//! Which way of moving packets this machine allows, from the best to the plain one.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::bpf::{Forwarding, Steering};
use crate::hub::{self, Hub};
use crate::kernel_path::{self, KernelPath};
use crate::per_port::PerPort;
use crate::socket::SocketOptions;

/// Ports that are steered at most. The table of a map takes 16 bytes for each whether it is used or not; what is beyond keeps
/// its socket.
const MOST_STEERED: usize = 1 << 18;

/// A way of moving packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// [`KernelPath`] for the streams that it can have, and the best of the others for the rest. Taken only where it is asked
    /// for: what the kernel forwards passes by the packet filter of the host.
    Kernel,
    /// [`Hub`].
    Hub,
    /// [`PerPort`].
    PerPort,
}

impl Tier {
    /// All of them, the best first.
    pub const ALL: [Tier; 3] = [Self::Kernel, Self::Hub, Self::PerPort];

    /// What options, logs and metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Hub => "hub",
            Self::PerPort => "per-port",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// A tier that this machine does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    tier: Tier,
    reason: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not possible: {}", self.tier.name(), self.reason)
    }
}

impl Error for Unavailable {}

/// The way that was chosen, for all workers of a relay. Its display is a line for the log.
#[derive(Clone, Debug)]
pub struct DataPath {
    way: Way,
    /// What the kernel forwards without us.
    forwarding: Option<Arc<Forwarding>>,
    /// What would be better and is not possible.
    missing: Option<String>,
}

#[derive(Clone, Debug)]
enum Way {
    Hub(Arc<Steering>),
    PerPort,
}

impl DataPath {
    /// The best that this machine allows, or else the wanted one; for so many workers, which bind at most so many ports.
    pub fn choose(wanted: Option<Tier>, workers: usize, ports: usize) -> Result<Self, Unavailable> {
        let best = || {
            Self::hub(workers, ports).unwrap_or_else(|unavailable| Self {
                missing: Some(unavailable.to_string()),
                ..Self::per_port()
            })
        };
        match wanted {
            None => Ok(best()),
            Some(Tier::PerPort) => Ok(Self::per_port()),
            Some(Tier::Hub) => Self::hub(workers, ports),
            Some(Tier::Kernel) => {
                let forwarding = kernel_path::attach(ports.min(MOST_STEERED));
                let forwarding = forwarding.map_err(|error| Unavailable {
                    tier: Tier::Kernel,
                    reason: explained(&error, "6.6", &[Capability::Bpf, Capability::NetAdmin]),
                })?;
                Ok(Self {
                    forwarding: Some(Arc::new(forwarding)),
                    ..best()
                })
            }
        }
    }

    /// What works anywhere and attaches nothing.
    pub fn per_port() -> Self {
        Self {
            way: Way::PerPort,
            forwarding: None,
            missing: None,
        }
    }

    fn hub(workers: usize, ports: usize) -> Result<Self, Unavailable> {
        let sockets = workers.max(1) * Hub::MOST_HUBS;
        let attached =
            hub::try_hub_socket().and_then(|()| Steering::attach(sockets, ports.min(MOST_STEERED)));
        match attached {
            Ok(steering) => Ok(Self {
                way: Way::Hub(Arc::new(steering)),
                forwarding: None,
                missing: hub::try_raw_socket().err().map(|error| {
                    let why = explained(&error, "5.9", &[Capability::NetRaw]);
                    format!("packets leave one by one, because raw sockets are not possible: {why}")
                }),
            }),
            Err(error) => Err(Unavailable {
                tier: Tier::Hub,
                reason: explained(&error, "5.9", &[Capability::Bpf, Capability::NetAdmin]),
            }),
        }
    }

    /// Which one it is.
    pub fn tier(&self) -> Tier {
        match self.forwarding {
            Some(_) => Tier::Kernel,
            None => self.sockets(),
        }
    }

    /// The way of what comes to sockets.
    fn sockets(&self) -> Tier {
        match self.way {
            Way::Hub(_) => Tier::Hub,
            Way::PerPort => Tier::PerPort,
        }
    }

    /// The sockets of one worker, made of this: they nap for at most `longest_nap`.
    pub fn backend(
        &self,
        options: SocketOptions,
        longest_nap: Duration,
    ) -> io::Result<Box<dyn Backend + Send>> {
        Ok(match &self.way {
            Way::Hub(steering) => Box::new(Hub::new(Arc::clone(steering), options, longest_nap)?),
            Way::PerPort => Box::new(PerPort::new(options, longest_nap)?),
        })
    }

    /// One worker's streams in the kernel, if it is to have any.
    pub fn kernel_path(&self) -> io::Result<Option<KernelPath>> {
        let forwarding = self.forwarding.as_ref();
        forwarding
            .map(|forwarding| KernelPath::new(Arc::clone(forwarding)))
            .transpose()
    }
}

impl fmt::Display for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forwarding.is_some() {
            write!(f, "{} over ", Tier::Kernel.name())?;
        }
        f.write_str(self.sockets().name())?;
        match &self.missing {
            Some(missing) => write!(f, "; {missing}"),
            None => Ok(()),
        }
    }
}

/// What a process may do (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Capability {
    NetAdmin = 12,
    NetRaw = 13,
    SysAdmin = 21,
    Bpf = 39,
}

impl Capability {
    fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Bpf => "CAP_BPF",
        }
    }

    fn is_in(self, effective: u64) -> bool {
        // Before there was CAP_BPF (5.8), and ever since as well, CAP_SYS_ADMIN did it.
        let stands_in = match self {
            Self::Bpf => 1 << Self::SysAdmin as u8,
            _ => 0,
        };
        effective & (1 << self as u8 | stands_in) != 0
    }
}

/// The kernel's reason, with what an operator can do about it; `release` is the Linux that has all that is needed.
fn explained(error: &io::Error, release: &str, needed: &[Capability]) -> String {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
            permission_hint(&status, needed)
        }
        io::ErrorKind::Unsupported => "this kernel has no eBPF".to_owned(),
        io::ErrorKind::InvalidInput => {
            let this = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
            format!("Linux {release} is needed, this is {}", this.trim())
        }
        io::ErrorKind::ArgumentListTooLong => {
            "too many programs are attached to this network namespace".to_owned()
        }
        _ => return error.to_string(),
    };
    format!("{error} ({hint})")
}

/// What is missing according to `/proc/self/status`.
fn permission_hint(status: &str, needed: &[Capability]) -> String {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(u64::MAX);
    let missing: Vec<&str> = needed
        .iter()
        .filter(|capability| !capability.is_in(effective))
        .map(|capability| capability.name())
        .collect();
    if missing.is_empty() {
        "the capabilities are there: seccomp, a security module or a user namespace forbids it"
            .to_owned()
    } else {
        format!("{} missing", missing.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::own_network;

    #[test]
    fn names_are_read_as_they_are_written() {
        for tier in Tier::ALL {
            assert_eq!(Tier::named(tier.name()), Some(tier));
        }
        assert_eq!(Tier::named("auto"), None);
    }

    #[test]
    fn the_plain_way_is_always_possible_and_says_nothing() {
        let path = DataPath::choose(Some(Tier::PerPort), 1, 100).unwrap();
        assert_eq!(path.tier(), Tier::PerPort);
        assert_eq!(path.to_string(), "per-port");
    }

    #[test]
    fn the_best_way_is_taken_where_it_is_possible() {
        if !own_network() {
            return;
        }
        let path = DataPath::choose(None, 2, 100).unwrap();
        match path.tier() {
            Tier::Hub => assert_eq!(Steering::programs_here().unwrap(), 1),
            // Then it has to say why.
            _ => assert!(path.to_string().contains("hub is not possible: ")),
        }
        let workers = [(); 2].map(|()| path.backend(SocketOptions::default(), Duration::ZERO));
        assert!(workers.iter().all(Result::is_ok));
    }

    #[test]
    fn the_kernel_path_is_taken_only_where_it_is_asked_for() {
        if !own_network() {
            return;
        }
        let usual = DataPath::choose(None, 1, 100).unwrap();
        assert!(usual.kernel_path().unwrap().is_none());
        match DataPath::choose(Some(Tier::Kernel), 1, 100) {
            Ok(path) => {
                assert_eq!(path.tier(), Tier::Kernel);
                assert_eq!(path.to_string(), format!("kernel over {usual}"));
                assert!(path.kernel_path().unwrap().is_some());
            }
            Err(unavailable) => println!("skipped: {unavailable}"),
        }
    }

    #[test]
    fn without_capabilities_the_plain_way_is_taken_with_the_reason() {
        if !own_network() {
            return;
        }
        drop_capabilities();
        let path = DataPath::choose(None, 1, 100).unwrap();
        assert_eq!(path.tier(), Tier::PerPort);
        let line = path.to_string();
        assert!(
            line.starts_with("per-port; hub is not possible: "),
            "{line}"
        );
        assert!(line.contains("CAP_BPF and CAP_NET_ADMIN missing"), "{line}");
        let refused = DataPath::choose(Some(Tier::Hub), 1, 100).unwrap_err();
        assert!(line.ends_with(&refused.to_string()));
        let refused = DataPath::choose(Some(Tier::Kernel), 1, 100).unwrap_err();
        let line = refused.to_string();
        assert!(line.starts_with("kernel is not possible: "), "{line}");
        assert!(line.contains("CAP_BPF and CAP_NET_ADMIN missing"), "{line}");
    }

    /// For this thread, for ever.
    fn drop_capabilities() {
        use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, none).unwrap();
    }

    #[test]
    fn a_missing_capability_is_named() {
        let needed = [Capability::Bpf, Capability::NetAdmin];
        // Those of a container in Docker: CAP_NET_RAW among them.
        let status = "Name:\ttandem\nCapEff:\t00000000a80425fb\n";
        assert_eq!(
            permission_hint(status, &needed),
            "CAP_BPF and CAP_NET_ADMIN missing"
        );
        assert!(permission_hint(status, &[Capability::NetRaw]).contains("seccomp"));
        let root = "CapEff:\t000001ffffffffff\n";
        assert!(permission_hint(root, &needed).contains("seccomp"));
        // CAP_SYS_ADMIN and CAP_NET_ADMIN.
        let old = "CapEff:\t0000000000201000\n";
        assert!(permission_hint(old, &needed).contains("seccomp"));
    }
}
