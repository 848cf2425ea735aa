//! What a context remembers of each stream: rollover counter, replay windows, SRTCP index.
//!
//! All of it is plain data, so that a call survives a restart of the process without using an index twice.

use super::ReplayWindow;
use crate::rtp::{SequenceNumber, Ssrc};

/// Streams that one context remembers. A call leg has one or two at a time, and a new one with each announcement.
pub const MAX_SSRCS: usize = 16;
/// RFC 3711 section 3.2.1: rollover counter and sequence number together have 48 bits.
const MAX_INDEX: u64 = (1 << 48) - 1;
/// RFC 3711 section 3.2.1: the SRTCP index has 31 bits.
pub(super) const MAX_RTCP_INDEX: u32 = (1 << 31) - 1;

/// One synchronisation source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    ssrc: Ssrc,
    /// The context's count of packets when this stream was last used; the least recent one makes room for a new one.
    used_at: u32,
    /// The highest index under an earlier master key, until the first packet under the present one.
    kept_index: Option<u64>,
    /// Indices of RTP, received or sent.
    pub(super) rtp: ReplayWindow,
    /// Indices of RTCP received.
    pub(super) rtcp: ReplayWindow,
    /// The index of the next RTCP packet sent.
    next_rtcp_index: u32,
}

/// The indices that a packet may have, the likelier one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidates {
    pub(super) first: u64,
    pub(super) second: Option<u64>,
}

impl StreamState {
    pub(super) fn new(ssrc: Ssrc) -> Self {
        Self {
            ssrc,
            used_at: 0,
            kept_index: None,
            rtp: ReplayWindow::default(),
            rtcp: ReplayWindow::default(),
            next_rtcp_index: 0,
        }
    }

    /// The stream's name.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// The upper 32 bits of the highest packet index.
    pub fn rollover_counter(&self) -> u32 {
        let highest = self.rtp.highest().or(self.kept_index).unwrap_or(0);
        (highest >> 16) as u32
    }

    /// The indices that a received packet with this number may have.
    ///
    /// A stream that is new to us has not rolled over (RFC 3711 section 3.3.1), unless it did so while we had no keys yet, which
    /// a low number suggests. After a change of the master key the counter goes on by the RFC, but some senders start at zero.
    pub(super) fn candidates(&self, sequence: SequenceNumber) -> Candidates {
        let fresh = u64::from(sequence.0);
        if let Some(highest) = self.rtp.highest() {
            return Candidates {
                first: estimate(highest, sequence),
                second: None,
            };
        }
        let wrapped = (sequence.0 < 0x8000).then_some(fresh | 1 << 16);
        match self.kept_index.map(|kept| estimate(kept, sequence)) {
            Some(first) if first != fresh => Candidates {
                first,
                second: Some(fresh),
            },
            _ => Candidates {
                first: fresh,
                second: wrapped,
            },
        }
    }

    /// The index of a packet to be sent with this number.
    pub(super) fn outgoing_index(&self, sequence: SequenceNumber) -> u64 {
        match self.rtp.highest().or(self.kept_index) {
            Some(highest) => estimate(highest, sequence),
            None => u64::from(sequence.0),
        }
    }

    /// The index of the next RTCP packet to be sent; `None` when the key is used up.
    pub(super) fn take_rtcp_index(&mut self) -> Option<u32> {
        let index = self.next_rtcp_index;
        (index <= MAX_RTCP_INDEX).then(|| {
            self.next_rtcp_index += 1;
            index
        })
    }

    /// The same stream under a new master key.
    fn rekeyed(self) -> Self {
        Self {
            kept_index: self.rtp.highest().or(self.kept_index),
            rtp: ReplayWindow::default(),
            rtcp: ReplayWindow::default(),
            ..self
        }
    }
}

/// RFC 3711 section 3.3.1 and appendix A: the index with this number that lies nearest to the highest one so far.
fn estimate(highest: u64, sequence: SequenceNumber) -> u64 {
    let counter = highest >> 16;
    let last = highest as u16;
    let counter = if last < 0x8000 {
        // Before the first rollover there is nothing to go back to: the packet is far ahead instead.
        let back = i32::from(sequence.0) - i32::from(last) > 0x8000 && counter > 0;
        counter - u64::from(back)
    } else {
        counter + u64::from(last - 0x8000 > sequence.0)
    };
    (counter << 16 | u64::from(sequence.0)) & MAX_INDEX
}

/// How many packets of each stream may have been sent since its state was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Less than half of the sequence numbers, so that the receiver counts on (RFC 3711 section 3.3.1). Nought for a stream whose
    /// numbers are somebody else's, who goes on counting by himself.
    pub rtp: u32,
    pub rtcp: u32,
}

/// Everything a context remembers apart from its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SrtpState {
    /// At most [`MAX_SSRCS`]. Nearly every key is used by one, so that room is made for no more than there are.
    streams: Vec<StreamState>,
    clock: u32,
}

impl SrtpState {
    /// The first byte of [`Self::encode`].
    pub const VERSION: u8 = 1;
    /// Bytes of one encoded stream.
    const STREAM_LEN: usize = 4 + 1 + 8 + 2 * ReplayWindow::ENCODED_LEN + 4;

    /// The streams known.
    pub fn streams(&self) -> &[StreamState] {
        &self.streams
    }

    pub(super) fn find(&self, ssrc: Ssrc) -> Option<&StreamState> {
        self.streams().iter().find(|stream| stream.ssrc == ssrc)
    }

    /// The place of a stream that is known already.
    pub(super) fn find_mut(&mut self, ssrc: Ssrc) -> Option<&mut StreamState> {
        self.clock = self.clock.wrapping_add(1);
        let clock = self.clock;
        let mut streams = self.streams.iter_mut();
        let stream = streams.find(|stream| stream.ssrc == ssrc)?;
        stream.used_at = clock;
        Some(stream)
    }

    /// The stream's place, a new one if need be; `None` when all places are taken.
    pub(super) fn find_or_insert(&mut self, ssrc: Ssrc) -> Option<&mut StreamState> {
        if self.find(ssrc).is_none() {
            if self.streams.len() == MAX_SSRCS {
                return None;
            }
            self.add(ssrc);
        }
        self.find_mut(ssrc)
    }

    fn add(&mut self, ssrc: Ssrc) {
        self.streams.reserve_exact(1);
        self.streams.push(StreamState::new(ssrc));
    }

    /// The stream's place, if need be that of the stream which has been silent longest.
    pub(super) fn find_or_replace(&mut self, ssrc: Ssrc) -> &mut StreamState {
        let known = self.streams().iter().position(|stream| stream.ssrc == ssrc);
        let clock = self.clock.wrapping_add(1);
        let place = known.unwrap_or_else(|| {
            if self.streams.len() < MAX_SSRCS {
                self.add(ssrc);
                return self.streams.len() - 1;
            }
            let place = self.least_recent(clock);
            self.streams[place] = StreamState::new(ssrc);
            place
        });
        self.clock = clock;
        self.streams[place].used_at = clock;
        &mut self.streams[place]
    }

    fn least_recent(&self, clock: u32) -> usize {
        let age = |stream: &StreamState| clock.wrapping_sub(stream.used_at);
        let ages = self.streams().iter().map(age).enumerate();
        ages.max_by_key(|(_, age)| *age)
            .map_or(0, |(place, _)| place)
    }

    /// The same streams under a new master key: rollover counters and SRTCP indices go on, what was seen is forgotten.
    #[must_use]
    pub(super) fn rekeyed(mut self) -> Self {
        for stream in &mut self.streams {
            *stream = stream.rekeyed();
        }
        self
    }

    /// The state of a sender that has gone on for at most so many packets per stream since this was saved. Whoever restores an
    /// old state must skip what may have been used: a counter-mode index used twice gives the plaintext away.
    #[must_use]
    pub fn skip_ahead(mut self, skipped: Skipped) -> Self {
        for stream in &mut self.streams {
            stream.next_rtcp_index = stream.next_rtcp_index.saturating_add(skipped.rtcp);
            if let Some(highest) = stream.rtp.highest() {
                stream.rtp =
                    ReplayWindow::used_up_to(highest.saturating_add(u64::from(skipped.rtp)));
            }
        }
        self
    }

    /// The state as bytes, for [`Self::decode`].
    pub fn encode(&self) -> Vec<u8> {
        let count = self.streams.len();
        let mut bytes = Vec::with_capacity(2 + count * Self::STREAM_LEN);
        bytes.extend([Self::VERSION, count as u8]);
        for stream in self.streams() {
            bytes.extend(stream.ssrc.0.to_be_bytes());
            bytes.push(u8::from(stream.kept_index.is_some()));
            bytes.extend(stream.kept_index.unwrap_or(0).to_be_bytes());
            bytes.extend(stream.rtp.encode());
            bytes.extend(stream.rtcp.encode());
            bytes.extend(stream.next_rtcp_index.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`Self::encode`] wrote; `None` when it is of another version or damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let ([version, count], rest) = bytes.split_first_chunk()?;
        let count = usize::from(*count);
        if *version != Self::VERSION || count > MAX_SSRCS || rest.len() != count * Self::STREAM_LEN
        {
            return None;
        }
        let mut state = Self::default();
        for encoded in rest.chunks_exact(Self::STREAM_LEN) {
            let (ssrc, rest) = encoded.split_first_chunk()?;
            let ([kept], rest) = rest.split_first_chunk()?;
            let (kept_index, rest) = rest.split_first_chunk()?;
            let (rtp, rest) = rest.split_first_chunk()?;
            let (rtcp, rest) = rest.split_first_chunk()?;
            let stream = state.find_or_insert(Ssrc(u32::from_be_bytes(*ssrc)))?;
            stream.kept_index = (*kept != 0).then(|| u64::from_be_bytes(*kept_index));
            stream.rtp = ReplayWindow::decode(rtp);
            stream.rtcp = ReplayWindow::decode(rtcp);
            stream.next_rtcp_index = u32::from_be_bytes(rest.try_into().ok()?);
        }
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate_at(counter: u64, last: u16, sequence: u16) -> (u64, u16) {
        let index = estimate(counter << 16 | u64::from(last), SequenceNumber(sequence));
        (index >> 16, index as u16)
    }

    /// The cases of RFC 3711 appendix A.
    #[test]
    fn the_counter_follows_the_number_over_the_wrap() {
        assert_eq!(estimate_at(5, 65535, 0), (6, 0));
        assert_eq!(estimate_at(6, 0, 65535), (5, 65535));
        assert_eq!(estimate_at(5, 100, 101), (5, 101));
        assert_eq!(estimate_at(5, 40000, 39999), (5, 39999));
        assert_eq!(estimate_at(5, 0x8000, 0), (5, 0));
        assert_eq!(estimate_at(5, 0x8001, 0), (6, 0));
        assert_eq!(estimate_at(5, 0, 0x8000), (5, 0x8000));
        assert_eq!(estimate_at(5, 0, 0x8001), (4, 0x8001));
        assert_eq!(estimate_at(0, 3, 65530), (0, 65530));
    }

    #[test]
    fn a_new_stream_may_have_wrapped_before_we_had_keys() {
        let stream = StreamState::new(Ssrc(1));
        let candidates = stream.candidates(SequenceNumber(7));
        assert_eq!((candidates.first, candidates.second), (7, Some(65536 + 7)));
        assert_eq!(stream.candidates(SequenceNumber(0x8000)).second, None);
    }

    #[test]
    fn a_new_key_keeps_the_counter_and_then_tries_zero() {
        let mut stream = StreamState::new(Ssrc(1));
        stream.rtp.note(3 << 16 | 100);
        let stream = stream.rekeyed();
        assert_eq!(stream.rollover_counter(), 3);
        let candidates = stream.candidates(SequenceNumber(101));
        assert_eq!(
            (candidates.first, candidates.second),
            (3 << 16 | 101, Some(101))
        );
        assert_eq!(stream.outgoing_index(SequenceNumber(101)), 3 << 16 | 101);
    }

    #[test]
    fn the_longest_silent_stream_makes_room() {
        let mut state = SrtpState::default();
        for ssrc in 0..MAX_SSRCS as u32 {
            assert!(state.find_or_insert(Ssrc(ssrc)).is_some());
        }
        assert!(state.find_or_insert(Ssrc(99)).is_none());
        state.find_or_replace(Ssrc(0));
        state.find_or_replace(Ssrc(99));
        assert_eq!(state.streams().len(), MAX_SSRCS);
        assert!(state.find(Ssrc(0)).is_some());
        assert!(state.find(Ssrc(1)).is_none());
    }

    #[test]
    fn survives_encoding() {
        let mut state = SrtpState::default();
        for ssrc in 0..5 {
            let stream = state.find_or_insert(Ssrc(ssrc)).unwrap();
            stream.rtp.note(u64::from(ssrc) << 16 | 9);
            stream.rtp.note(u64::from(ssrc) << 16 | 7);
            stream.rtcp.note(u64::from(ssrc));
            stream.take_rtcp_index();
        }
        let state = state.rekeyed();
        let bytes = state.encode();
        let decoded = SrtpState::decode(&bytes).unwrap();
        assert_eq!(decoded.encode(), bytes);
        assert_eq!(decoded.streams().len(), 5);
        assert_eq!(decoded.streams()[4].rollover_counter(), 4);
        assert_eq!(SrtpState::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(SrtpState::decode(&[2, 0]), None);
        assert_eq!(SrtpState::decode(&[1, 17]), None);
        assert_eq!(SrtpState::decode(&[]), None);
    }

    #[test]
    fn an_old_state_is_moved_beyond_what_may_have_been_used() {
        let mut state = SrtpState::default();
        let stream = state.find_or_insert(Ssrc(1)).unwrap();
        stream.rtp.note(65530);
        stream.take_rtcp_index();
        let mut state = state.skip_ahead(Skipped {
            rtp: 1000,
            rtcp: 500,
        });
        let stream = state.find_mut(Ssrc(1)).unwrap();
        assert!(!stream.rtp.accepts(66530));
        assert!(stream.rtp.accepts(66531));
        assert_eq!(stream.take_rtcp_index(), Some(501));
    }
}
