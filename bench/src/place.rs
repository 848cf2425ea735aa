//! Where load and relay are: both on loopback, or each in a network namespace of its own, with a cable between them.
//!
//! `bench/cable` lays the cable and runs a measurement in the namespace of the load.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;

use clap::Args;

/// The port for requests in a namespace that a relay has for itself.
const CONTROL: u16 = 2223;

/// Who is where.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// The address of the load.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    pub(crate) load_address: Ipv4Addr,
    /// The address of the relays.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    pub(crate) relay_address: Ipv4Addr,
    /// The network namespace of the relays (ip-netns(8)), if it is another one.
    #[arg(long)]
    relay_namespace: Option<String>,
}

impl Place {
    /// Everybody on loopback.
    pub(crate) fn loopback() -> Self {
        Self {
            load_address: Ipv4Addr::LOCALHOST,
            relay_address: Ipv4Addr::LOCALHOST,
            relay_namespace: None,
        }
    }

    /// A command that runs a relay where it is to be.
    pub(crate) fn command(&self, program: &str) -> Command {
        match &self.relay_namespace {
            Some(namespace) => {
                // It becomes the program: one process, whose usage is the relay's.
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, program]);
                command
            }
            None => Command::new(program),
        }
    }

    /// A free port for requests.
    pub(crate) fn control(&self) -> std::io::Result<SocketAddr> {
        if self.relay_namespace.is_some() {
            return Ok((self.relay_address, CONTROL).into());
        }
        UdpSocket::bind((self.relay_address, 0))?.local_addr()
    }
}
