//! Whole calls: what the command line asks for, played over real connections.
//!
//! ```text
//!   user_initiated      INVITE, challenge, answer, talk, hang up      Meta begins
//!   business_initiated  challenge, ring, answer, talk, hang up        the business begins
//!   session             an established call, the same for both
//!   media_leg           Meta's media endpoint beside it
//!   record              what is noted down, and the report it becomes
//! ```

use std::time::Duration;

use crate::report::Ender;

pub mod business_initiated;
pub mod media_leg;
mod record;
mod session;
#[cfg(test)]
mod tests;
pub mod user_initiated;

use media_leg::MediaSettings;

/// Meta's patience, in one place so that tests can shorten it.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a response to BYE or CANCEL, and for the first response to INVITE (64 × T1, RFC 3261
    /// §17.1).
    pub transaction: Duration,
    /// For the business to answer a user's call; then the user sees "Not answered".
    pub answer: Duration,
    /// For an ACK that can be routed (64 × T1, RFC 3261 §13.3.1.4).
    pub acknowledgement: Duration,
    /// For a hang-up that is the business' to make, beyond the agreed talking time.
    pub hang_up: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            transaction: Duration::from_secs(32),
            answer: Duration::from_secs(60),
            acknowledgement: Duration::from_secs(32),
            hang_up: Duration::from_secs(15),
        }
    }
}

/// RFC 3261 §17.1.1.1: the estimate of a round trip, from which a 200 OK is repeated.
const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.2: the longest space between repetitions.
const T2: Duration = Duration::from_secs(4);

/// What both kinds of calls need to know.
#[derive(Debug, Clone)]
pub struct CallSettings {
    /// The media side.
    pub media: MediaSettings,
    /// Who hangs up.
    pub hang_up: Ender,
    /// After how long.
    pub talk: Duration,
    /// The final status the INVITE is meant to get; 200 by default.
    pub expected_status: u16,
    /// Header names that may reach Meta although they look internal.
    pub allowed_headers: Vec<String>,
    /// Whether Meta opens a new connection for its BYE instead of using the one it has.
    pub fresh_connections: bool,
    /// Timers.
    pub patience: Patience,
}
