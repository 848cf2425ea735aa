//! One call: legs, SDP, offer and answer, forward paths. Pure: no sockets, no clock.
//!
//! Start with [`Call`]: five methods, in the words every stateful object of the core speaks.

pub mod config;
pub mod error;
pub mod event;
pub mod ports;
pub mod sdp;

mod call;

pub use call::Call;
pub use config::{CallConfig, EndpointLearning, Interface, InterfaceAddress, Timeouts, WallClock};
pub use error::RequestError;
pub use event::{CallEvent, EndReason, Failure};
pub use ports::{LeaseError, LeasedPort, PortCount, PortLease, PortLeaser, PortPool};
