//! The configuration of a running relay: what it was started with, what holds now, and who must hear of a change.
//!
//! Commands of the operator change single values, a reload changes several; both go through [`LiveConfig::change`], so that there is
//! one place that knows where a value has its effect.

pub mod parameters;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ng_protocol::Templates;
use relay_call::CallConfig;
use tracing::{info, warn};

use crate::config::{self, Config, Interface, Limits, Wish};
use crate::control::dispatch::Dispatch;
use crate::{call_config, logging, try_media_addresses};
use parameters::differences;

/// What the control side goes by, and may change while it runs.
#[derive(Clone, Debug, Default)]
pub struct ControlSettings {
    /// When new calls are refused.
    pub limits: Limits,
    /// Flags strings that apply to requests by their name.
    pub templates: Templates,
    /// The interfaces, for statistics.
    pub interfaces: Vec<Interface>,
}

impl ControlSettings {
    /// What `config` means for the control side.
    pub fn of(config: &Config) -> Self {
        Self {
            limits: config.limits,
            templates: config.templates.clone(),
            interfaces: config.interfaces.clone(),
        }
    }
}

/// The configuration and those who live by it.
#[derive(Debug)]
pub struct LiveConfig {
    started: Config,
    state: Mutex<State>,
    dispatch: Arc<Dispatch>,
}

#[derive(Debug)]
struct State {
    now: Config,
    calls: CallConfig,
}

impl LiveConfig {
    /// The configuration that everybody was started with.
    pub(crate) fn new(started: Config, calls: CallConfig, dispatch: Arc<Dispatch>) -> Self {
        Self {
            state: Mutex::new(State {
                now: started.clone(),
                calls,
            }),
            started,
            dispatch,
        }
    }

    /// What the relay was started with.
    pub fn started(&self) -> &Config {
        &self.started
    }

    /// What holds now.
    pub fn now(&self) -> Config {
        self.state().now.clone()
    }

    /// Changes values, and tells everybody.
    pub fn change(&self, edit: impl FnOnce(&mut Config)) {
        let mut state = self.state();
        let State { now, calls } = &mut *state;
        let log = now.process.log.clone();
        edit(now);
        let differs_in_log = log != now.process.log;
        call_config::follow(calls, now);
        if differs_in_log {
            logging::follow(&now.process.log);
        }
        self.dispatch.apply(ControlSettings::of(now));
        self.dispatch.configure(&Arc::new(calls.clone()));
    }

    /// Reads the command line and the file again, and takes over what may change while calls go on. Gives what is to be said
    /// about it, which is in the log as well.
    pub fn reload(&self) -> Vec<String> {
        let arguments = self.now().arguments;
        let new = match config::read(arguments) {
            Ok(Wish::Run(new, remarks)) => {
                for remark in remarks {
                    info!("{remark}");
                }
                new
            }
            Ok(Wish::Print(_)) => return Vec::new(),
            Err(error) => {
                let sentence = format!("nothing is changed: {error}");
                warn!("{sentence}");
                return vec![sentence];
            }
        };
        self.follow(&new)
    }

    /// Takes over from `new` what may change while calls go on.
    pub fn follow(&self, new: &Config) -> Vec<String> {
        let mut sentences = Vec::new();
        let mut takes = Vec::new();
        let media = try_media_addresses(new);
        for difference in differences(&self.now(), new) {
            let change = format!(
                "{}: {} => {}",
                difference.name, difference.before, difference.after
            );
            let is_interface = difference.name.starts_with("interface");
            match (difference.take, &media) {
                (Some(_), Err(problem)) if is_interface => {
                    warn!("{change} is not possible: {problem}");
                    sentences.push(format!("{change} is not possible: {problem}"));
                }
                (Some(take), _) => {
                    info!("{change}");
                    sentences.push(change);
                    takes.push(take);
                }
                (None, _) => {
                    warn!("{change} needs a restart");
                    sentences.push(format!("{change} needs a restart"));
                }
            }
        }
        if sentences.is_empty() {
            info!("nothing is different");
            sentences.push("nothing is different".to_owned());
        }
        self.change(|now| {
            for take in takes {
                take(now, new);
            }
        });
        sentences
    }

    /// Renews what goes stale by itself.
    pub(crate) fn refresh(&self, renew: impl FnOnce(&mut CallConfig)) {
        let mut state = self.state();
        renew(&mut state.calls);
        self.dispatch.configure(&Arc::new(state.calls.clone()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // An edit that panics leaves a configuration that is whole value by value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
