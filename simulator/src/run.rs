//! From arguments to calls to a report.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::certificates::{CertificateError, make_authority};
use crate::cli::{
    Arguments, BicArguments, BusinessArguments, Command, ServeArguments, TlsArguments, UicArguments,
};
use crate::report::{CallReport, Finding, RunReport};
use crate::scenario::business_initiated::{self, BusinessCalls};
use crate::scenario::user_initiated;
use crate::sip::gateway::{Gateway, Invitation};
use crate::sip::identity::DOMAIN;
use crate::sip::tls::{Client, Identity, Server, TlsError};

mod settings;

use settings::{business_calls, call_settings, seconds, user_call};

/// Reports kept by `serve`; it may run for days.
const REPORT_LIMIT: usize = 10_000;
/// Meta's gateway outlives a call. When this process ended with its last response still on the way,
/// the business' server might see the end of the connection first and wait for that response in vain.
const LINGER: Duration = Duration::from_millis(250);

/// Why the simulator could not run.
#[derive(Debug, Error)]
pub enum RunError {
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot find {name}: {reason}")]
    Resolve { name: String, reason: String },
    #[error("{0}")]
    Usage(String),
    #[error("cannot write {path}: {source}")]
    Report {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
}

/// Does what the command line says. `true` means that nothing was found wanting.
pub async fn run(arguments: Arguments) -> Result<bool, RunError> {
    match arguments.command {
        Command::MakeCa(arguments) => {
            for path in make_authority(&arguments.out, &arguments.host)? {
                println!("{}", path.display());
            }
            Ok(true)
        }
        Command::Uic(arguments) => uic(&arguments).await,
        Command::Bic(arguments) => bic(&arguments).await,
        Command::Serve(arguments) => serve(&arguments).await,
    }
}

async fn uic(arguments: &UicArguments) -> Result<bool, RunError> {
    let route = Route::find(&arguments.sbc, &arguments.business).await?;
    let settings = call_settings(
        &arguments.talk,
        &arguments.media,
        arguments.expect.unwrap_or(200),
        Some(route.address),
    )?;
    let call = user_call(&arguments.business, &arguments.caller, &route, settings)?;
    let (gateway, _invitations) = start(&arguments.tls, arguments.listen).await?;
    let mut reports = Vec::new();
    for number in 1..=arguments.calls {
        eprintln!(
            "call {number} of {}: {} calls {} at {}",
            arguments.calls, call.caller.user, call.caller.business, route.address
        );
        reports.push(user_initiated::place(&gateway, &call).await);
    }
    tokio::time::sleep(LINGER).await;
    conclude(
        RunReport::new(reports, gateway.findings()),
        arguments.report.json.as_deref(),
    )
}

async fn bic(arguments: &BicArguments) -> Result<bool, RunError> {
    let route = match &arguments.sbc {
        Some(sbc) => Some(Route::find(sbc, &arguments.business).await?),
        None => None,
    };
    // Where the business is, or at least in which network it is expected.
    let neighbour = route
        .as_ref()
        .map(|route| route.address)
        .or(Some(arguments.listen).filter(|listen| !listen.ip().is_unspecified()));
    let refusal_status = arguments.callee.refuse.map(|refusal| refusal.status().0);
    let settings = call_settings(
        &arguments.talk,
        &arguments.media,
        arguments.expect.or(refusal_status).unwrap_or(200),
        neighbour,
    )?;
    let calls = business_calls(
        &arguments.business,
        &arguments.callee,
        route.as_ref(),
        settings,
    )?;
    let (gateway, mut invitations) = start(&arguments.tls, arguments.listen).await?;
    let mut running = JoinSet::new();
    for number in 1..=arguments.calls {
        eprintln!(
            "call {number} of {}: waiting on {} for a call of {}",
            arguments.calls,
            gateway.local(),
            arguments.business.business
        );
        let wait = seconds(arguments.wait, "--wait")?;
        let Ok(Some(invitation)) = tokio::time::timeout(wait, invitations.recv()).await else {
            eprintln!("no call came within {} s", arguments.wait);
            break;
        };
        take(&gateway, &calls, invitation, &mut running);
    }
    let mut reports = Vec::new();
    while let Some(Ok(report)) = running.join_next().await {
        reports.push(report);
    }
    tokio::time::sleep(LINGER).await;
    let is_complete = reports.len() == arguments.calls as usize;
    let mut run = RunReport::new(reports, gateway.findings());
    run.pass &= is_complete;
    conclude(run, arguments.report.json.as_deref())
}

async fn serve(arguments: &ServeArguments) -> Result<bool, RunError> {
    let route = Route::find(&arguments.sbc, &arguments.business).await?;
    let settings = call_settings(&arguments.talk, &arguments.media, 200, Some(route.address))?;
    let call = user_call(
        &arguments.business,
        &arguments.caller,
        &route,
        settings.clone(),
    )?;
    let mut taken_settings = settings;
    if let Some(refusal) = arguments.callee.refuse {
        taken_settings.expected_status = refusal.status().0;
    }
    let calls = business_calls(
        &arguments.business,
        &arguments.callee,
        Some(&route),
        taken_settings,
    )?;
    let (gateway, mut invitations) = start(&arguments.tls, arguments.listen).await?;
    eprintln!("listening on {}; Ctrl-C ends the run", gateway.local());

    let every = seconds(arguments.every, "--every")?;
    let end_at = match arguments.duration {
        Some(duration) => Some(Instant::now() + seconds(duration, "--duration")?),
        None => None,
    };
    let mut to_place = arguments.place;
    let mut place_at = Instant::now();
    let mut running: JoinSet<CallReport> = JoinSet::new();
    let mut reports = Vec::new();
    let mut stop = std::pin::pin!(stop_signal());
    loop {
        let next_place = (to_place > 0).then_some(place_at);
        tokio::select! {
            () = &mut stop => break,
            () = sleep_until(end_at) => break,
            () = sleep_until(next_place) => {
                to_place -= 1;
                place_at += every;
                let (gateway, call) = (Arc::clone(&gateway), call.clone());
                running.spawn(async move { user_initiated::place(&gateway, &call).await });
            }
            invitation = invitations.recv() => match invitation {
                Some(invitation) => take(&gateway, &calls, invitation, &mut running),
                None => break,
            },
            Some(finished) = running.join_next() => keep(finished, &mut reports),
        }
    }
    eprintln!("ending: waiting for {} call(s)", running.len());
    drop(invitations);
    let grace = Instant::now() + calls.settings.talk + Duration::from_secs(5);
    loop {
        tokio::select! {
            () = sleep_until(Some(grace)) => break,
            finished = running.join_next() => match finished {
                Some(finished) => keep(finished, &mut reports),
                None => break,
            },
        }
    }
    conclude(
        RunReport::new(reports, gateway.findings()),
        arguments.report.json.as_deref(),
    )
}

fn keep(finished: Result<CallReport, tokio::task::JoinError>, reports: &mut Vec<CallReport>) {
    let Ok(report) = finished else {
        tracing::error!("a call ended without a report, which is a bug in the simulator");
        return;
    };
    eprintln!(
        "{} {} {}: {}",
        report.direction,
        report.call_id,
        report.status,
        if report.pass { "pass" } else { "FAIL" }
    );
    if reports.len() < REPORT_LIMIT {
        reports.push(report);
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn take(
    gateway: &Arc<Gateway>,
    calls: &BusinessCalls,
    invitation: Invitation,
    running: &mut JoinSet<CallReport>,
) {
    let (gateway, calls) = (Arc::clone(gateway), calls.clone());
    running.spawn(async move { business_initiated::receive(&gateway, invitation, &calls).await });
}

/// Where the business is.
#[derive(Debug, Clone)]
struct Route {
    address: SocketAddr,
    server_name: String,
    host: String,
    port: Option<u16>,
}

impl Route {
    async fn find(sbc: &str, business: &BusinessArguments) -> Result<Self, RunError> {
        let failed = |reason: String| RunError::Resolve {
            name: sbc.to_owned(),
            reason,
        };
        let address = tokio::net::lookup_host(sbc)
            .await
            .map_err(|error| failed(format!("{error}; HOST:PORT is needed")))?
            .next()
            .ok_or_else(|| failed("no address".to_owned()))?;
        let sbc_host = sbc.rsplit_once(':').map_or(sbc, |(host, _)| host);
        let named = business.host.clone().or(business.sni.clone());
        let host = named.unwrap_or_else(|| sbc_host.to_owned());
        Ok(Self {
            address,
            server_name: business.sni.clone().unwrap_or_else(|| host.clone()),
            host,
            port: Some(address.port()).filter(|port| *port != 5061),
        })
    }
}

async fn start(
    tls: &TlsArguments,
    listen: SocketAddr,
) -> Result<(Arc<Gateway>, mpsc::Receiver<Invitation>), RunError> {
    let identity = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Identity::from_files(cert, key)?,
        _ => {
            eprintln!("no --cert: requests to {listen} will not find a certificate to trust");
            Identity::throw_away(DOMAIN)?
        }
    };
    let mut client = Client::new(tls.ca.as_deref())?;
    if tls.no_client_cert {
        client = client.without_certificate();
    }
    let (gateway, invitations) = Gateway::start(Server::new(identity)?, listen, client)
        .await
        .map_err(|source| RunError::Listen {
            address: listen,
            source,
        })?;
    Ok((Arc::new(gateway), invitations))
}

fn conclude(report: RunReport, json: Option<&Path>) -> Result<bool, RunError> {
    if let Some(path) = json {
        let failed = |source: std::io::Error| RunError::Report {
            path: path.to_owned(),
            source,
        };
        let text = serde_json::to_string_pretty(&report).map_err(|error| failed(error.into()))?;
        if path == Path::new("-") {
            println!("{text}");
            return Ok(report.pass);
        }
        std::fs::write(path, text + "\n").map_err(failed)?;
    }
    print!("{}", report.to_text());
    say_when_empty(&report.calls, &report.outside_calls);
    Ok(report.pass)
}

fn say_when_empty(calls: &[CallReport], outside: &[Finding]) {
    if calls.is_empty() {
        println!(
            "no call took place{}",
            if outside.is_empty() {
                ": nothing reached the simulator"
            } else {
                "; the sentences above may say why"
            }
        );
    }
}
