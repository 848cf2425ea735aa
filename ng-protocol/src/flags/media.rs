//! How media flows: learning of addresses, latching of ports, RTCP multiplexing, DTMF and recording switches.

use std::net::SocketAddr;

use crate::spelling::{Report, Spelled, canonical, keyword, names, switch, text};
use crate::value::Value;

/// The media path options of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaFlags {
    /// The sender sends from another address than it receives on: do not follow when learning.
    pub asymmetric: bool,
    /// One-way media is intended.
    pub unidirectional: bool,
    /// After learning, drop packets from any other source.
    pub strict_source: bool,
    /// After learning, follow the source when it changes.
    pub media_handover: bool,
    /// Keep the local port even if the remote endpoint changes.
    pub port_latching: bool,
    /// Do not latch ports even where that is the default (ICE, media that is not received).
    pub no_port_latching: bool,
    /// How to find out where the peer really sends from.
    pub endpoint_learning: Option<EndpointLearning>,
    /// Do not send to the peer before it sent something.
    pub nat_wait: bool,
    /// Send empty packets to the advertised address until something arrives.
    pub pierce_nat: bool,
    /// Offer only: forget what was learned about both parties' ICE and SRTP, restart ICE.
    pub reset: bool,
    /// Never pass SRTP through unchanged.
    pub recrypt: bool,
    /// `drop-traffic=start` is true, `stop` is false.
    pub drop_traffic: Option<bool>,
    /// Echo test modes.
    pub media_echo: Option<MediaEcho>,
    /// Relay without touching crypto or ICE (`passthrough`, `no-passthrough`).
    pub passthrough: Option<bool>,
    /// Send reports of our own instead of forwarding the peer's (`generate-RTCP`).
    pub generate_rtcp: Option<bool>,
    /// Generated DTMF may be put into this call's media.
    pub inject_dtmf: bool,
    /// Suppress DTMF events.
    pub block_dtmf: bool,
    /// Drop speech in packets much shorter than agreed.
    pub block_short: bool,
    /// Listen for DTMF tones in audio.
    pub detect_dtmf: bool,
    /// Where to notify about DTMF events of this call.
    pub dtmf_log_destination: Option<SocketAddr>,
    /// Media may flow before the answer.
    pub early_media: bool,
    /// Do not send the relayed media while a file plays.
    pub block_egress: bool,
    /// Do not delay packets to put them in order.
    pub no_jitter_buffer: bool,
    /// Record this call (`record-call`).
    pub record_call: Option<bool>,
    /// Log more about this call.
    pub debug: bool,
    /// Subscriptions: media flows both ways.
    pub bidirectional: bool,
    /// Subscriptions: mix the sources.
    pub mix: bool,
    /// Subscriptions: what the subscriber reports goes to those it hears (`RTCP-mirror`).
    pub rtcp_mirror: bool,
    /// Subscriptions: start inactive.
    pub inactive: bool,
    /// Subscriptions: made for a recording server (RFC 7866), which wants to be told the labels.
    pub siprec: bool,
}

/// The values of `endpoint-learning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointLearning {
    /// Always send to the signalled address.
    Off,
    /// The first valid packet decides.
    Immediate,
    /// The last valid packet of the learning time decides.
    Delayed,
    /// Sources are ranked by how well they fit the SDP.
    Heuristic,
}

/// The values of `media-echo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaEcho {
    /// Swallow everything.
    Blackhole,
    /// Echo to the sender of the SDP's partner.
    Forward,
    /// Echo to the sender of the SDP.
    Backwards,
    /// Echo to both.
    Both,
}

/// The elements of the `rtcp-mux` list (RFC 5761). Several may be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtcpMux {
    /// Offer multiplexing to the receiver.
    pub offer: bool,
    /// Offer nothing but multiplexing: one port only. Implies [`Self::offer`].
    pub require: bool,
    /// Do not offer it to the receiver, but accept it towards the sender.
    pub demux: bool,
    /// Accept it towards the sender even if the receiver refuses.
    pub accept: bool,
    /// Refuse it towards the sender.
    pub reject: bool,
}

impl MediaFlags {
    pub(crate) fn apply_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
        match key {
            "endpoint-learning" => {
                match text(value).and_then(|text| EndpointLearning::parse(&text)) {
                    Some(learning) => self.endpoint_learning = Some(learning),
                    None => report.unknown(key, value),
                }
            }
            "drop-traffic" => match keyword(value).as_deref() {
                Some("start") => self.drop_traffic = Some(true),
                Some("stop") => self.drop_traffic = Some(false),
                _ => report.unknown(key, value),
            },
            "media-echo" => match keyword(value).as_deref() {
                Some("blackhole" | "sinkhole") => self.media_echo = Some(MediaEcho::Blackhole),
                Some("forward" | "fwd" | "fw") => self.media_echo = Some(MediaEcho::Forward),
                Some("backwards" | "backward" | "reverse" | "rev" | "bw") => {
                    self.media_echo = Some(MediaEcho::Backwards);
                }
                Some("both") => self.media_echo = Some(MediaEcho::Both),
                _ => report.unknown(key, value),
            },
            "passthrough" => set_switch(&mut self.passthrough, key, value, report),
            "generate-rtcp" => set_switch(&mut self.generate_rtcp, key, value, report),
            "record-call" => set_switch(&mut self.record_call, key, value, report),
            "dtmf-log-dest" | "dtmf-log-destination" => {
                match value.as_str().and_then(|text| text.trim().parse().ok()) {
                    Some(address) => self.dtmf_log_destination = Some(address),
                    None => report.unknown(key, value),
                }
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>, report: &mut Report) -> bool {
        match word.canonical.as_ref() {
            // The default; scripts of the rtpproxy era write it everywhere.
            "symmetric" => {}
            "asymmetric" => self.asymmetric = true,
            "unidirectional" => self.unidirectional = true,
            "strict-source" => self.strict_source = true,
            "media-handover" => self.media_handover = true,
            "port-latching" => self.port_latching = true,
            "no-port-latching" => self.no_port_latching = true,
            "nat-wait" => self.nat_wait = true,
            "pierce-nat" => self.pierce_nat = true,
            "reset" => self.reset = true,
            "recrypt" => self.recrypt = true,
            "passthrough" => self.passthrough = Some(true),
            "no-passthrough" => self.passthrough = Some(false),
            "generate-rtcp" => self.generate_rtcp = Some(true),
            "inject-dtmf" => self.inject_dtmf = true,
            "block-dtmf" => self.block_dtmf = true,
            "block-short" | "block-short-packets" => self.block_short = true,
            "detect-dtmf" => self.detect_dtmf = true,
            "early-media" => self.early_media = true,
            "block-egress" => self.block_egress = true,
            "no-jitter-buffer" => self.no_jitter_buffer = true,
            "record-call" => self.record_call = Some(true),
            "debug" => self.debug = true,
            "bidirectional" => self.bidirectional = true,
            "mix" => self.mix = true,
            "rtcp-mirror" => self.rtcp_mirror = true,
            "inactive" => self.inactive = true,
            "siprec" => self.siprec = true,
            _ => {
                let Some(learning) = word.after("endpoint-learning-") else {
                    return false;
                };
                match EndpointLearning::parse(learning) {
                    Some(learning) => self.endpoint_learning = Some(learning),
                    None => report.unknown("endpoint-learning", learning),
                }
            }
        }
        true
    }
}

fn set_switch(slot: &mut Option<bool>, key: &str, value: &Value<'_>, report: &mut Report) {
    match switch(value) {
        Some(on) => *slot = Some(on),
        None => report.unknown(key, value),
    }
}

impl EndpointLearning {
    fn parse(text: &str) -> Option<Self> {
        Some(match canonical(text.trim()).as_ref() {
            "off" => Self::Off,
            "immediate" => Self::Immediate,
            "delayed" => Self::Delayed,
            "heuristic" => Self::Heuristic,
            _ => return None,
        })
    }
}

impl RtcpMux {
    pub(crate) fn apply_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
        if key != "rtcp-mux" {
            return false;
        }
        for element in names(key, value, report) {
            self.element(&element, report);
        }
        true
    }

    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>, report: &mut Report) -> bool {
        match word.after("rtcp-mux-") {
            Some(element) => {
                self.element(element, report);
                true
            }
            None => false,
        }
    }

    pub(crate) fn element(&mut self, element: &str, report: &mut Report) {
        match canonical(element.trim()).as_ref() {
            "offer" => self.offer = true,
            "require" => {
                self.require = true;
                self.offer = true;
            }
            "demux" => self.demux = true,
            "accept" => self.accept = true,
            "reject" => self.reject = true,
            _ => report.unknown("rtcp-mux", element),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{offer, unknown};

    #[test]
    fn words_of_the_media_path_are_switches() {
        let media = offer(
            r#""flags":["asymmetric","strict source","media_handover","Port-Latching","NAT-wait",
               "pierce-NAT","recrypt","inject-DTMF","record-call","no-passthrough"]"#,
        )
        .flags
        .media;
        let expected = MediaFlags {
            asymmetric: true,
            strict_source: true,
            media_handover: true,
            port_latching: true,
            nat_wait: true,
            pierce_nat: true,
            recrypt: true,
            inject_dtmf: true,
            record_call: Some(true),
            passthrough: Some(false),
            ..MediaFlags::default()
        };
        assert_eq!(media, expected);
    }

    #[test]
    fn symmetric_is_accepted_in_silence() {
        let request = offer(r#""flags":["symmetric"]"#);
        assert_eq!(request, offer(""));
    }

    #[test]
    fn learning_is_a_word_or_a_key() {
        let learning = |keys| offer(keys).flags.media.endpoint_learning;
        assert_eq!(
            learning(r#""flags":["endpoint-learning-immediate"]"#),
            Some(EndpointLearning::Immediate)
        );
        assert_eq!(
            learning(r#""endpoint-learning":"off""#),
            Some(EndpointLearning::Off)
        );
        assert_eq!(
            unknown(r#""flags":["endpoint-learning-psychic"]"#),
            ["endpoint-learning=psychic"]
        );
    }

    #[test]
    fn switches_with_a_value_take_yes_and_no() {
        let media = offer(r#""record call":"yes","generate RTCP":"off","passthrough":true"#)
            .flags
            .media;
        assert_eq!(media.record_call, Some(true));
        assert_eq!(media.generate_rtcp, Some(false));
        assert_eq!(media.passthrough, Some(true));
        assert_eq!(unknown(r#""record-call":"maybe""#), ["record-call=maybe"]);
    }

    #[test]
    fn the_destination_of_dtmf_is_an_address_with_port() {
        let media = offer(r#""DTMF-log-dest":"192.0.2.9:5555""#).flags.media;
        assert_eq!(
            media.dtmf_log_destination,
            Some("192.0.2.9:5555".parse().unwrap())
        );
    }

    #[test]
    fn multiplexing_is_a_list_or_words_and_require_implies_offer() {
        let expected = RtcpMux {
            offer: true,
            require: true,
            accept: true,
            ..RtcpMux::default()
        };
        for keys in [
            r#""rtcp-mux":["require","accept"]"#,
            r#""rtcp-mux":"require,accept""#,
            r#""rtcp-mux":"[require accept]""#,
            r#""flags":["rtcp-mux-require","RTCP-MUX-accept"]"#,
            r#""flags":"rtcp-mux-require,rtcp-mux=accept""#,
        ] {
            assert_eq!(offer(keys).flags.rtcp_mux, expected, "{keys}");
        }
        assert_eq!(unknown(r#""rtcp-mux":["demux","foo"]"#), ["rtcp-mux=foo"]);
    }
}
