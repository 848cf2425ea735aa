//! Commands of the operator: one line in, text out.
//!
//! The words and texts are those of rtpengine's command port, because scripts parse them; `drain`, `undrain`, `reload`, `version`
//! and `call ID story` are ours.
//! The line may come over TCP (`listen`), as NG command `cli`, over HTTP or a WebSocket: all of them call [`execute`].

mod drain;
mod list;
pub mod listen;
mod sessions;
mod set;
mod statistics;

use std::sync::{Arc, Mutex};

use tracing::info;

use crate::config::Limits;
use crate::control::dispatch::Dispatch;
use crate::live_config::LiveConfig;
use crate::live_config::parameters::{differences, parameters};

/// What commands act on.
#[derive(Debug)]
pub struct Console {
    dispatch: Arc<Dispatch>,
    live: Arc<LiveConfig>,
    /// The limits before `drain`.
    before_drain: Mutex<Option<Limits>>,
}

impl Console {
    /// Commands for the relay behind `dispatch`.
    pub fn new(dispatch: Arc<Dispatch>, live: Arc<LiveConfig>) -> Self {
        Self {
            dispatch,
            live,
            before_drain: Mutex::new(None),
        }
    }

    /// The configuration that commands change.
    pub fn live(&self) -> Arc<LiveConfig> {
        Arc::clone(&self.live)
    }
}

/// What is missing when only a part of a command was written.
const MORE: &str = "More parameters required.\n";
/// Commands that would need what is not there.
const NO_REDIS: &str = "Redis is not used by this relay yet.\n";
/// The first words.
const COMMANDS: [&str; 17] = [
    "list",
    "terminate",
    "set",
    "get",
    "params",
    "ksadd",
    "ksrm",
    "kslist",
    "active",
    "standby",
    "debug",
    "call",
    "drain",
    "undrain",
    "reload",
    "version",
    "usage",
];

/// Carries out a command. The reply ends with a line break unless it is empty.
pub async fn execute(console: &Console, line: &str) -> String {
    info!("command: {line}");
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["help" | "usage", ..] => help(&COMMANDS),
        ["list" | "get"]
        | ["terminate"]
        | ["set"]
        | ["params"]
        | ["debug"]
        | ["call"]
        | ["ksadd"]
        | ["ksrm"] => MORE.to_owned(),
        ["list" | "get", "help", ..] => help(&list::NAMES),
        ["list" | "get", "sessions", ref which @ ..] => sessions::list(console, which).await,
        ["list" | "get", what, ref rest @ ..] => list::list(console, what, rest),
        ["set", "help", ..] => help(&set::NAMES),
        ["set", what, ref values @ ..] => set::set(console, what, values),
        ["terminate", which, ..] => sessions::terminate(console, which).await,
        ["call", "help", ..] => {
            "call CALLID info | story | terminate | debug [on|off] | tag TAG info\n".to_owned()
        }
        ["call", call_id, ref rest @ ..] => sessions::call(console, call_id, rest).await,
        ["debug", call_id, ref rest @ ..] => sessions::debug(console, call_id, rest),
        ["params", which, ..] => params(console, which),
        ["drain", ..] => drain::drain(console),
        ["undrain", ..] => drain::undrain(console),
        ["reload", ..] => reload(console).await,
        ["version", ..] => version(),
        ["ksadd" | "ksrm" | "kslist", ..] => NO_REDIS.to_owned(),
        ["active", ..] => "Ok, all calls set to 'owned (active)'\n".to_owned(),
        ["standby", ..] => {
            "Calls are never foreign to this relay: there is no Redis to share them through yet.\n"
                .to_owned()
        }
        [] => help(&COMMANDS),
        _ => unknown(line),
    }
}

fn unknown(what: &str) -> String {
    format!("Unknown or incomplete command::{}\n", what.trim())
}

fn help(names: &[&str]) -> String {
    let mut text = String::from("Available sub-commands at this level:\n");
    for name in names {
        text.push_str(&format!("\t{name}\n"));
    }
    text
}

fn version() -> String {
    format!("tandem {}\n", env!("CARGO_PKG_VERSION"))
}

fn params(console: &Console, which: &str) -> String {
    let shown = |config| {
        let mut text = String::new();
        for parameter in parameters(config) {
            text.push_str(&format!("{} = {}\n", parameter.name, parameter.value));
        }
        text
    };
    match which {
        "start" => shown(console.live.started()),
        "current" => shown(&console.live.now()),
        "diff" => {
            let mut text = String::new();
            for found in differences(console.live.started(), &console.live.now()) {
                text.push_str(&format!(
                    "{}: {} => {}\n",
                    found.name, found.before, found.after
                ));
            }
            text
        }
        "revert" => {
            console.live.follow(console.live.started());
            String::new()
        }
        "help" => help(&["start", "current", "diff", "revert"]),
        other => unknown(other),
    }
}

async fn reload(console: &Console) -> String {
    let live = console.live();
    // Host names are looked up again, and this thread has requests to answer meanwhile.
    let sentences = tokio::task::spawn_blocking(move || live.reload()).await;
    let mut text = sentences.unwrap_or_default().join("\n");
    text.push('\n');
    text
}
