//! Streams of a call that somebody else may pass on, such as the kernel.
//!
//! Whoever does so takes them back before anything else happens to the call, and says how far they have come: before
//! [`Call::handle_request`] and [`Call::handle_timeout`], and before a datagram that [`Call::passes_on`]. Other datagrams
//! (RTCP, STUN) leave the streams as they are, unless [`Call::plain_streams`] has others afterwards.

use std::time::Instant;

use relay_packet::{PlainStream, Received, StreamProgress};
use relay_transport::demux::{Kind, kind_of};

use super::Call;

impl Call {
    /// The streams that need nothing but other addresses and numbers now, and how far they have come.
    pub fn plain_streams(&self) -> impl Iterator<Item = (PlainStream, StreamProgress)> + '_ {
        self.live.plain_streams().map(|(stream, progress)| {
            let tos = self.tos;
            (PlainStream { tos, ..stream }, progress)
        })
    }

    /// Whether a datagram is one whose passing on changes what follows.
    pub fn passes_on(&self, received: &Received) -> bool {
        kind_of(&received.packet).is_none_or(|kind| kind == Kind::Rtp)
    }

    /// A stream of [`Self::plain_streams`] has come from here to there elsewhere.
    pub fn note_bypassed(
        &mut self,
        now: Instant,
        stream: &PlainStream,
        before: &StreamProgress,
        after: &StreamProgress,
    ) {
        let position = self.live.note_bypassed(now, stream, before, after);
        if position.is_some_and(|position| self.keeps_alive(position)) {
            self.deadlines.media_elsewhere(after.at);
        }
    }
}
