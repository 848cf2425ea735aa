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
use crate::control::HttpsCertificate;
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
    /// Of the HTTPS port, if there is one.
    certificate: Option<Arc<HttpsCertificate>>,
    dispatch: Arc<Dispatch>,
}

#[derive(Debug)]
struct State {
    now: Config,
    calls: CallConfig,
}

impl LiveConfig {
    /// The configuration that everybody was started with.
    pub(crate) fn new(
        started: Config,
        calls: CallConfig,
        certificate: Option<Arc<HttpsCertificate>>,
        dispatch: Arc<Dispatch>,
    ) -> Self {
        Self {
            certificate,
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
            Ok(Wish::Check(..) | Wish::Print(_)) => return Vec::new(),
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
        let media = try_media_addresses(new).map_err(|error| error.to_string());
        let certificate = self.renew_certificate(new);
        match &certificate {
            Ok(true) => sentences.push("the certificate for HTTPS is another one".to_owned()),
            Ok(false) => {}
            Err(problem) => {
                sentences.push(format!(
                    "the certificate for HTTPS stays as it is: {problem}"
                ));
            }
        }
        for difference in differences(&self.now(), new) {
            let change = format!(
                "{}: {} => {}",
                difference.name, difference.before, difference.after
            );
            let obstacle = match difference.name.as_str() {
                name if name.starts_with("interface") => media.as_ref().err(),
                "https-cert" | "https-key" => certificate.as_ref().err(),
                _ => None,
            };
            match (difference.take, obstacle) {
                (Some(_), Some(problem)) => {
                    warn!("{change} is not possible: {problem}");
                    sentences.push(format!("{change} is not possible: {problem}"));
                }
                (Some(take), None) => {
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

    /// Reads the certificate of the HTTPS port again: whoever renews it does so in the same file. `false` if it is the same.
    fn renew_certificate(&self, new: &Config) -> Result<bool, String> {
        let Some((certificate, file)) = self.certificate.as_ref().zip(new.https_cert.as_ref())
        else {
            return Ok(false);
        };
        match certificate.renew(file, new.https_key.as_deref()) {
            Ok(renewed) => {
                if renewed {
                    info!(
                        "the certificate for HTTPS is another one: {}",
                        file.display()
                    );
                }
                Ok(renewed)
            }
            Err(problem) => {
                warn!("the certificate for HTTPS stays as it is: {problem}");
                Err(problem.to_string())
            }
        }
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
