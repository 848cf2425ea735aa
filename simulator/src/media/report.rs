//! What one call was like, in numbers and in words.

use serde::Serialize;

/// Everything measured in one call. Times are milliseconds; those "after the answer" count from the moment the
/// answer reached Meta (user-initiated) or left it (business-initiated).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MediaReport {
    /// The first valid check, after the answer.
    pub ice_ms: Option<f64>,
    /// The end of the DTLS handshake, after the answer.
    pub dtls_ms: Option<f64>,
    /// The first valid SRTP packet, after the answer.
    pub first_srtp_ms: Option<f64>,
    /// By how much media ran ahead of the 200 OK.
    pub early_media_ms: Option<f64>,
    /// Whether WhatsApp would have started the user's call timer before the call was answered.
    pub accepted_early: bool,
    /// DTLS version, OpenSSL's name.
    pub dtls_version: Option<String>,
    /// Cipher suite, OpenSSL's name.
    pub dtls_cipher: Option<String>,
    /// SRTP profile, OpenSSL's or SDES' name.
    pub srtp_profile: Option<String>,
    /// Datagrams received, before anything was looked at.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// STUN and DTLS datagrams that met the deaf first D milliseconds.
    pub ignored_while_deaf: u64,
    /// Checks answered.
    pub checks_answered: u64,
    /// Checks with a wrong user name, wrong integrity or none.
    pub checks_refused: u64,
    /// Checks from a controlled agent, answered with 487.
    pub role_conflicts: u64,
    /// DTLS datagrams from an address that had not passed a check.
    pub dtls_before_check: u64,
    /// SRTP and SRTCP that could not be authenticated, or came before there were keys.
    pub unauthenticated: u64,
    /// What was heard.
    pub received: ReceivedReport,
    /// What was said.
    pub sent: SentReport,
    /// What the business did wrong, in words, each kind once.
    pub violations: Vec<String>,
}

/// The stream of the business.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReceivedReport {
    /// RTP packets, duplicates excluded.
    pub packets: u64,
    /// Payload octets of those.
    pub octets: u64,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// Packets behind a later one.
    pub reordered: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Pauses of more than 60 ms between arrivals.
    pub gaps: u64,
    /// The longest pause.
    pub longest_gap_ms: f64,
    /// Smallest and largest payload.
    pub payload_octets_min: u64,
    /// Largest payload.
    pub payload_octets_max: u64,
    /// The frame length most packets had.
    pub ptime_ms: Option<f64>,
    /// Payload types and how many packets each had.
    pub payload_types: Vec<(u8, u64)>,
    /// The SSRC, in hexadecimal.
    pub ssrc: Option<String>,
    /// How many further SSRCs came.
    pub ssrc_changes: u64,
    /// Timestamps that do not follow from the one before and the sequence number.
    pub timestamp_jumps: u64,
    /// RTCP compound packets.
    pub rtcp_packets: u64,
    /// Sender reports among them.
    pub sender_reports: u64,
    /// Receiver reports among them.
    pub receiver_reports: u64,
    /// RTCP BYEs.
    pub rtcp_byes: u64,
    /// The CNAME the business gave.
    pub cname: Option<String>,
    /// Loss of our stream as the business reports it, the last value.
    pub reported_loss_of_ours: Option<u32>,
    /// Telephone-event packets.
    pub telephone_events: u64,
    /// The keys that they stand for, each once.
    pub keys: String,
    /// Audio that could be decoded.
    pub audio_ms: f64,
    /// Audio that could not be decoded.
    pub undecodable_packets: u64,
    /// Audio that held the expected tone.
    pub tone_ms: f64,
    /// Whether the expected tone was heard for at least 100 ms.
    pub is_tone_found: bool,
    /// Audio that was silent.
    pub silence_ms: f64,
    /// The prompt, where one was expected.
    pub prompt: Option<PromptReport>,
}

/// How a prompt arrived.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PromptReport {
    /// The beginning that was never heard.
    pub clipped_ms: f64,
    /// What is missing between the first and the last piece heard.
    pub lost_ms: f64,
    /// What was heard.
    pub heard_ms: f64,
    /// How late the first piece heard came, against the moment it was spoken (see `prompt_started`).
    pub first_delay_ms: Option<f64>,
    /// How late speech still was one second after the first piece.
    pub delay_after_one_second_ms: Option<f64>,
    /// How late the last piece was.
    pub last_delay_ms: Option<f64>,
    /// The least lateness of the call, which is what the road itself costs.
    pub least_delay_ms: Option<f64>,
}

/// Meta's own stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SentReport {
    /// RTP packets.
    pub packets: u64,
    /// Payload octets.
    pub octets: u64,
    /// RTCP compound packets.
    pub rtcp_packets: u64,
    /// Digits sent as telephone-events.
    pub digits: u64,
}
