//! The values of a configuration by name, and which of them may change while the relay runs.
//!
//! `params` shows and compares them, a reload goes through them; names and forms are those of rtpengine's `params`.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use relay_call::config::{MosKind, RecordedStreams};
use relay_net::Tier;

use crate::config::{Config, MediaAddress};
use crate::logging::Subsystem;

/// One value.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The option.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Takes it over from another configuration; `None` needs a restart.
    pub take: Option<fn(&mut Config, &Config)>,
}

/// All values of a configuration.
pub fn parameters(config: &Config) -> Vec<Parameter> {
    let mut list = List(Vec::new());
    for part in Subsystem::ALL {
        let levels = &config.process.log.levels;
        let own = levels.iter().find(|(named, _)| *named == part);
        let level = own.map_or(config.process.log.level, |(_, level)| *level);
        list.live(part.option(), level, take_log_levels);
    }
    list.fixed("table", -1);
    list.live(
        "max-sessions",
        or_minus_one(config.limits.sessions),
        |to, from| {
            to.limits.sessions = from.limits.sessions;
        },
    );
    list.live("timeout", seconds(config.timeout), |to, from| {
        to.timeout = from.timeout;
    });
    list.live(
        "silent-timeout",
        seconds(config.silent_timeout),
        |to, from| {
            to.silent_timeout = from.silent_timeout;
        },
    );
    let last = config.final_timeout.unwrap_or_default();
    list.live("final-timeout", seconds(last), |to, from| {
        to.final_timeout = from.final_timeout;
    });
    list.live(
        "offer-timeout",
        seconds(config.offer_timeout),
        |to, from| {
            to.offer_timeout = from.offer_timeout;
        },
    );
    list.live("delete-delay", seconds(config.delete_delay), |to, from| {
        to.delete_delay = from.delete_delay;
    });
    list.fixed("tos", config.tos.unwrap_or(0));
    list.fixed("control-tos", config.control_tos.unwrap_or(0));
    list.fixed("port-min", config.ports.start());
    list.fixed("port-max", config.ports.end());
    list.fixed("num-threads", config.workers);
    let cpu = config.limits.cpu.unwrap_or(0.0);
    list.live("max-cpu", format!("{cpu:.1}"), |to, from| {
        to.limits.cpu = from.limits.cpu;
    });
    let load = config.limits.load.unwrap_or(0.0);
    list.live("max-load", format!("{load:.2}"), |to, from| {
        to.limits.load = from.limits.load;
    });
    let bandwidth = config.limits.bandwidth.unwrap_or(0);
    list.live("max-bandwidth", bandwidth, |to, from| {
        to.limits.bandwidth = from.limits.bandwidth;
    });
    media(&mut list, config);
    listeners(&mut list, config);
    list.0
}

fn media(list: &mut List, config: &Config) {
    let mut number = 0;
    for interface in &config.interfaces {
        for MediaAddress { bound, advertised } in &interface.addresses {
            let mut value = format!("{}\\{bound}", interface.name);
            if bound != advertised {
                value.push_str(&format!("!{advertised}"));
            }
            list.live(&format!("interface[{number}]"), value, take_interfaces);
            number += 1;
        }
        for alias in &interface.aliases {
            list.live(
                &format!("interface[{number}]"),
                format!("{alias}={}", interface.name),
                take_interfaces,
            );
            number += 1;
        }
        if let Some(ports) = &interface.ports {
            let name = format!("{} ports", interface.name);
            list.fixed(&name, format!("{}-{}", ports.start(), ports.end()));
        }
    }
    let mode = format!("{:?}", config.endpoint_learning).to_lowercase();
    list.live("endpoint-learning", mode, |to, from| {
        to.endpoint_learning = from.endpoint_learning;
    });
    list.live("sip-source", config.sip_source, |to, from| {
        to.sip_source = from.sip_source;
    });
    list.live("dtls-passive", config.dtls_passive, |to, from| {
        to.dtls_passive = from.dtls_passive;
    });
    let destination = config.dtmf_log.map(|address| address.to_string());
    list.live(
        "dtmf-log-dest",
        destination.unwrap_or_default(),
        |to, from| {
            to.dtmf_log = from.dtmf_log;
        },
    );
    list.fixed("media-dir", path(&config.media_dir));
    list.fixed("dtmf-log-ng-tcp", config.dtmf_log_connections);
    if let Some(homer) = &config.homer {
        list.fixed("homer", homer.address);
        list.fixed("homer-protocol", if homer.tcp { "tcp" } else { "udp" });
        list.fixed("homer-id", homer.agent);
        list.fixed("homer-disable-rtcp-stats", !homer.rtcp);
        list.fixed("homer-enable-ng", homer.control.is_some());
        if let Some(kind) = homer.control {
            list.fixed("homer-ng-capture-proto", kind);
        }
    }
    if let Some(teardown) = &config.teardown {
        let url = format!("http://{}{}", teardown.host, teardown.path);
        list.fixed("b2b-url", url);
        list.fixed("xmlrpc-format", teardown.format as u8);
    }
    if let Some(recording) = &config.recording {
        list.fixed("recording-dir", &recording.directory);
        let streams = recording.streams;
        list.fixed("record-egress", streams == RecordedStreams::Egress);
        list.fixed("record-both", streams == RecordedStreams::Both);
        if let Some(link_type) = recording.packets {
            list.fixed("recording-format", link_type);
        }
        if let Some(form) = recording.audio {
            list.fixed("recording-audio", form.channels);
            list.fixed("recording-audio-format", form.format);
        }
    }
    for (name, value) in config.dtls.values() {
        list.fixed(name, value);
    }
    list.live("software-id", &config.software_id, |to, from| {
        to.software_id.clone_from(&from.software_id);
    });
    list.live("templates", &config.templates, |to, from| {
        to.templates.clone_from(&from.templates);
    });
    list.live("hold-ms", config.hold.as_millis(), |to, from| {
        to.hold = from.hold;
    });
    list.live("silence-fill", config.silence_fill, |to, from| {
        to.silence_fill = from.silence_fill;
    });
    list.live(
        "rtcp-interval",
        config.rtcp_interval.as_millis(),
        |to, from| {
            to.rtcp_interval = from.rtcp_interval;
        },
    );
    let quality = config.quality;
    let mos = match quality.mos {
        MosKind::Conversational => "CQ",
        MosKind::Listening => "LQ",
    };
    list.live("mos", mos, |to, from| to.quality.mos = from.quality.mos);
    let reporting = match (quality.global, quality.inline) {
        (true, true) => "full",
        (false, true) => "inline",
        (true, false) => "global",
        (false, false) => "none",
    };
    list.live("ssrc-reporting", reporting, |to, from| {
        to.quality.global = from.quality.global;
        to.quality.inline = from.quality.inline;
    });
    let data_path = config.data_path.map_or("auto", Tier::name);
    list.fixed("data-path", data_path);
    list.fixed("coalesce-us", config.coalesce.as_micros());
    list.fixed("pin-workers", config.pin_workers);
    let state = config.persistence.as_ref();
    let directory = state.map(|state| state.directory.display().to_string());
    list.fixed("state-dir", directory.unwrap_or_else(|| "none".to_owned()));
    let drain = config.process.shutdown_drain;
    list.live("shutdown-drain", seconds(drain), |to, from| {
        to.process.shutdown_drain = from.process.shutdown_drain;
    });
}

fn listeners(list: &mut List, config: &Config) {
    for (name, addresses) in [
        ("listen-ng", &config.listen_ng),
        ("listen-tcp-ng", &config.listen_tcp_ng),
        ("listen-cli", &config.listen_cli),
        ("listen-http", &config.listen_http),
        ("listen-https", &config.listen_https),
    ] {
        let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        list.fixed(name, addresses.join(";"));
    }
    // Without the port the files are nobody's business.
    if !config.listen_https.is_empty() {
        list.live("https-cert", path(&config.https_cert), |to, from| {
            to.https_cert.clone_from(&from.https_cert);
        });
        list.live("https-key", path(&config.https_key), |to, from| {
            to.https_key.clone_from(&from.https_key);
        });
    }
}

fn path(file: &Option<PathBuf>) -> String {
    let file = file.as_ref().map(|file| file.display().to_string());
    file.unwrap_or_default()
}

struct List(Vec<Parameter>);

impl List {
    /// A value that may change at any time.
    fn live(&mut self, name: &str, value: impl Display, take: fn(&mut Config, &Config)) {
        self.0.push(Parameter {
            name: name.to_owned(),
            value: value.to_string(),
            take: Some(take),
        });
    }

    /// A value that threads or sockets were made with.
    fn fixed(&mut self, name: &str, value: impl Display) {
        self.0.push(Parameter {
            name: name.to_owned(),
            value: value.to_string(),
            take: None,
        });
    }
}

fn take_log_levels(to: &mut Config, from: &Config) {
    to.process.log.level = from.process.log.level;
    to.process.log.levels.clone_from(&from.process.log.levels);
}

fn take_interfaces(to: &mut Config, from: &Config) {
    to.interfaces.clone_from(&from.interfaces);
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs()
}

fn or_minus_one(limit: Option<usize>) -> String {
    limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string())
}

/// A value that two configurations do not share.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The option.
    pub name: String,
    /// In the first; empty if it has none.
    pub before: String,
    /// In the second; empty if it has none.
    pub after: String,
    /// How the first takes it over, if it can while it runs.
    pub take: Option<fn(&mut Config, &Config)>,
}

/// What is different in `after`.
pub fn differences(before: &Config, after: &Config) -> Vec<Difference> {
    let (before, after) = (parameters(before), parameters(after));
    let value_in = |list: &[Parameter], name: &str| {
        let named = list.iter().find(|parameter| parameter.name == name);
        named
            .map(|parameter| parameter.value.clone())
            .unwrap_or_default()
    };
    let mut differences: Vec<Difference> = Vec::new();
    for parameter in before.iter().chain(&after) {
        let old = value_in(&before, &parameter.name);
        let new = value_in(&after, &parameter.name);
        let known = differences.iter().any(|known| known.name == parameter.name);
        if old != new && !known {
            differences.push(Difference {
                name: parameter.name.clone(),
                before: old,
                after: new,
                take: parameter.take,
            });
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn what_differs_is_named_with_both_values() {
        let before = Config::on(Ipv4Addr::LOCALHOST.into());
        let mut after = before.clone();
        after.timeout = Duration::from_secs(61);
        after.ports = 20_000..=39_999;
        after.interfaces[0].aliases.push("world".to_owned());
        let found = differences(&before, &after);
        let told: Vec<String> = found
            .iter()
            .map(|d| {
                format!(
                    "{}: {} => {} {}",
                    d.name,
                    d.before,
                    d.after,
                    d.take.is_some()
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "timeout: 60 => 61 true",
                "port-min: 30000 => 20000 false",
                "interface[1]:  => world=default true",
            ]
        );
        assert!(differences(&after, &after).is_empty());
    }
}
