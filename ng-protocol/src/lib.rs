//! The NG control language that OpenSIPS and Kamailio speak to a media relay: frames, requests, replies. Pure.
#![warn(missing_docs)]

pub mod flags;
pub mod request;
pub mod response;
pub mod value;

pub use flags::Flags;
pub use request::{CallId, Command, Request, Tag, ViaBranch, Word};
pub use response::{Outcome, Response, reason};
pub use value::{Dictionary, Value};
