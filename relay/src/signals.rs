//! What the outside may tell a running process: TERM and INT end it, HUP reads the configuration again, USR1 and USR2 change the
//! log level.
//!
//! rtpengine ends on HUP, which is what a closed terminal sends; a relay with calls in it should rather stay.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::live_config::LiveConfig;
use crate::logging;

/// Waits for the signal that ends the process.
pub async fn until_stopped(live: &LiveConfig) -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut less = signal(SignalKind::user_defined1())?;
    let mut more = signal(SignalKind::user_defined2())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok("TERM"),
            _ = interrupt.recv() => return Ok("INT"),
            _ = hangup.recv() => {
                info!("signal HUP: reading the configuration again");
                // Reading may ask a name server; this thread has nothing else to do.
                live.reload();
            }
            _ = less.recv() => logging::change_all(-1),
            _ = more.recv() => logging::change_all(1),
        }
    }
}
