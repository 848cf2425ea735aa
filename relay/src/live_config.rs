//! The configuration of a running relay: what it was started with, what holds now, and who must hear of a change.
//!
//! Commands of the operator change single values, a reload changes several; both go through [`LiveConfig::change`], so that there is
//! one place that knows where a value has its effect.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ng_protocol::Templates;
use relay_call::CallConfig;

use crate::call_config;
use crate::config::{Config, Interface, Limits};
use crate::control::dispatch::Dispatch;

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
        edit(now);
        call_config::follow(calls, now);
        self.dispatch.apply(ControlSettings::of(now));
        self.dispatch.configure(&Arc::new(calls.clone()));
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
