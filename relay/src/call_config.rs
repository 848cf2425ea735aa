//! What calls are made with: the options, a certificate, and the time of day.
//!
//! Certificate and clock go stale in a process that runs for months, so new calls get fresh ones; a call keeps what it began with.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use relay_call::config::{CertificateSettings, DtlsConfig, DtlsError, RecordingPlan};
use relay_call::{
    CallConfig, DtlsIdentity, Interface, InterfaceAddress, Timeouts, TransportConfig, WallClock,
};
use tracing::{error, info};

use crate::StartError;
use crate::config::Config;
use crate::live_config::LiveConfig;
use crate::worker::seeds::Seeds;

/// How often the time of day is looked up again: the system's clock may be set while we run.
const CLOCK: Duration = Duration::from_secs(3600);
/// A certificate is valid for thirty days; when half of them are over new calls get a new one.
const CERTIFICATE: Duration = Duration::from_secs(15 * 24 * 3600);

/// The value that all calls share.
pub(crate) fn make(config: &Config) -> Result<CallConfig, StartError> {
    let instance = Seeds::new(config.seed, 0)?.draw();
    let mut calls = CallConfig {
        interfaces: Vec::new(),
        timeouts: Timeouts::default(),
        sip_source: false,
        dtls_passive: false,
        endpoint_learning: config.endpoint_learning,
        hold: config.hold,
        fill: config.silence_fill,
        dtmf_log: None,
        tells_rtcp: config.homer.is_some_and(|homer| homer.rtcp),
        tells_timeouts: config.teardown.is_some(),
        quality: config.quality,
        recording: config.recording.as_ref().map(|recording| RecordingPlan {
            directory: recording.directory.as_str().into(),
            packets: recording.packets.is_some(),
            audio: recording.audio.map(|form| form.format.ending()),
            vcon: recording.vcon.is_some(),
            streams: recording.streams,
            codes: recording.codes.clone(),
        }),
        instance: format!("{:012x}", instance & 0xffff_ffff_ffff),
        report_interval: Duration::default(),
        software: String::new(),
        clock: clock(),
        identity: Arc::new(identity(&config.dtls.certificate)?),
        transport: Arc::new(TransportConfig::default()),
        transport_by_interface: Vec::new(),
    };
    speak_dtls(&mut calls, config).map_err(|error| StartError::Dtls(error.to_string()))?;
    follow(&mut calls, config);
    Ok(calls)
}

/// Brings what the options decide up to date; certificate and instance stay.
pub(crate) fn follow(calls: &mut CallConfig, config: &Config) {
    let interfaces = config.interfaces.iter().map(|interface| {
        let addresses = interface.addresses.iter().map(|address| InterfaceAddress {
            address: address.bound,
            advertised: address.advertised,
        });
        Interface {
            name: interface.name.clone(),
            aliases: interface.aliases.clone(),
            addresses: addresses.collect(),
        }
    });
    calls.interfaces = interfaces.collect();
    calls.timeouts = Timeouts {
        media: config.timeout,
        silent: config.silent_timeout,
        offer: config.offer_timeout,
        last: config.final_timeout.unwrap_or_default(),
        delete_delay: config.delete_delay,
    };
    calls.dtmf_log = config.dtmf_log;
    calls.sip_source = config.sip_source;
    calls.dtls_passive = config.dtls_passive;
    calls.endpoint_learning = config.endpoint_learning;
    calls.hold = config.hold;
    calls.fill = config.silence_fill;
    calls.report_interval = config.rtcp_interval;
    calls.quality = config.quality;
    calls.software.clone_from(&config.software_id);
}

/// The DTLS settings, for all interfaces and for those that have their own; what is learned about peers they share.
fn speak_dtls(calls: &mut CallConfig, config: &Config) -> Result<(), DtlsError> {
    let dtls = DtlsConfig::with_settings(&config.dtls.settings)?;
    let transport = |dtls| {
        Arc::new(TransportConfig {
            dtls,
            ..TransportConfig::default()
        })
    };
    for (interface, engine) in &config.dtls.engines {
        let own = transport(dtls.with_engine(*engine)?);
        calls.transport_by_interface.push((interface.clone(), own));
    }
    calls.transport = transport(dtls);
    Ok(())
}

fn identity(settings: &CertificateSettings) -> Result<DtlsIdentity, StartError> {
    DtlsIdentity::generate_with(SystemTime::now(), settings)
        .map_err(|error| StartError::Dtls(error.to_string()))
}

fn clock() -> WallClock {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    WallClock {
        at: Instant::now(),
        unix: unix.unwrap_or_default(),
    }
}

/// Hands fresh values to the workers for as long as the relay runs.
pub(crate) async fn keep_fresh(live: Arc<LiveConfig>) {
    let mut certificate_from = Instant::now();
    loop {
        tokio::time::sleep(CLOCK).await;
        let mut fresh = None;
        if certificate_from.elapsed() >= CERTIFICATE {
            match identity(&live.started().dtls.certificate) {
                Ok(identity) => {
                    fresh = Some(Arc::new(identity));
                    certificate_from = Instant::now();
                    info!("new calls get a new DTLS certificate");
                }
                // The old one is good for another two weeks, and this is tried again in an hour.
                Err(error) => error!("{error}"),
            }
        }
        live.refresh(|calls| {
            calls.clock = clock();
            if let Some(identity) = fresh {
                calls.identity = identity;
            }
        });
    }
}
