//! Commands of the operator: one line in, text out.
//!
//! The words and texts are those of rtpengine's command port, because scripts parse them.
//! The line may come over TCP (`listen`), as NG command `cli`, over HTTP or a WebSocket: all of them call [`execute`].

pub mod listen;

use std::sync::Arc;

use ng_protocol::CallId;
use tracing::info;

use crate::control::dispatch::Dispatch;
use crate::live_config::LiveConfig;

/// What commands act on.
#[derive(Debug)]
pub struct Console {
    dispatch: Arc<Dispatch>,
    live: Arc<LiveConfig>,
}

impl Console {
    /// Commands for the relay behind `dispatch`.
    pub fn new(dispatch: Arc<Dispatch>, live: Arc<LiveConfig>) -> Self {
        Self { dispatch, live }
    }

    /// The configuration that commands change.
    pub fn live(&self) -> Arc<LiveConfig> {
        Arc::clone(&self.live)
    }
}

/// Carries out a command. The reply ends with a line break unless it is empty.
pub async fn execute(console: &Console, line: &str) -> String {
    info!("command: {line}");
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["list" | "get", "numsessions", ..] => numsessions(console),
        ["list" | "get", "maxsessions", ..] => maxsessions(console),
        ["list" | "get"] | ["terminate"] => "More parameters required.\n".to_owned(),
        ["terminate", "all", ..] => {
            console.dispatch.terminate_all().await;
            "All calls terminated by operator.\n".to_owned()
        }
        ["terminate", "own", ..] => {
            console.dispatch.terminate_all().await;
            "All own calls terminated by operator.\n".to_owned()
        }
        ["terminate", call_id, ..] => terminate(console, call_id).await,
        _ => format!("Unknown or incomplete command:{line}\n"),
    }
}

fn numsessions(console: &Console) -> String {
    let sessions = console.dispatch.sessions();
    format!(
        "Current sessions own: {sessions}\n\
         Current sessions foreign: 0\n\
         Current sessions total: {sessions}\n"
    )
}

fn maxsessions(console: &Console) -> String {
    let most = console.dispatch.settings().limits.sessions;
    let most = most.map_or_else(|| "-1".to_owned(), |most| most.to_string());
    format!("Maximum sessions configured on rtpengine: {most}\n")
}

async fn terminate(console: &Console, call_id: &str) -> String {
    if console.dispatch.terminate(&CallId::from(call_id)).await {
        format!("\nCall Id ({call_id}) successfully terminated by operator.\n\n")
    } else {
        format!("\nCall Id not found ({call_id}).\n\n")
    }
}
