//! Recordings: a party hears one in place of the others until it ends or is stopped.

use std::time::{Duration, Instant};

use ng_protocol::{Request, Response, Value, reason};
use relay_media::Recording;

use super::Call;
use crate::command::play_media;
use crate::error::RequestError;
use crate::event::CallEvent;

impl Call {
    /// Carries out `play media`. `recording` is what the request names, opened; or why it could not be opened.
    ///
    /// A recording that was heard before gives way to this one, and goes on if this one cannot be played.
    pub fn play_media(
        &mut self,
        now: Instant,
        request: &Request,
        recording: Result<Box<dyn Recording>, String>,
    ) -> Response {
        match self.try_to_play(now, request, recording) {
            Ok(duration) => {
                let milliseconds = duration.and_then(|d| i64::try_from(d.as_millis()).ok());
                match milliseconds {
                    Some(ms) => Response::ok().with("duration", Value::Integer(ms)),
                    None => Response::ok(),
                }
            }
            Err(error) => error.into(),
        }
    }

    fn try_to_play(
        &mut self,
        now: Instant,
        request: &Request,
        recording: Result<Box<dyn Recording>, String>,
    ) -> Result<Option<Duration>, RequestError> {
        if self.legs.is_empty() {
            return Err(RequestError::Missing(reason::UNKNOWN_CALL_ID_MEDIA));
        }
        let parties = play_media::parties(&self.legs, request)?;
        self.live.note_players(&parties);
        let failed = play_media::failure(&request.playback)?;
        if !request.playback.names_something() {
            let id = request.playback.db_id.unwrap_or_default();
            let why = format!("db-id={id}: there is no database here: name a file, or send a blob");
            return Err(RequestError::Playback(failed, why));
        }
        let recording = recording.map_err(|why| RequestError::Playback(failed, why))?;
        let duration = recording.duration();
        let limit = request.playback.repeat_duration_ms;
        let limit = limit.and_then(|ms| u64::try_from(ms).ok());
        let limit = limit.filter(|&ms| ms > 0).map(Duration::from_millis);
        let mut heard_by = Vec::new();
        for &party in &parties {
            if self.live.play(now, party, recording.as_ref(), limit) {
                heard_by.push(party);
            }
        }
        if heard_by.is_empty() {
            let why = "the party takes no audio that can be made: it has not answered, is on hold, or has no known codec";
            return Err(RequestError::Playback(failed, why.into()));
        }
        for party in heard_by {
            let leg = self.legs.get(party);
            let leg = leg.map_or_else(String::new, crate::leg::Leg::name);
            self.events
                .push_back(CallEvent::PlaybackBegan { leg, duration });
        }
        self.wake_at = Some(now);
        Ok(duration)
    }

    /// Carries out `stop media`.
    pub(super) fn stop_media(&mut self, now: Instant, request: &Request) -> Response {
        let parties = match play_media::parties(&self.legs, request) {
            Ok(parties) => parties,
            Err(error) => return error.into(),
        };
        if !self.live.had_players(&parties) {
            return RequestError::Selection(reason::NOT_PLAYING).into();
        }
        let stopped = parties
            .iter()
            .filter_map(|&party| self.live.stop(now, party));
        let position = stopped.last();
        self.wake_at = Some(now);
        let milliseconds = position.and_then(|at| i64::try_from(at.as_millis()).ok());
        match milliseconds {
            Some(ms) => Response::ok().with("last-frame-pos", Value::Integer(ms)),
            None => Response::ok(),
        }
    }
}
