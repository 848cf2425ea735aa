//! The NG control language that OpenSIPS and Kamailio speak to a media relay: frames, requests, replies. Pure.
#![warn(missing_docs)]

pub mod bencode;
pub mod error;
pub mod flags;
pub mod frame;
pub mod json;
pub mod request;
pub mod response;
pub mod rtpp_flags;
mod spelling;
#[cfg(test)]
mod testing;
pub mod value;

pub use error::NgError;
pub use flags::Flags;
pub use frame::{Encoding, Frame};
pub use request::{CallId, Command, Request, Tag, ViaBranch, Word};
pub use response::{Outcome, Response, reason};
pub use rtpp_flags::Templates;
pub use value::{Dictionary, Value};
