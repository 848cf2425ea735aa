//! Servers that are told what happens here: Homer, and the SIP server whose calls end by a timeout.

use std::net::SocketAddr;

use super::addresses::destination;
use super::error::ConfigError;
use super::interface::Names;
use super::settings::{Settings, bad};

/// Where Homer is, and what it hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Homer {
    /// Where Homer listens.
    pub address: SocketAddr,
    /// Over TCP, not UDP.
    pub tcp: bool,
    /// What we are called there.
    pub agent: u32,
    /// It gets the RTCP that comes in.
    pub rtcp: bool,
    /// It gets the messages of the control protocol, as payloads of this kind.
    pub control: Option<u8>,
}

/// Where to tell of calls that ended by a timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Teardown {
    /// Name or address, and port; `%%` stands for an address that comes with the call.
    pub host: String,
    /// What is asked for there; with `%%`, too.
    pub path: String,
    /// How.
    pub format: TeardownFormat,
}

/// Who understands it (`xmlrpc-format`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeardownFormat {
    /// SEMS: `di` with the tag of each party.
    Sems,
    /// `teardown` with the call-id.
    CallId,
    /// Kamailio: `dlg.terminate_dlg` with call-id and tags.
    Dialog,
}

/// The kind of payload that rtpengine announces for its control protocol, the first that HEP leaves free.
const NG: u8 = 61;

pub(super) fn homer(settings: &Settings, names: &dyn Names) -> Result<Option<Homer>, ConfigError> {
    let Some(address) = destination(settings, "homer", names)? else {
        return Ok(None);
    };
    let tcp = match settings.last("homer-protocol") {
        None => false,
        Some(name) => match name.to_ascii_lowercase().as_str() {
            "udp" => false,
            "tcp" => true,
            _ => {
                return Err(bad(
                    "homer-protocol",
                    name,
                    "udp or tcp is expected".to_owned(),
                ));
            }
        },
    };
    let rtcp = !settings.switch("homer-disable-rtcp-stats", false)?;
    let kind = settings.number("homer-ng-capture-proto", 0..=u8::MAX, NG)?;
    let control = settings.switch("homer-enable-ng", false)?.then_some(kind);
    Ok((rtcp || control.is_some()).then_some(Homer {
        address,
        tcp,
        agent: settings.number("homer-id", 0..=u32::MAX, 2001)?,
        rtcp,
        control,
    }))
}

pub(super) fn teardown(settings: &Settings) -> Result<Option<Teardown>, ConfigError> {
    let format = match settings.number("xmlrpc-format", 0..=2, 0)? {
        1 => TeardownFormat::CallId,
        2 => TeardownFormat::Dialog,
        _ => TeardownFormat::Sems,
    };
    let Some(url) = settings.last("b2b-url") else {
        return Ok(None);
    };
    let wrong = || {
        let expected = "a URL like http://192.0.2.1:8000/RPC2 is expected; https is not spoken";
        bad("b2b-url", url, expected.to_owned())
    };
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_clean = |c: char| c.is_ascii_graphic();
    if host.is_empty() || !url.chars().all(is_clean) || host.contains('@') {
        return Err(wrong());
    }
    // A colon inside brackets belongs to the address (RFC 3986 section 3.2.2).
    let behind_brackets = host.rfind(']').map_or(host, |at| &host[at..]);
    let port = if behind_brackets.contains(':') {
        ""
    } else {
        ":80"
    };
    Ok(Some(Teardown {
        host: format!("{host}{port}"),
        path: if path.is_empty() { "/" } else { path }.to_owned(),
        format,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, arguments};

    fn config(line: &str) -> Result<Config, ConfigError> {
        let line = format!("-i 127.0.0.1 -n 127.0.0.1:2223 --config-file=none {line}");
        let words = line.split_whitespace().map(str::to_owned);
        let Ok(arguments::Wish::Run(settings)) = arguments::read(words) else {
            panic!("nothing to run");
        };
        Config::from_settings(&settings)
    }

    #[test]
    fn homer_is_an_address_a_protocol_and_a_number() {
        assert_eq!(config("").unwrap().homer, None);
        let address = "192.0.2.1:9060".parse().unwrap();
        let homer = |tcp, agent| {
            Some(Homer {
                address,
                tcp,
                agent,
                rtcp: true,
                control: None,
            })
        };
        assert_eq!(
            config("--homer=192.0.2.1:9060").unwrap().homer,
            homer(false, 2001)
        );
        let line = "--homer=192.0.2.1:9060 --homer-protocol=TCP --homer-id=7";
        assert_eq!(config(line).unwrap().homer, homer(true, 7));
        assert!(config("--homer=192.0.2.1:9060 --homer-protocol=sctp").is_err());
        let line = "--homer=192.0.2.1:9060 --homer-disable-rtcp-stats";
        assert_eq!(config(line).unwrap().homer, None);
    }

    #[test]
    fn homer_may_hear_of_the_control_protocol_with_or_without_rtcp() {
        let hears = |line: &str| {
            let homer = config(&format!("--homer=192.0.2.1:9060 {line}"));
            homer
                .unwrap()
                .homer
                .map(|homer| (homer.rtcp, homer.control))
        };
        assert_eq!(hears("--homer-enable-ng"), Some((true, Some(61))));
        let alone = "--homer-enable-ng --homer-disable-rtcp-stats --homer-ng-capture-proto=100";
        assert_eq!(hears(alone), Some((false, Some(100))));
        assert!(config("--homer=192.0.2.1:9060 --homer-ng-capture-proto=256").is_err());
    }

    #[test]
    fn the_url_of_the_server_that_hears_of_timeouts_is_taken_apart() {
        for (line, host, path, format) in [
            (
                "--b2b-url=http://sems",
                "sems:80",
                "/",
                TeardownFormat::Sems,
            ),
            (
                "-b http://%%:8090/RPC2 -x 1",
                "%%:8090",
                "/RPC2",
                TeardownFormat::CallId,
            ),
            (
                "-b http://[::1]/a?b -x 2",
                "[::1]:80",
                "/a?b",
                TeardownFormat::Dialog,
            ),
            ("-b http://[::1]:7/", "[::1]:7", "/", TeardownFormat::Sems),
        ] {
            let expected = Teardown {
                host: host.to_owned(),
                path: path.to_owned(),
                format,
            };
            assert_eq!(config(line).unwrap().teardown, Some(expected), "{line}");
        }
        for line in [
            "-b https://sems/",
            "-b sems",
            "-b http://",
            "-b http://u@h/",
            "-b http://h -x 3",
        ] {
            assert!(config(line).is_err(), "{line}");
        }
    }
}
