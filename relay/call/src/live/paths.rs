//! Which paths lead from a section to those who hear it. Compiled when signalling changes them, kept when it does not.

use std::sync::Arc;
use std::time::Duration;

use relay_media::{Codec, EncoderSettings};

use super::Live;
use super::mixing::Role;
use crate::command::describe::speaks_with_own_ssrc;
use crate::leg::{Echo, LegId, Legs, SectionId};
use crate::path::{Coding, Format, ForwardPath, MixInput, Unknown};
use crate::restriction::Restriction;
use crate::sdp::{PayloadFormat, RemoteMedia};
use crate::section::MediaSection;
use crate::stats::Chain;

/// One compiled path and what it was compiled from.
#[derive(Debug)]
pub(super) struct Path {
    /// The position of the section that hears.
    pub(super) to: usize,
    pub(super) plan: Plan,
    pub(super) role: Role,
    /// What the controller keeps from passing.
    pub(super) restriction: Restriction,
    pub(super) program: ForwardPath,
    /// What the last packet of speech was made into, if it was not passed as it was.
    pub(super) transcodes: Option<Chain>,
    /// The way into a mix, where the listener hears one.
    pub(super) input: MixInput,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) to: SectionId,
    pub(super) received: Vec<Format>,
    pub(super) sent: Vec<Format>,
    unknown: Unknown,
    packet_time: Option<Duration>,
    coding: Coding,
    /// The speaker presses keys in its speech, and the listener knows events.
    listens_for_keys: bool,
}

impl Plan {
    /// The listener's telephone-events; those that its speech codec's clock counts first (RFC 4733 §2.1).
    pub(super) fn event_format(&self) -> Option<&Format> {
        let speech = self.sent.iter().find(|format| format.codec().is_speech());
        let clock_hz = speech.map(|format| format.clock_hz);
        let events = || {
            let is_event = |format: &&Format| format.codec() == Codec::TelephoneEvent;
            self.sent.iter().filter(is_event)
        };
        events()
            .find(|format| Some(format.clock_hz) == clock_hz)
            .or_else(|| events().next())
    }
}

impl Live {
    /// One path from every section to each section that hears it. Unless the exchange is `settled`, paths that are in use stay.
    pub(crate) fn compile(&mut self, legs: &Legs, settled: bool) {
        let ids: Vec<SectionId> = self.sections.iter().map(|live| live.id).collect();
        let mut renumbered = Vec::new();
        for live in &mut self.sections {
            let mut before = std::mem::take(&mut live.paths);
            let reported_to = legs.subscriptions.reported_to(live.id);
            let position = |to: SectionId| ids.iter().position(|&id| id == to);
            live.mirrors = reported_to.filter_map(position).collect();
            let partners = listeners(legs, live.id.leg).into_iter();
            let partners = partners.map(|leg| (SectionId { leg, ..live.id }, Role::Partner));
            let subscriptions = &legs.subscriptions;
            let taps = subscriptions.taps_on(live.id).map(|to| {
                let mixed = subscriptions.is_mixed(to);
                (to, if mixed { Role::Mixed } else { Role::Tap })
            });
            let spoken_to = subscriptions.spoken_to(live.id);
            let spoken_to = spoken_to.map(|to| (to, Role::Whisper));
            for (to, role) in partners.chain(taps).chain(spoken_to) {
                let Some(position) = ids.iter().position(|&id| id == to) else {
                    continue;
                };
                let present = before.iter().position(|path| path.plan.to == to);
                if let Some(at) = present.filter(|_| !settled) {
                    live.paths.push(Path {
                        to: position,
                        role,
                        restriction: legs.restrictions.of_flow(live.id.leg, to.leg),
                        ..before.swap_remove(at)
                    });
                    continue;
                }
                let Some(plan) = plan(legs, live.id, to) else {
                    continue;
                };
                let known = before.iter().position(|path| path.plan == plan);
                let (program, transcodes, input) = match known {
                    Some(at) => {
                        let known = before.swap_remove(at);
                        (known.program, known.transcodes, known.input)
                    }
                    None => {
                        let former = present.map(|at| &before[at].program);
                        if former.is_some_and(ForwardPath::renumbers) {
                            renumbered.push(position);
                        }
                        let mut made = ForwardPath::compile(
                            &plan.received,
                            &plan.sent,
                            plan.unknown,
                            plan.packet_time,
                            &plan.coding,
                        );
                        if plan.listens_for_keys {
                            made.listen_for_keys(&plan.received);
                        }
                        (made, None, MixInput::default())
                    }
                };
                live.paths.push(Path {
                    to: position,
                    plan,
                    role,
                    restriction: legs.restrictions.of_flow(live.id.leg, to.leg),
                    program,
                    transcodes,
                    input,
                });
            }
            // Most have one, and room for four would be there.
            live.paths.shrink_to_fit();
        }
        for position in renumbered {
            self.sections[position].egress.forget_source();
        }
    }
}

/// Who hears a leg: its partners, or in an echo test itself.
fn listeners(legs: &Legs, speaker: LegId) -> Vec<LegId> {
    let echo = |leg| legs.get(leg).and_then(|leg| leg.echo);
    match echo(speaker) {
        Some(Echo::Back) => vec![speaker],
        Some(Echo::Nowhere) => Vec::new(),
        None => {
            let hears = |&listener: &LegId| legs.subscriptions.hears(listener, speaker);
            let partners = legs.subscriptions.partners(speaker).into_iter();
            partners
                .filter(hears)
                .filter(|&listener| echo(listener).is_none())
                .collect()
        }
    }
}

fn plan(legs: &Legs, from: SectionId, to: SectionId) -> Option<Plan> {
    let section = |id: SectionId| legs.get(id.leg)?.sections.get(id.index);
    let (source, sink) = (section(from)?, section(to)?);
    let packet_time = packet_time(sink);
    let sent = sink.sent_formats();
    let presses_in_speech = |remote: &RemoteMedia| {
        let has_events = remote.codecs.iter().any(PayloadFormat::is_telephone_event);
        !has_events && remote.codecs.iter().any(PayloadFormat::is_speech)
    };
    Some(Plan {
        to,
        received: source.received_formats().filter_map(format_of).collect(),
        listens_for_keys: sent.clone().any(PayloadFormat::is_telephone_event)
            && source.remote.as_deref().is_some_and(presses_in_speech),
        sent: sent.filter_map(format_of).collect(),
        unknown: if speaks_with_own_ssrc(sink) {
            Unknown::Drop
        } else {
            Unknown::Pass
        },
        packet_time,
        coding: Coding {
            always: source.always_transcodes || sink.always_transcodes,
            ..coding_of(sink)
        },
    })
}

/// How speech is encoded for a party: as its description asks (RFC 7587 §6.1), and as the operator wishes.
pub(super) fn coding_of(sink: &MediaSection) -> Coding {
    let packet_time = packet_time(sink);
    let format = sink.sent_formats().find(|format| format.is_speech());
    let own = sink.remote.iter().flat_map(|remote| &remote.codecs);
    let own = own
        .filter(|own| format.is_some_and(|format| format.same_encoding(own)))
        .find_map(|own| own.fmtp.as_deref());
    let wish = format.and_then(|format| {
        let mut wishes = sink.encoding.iter();
        wishes.find(|wish| wish.matches(&format.name, format.clock_rate, format.channels))
    });
    let wished_format = wish.and_then(|wish| wish.fmtp.as_deref());
    let parameter = |name: &str| {
        let mut texts = [wished_format, own].into_iter().flatten();
        texts.find_map(|fmtp| number_of(fmtp, name))
    };
    let option = |names: &[&str]| {
        let options = wish.and_then(|wish| wish.options.as_deref())?;
        names.iter().find_map(|name| number_of(options, name))
    };
    let usually = EncoderSettings::default();
    let usual = sink.remote.as_ref().and_then(|remote| {
        let ms = remote.ptime.as_ref()?.trim().parse::<u64>().ok()?;
        (10..=60).contains(&ms).then(|| Duration::from_millis(ms))
    });
    let wished = wish.and_then(|wish| wish.ptime_ms);
    let wished = wished.map(|ms| Duration::from_millis(ms.into()));
    Coding {
        settings: EncoderSettings {
            bitrate: wish.and_then(|wish| wish.bitrate),
            max_bitrate: parameter("maxaveragebitrate"),
            fec: parameter("useinbandfec") == Some(1),
            dtx: parameter("usedtx") == Some(1),
            complexity: option(&["complexity", "compression_level"])
                .and_then(|level| u8::try_from(level.min(10)).ok())
                .unwrap_or(usually.complexity),
        },
        always: false,
        packet_time: packet_time
            .or(wished)
            .or(usual)
            .unwrap_or(Coding::default().packet_time),
    }
}

/// A number among parameters that are written as `a=fmtp` has them, or with commas or spaces between them.
fn number_of(parameters: &str, name: &str) -> Option<u32> {
    let mut pairs = parameters
        .split([';', ',', ' '])
        .filter_map(|parameter| parameter.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    value.trim().parse().ok()
}

/// The one length that a party's packets must have, if it is particular: asked for by the operator, or by the party, which
/// names it as the usual and as the longest packet alike. A mere upper limit above that is none of our business.
fn packet_time(sink: &MediaSection) -> Option<Duration> {
    let number = |text: &Option<String>| text.as_ref()?.trim().parse::<u64>().ok();
    let remote = sink.remote.as_ref();
    let (usual, longest) = remote.map_or((None, None), |r| (number(&r.ptime), number(&r.maxptime)));
    let particular = longest.filter(|&ms| usual.map_or(ms <= 20, |usual| usual == ms));
    sink.ptime_ms
        .map(u64::from)
        .or(particular)
        .filter(|ms| (10..=120).contains(ms))
        .map(Duration::from_millis)
}

/// The format as paths know it. A number of which nothing is known is left to [`Unknown`].
pub(super) fn format_of(format: &PayloadFormat) -> Option<Format> {
    if format.name.is_empty() {
        return None;
    }
    Some(Format {
        payload_type: relay_transport::rtp::PayloadType::new(format.payload_type)?,
        encoding: Arc::clone(&format.name),
        clock_hz: format.clock_rate,
        channels: format.channels,
    })
}

#[cfg(test)]
mod tests {
    use relay_transport::rtp::Ssrc;

    use ng_protocol::flags::CodecSpec;

    use super::*;
    use crate::sdp::{Protocol, SessionDescription};

    /// How speech is encoded for a party with Opus, as its own parameters and the operator wish.
    fn coding(fmtp: &str, wish: &str) -> Coding {
        let text =
            format!("v=0\nm=audio 1 RTP/AVP 111\na=rtpmap:111 opus/48000/2\na=fmtp:111 {fmtp}\n");
        let description = SessionDescription::parse(text.as_bytes()).unwrap();
        let mut section = MediaSection::new("audio", Protocol::parse("RTP/AVP"), Ssrc(1));
        let remote = RemoteMedia::read(&description, 0).unwrap();
        section.told.clone_from(&remote.codecs);
        section.remote = Some(Arc::new(remote));
        section.note_encoding(CodecSpec::parse(wish).iter());
        coding_of(&section)
    }

    #[test]
    fn what_the_operator_writes_about_an_encoder_wins_over_the_party() {
        let own = coding("useinbandfec=1; maxaveragebitrate=30000", "opus").settings;
        assert_eq!((own.fec, own.max_bitrate), (true, Some(30_000)));
        let usual = EncoderSettings::default().complexity;
        assert_eq!((own.bitrate, own.complexity), (None, usual));
        let wished = coding(
            "useinbandfec=1; maxaveragebitrate=30000",
            "opus/48000/2/16000/40/useinbandfec--0;..usedtx--1/complexity--9",
        );
        assert_eq!(wished.packet_time, Duration::from_millis(40));
        assert_eq!(
            wished.settings,
            EncoderSettings {
                bitrate: Some(16_000),
                max_bitrate: Some(30_000),
                fec: false,
                dtx: true,
                complexity: 9,
            }
        );
        // Parts may be left out, and those alone behind them count.
        let wished = coding("useinbandfec=1", "opus/////maxaveragebitrate--9000").settings;
        assert_eq!((wished.fec, wished.max_bitrate), (true, Some(9_000)));
        let wished = coding("", "opus//////compression_level=30").settings;
        assert_eq!(wished.complexity, 10);
    }

    #[test]
    fn a_longest_packet_is_a_wish_only_where_it_is_the_usual_one() {
        let packet_time_of = |lines: &str| {
            let text = format!("v=0\nm=audio 1 RTP/AVP 0\n{lines}");
            let description = SessionDescription::parse(text.as_bytes()).unwrap();
            let mut section = MediaSection::new("audio", Protocol::parse("RTP/AVP"), Ssrc(1));
            section.remote = RemoteMedia::read(&description, 0).map(Arc::new);
            packet_time(&section)
        };
        let twenty = Some(Duration::from_millis(20));
        assert_eq!(packet_time_of("a=ptime:20\na=maxptime:20\n"), twenty);
        assert_eq!(packet_time_of("a=maxptime:20\n"), twenty);
        assert_eq!(packet_time_of("a=maxptime:60\n"), None);
        assert_eq!(packet_time_of("a=ptime:20\na=maxptime:60\n"), None);
        assert_eq!(packet_time_of("a=ptime:20\n"), None);
        assert_eq!(packet_time_of("a=ptime:x\na=maxptime:0\n"), None);
    }
}
