//! Emptying a node before maintenance: no new calls, and those that are there end in their own time.
//!
//! It is what operators do with `set maxsessions 0`, with the number of calls left and a way back.

use std::sync::PoisonError;

use super::Console;

/// Refuses new calls from now on.
pub(super) fn drain(console: &Console) -> String {
    let mut before = before(console);
    let limits = console.live.now().limits;
    // A second `drain` must not take the first one's zero for what was before.
    before.get_or_insert(limits);
    console
        .live
        .change(|config| config.limits.sessions = Some(0));
    format!(
        "draining: new calls are refused\n{}",
        left(console.dispatch.sessions())
    )
}

/// Takes new calls again, as many as before.
pub(super) fn undrain(console: &Console) -> String {
    let Some(limits) = before(console).take() else {
        return "not draining\n".to_owned();
    };
    console
        .live
        .change(|config| config.limits.sessions = limits.sessions);
    let most = limits.sessions.map_or_else(
        || "without a limit".to_owned(),
        |most| format!("up to {most} at the same time"),
    );
    format!("new calls are taken again, {most}\n")
}

fn left(sessions: usize) -> String {
    format!("calls left: {sessions}\n")
}

fn before(console: &Console) -> std::sync::MutexGuard<'_, Option<crate::config::Limits>> {
    console
        .before_drain
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}
