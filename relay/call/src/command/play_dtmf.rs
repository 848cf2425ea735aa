//! `play DTMF`: a key is pressed in the name of a party; its partners get telephone-events (RFC 4733).

use std::time::Duration;

use ng_protocol::flags::All;
use ng_protocol::{Request, reason};

use crate::command::select::{self, FromTag};
use crate::error::RequestError;
use crate::leg::{LegId, Legs};

/// A key press as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyPress {
    /// RFC 4733 §3.2: 0 to 15.
    pub(crate) event: u8,
    pub(crate) duration: Duration,
    /// Before the next one.
    pub(crate) pause: Duration,
    /// Below 0 dBm0, in dB.
    pub(crate) volume: u8,
}

/// Who presses which key.
pub(crate) fn play(legs: &Legs, request: &Request) -> Result<(Vec<LegId>, KeyPress), RequestError> {
    let parties = if request.flags.selection.all == Some(All::All) {
        let speakers = legs.iter().map(|leg| leg.id);
        speakers
            .filter(|&id| !legs.subscriptions.is_subscriber(id))
            .collect()
    } else {
        let party = select::party(legs, request, FromTag::Selects)?;
        vec![party.ok_or(RequestError::Selection(reason::NO_PARTY))?]
    };
    let dtmf = &request.dtmf;
    let event = dtmf
        .code
        .ok_or(RequestError::Selection(reason::CODE_OUT_OF_RANGE))?;
    let between = |ms: Option<i64>, default: i64| {
        let ms = ms.unwrap_or(default).clamp(100, 5000);
        Duration::from_millis(ms.unsigned_abs())
    };
    let volume = dtmf.volume.unwrap_or(-8).unsigned_abs().min(63);
    Ok((
        parties,
        KeyPress {
            event,
            duration: between(dtmf.duration_ms, 250),
            pause: between(dtmf.pause_ms, 100),
            // It is 63 at most.
            volume: volume as u8,
        },
    ))
}
