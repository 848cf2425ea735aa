//! Telling systemd that we are ready (`sd_notify(3)`, units with `Type=notify`) and that we are still alive (`WatchdogSec=`).
//!
//! rtpengine's unit files are of that type, and an operator who keeps the unit expects it to go on working.
//! A sign of life says that the control side answers and that every worker comes round to its commands: a relay of which one
//! thread hangs has lost a part of its calls, and takes new ones only to lose them.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};

use crate::control::dispatch::Dispatch;

/// Tells `state`, if there is anybody to tell.
pub fn tell(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, state)
    {
        warn!("systemd does not hear us: {error}");
    }
}

/// Gives systemd signs of life for as long as there are any, if it wants them.
pub(crate) async fn give_signs_of_life(dispatch: Arc<Dispatch>) {
    let variable = |name| std::env::var(name).ok();
    let Some(patience) = patience(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID")) else {
        return;
    };
    // Twice in the time that it waits, as sd_watchdog_enabled(3) recommends.
    let period = patience / 2;
    let mut beat = tokio::time::interval(period);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let stuck = dispatch.stuck_workers(period).await;
        if stuck.is_empty() {
            tell("WATCHDOG=1");
        } else {
            error!(
                "media workers {stuck:?} hang since {} ms or more: systemd gets no sign of life and will restart us after {} ms",
                period.as_millis(),
                patience.as_millis()
            );
        }
    }
}

/// How long systemd waits for a sign of life from this process before it restarts it.
fn patience(microseconds: Option<String>, process: Option<String>) -> Option<Duration> {
    if process.is_some_and(|process| process != std::process::id().to_string()) {
        // Meant for the process that started us.
        return None;
    }
    let text = microseconds?;
    match text.parse() {
        Ok(0) => None,
        Ok(microseconds) => Some(Duration::from_micros(microseconds)),
        Err(error) => {
            warn!("WATCHDOG_USEC={text}: {error}: systemd gets no signs of life");
            None
        }
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    // A name that begins with @ is in the abstract namespace.
    let address = match socket.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_with_an_abstract_name_hears_the_state() {
        let name = format!("tandem-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let systemd = UnixDatagram::bind_addr(&address).unwrap();
        send(OsStr::new(&format!("@{name}")), "READY=1").unwrap();
        let mut buffer = [0; 64];
        let len = systemd.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"READY=1");
    }

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let ours = std::process::id();
        let text = |text: &str| Some(text.to_owned());
        let ten_seconds = Some(Duration::from_secs(10));
        assert_eq!(
            patience(text("10000000"), text(&ours.to_string())),
            ten_seconds
        );
        assert_eq!(patience(text("10000000"), None), ten_seconds);
        assert_eq!(
            patience(text("10000000"), text(&(ours + 1).to_string())),
            None
        );
        assert_eq!(patience(text("0"), None), None);
        assert_eq!(patience(text("soon"), None), None);
        assert_eq!(patience(None, None), None);
    }

    #[test]
    fn nobody_to_tell_is_an_error_and_no_more() {
        assert!(send(OsStr::new("/nonexistent/notify"), "READY=1").is_err());
    }
}
