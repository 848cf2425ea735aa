//! Every address the control side listens on, and the threads that serve them.
//!
//! NG over UDP is taken by the media workers themselves ([`super::udp`]).
//! What the calls need from the control side besides has a thread, and everything that comes over connections a second one, which
//! exists only if it is asked for: no slow scrape and no handshake of TLS must keep an offer waiting.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use relay_net::{ControlSocket, tcp};
use tokio::runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::{error, info};

use super::connections::{self, MOST_CONNECTIONS, PATIENCE, Peer, Place};
use super::dispatch::Dispatch;
use super::exchange::Control;
use super::tls::HttpsCertificate;
use super::udp::Listener;
use super::{http, load};
use crate::cli::{self, Console};
use crate::config::Config;
use crate::homer;
use crate::notify::{self, Audience, Notification};
use crate::worker::CallGone;
use crate::{StartError, call_config, service_manager};

/// Sockets of the control side, bound before any thread so that a failure stops the start.
pub(crate) struct Listeners {
    ng: Vec<ControlSocket>,
    cli: Vec<TcpListener>,
    tcp_ng: Vec<TcpListener>,
    http: Vec<TcpListener>,
    https: Vec<TcpListener>,
    certificate: Option<Arc<HttpsCertificate>>,
}

/// Where the control side listens, with real ports.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// NG over UDP.
    pub ng: Vec<SocketAddr>,
    /// NG over TCP.
    pub tcp_ng: Vec<SocketAddr>,
    /// HTTP and WebSocket.
    pub http: Vec<SocketAddr>,
    /// HTTP and WebSocket over TLS.
    pub https: Vec<SocketAddr>,
    /// Operators' commands.
    pub cli: Vec<SocketAddr>,
}

impl Addresses {
    /// Says in the log where proxies and operators are served.
    pub(crate) fn describe(&self) {
        for (what, addresses) in [
            ("control (NG) on udp", &self.ng),
            ("control (NG) on tcp", &self.tcp_ng),
            ("HTTP and WebSocket on tcp", &self.http),
            ("HTTPS and WebSocket on tcp", &self.https),
            ("commands on tcp", &self.cli),
        ] {
            for address in addresses {
                info!("{what} {address}");
            }
        }
    }
}

impl Listeners {
    /// Binds what the configuration names.
    pub(crate) fn bind(config: &Config) -> Result<Self, StartError> {
        let certificate = match (&config.https_cert, &config.listen_https[..]) {
            (_, []) => None,
            (None, _) => return Err(StartError::NoCertificate),
            (Some(file), _) => {
                let certificate = HttpsCertificate::read(file, config.https_key.as_deref())?;
                Some(Arc::new(certificate))
            }
        };
        let tos = config.control_tos;
        Ok(Self {
            ng: bind("listen-ng", &config.listen_ng, |a| {
                ControlSocket::bind(a, tos)
            })?,
            cli: bind("listen-cli", &config.listen_cli, tcp::listen)?,
            tcp_ng: bind("listen-tcp-ng", &config.listen_tcp_ng, tcp::listen)?,
            http: bind("listen-http", &config.listen_http, tcp::listen)?,
            https: bind("listen-https", &config.listen_https, tcp::listen)?,
            certificate,
        })
    }

    /// What HTTPS is served with, if it is.
    pub(crate) fn certificate(&self) -> Option<Arc<HttpsCertificate>> {
        self.certificate.clone()
    }

    pub(crate) fn addresses(&self) -> Addresses {
        let of = |listeners: &[TcpListener]| {
            let addresses = listeners.iter().map(TcpListener::local_addr);
            addresses.filter_map(Result::ok).collect()
        };
        Addresses {
            ng: self.ng.iter().map(ControlSocket::address).collect(),
            tcp_ng: of(&self.tcp_ng),
            http: of(&self.http),
            https: of(&self.https),
            cli: of(&self.cli),
        }
    }

    /// Serves them all until the threads are stopped.
    pub(crate) fn serve(
        self,
        dispatch: &Arc<Dispatch>,
        console: Arc<Console>,
        gone: mpsc::Receiver<CallGone>,
        notifications: mpsc::Receiver<Notification>,
    ) -> io::Result<Threads> {
        let config = console.live().now();
        let told = config.dtmf_log_connections;
        let told = told.then(notify::Connections::new);
        let (homer, telling_homer) = config.homer.map(homer::Reporter::new).unzip();
        let witness = homer.clone().filter(homer::Reporter::hears_control);
        let audience = Audience {
            connections: told.clone(),
            homer,
            teardown: config.teardown.clone(),
        };
        let control = Control::new(Arc::clone(dispatch), Arc::clone(&console), told);
        let mut threads = Threads(Vec::new());
        let connections = Connections {
            tcp_ng: self.tcp_ng,
            http: self.http,
            https: self.https,
            certificate: self.certificate,
        };
        if !connections.are_none() {
            let control = control.clone();
            threads.start("connections", async move { connections.serve(&control) })?;
        }
        let cli = self.cli;
        let farewells = farewells(gone, Arc::clone(dispatch));
        let watch = load::watch(Arc::clone(dispatch));
        let signs_of_life = service_manager::give_signs_of_life(Arc::clone(dispatch));
        let tasks = threads.start("control", async move {
            for listener in cli {
                tokio::spawn(cli::listen::listen(listener, Arc::clone(&console)));
            }
            tokio::spawn(call_config::keep_fresh(console.live()));
            tokio::spawn(watch);
            tokio::spawn(signs_of_life);
            tokio::spawn(farewells);
            tokio::spawn(notify::send(notifications, audience));
            telling_homer.map(tokio::spawn);
        })?;
        // Last, when nothing can fail any more: the workers keep the listener, and with it the dispatcher, until they are stopped.
        dispatch.listen(&Arc::new(Listener::new(self.ng, control, witness, tasks)));
        Ok(threads)
    }
}

/// `listen-ng = 2223` means both families, on a machine that may have only one.
fn bind<T>(
    option: &'static str,
    addresses: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<Vec<T>, StartError> {
    let mut bound = Vec::new();
    for &address in addresses {
        match bind(address) {
            Ok(socket) => bound.push(socket),
            Err(error) if is_missing_ipv6(address, &error) && !bound.is_empty() => {}
            Err(error) => {
                return Err(StartError::Listen {
                    option,
                    address,
                    error,
                });
            }
        }
    }
    Ok(bound)
}

/// Whether the machine has no IPv6 to listen on.
pub(crate) fn is_missing_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    address.is_ipv6()
        // `localhost` has both families in most tables of hosts, whatever the kernel has.
        && (address.ip().is_unspecified() || address.ip().is_loopback())
        && (error.kind() == io::ErrorKind::AddrNotAvailable
            || error.kind() == io::ErrorKind::Unsupported
            // EAFNOSUPPORT has no name in the library.
            || error.raw_os_error() == Some(97))
}

async fn farewells(mut gone: mpsc::Receiver<CallGone>, dispatch: Arc<Dispatch>) {
    while let Some(gone) = gone.recv().await {
        dispatch.call_gone(&gone);
    }
}

fn spawn(listener: impl Future<Output = io::Result<()>> + Send + 'static, address: SocketAddr) {
    tokio::spawn(async move {
        if let Err(error) = listener.await {
            error!("control port {address}: {error}");
        }
    });
}

/// What the second thread serves.
struct Connections {
    tcp_ng: Vec<TcpListener>,
    http: Vec<TcpListener>,
    https: Vec<TcpListener>,
    certificate: Option<Arc<HttpsCertificate>>,
}

impl Connections {
    fn are_none(&self) -> bool {
        self.tcp_ng.is_empty() && self.http.is_empty() && self.https.is_empty()
    }

    fn serve(self, control: &Control) {
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let accept = |listener: TcpListener| {
            let address = listener.local_addr();
            let address = address.unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
            (listener, Arc::clone(&room), control.clone(), address)
        };
        for listener in self.tcp_ng {
            let (listener, room, control, address) = accept(listener);
            spawn(
                connections::accept(listener, room, control, super::tcp::serve),
                address,
            );
        }
        for listener in self.http {
            let (listener, room, control, address) = accept(listener);
            spawn(
                connections::accept(listener, room, control, http::serve),
                address,
            );
        }
        for listener in self.https {
            let Some(certificate) = self.certificate.clone() else {
                // `Listeners::bind` has seen to it.
                continue;
            };
            let (listener, room, control, address) = accept(listener);
            let serve = move |stream, peer, control, place| {
                serve_tls(certificate.acceptor(), stream, peer, control, place)
            };
            spawn(connections::accept(listener, room, control, serve), address);
        }
    }
}

async fn serve_tls(
    tls: tokio_rustls::TlsAcceptor,
    stream: connections::Stream,
    peer: Peer,
    control: Control,
    place: Place,
) {
    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => http::serve(stream, peer, control, place).await,
        Ok(Err(problem)) => {
            control
                .dispatch()
                .note_broken_connection("https", peer.client, &problem);
        }
        Err(problem) => {
            control
                .dispatch()
                .note_broken_connection("https", peer.client, &problem);
        }
    }
}

/// The threads of the control side. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Threads(Vec<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Threads {
    /// Runs tasks on a thread: those that `begin` spawns, and those for the handle.
    fn start(
        &mut self,
        name: &str,
        begin: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<runtime::Handle> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let tasks = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(async move {
                begin.await;
                // The sender is dropped to say so; either way it is over.
                let _ = stopped.await;
            });
            // A command that is still being carried out may hold a thread of the pool; nobody waits for it.
            runtime.shutdown_timeout(Duration::ZERO);
        })?;
        self.0.push((stop, thread));
        Ok(tasks)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for (stop, thread) in self.0.drain(..) {
            drop(stop);
            if thread.join().is_err() {
                error!("a control thread ended in a panic");
            }
        }
    }
}
