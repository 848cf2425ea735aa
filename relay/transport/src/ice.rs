//! Interactive Connectivity Establishment (RFC 8445, with the SDP words of RFC 8839), host candidates over UDP.
//!
//! [`IceAgent`] is a full agent, controlling or controlled, or a lite one when asked. It differs from the letter of RFC 8445
//! where a relay between telephones gains by it:
//!
//! - Checks are not retransmissions of one transaction with growing gaps but fresh transactions at a steady pace, so that a
//!   peer that becomes able to answer is found within one interval. Any of them may be answered.
//! - Towards a lite peer every check nominates (RFC 8445 section 8.1.1 leaves the choice to us), and we stay controlling
//!   whatever it replies.
//! - A pair may carry media from its first successful check, before nomination.
//!
//! There is one data stream and one component per agent, so nothing is ever frozen (RFC 8445 section 6.1.2.6).
//!
//! ```text
//! set_remote, start -> rounds of checks (schedule, checks) -> a reply (binding) -> the pair is valid (selection)
//!    peer lite:        ... which nominated it
//!    we control:       ... the best valid pair is nominated 100 ms later
//!    we are controlled ... the peer nominates
//!                                                           -> consent checks until the end of the call
//! ```

mod agent;
mod binding;
mod candidate;
mod check_list;
mod checks;
mod consent;
mod credentials;
mod lite;
mod role;
mod schedule;
mod selection;
mod snapshot;
mod status;
mod transaction;

#[cfg(test)]
mod tests;

pub use agent::{IceAgent, IceConfig, RemoteIce};
pub use candidate::{Candidate, CandidateError, CandidateKind, Component, MAX_REMOTE_CANDIDATES};
pub use credentials::{CredentialsError, IceCredentials};
pub use role::IceRole;
pub use schedule::CheckPace;
pub use snapshot::IceSnapshot;
pub use status::{CheckCounts, IceEvent, IceStatus, SelectedPair};
