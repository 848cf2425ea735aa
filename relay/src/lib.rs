//! Tandem: the media relay between WhatsApp calls and any SIP stack.
//!
//! This crate is the shell around the pure core: it owns threads, sockets, the clock and the log, and decides nothing about
//! media.
//! [`Relay::start`] runs a whole relay inside a process, which is what `main` does and what the tests do.
//!
//! ```text
//!  control threads (tokio)                      worker threads, one per processor
//!  tcp http ----> exchange -> dispatch --queue-> Worker: calls, sockets, deadlines
//!        retransmission    directory  <-queue--  udp (requests), media
//! ```

mod call_config;
mod check;
pub mod cli;
pub mod config;
pub mod control;
pub mod ctl;
pub mod doctor;
mod homer;
pub mod live_config;
pub mod live_page;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod persistence;
pub mod prompts;
pub mod recording;
pub mod service_manager;
pub mod signals;
mod teardown;
pub mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use relay_call::WallClock;
use relay_net::{DataPath, SocketOptions, Unavailable};
use thiserror::Error;
use tokio::sync::mpsc;
use tracing::{info, warn};

pub use check::check;
use cli::Console;
pub use config::Config;
use control::TlsError;
use control::dispatch::Dispatch;
use control::listeners::{Addresses, Listeners, Threads};
use live_config::{ControlSettings, LiveConfig};
use live_page::LivePage;
use persistence::{Kept, PersistenceError, PersistenceThread};
use prompts::Prompts;
use recording::{RecordingCounters, RecordingFigures, RecordingThread};
use worker::WorkerSettings;
use worker::counters::WorkerCounters;
use worker::ports::WorkerPorts;

/// Farewells of calls that may wait for the control side; the workers keep what does not fit.
const FAREWELLS: usize = 4096;

/// Why a relay could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A control address cannot be had.
    #[error("cannot listen on {address} (option {option}): {error}")]
    Listen {
        /// Which option names it.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// The kernel's reason.
        error: io::Error,
    },
    /// TLS without a certificate.
    #[error(
        "option listen-https needs a certificate: give --https-cert=FILE, and --https-key=FILE if the key is not in it"
    )]
    NoCertificate,
    /// The certificate for TLS cannot be used.
    #[error("options https-cert, https-key: {0}")]
    Tls(#[from] TlsError),
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
    /// Packets cannot be moved in the way that is wanted.
    #[error("option data-path: {0}")]
    DataPath(#[from] Unavailable),
    /// No certificate could be made, or no settings of that kind.
    #[error("DTLS: {0}")]
    Dtls(String),
    /// Calls cannot be kept.
    #[error(transparent)]
    Persistence(#[from] PersistenceError),
    /// Recordings cannot be written.
    #[error("option recording-dir: {}: {error}", path.display())]
    Recording {
        /// The folder that is missing, or cannot be written to.
        path: PathBuf,
        /// The kernel's reason.
        error: io::Error,
    },
    /// Threads or descriptors ran out.
    #[error("cannot start: {0}")]
    Resources(#[from] io::Error),
}

/// A running relay. Dropping it ends it.
#[derive(Debug)]
pub struct Relay {
    /// The limit of descriptors, if there is one.
    open_files: Option<u64>,
    data_path: DataPath,
    addresses: Addresses,
    dispatch: Arc<Dispatch>,
    live: Arc<LiveConfig>,
    /// Gone after the end.
    control: Option<Threads>,
    /// The same, or there never was one.
    recording: Option<RecordingThread>,
    /// Likewise.
    persistence: Option<PersistenceThread>,
}

impl Relay {
    /// Starts workers and control; on return the relay answers.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let open_files = relay_net::open_files::raise_limit();
        try_media_addresses(&config)?;
        let listeners = Listeners::bind(&config)?;
        let addresses = listeners.addresses();
        let certificate = listeners.certificate();
        let (gone_sender, gone) = mpsc::channel(FAREWELLS);
        let (notifier, notifications) = mpsc::channel(notify::WAITING);
        let calls = Arc::new(call_config::make(&config)?);
        let recorded = Arc::new(RecordingCounters::default());
        let recording = match &config.recording {
            Some(settings) => Some(RecordingThread::start(
                settings,
                &calls.instance,
                Arc::clone(&recorded),
            )?),
            None => None,
        };
        let persistence = config.persistence.as_ref();
        let (persistence, kept) = match persistence.map(PersistenceThread::start).transpose()? {
            Some((thread, kept)) => (Some(thread), kept),
            None => (None, Vec::new()),
        };
        let data_path = data_path(&config)?;
        let prompts = Prompts::start(config.media_dir.clone())?;
        let listens = !config.listen_http.is_empty() || !config.listen_https.is_empty();
        let live_page = LivePage::new(&config.live_page, listens);
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
                data_path: data_path.clone(),
                sockets: SocketOptions {
                    tos: config.tos,
                    receive_buffer: None,
                },
                coalesce: config.coalesce,
                pin: config.pin_workers,
                calls: Arc::clone(&calls),
                seed: config.seed,
                notifier: notifier.clone(),
                tells_connections: config.dtmf_log_connections,
                recordings: recording.as_ref().map(RecordingThread::outlet),
                prompts: prompts.clone(),
                history: live_page.history(),
                keeper: persistence.as_ref().map(|thread| thread.keeper(number)),
            };
            workers.push(worker::start(settings, gone_sender.clone())?);
        }
        let dispatch = Arc::new(Dispatch::new(
            workers,
            ControlSettings::of(&config),
            recorded,
            live_page,
        ));
        if let Some(persistence) = &persistence {
            inherit(&dispatch, persistence, kept, &config, calls.clock);
        }
        let live = LiveConfig::new(config, (*calls).clone(), certificate, Arc::clone(&dispatch));
        let live = Arc::new(live);
        let console = Arc::new(Console::new(Arc::clone(&dispatch), Arc::clone(&live)));
        let control = listeners.serve(&dispatch, console, gone, notifications)?;
        Ok(Self {
            open_files,
            data_path,
            addresses,
            dispatch,
            live,
            control: Some(control),
            recording,
            persistence,
        })
    }

    /// Where the control side listens, with real ports.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// How many calls there are.
    pub fn sessions(&self) -> usize {
        self.dispatch.sessions()
    }

    /// What the workers counted, as last published (once a second).
    pub fn counters(&self) -> WorkerCounters {
        self.dispatch.worker_counters()
    }

    /// What was counted about recordings.
    pub fn recordings(&self) -> RecordingFigures {
        self.dispatch.recordings()
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
        drop(self.control.take());
        self.dispatch.stop_workers();
        if let Some(recording) = self.recording.take() {
            recording.end();
        }
        if let Some(persistence) = self.persistence.take() {
            persistence.end();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end();
    }
}

/// Goes on with the calls of a process that has ended, before anybody asks about them.
fn inherit(
    dispatch: &Dispatch,
    persistence: &PersistenceThread,
    kept: Vec<Kept>,
    config: &Config,
    clock: WallClock,
) {
    if kept.is_empty() {
        return;
    }
    let (begun, found) = (Instant::now(), kept.len());
    let workers = config.workers.max(1);
    let calls = kept.into_iter().map(|kept| {
        let first = kept.snapshot.addresses().next();
        // With as many workers as before it is the one that had the call.
        let worker = first.and_then(|first| {
            let own = config
                .interfaces
                .iter()
                .filter_map(|interface| interface.own_ports(&config.ports));
            let mut ranges: Vec<_> = own.map(|own| own.ports).collect();
            ranges.push(config.ports.clone());
            let mut ranges = ranges.iter();
            ranges.find_map(|ports| WorkerPorts::worker_of(first, ports, workers))
        });
        let written_by = persistence.clock_of(begun, &kept.written_by, clock);
        (worker.unwrap_or(0), written_by, kept.snapshot)
    });
    let refused = dispatch.inherit(calls);
    for call_id in &refused {
        persistence.forget(call_id);
    }
    info!(
        "{} calls of the process before go on, {} cannot; that took {} ms",
        found - refused.len(),
        refused.len(),
        begun.elapsed().as_millis()
    );
}

/// The way of moving packets, with room for all ports of all addresses.
fn data_path(config: &Config) -> Result<DataPath, Unavailable> {
    let of_interface = |interface: &config::Interface| {
        interface.media_ports(&config.ports).len() * interface.addresses.len()
    };
    let ports = config.interfaces.iter().map(of_interface).sum();
    DataPath::choose(config.data_path, config.workers, ports)
}

/// Binds each media address once, so that a wrong one is found at the start and not by the first call.
fn try_media_addresses(config: &Config) -> Result<(), StartError> {
    media_address_problems(config).next().map_or(Ok(()), Err)
}

/// The wrong ones.
fn media_address_problems(config: &Config) -> impl Iterator<Item = StartError> {
    let addresses = config.interfaces.iter().flat_map(|interface| {
        let addresses = interface.addresses.iter();
        addresses.map(move |address| (interface, address.bound))
    });
    addresses.filter_map(|(interface, address)| {
        let bound = relay_net::bind(SocketAddr::new(address, 0), &SocketOptions::default());
        bound.err().map(|error| StartError::Interface {
            interface: interface.name.clone(),
            address,
            error,
        })
    })
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
    info!("data path: {}", relay.data_path);
    relay.addresses.describe();
    if let Some(recording) = &config.recording {
        info!("recordings go to {}", recording.directory);
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
