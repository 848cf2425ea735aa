//! RTCP (RFC 3550 section 6): read and changed in place, written without an allocation.
//!
//! ```text
//! compound packet = SR or RR, SDES with a CNAME, then anything: BYE, feedback (RFC 4585), XR (RFC 3611), ...
//! ```

mod bye;
mod compound;
mod extended_report;
mod feedback;
mod ntp;
mod report;
mod sdes;
mod translate;

pub use bye::append_bye;
pub use compound::{Compound, RtcpPacket};
pub use extended_report::{ExtendedReport, ReferenceDelay, VoipMetrics, append_extended_report};
pub use ntp::NtpTime;
pub use report::{ReportBlock, SenderInfo, SenderReport, write_report};
pub use translate::{ReportedStream, SentStream, Translation, translate};

/// Packet types (RFC 3550 section 12.1, RFC 4585 section 6.1, RFC 3611 section 2).
pub mod packet_type {
    pub const SENDER_REPORT: u8 = 200;
    pub const RECEIVER_REPORT: u8 = 201;
    pub const SOURCE_DESCRIPTION: u8 = 202;
    pub const GOODBYE: u8 = 203;
    pub const APPLICATION: u8 = 204;
    pub const TRANSPORT_FEEDBACK: u8 = 205;
    pub const PAYLOAD_FEEDBACK: u8 = 206;
    pub const EXTENDED_REPORT: u8 = 207;
}

/// The first word of a packet: version, count, type, and the length that follows in words.
fn header(count: u8, packet_type: u8, body_len: usize) -> [u8; 4] {
    let [high, low] = ((body_len / 4) as u16).to_be_bytes();
    [2 << 6 | count & 0x1f, packet_type, high, low]
}
