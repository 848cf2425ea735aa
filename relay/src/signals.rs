//! What the outside may tell a running process: TERM and INT end it, USR1 and USR2 change the log level, HUP does nothing.
//!
//! rtpengine ends on HUP, which is what a closed terminal sends; a relay with calls in it should rather stay.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::logging::LogLevel;

/// Waits for the signal that ends the process. Its log lines go where `level` was made.
pub async fn until_stopped(mut level: LogLevel) -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut less = signal(SignalKind::user_defined1())?;
    let mut more = signal(SignalKind::user_defined2())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok("TERM"),
            _ = interrupt.recv() => return Ok("INT"),
            _ = hangup.recv() => info!("signal HUP: nothing to reload"),
            _ = less.recv() => level.change(-1),
            _ = more.recv() => level.change(1),
        }
    }
}
