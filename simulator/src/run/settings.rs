//! What the options on the command line mean for a call.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::cli::{
    BusinessArguments, CalleeArguments, CallerArguments, HangUp, MediaArguments, Mode,
    TalkArguments, Voice,
};
use crate::media::config::{Codec, Expectation};
use crate::media::impairment::Impairment;
use crate::report::Ender;
use crate::scenario::business_initiated::BusinessCalls;
use crate::scenario::media_leg::{Ipv6Candidate, MediaSettings};
use crate::scenario::user_initiated::UserCall;
use crate::scenario::{CallSettings, Patience};
use crate::sip::sdp_check::{Keys, is_private};
use crate::sip::uac::Caller;
use crate::sip::uas::Business;

use super::{Route, RunError};

pub(super) fn user_call(
    business: &BusinessArguments,
    caller: &CallerArguments,
    route: &Route,
    mut settings: CallSettings,
) -> Result<UserCall, RunError> {
    settings.patience.answer = seconds(caller.answer_within, "--answer-within")?;
    let has_control = |text: &str| text.chars().any(char::is_control);
    let texts = [
        Some(&caller.user),
        caller.name.as_ref(),
        caller.user_params.as_ref(),
    ];
    if texts.into_iter().flatten().any(|text| has_control(text)) {
        return Err(RunError::Usage(
            "--user, --name and --user-params must not hold control characters".to_owned(),
        ));
    }
    if caller.cancel_after.is_some() {
        settings.expected_status = 487;
    }
    Ok(UserCall {
        caller: Caller {
            user: caller.user.clone(),
            display_name: caller.name.clone(),
            business: business.business.clone(),
            host: route.host.clone(),
            port: route.port,
            user_parameters: caller.user_params.clone(),
            preloaded_route: caller.preloaded_route,
            extra_headers: caller.meta_headers.clone(),
        },
        password: business.password.clone(),
        address: route.address,
        server_name: route.server_name.clone(),
        cancel_after: caller.cancel_after.map(Duration::from_millis),
        duplicate_invite: caller.duplicate_invite,
        settings,
    })
}

pub(super) fn business_calls(
    business: &BusinessArguments,
    callee: &CalleeArguments,
    route: Option<&Route>,
    mut settings: CallSettings,
) -> Result<BusinessCalls, RunError> {
    settings.patience.acknowledgement = seconds(callee.ack_within, "--ack-within")?;
    let host = business
        .host
        .clone()
        .or_else(|| route.map(|route| route.host.clone()))
        .ok_or_else(|| {
            RunError::Usage(
                "--host is needed: the host name configured at Meta, which From must carry"
                    .to_owned(),
            )
        })?;
    let password = business.password.clone().ok_or_else(|| {
        RunError::Usage("--password is needed: Meta challenges every call".to_owned())
    })?;
    Ok(BusinessCalls {
        businesses: vec![Business {
            number: business.business.clone(),
            password,
            host,
        }],
        challenging: callee.challenge,
        ringing: callee.ring,
        answer_after: Duration::from_millis(callee.answer_after_ms),
        refusal: callee.refuse,
        back: route.map(|route| (route.address, route.server_name.clone())),
        settings,
    })
}

pub(super) fn call_settings(
    talk: &TalkArguments,
    media: &MediaArguments,
    expected_status: u16,
    neighbour: Option<SocketAddr>,
) -> Result<CallSettings, RunError> {
    Ok(CallSettings {
        media: media_settings(media, neighbour)?,
        hang_up: match talk.hangup {
            HangUp::Meta => Ender::Meta,
            HangUp::Business => Ender::Business,
        },
        talk: seconds(talk.talk, "--talk")?,
        expected_status,
        allowed_headers: talk.allowed_headers.clone(),
        fresh_connections: talk.fresh_connections,
        patience: Patience {
            transaction: seconds(talk.response_within, "--response-within")?,
            ..Patience::default()
        },
    })
}

fn media_settings(
    media: &MediaArguments,
    neighbour: Option<SocketAddr>,
) -> Result<MediaSettings, RunError> {
    let codec = match media.voice {
        Voice::Opus => Codec::Opus,
        Voice::Pcmu => Codec::Pcmu,
        Voice::Pcma => Codec::Pcma,
    };
    if codec != Codec::Opus && !media.g711 {
        return Err(RunError::Usage(
            "--voice pcmu or pcma needs --g711".to_owned(),
        ));
    }
    let share = |percent: f64, option: &str| {
        if (0.0..=100.0).contains(&percent) {
            Ok(percent / 100.0)
        } else {
            Err(RunError::Usage(format!(
                "{option} is a share of 0 to 100 per cent"
            )))
        }
    };
    let ipv4 = media.media_ip.unwrap_or_else(|| own_address(neighbour));
    let written = media.advertise_ip.unwrap_or(ipv4);
    Ok(MediaSettings {
        keys: match media.mode {
            Mode::Dtls => Keys::Dtls,
            Mode::Sdes => Keys::Sdes,
        },
        ipv4,
        advertised_ipv4: media.advertise_ip,
        ipv6: match media.media_ipv6 {
            _ if media.no_ipv6 => Ipv6Candidate::Absent,
            Some(address) => Ipv6Candidate::At(address),
            None => Ipv6Candidate::Unreachable,
        },
        setup_delay: Duration::from_millis(media.setup_delay_ms),
        tone_hz: media.tone,
        expectation: media
            .expect_tone
            .map_or(Expectation::Nothing, Expectation::Tone),
        with_g711: media.g711,
        codec,
        passive_answer: media.passive,
        digits: media.digits.clone(),
        road: Impairment {
            loss: share(media.loss, "--loss")?,
            delay: Duration::from_millis(media.delay_ms),
            jitter: Duration::from_millis(media.jitter_ms),
            reorder: share(media.reorder, "--reorder")?,
            duplicate: share(media.duplicate, "--duplicate")?,
            ..Impairment::default()
        },
        timer_scale: seconds(media.media_timers, "--media-timers")?.as_secs_f64(),
        allow_private: !media.public_only && is_private(IpAddr::V4(written)),
        is_judged: !media.ignore_media,
    })
}

/// The address this machine uses towards another; nothing is sent to find out.
fn own_address(other: Option<SocketAddr>) -> Ipv4Addr {
    // A documentation address stands for the Internet (RFC 5737).
    let internet = SocketAddr::from(([192, 0, 2, 1], 9));
    let other = other.filter(SocketAddr::is_ipv4).unwrap_or(internet);
    let found = UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| socket.connect(other).and_then(|()| socket.local_addr()));
    match found {
        Ok(SocketAddr::V4(address)) => *address.ip(),
        _ => Ipv4Addr::LOCALHOST,
    }
}

pub(super) fn seconds(value: f64, option: &str) -> Result<Duration, RunError> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|duration| *duration <= Duration::from_secs(30 * 24 * 3600))
        .ok_or_else(|| RunError::Usage(format!("{option} must be a sensible positive number")))
}
