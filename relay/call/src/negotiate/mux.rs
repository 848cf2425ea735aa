//! rtcp-mux (RFC 5761 §5.1.1) under the options `offer`, `require`, `demux`, `accept` and `reject`.

use ng_protocol::flags::RtcpMux;

use crate::sdp::RemoteMedia;
use crate::section::{MuxAnswer, MuxState};

/// What a section offers about RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MuxOffer {
    /// Two ports.
    None,
    /// rtcp-mux, and a second port should it be refused.
    WithFallback,
    /// rtcp-mux and one port only.
    Only,
}

/// Takes note of a sender's offer and of how it is to be answered.
pub fn note_offer(sender: &mut MuxState, remote: &RemoteMedia, flags: RtcpMux) {
    sender.peer_offered = remote.rtcp_mux;
    // RFC 5761 §5.1.3: a party that leaves it out of a later offer has ended it.
    sender.in_use &= remote.rtcp_mux;
    sender.answer = if flags.reject {
        MuxAnswer::Refuse
    } else if flags.demux || flags.accept {
        MuxAnswer::Accept
    } else {
        MuxAnswer::AsReceiver
    };
}

/// Whether the answer to this sender is certain already, so that one port will do.
pub fn is_settled(sender: &MuxState) -> bool {
    sender.in_use || (sender.peer_offered && sender.answer == MuxAnswer::Accept)
}

/// What the receiver of an offer is offered. Once agreed with a party, rtcp-mux stays (RFC 5761 §5.1.1).
pub fn offer(receiver: &mut MuxState, sender_offered: bool, flags: RtcpMux) -> MuxOffer {
    let offer = if receiver.in_use || flags.require {
        MuxOffer::Only
    } else if flags.offer || (sender_offered && !flags.demux) {
        MuxOffer::WithFallback
    } else {
        MuxOffer::None
    };
    receiver.we_offered = offer != MuxOffer::None;
    offer
}

/// Settles rtcp-mux with the party that answered.
pub fn note_answer(answerer: &mut MuxState, remote: &RemoteMedia) {
    answerer.in_use = answerer.we_offered && remote.rtcp_mux;
}

/// Decides about the offerer, whose partner has just answered.
pub fn answer(offerer: &mut MuxState, answerer_accepted: bool, flags: RtcpMux) -> bool {
    // `demux` in an answer says nothing new: it is about what the receiver of an *offer* sees.
    let wanted = if flags.reject {
        false
    } else if flags.accept {
        true
    } else {
        match offerer.answer {
            MuxAnswer::Accept => true,
            MuxAnswer::Refuse => false,
            MuxAnswer::AsReceiver => answerer_accepted,
        }
    };
    offerer.in_use = offerer.peer_offered && (wanted || offerer.in_use);
    offerer.in_use
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: RtcpMux = RtcpMux {
        offer: false,
        require: false,
        demux: false,
        accept: false,
        reject: false,
    };

    fn offerer(answer: MuxAnswer) -> MuxState {
        MuxState {
            peer_offered: true,
            answer,
            ..MuxState::default()
        }
    }

    #[test]
    fn demux_offers_nothing_and_accepts_towards_the_sender() {
        let flags = RtcpMux {
            demux: true,
            ..NONE
        };
        assert_eq!(offer(&mut MuxState::default(), true, flags), MuxOffer::None);
        let mut sender = offerer(MuxAnswer::Accept);
        assert!(is_settled(&sender));
        assert!(answer(&mut sender, false, NONE));
    }

    #[test]
    fn without_options_the_receiver_decides() {
        assert_eq!(
            offer(&mut MuxState::default(), true, NONE),
            MuxOffer::WithFallback
        );
        assert!(!answer(&mut offerer(MuxAnswer::AsReceiver), false, NONE));
        assert!(answer(&mut offerer(MuxAnswer::AsReceiver), true, NONE));
    }

    #[test]
    fn a_sender_without_mux_is_never_answered_with_it() {
        let flags = RtcpMux {
            offer: true,
            ..NONE
        };
        assert_eq!(
            offer(&mut MuxState::default(), false, flags),
            MuxOffer::WithFallback
        );
        let mut sender = MuxState {
            answer: MuxAnswer::Accept,
            ..MuxState::default()
        };
        assert!(!answer(&mut sender, true, flags));
    }

    #[test]
    fn a_sender_that_leaves_it_out_has_ended_it() {
        let mut sender = MuxState {
            in_use: true,
            ..offerer(MuxAnswer::AsReceiver)
        };
        let plain = "v=0\nm=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.1\n";
        let description = crate::sdp::SessionDescription::parse(plain.as_bytes()).unwrap();
        let remote = RemoteMedia::read(&description, 0).unwrap();
        note_offer(&mut sender, &remote, NONE);
        assert!(!is_settled(&sender));
        assert!(!answer(&mut sender, true, NONE));
    }

    #[test]
    fn once_in_use_it_is_offered_with_one_port() {
        let mut receiver = MuxState {
            in_use: true,
            ..MuxState::default()
        };
        assert_eq!(offer(&mut receiver, false, NONE), MuxOffer::Only);
    }
}
