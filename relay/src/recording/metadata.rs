//! The text beside the packets, in the form of rtpengine: which file, what controllers were given when, start and end, their own text.

use std::time::Duration;

use relay_call::UtcTime;

/// The beginning.
pub(super) fn head(pcap: &str) -> String {
    format!("{pcap}\n\n\n")
}

/// A description that a controller was given before the packet of this number, from 1.
pub(super) fn description(at: Duration, answers: bool, packet: u64, sdp: &[u8]) -> Vec<u8> {
    let mode = if answers { "answer" } else { "offer" };
    let mut text = format!(
        "Timestamp started ms: {}\nSDP mode: {mode}\nSDP before RTP packet: {packet}\n\n",
        Milliseconds(at)
    )
    .into_bytes();
    text.extend(sdp);
    text.push(b'\n');
    text
}

/// What is known at the end.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    /// When the call was ended; zero if it goes on.
    pub(super) terminated: Duration,
    /// When it began.
    pub(super) call_created: Duration,
    /// When the recording ended.
    pub(super) ended: Duration,
    /// The controller's text.
    pub(super) metadata: Option<String>,
}

impl Tail {
    /// The end of the text.
    pub(super) fn text(&self) -> String {
        let metadata = self.metadata.as_ref();
        let metadata = metadata.map(|text| format!("\n\n{text}\n"));
        format!(
            "Timestamp terminated ms(first monologue): {}\n\n\
             call start time: {}\ncall end time: {}\n{}",
            Milliseconds(self.terminated),
            UtcTime(self.call_created).seconds(),
            UtcTime(self.ended).seconds(),
            metadata.unwrap_or_default()
        )
    }
}

/// Milliseconds with three decimals.
struct Milliseconds(Duration);

impl std::fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.0.as_micros();
        write!(f, "{}.{:03}", micros / 1000, micros % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_rtpengine() {
        let at = Duration::from_micros(1_795_330_304_881_291);
        let mut text = head("/d/pcaps/c-0a.pcap").into_bytes();
        text.extend(description(at, false, 1, b"v=0\r\ns=-\r\n"));
        text.extend(description(at, true, 7, b"v=0\r\n"));
        let tail = Tail {
            terminated: Duration::ZERO,
            call_created: at,
            ended: at + Duration::from_millis(1_200),
            metadata: Some("hello|x:y".to_owned()),
        };
        text.extend(tail.text().into_bytes());
        let expected = "/d/pcaps/c-0a.pcap\n\n\n\
            Timestamp started ms: 1795330304881.291\nSDP mode: offer\nSDP before RTP packet: 1\n\n\
            v=0\r\ns=-\r\n\n\
            Timestamp started ms: 1795330304881.291\nSDP mode: answer\nSDP before RTP packet: 7\n\n\
            v=0\r\n\n\
            Timestamp terminated ms(first monologue): 0.000\n\n\
            call start time: 2026-11-22T06:51:44\ncall end time: 2026-11-22T06:51:46\n\n\n\
            hello|x:y\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
