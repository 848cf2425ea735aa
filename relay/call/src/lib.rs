//! One call: legs, SDP, offer and answer, forward paths. Pure: no sockets, no clock.
//!
//! Start with [`Call`]: five methods, in the words every stateful object of the core speaks.

pub mod config;
pub mod dtmf;
pub mod egress;
pub mod error;
pub mod event;
pub mod leg;
pub mod negotiate;
pub mod path;
pub mod ports;
pub mod recording;
pub mod restriction;
pub mod sdp;
pub mod section;
pub mod snapshot;
pub mod stats;
pub mod subscription;
pub mod trigger;

mod call;
mod command;
mod deadline;
mod draft;
mod live;
mod placement;
#[cfg(test)]
pub(crate) mod testing;
mod trickle;
mod utc_time;

pub use call::{Call, CallDirection};
pub use config::{
    CallConfig, DtlsIdentity, EndpointLearning, Interface, InterfaceAddress, QualityReports,
    Timeouts, TransportConfig, WallClock,
};
pub use dtmf::KeyWay;
pub use error::RequestError;
pub use event::{CallEvent, EndReason, Failure, SectionSummary, Silence};
pub use ports::{LeaseError, LeasedPort, PortCount, PortLease, PortLeaser, PortPool};
pub use relay_media::{Piece, Recording, SampleSource, Supply};
pub use snapshot::{CallProgress, CallSnapshot, RestoreError, SnapshotError};
pub use stats::{Chain, Counter, Figure, Place, Samples, Tally, Transcoded};
pub use utc_time::UtcTime;
