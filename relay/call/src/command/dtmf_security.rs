//! What a request wants to become of telephone-events: `DTMF-security`, its triggers, `DTMF-delay`.

use std::sync::Arc;
use std::time::Duration;

use ng_protocol::Request;
use ng_protocol::flags::DtmfSecurity;

use crate::leg::Legs;
use crate::restriction::{Events, Scope};
use crate::trigger::Trigger;

/// What rtpengine sounds in place of an event when nobody says what.
const USUAL_FREQUENCY: u16 = 400;
const USUAL_VOLUME: u8 = 10;
/// An event that comes later than this nobody would take for a key that was just pressed.
const LONGEST_DELAY_MS: i64 = 60_000;

/// How events are blocked in a mode.
fn mode(request: &Request, security: DtmfSecurity) -> Events {
    match security {
        DtmfSecurity::Off => Events::Pass,
        DtmfSecurity::Drop => Events::Drop,
        DtmfSecurity::Silence => Events::Silence,
        DtmfSecurity::Random => Events::Random,
        DtmfSecurity::Zero => Events::Key(0),
        DtmfSecurity::Dtmf => Events::Key(request.dtmf.code.unwrap_or(0)),
        DtmfSecurity::Tone => {
            let named = &request.flags.dtmf.frequencies;
            let frequencies: Arc<[u16]> = if named.is_empty() {
                Arc::new([USUAL_FREQUENCY])
            } else {
                named.as_slice().into()
            };
            let volume = request.dtmf.volume.map(i64::unsigned_abs);
            let volume = volume.and_then(|volume| u8::try_from(volume.min(63)).ok());
            Events::Tone {
                frequencies,
                volume: volume.unwrap_or(USUAL_VOLUME),
            }
        }
    }
}

/// How a request blocks events from now on. One that only arms a trigger lets them pass until then.
pub(super) fn events(request: &Request) -> Events {
    let dtmf = &request.flags.dtmf;
    match dtmf.security {
        Some(security) => mode(request, security),
        None if !dtmf.trigger.is_empty() || dtmf.delay_ms.is_some() => Events::Pass,
        None => Events::Drop,
    }
}

/// How much later events are to be heard, if the request says so.
pub(super) fn delay(request: &Request) -> Option<Duration> {
    let ms = request.flags.dtmf.delay_ms?.clamp(0, LONGEST_DELAY_MS);
    Some(Duration::from_millis(ms.unsigned_abs()))
}

/// The trigger of a request; an error is what its log line says.
pub(super) fn trigger(request: &Request) -> Result<Option<Arc<Trigger>>, &'static str> {
    let dtmf = &request.flags.dtmf;
    if dtmf.trigger.is_empty() {
        return Ok(None);
    }
    let Some(then) = dtmf.security_trigger else {
        return Err("a trigger without DTMF-security-trigger changes nothing");
    };
    let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
    let afterwards = dtmf.security_trigger_end.unwrap_or(DtmfSecurity::Off);
    Ok(Some(Arc::new(Trigger {
        keys: dtmf.trigger.clone(),
        then: mode(request, then),
        end_keys: dtmf.trigger_end.clone(),
        end_after: dtmf
            .trigger_end_time_ms
            .and_then(positive)
            .map(Duration::from_millis),
        end_count: dtmf
            .trigger_end_digits
            .and_then(positive)
            .and_then(|count| u32::try_from(count).ok()),
        afterwards: mode(request, afterwards),
    })))
}

/// What an offer or an answer wants to become of the events of the party that sent it. The text is for the log.
pub(crate) fn apply_to_sender(
    legs: &mut Legs,
    request: &Request,
    scope: Scope,
) -> Option<&'static str> {
    if request.flags.media.block_dtmf {
        let events = events(request).max(Events::Drop);
        legs.restrictions
            .change(scope, |r| r.events = r.events.clone().max(events));
    }
    if let Some(delay) = delay(request) {
        legs.restrictions.change(scope, |r| r.delay = delay);
    }
    match trigger(request) {
        Ok(None) => None,
        Ok(trigger) => {
            legs.restrictions.arm(scope, trigger);
            None
        }
        Err(warning) => Some(warning),
    }
}
