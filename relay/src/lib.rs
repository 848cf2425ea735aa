//! Tandem: the media relay between WhatsApp calls and any SIP stack.
//!
//! This crate is the shell around the pure core: it owns threads, sockets, the clock and the log, and decides nothing about
//! media.
//! [`Relay::start`] runs a whole relay inside a process, which is what `main` does and what the tests do.
//!
//! ```text
//!  control thread (tokio)                       worker threads, one per processor
//!  udp -> retransmission -> dispatch  --queue-> Worker: calls, sockets, deadlines
//!            directory                <-queue--
//! ```

mod call_config;
pub mod cli;
pub mod config;
pub mod control;
pub mod ctl;
pub mod live_config;
pub mod logging;
pub mod metrics;
pub mod service_manager;
pub mod signals;
pub mod worker;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use relay_net::{ControlSocket, SocketOptions, tcp};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use cli::Console;
pub use config::Config;
use control::dispatch::Dispatch;
use control::udp::Control;
use live_config::{ControlSettings, LiveConfig};
use worker::WorkerSettings;
use worker::counters::WorkerCounters;

/// Farewells of calls that may wait for the control side; the workers keep what does not fit.
const FAREWELLS: usize = 4096;

/// Why a relay could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A control address cannot be had.
    #[error("cannot listen on {address} (option listen-ng): {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The kernel's reason.
        error: io::Error,
    },
    /// An address for operators' commands cannot be had.
    #[error("cannot listen on {address} (option listen-cli): {error}")]
    ListenCli {
        /// The address.
        address: SocketAddr,
        /// The kernel's reason.
        error: io::Error,
    },
    /// A media address is not one of this machine.
    #[error("interface {interface}: {address} cannot be bound: {error}")]
    Interface {
        /// The interface's name.
        interface: String,
        /// The address.
        address: std::net::IpAddr,
        /// The kernel's reason.
        error: io::Error,
    },
    /// No certificate could be made, or no settings of that kind.
    #[error("DTLS: {0}")]
    Dtls(String),
    /// Threads or descriptors ran out.
    #[error("cannot start: {0}")]
    Resources(#[from] io::Error),
}

/// A running relay. Dropping it ends it.
#[derive(Debug)]
pub struct Relay {
    /// The limit of descriptors, if there is one.
    open_files: Option<u64>,
    control_addresses: Vec<SocketAddr>,
    cli_addresses: Vec<SocketAddr>,
    dispatch: Arc<Dispatch>,
    live: Arc<LiveConfig>,
    stop: Option<oneshot::Sender<()>>,
    control: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts workers and control; on return the relay answers.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let open_files = relay_net::open_files::raise_limit();
        try_media_addresses(&config)?;
        let mut sockets = Vec::new();
        for &address in &config.listen_ng {
            match ControlSocket::bind(address, config.control_tos) {
                Ok(socket) => sockets.push(socket),
                // `listen-ng = 2223` means both families, on a machine that may have only one.
                Err(error) if is_missing_ipv6(address, &error) && !sockets.is_empty() => {}
                Err(error) => return Err(StartError::Listen { address, error }),
            }
        }
        let mut cli = Vec::new();
        for &address in &config.listen_cli {
            match tcp::listen(address) {
                Ok(listener) => cli.push(listener),
                Err(error) if is_missing_ipv6(address, &error) && !cli.is_empty() => {}
                Err(error) => return Err(StartError::ListenCli { address, error }),
            }
        }
        let cli_addresses = cli.iter().flat_map(TcpListener::local_addr).collect();
        let control_addresses = sockets.iter().map(ControlSocket::address).collect();
        let (gone_sender, gone) = mpsc::channel(FAREWELLS);
        let calls = Arc::new(call_config::make(&config)?);
        let mut workers = Vec::new();
        for number in 0..config.workers.max(1) {
            let settings = WorkerSettings {
                number,
                workers: config.workers.max(1),
                ports: config.ports.clone(),
                interface_ports: config
                    .interfaces
                    .iter()
                    .filter_map(|interface| interface.own_ports(&config.ports))
                    .collect(),
                sockets: SocketOptions {
                    tos: config.tos,
                    receive_buffer: None,
                },
                coalesce: config.coalesce,
                pin: config.pin_workers,
                calls: Arc::clone(&calls),
                seed: config.seed,
            };
            workers.push(worker::start(settings, gone_sender.clone())?);
        }
        let dispatch = Arc::new(Dispatch::new(workers, ControlSettings::of(&config)));
        let live = LiveConfig::new(config, (*calls).clone(), Arc::clone(&dispatch));
        let live = Arc::new(live);
        let console = Arc::new(Console::new(Arc::clone(&dispatch), Arc::clone(&live)));
        let (stop, stopped) = oneshot::channel();
        let listeners = Listeners { ng: sockets, cli };
        let control = start_control(Arc::clone(&dispatch), console, listeners, gone, stopped)?;
        Ok(Self {
            open_files,
            control_addresses,
            cli_addresses,
            dispatch,
            live,
            stop: Some(stop),
            control: Some(control),
        })
    }

    /// Where the control protocol listens, with real ports.
    pub fn control_addresses(&self) -> &[SocketAddr] {
        &self.control_addresses
    }

    /// Where operators' commands are taken, with real ports.
    pub fn cli_addresses(&self) -> &[SocketAddr] {
        &self.cli_addresses
    }

    /// How many calls there are.
    pub fn sessions(&self) -> usize {
        self.dispatch.sessions()
    }

    /// What the workers counted, as last published (once a second).
    pub fn counters(&self) -> WorkerCounters {
        self.dispatch.worker_counters()
    }

    /// The configuration, which may change while the relay runs.
    pub fn live(&self) -> &LiveConfig {
        &self.live
    }

    /// Ends all calls and threads.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // First no more requests, then the workers, which end with the last owner of the dispatcher.
        drop(self.stop.take());
        if let Some(control) = self.control.take()
            && control.join().is_err()
        {
            error!("the control thread ended in a panic");
        }
        self.dispatch.stop_workers();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sockets of the control side, bound before any thread so that a failure stops the start.
struct Listeners {
    ng: Vec<ControlSocket>,
    cli: Vec<TcpListener>,
}

fn start_control(
    dispatch: Arc<Dispatch>,
    console: Arc<Console>,
    listeners: Listeners,
    mut gone: mpsc::Receiver<worker::CallGone>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new().name("control".to_owned());
    thread.spawn(move || {
        runtime.block_on(async move {
            let control = Control::new(Arc::clone(&dispatch));
            for socket in listeners.ng {
                let (control, address) = (control.clone(), socket.address());
                tokio::spawn(async move {
                    if let Err(error) = control::udp::listen(socket, control).await {
                        error!("control port {address}: {error}");
                    }
                });
            }
            for listener in listeners.cli {
                tokio::spawn(cli::listen::listen(listener, Arc::clone(&console)));
            }
            tokio::spawn(call_config::keep_fresh(console.live()));
            tokio::spawn(async move {
                while let Some(gone) = gone.recv().await {
                    dispatch.call_gone(&gone);
                }
            });
            // The sender is dropped to say so; either way it is over.
            let _ = stopped.await;
        });
    })
}

/// Binds each media address once, so that a wrong one is found at the start and not by the first call.
fn try_media_addresses(config: &Config) -> Result<(), StartError> {
    for interface in &config.interfaces {
        for address in &interface.addresses {
            let any_port = SocketAddr::new(address.bound, 0);
            relay_net::bind(any_port, &SocketOptions::default()).map_err(|error| {
                StartError::Interface {
                    interface: interface.name.clone(),
                    address: address.bound,
                    error,
                }
            })?;
        }
    }
    Ok(())
}

fn is_missing_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    address.is_ipv6()
        && address.ip().is_unspecified()
        && (error.kind() == io::ErrorKind::AddrNotAvailable
            || error.kind() == io::ErrorKind::Unsupported
            // EAFNOSUPPORT has no name in the library.
            || error.raw_os_error() == Some(97))
}

/// Says in the log what was started with what.
pub fn describe(config: &Config, relay: &Relay) {
    for interface in &config.interfaces {
        let mut names = vec![interface.name.as_str()];
        names.extend(interface.aliases.iter().map(String::as_str));
        for address in &interface.addresses {
            if address.bound == address.advertised {
                info!("media on {} ({})", address.bound, names.join(", "));
            } else {
                info!(
                    "media on {}, known to the world as {} ({})",
                    address.bound,
                    address.advertised,
                    names.join(", ")
                );
            }
        }
    }
    for address in relay.control_addresses() {
        info!("control (NG) on udp {address}");
    }
    for address in relay.cli_addresses() {
        info!("commands on tcp {address}");
    }
    let addresses = config
        .interfaces
        .iter()
        .map(|i| i.addresses.len())
        .sum::<usize>();
    let wanted = config.ports.len() * addresses;
    if let Some(limit) = relay.open_files
        && limit < wanted as u64
    {
        warn!(
            "the limit of open files is {limit}, and all ports together are {wanted}: \
             calls will fail with `Ran out of ports` before the ports are used up; raise it (LimitNOFILE, ulimit -n)"
        );
    }
    info!(
        "ready: {} workers, ports {} to {}",
        config.workers.max(1),
        config.ports.start(),
        config.ports.end()
    );
}
