//! The NG control language that OpenSIPS and Kamailio speak to a media relay.
//!
//! A proxy that handles a SIP call sends its media relay a request with the SDP of one side, and puts the SDP of the
//! reply into the message for the other side. A request is a datagram: a cookie, a space, and a dictionary in bencode or
//! JSON ([`frame`]). Its options are many, and every proxy spells them differently; here they become one typed
//! [`Request`] with [`Flags`], and the answer is a [`Response`].
//!
//! This crate knows bytes and strings. It has no sockets, no clock and no calls in it, and it does not look into SDP.
//! Nothing that comes from the network makes it panic, and nobody is refused for a word it does not know: such words
//! are kept in [`Request::unknown`] for the log.
//!
//! # One exchange
//!
//! ```
//! use ng_protocol::flags::{Ice, TransportProtocol};
//! use ng_protocol::{Command, Frame, Request, Response};
//!
//! let datagram = b"9_7_1 d3:sdp5:v=0\r\n3:ICE6:remove18:transport-protocol7:RTP/AVP5:flagsl14:replace-origin9:symmetric7:frobnice7:call-id6:waid-18:from-tag3:ft17:command5:offere";
//!
//! // A datagram without a cookie gets no reply; everything else gets one, in the encoding of the request.
//! let frame = Frame::split(datagram).unwrap();
//! let reply = match Request::parse(frame.payload) {
//!     Ok(request) => {
//!         assert_eq!(request.command, Command::Offer);
//!         assert_eq!(request.call_id.as_ref().unwrap().as_bytes(), b"waid-1");
//!         assert_eq!(request.flags.ice.mode, Some(Ice::Remove));
//!         assert_eq!(request.flags.crypto.transport_protocol, Some(TransportProtocol::RtpAvp));
//!         assert!(request.flags.sdp.replace.origin);
//!         // A word that nobody knows is reported, not refused.
//!         assert_eq!(request.unknown[0].value, "frobnic");
//!         Response::sdp(b"v=0\r\n".to_vec())
//!     }
//!     Err(error) => Response::from(&error),
//! };
//!
//! assert_eq!(
//!     reply.to_datagram(frame.cookie, frame.encoding()),
//!     b"9_7_1 d3:sdp5:v=0\r\n6:result2:oke"
//! );
//! ```
#![warn(missing_docs)]

pub mod bencode;
mod command;
pub mod error;
pub mod flags;
pub mod frame;
mod identity;
pub mod json;
pub mod request;
pub mod response;
pub mod rtpp_flags;
mod spelling;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod value;
pub mod vocabulary;

pub use error::NgError;
pub use flags::Flags;
pub use frame::{Encoding, Frame};
pub use request::{CallId, Command, RecordingOutput, Request, Tag, ViaBranch, Word};
pub use response::{Outcome, Response, reason};
pub use rtpp_flags::Templates;
pub use value::{Dictionary, Value};
