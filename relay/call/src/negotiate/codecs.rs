//! Which codecs are offered on and which are answered back (RFC 3264 §5, §6; RFC 4733 §2.5.1).
//!
//! Codecs are matched by name, clock rate and channels, never by number. `telephone-event` stays beside a masked codec list
//! unless it is masked by name, and its clock rate is kept: WhatsApp knows 8000 Hz events only, also next to Opus.

use std::sync::Arc;

use ng_protocol::flags::{CodecFlags, CodecSpec};

use crate::sdp::PayloadFormat;

/// What became of a list of codecs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodecOffer {
    /// What the receiver is offered.
    pub formats: Vec<PayloadFormat>,
    /// Something the operator should know.
    pub warning: Option<String>,
    /// Nothing is left and the operator wants the section refused then (`allow-no-codec-media`).
    pub refused: bool,
}

/// Why there are no codecs to offer or to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCommonCodec(pub String);

/// The codecs for the receiver of an offer, who was told `before` in an earlier one.
pub fn offer(
    received: &[PayloadFormat],
    before: &[PayloadFormat],
    flags: &CodecFlags,
) -> Result<CodecOffer, NoCommonCodec> {
    let considered: Vec<PayloadFormat> = received
        .iter()
        .filter(|f| !names(&flags.ignore, f))
        .cloned()
        .collect();
    let mut formats = strip(&considered, flags);
    let mut warning = None;
    let refusable = flags.allow_no_codec_media && flags.transcode.is_empty();
    if formats.is_empty() && !considered.is_empty() && flags.transcode.is_empty() && !refusable {
        warning = Some(format!(
            "codec-strip removes every codec of {}; the list is left as it was",
            list(&considered)
        ));
        formats = considered.clone();
    }
    formats.retain(|f| !masked(f, flags));
    add(&mut formats, received, &flags.transcode);
    if refusable && !formats.iter().any(PayloadFormat::is_speech) {
        return Ok(CodecOffer {
            refused: true,
            ..CodecOffer::default()
        });
    }
    if flags.static_codecs && !before.is_empty() {
        formats = before.to_vec();
    } else if flags.reuse_codecs {
        let place = |f: &PayloadFormat| before.iter().position(|b| b.same_encoding(f));
        formats.sort_by_key(|f| place(f).unwrap_or(usize::MAX));
    }
    let usable = formats
        .iter()
        .any(|f| f.is_speech() && received.iter().any(|r| r.same_encoding(f)));
    let transcodable =
        |formats: &[PayloadFormat]| formats.iter().any(PayloadFormat::is_transcodable);
    if received.iter().any(PayloadFormat::is_speech)
        && !usable
        && !(transcodable(received) && transcodable(&formats))
    {
        return Err(NoCommonCodec(format!(
            "the sender offers {} and would be connected to {}",
            list(received),
            list(&formats)
        )));
    }
    Ok(CodecOffer {
        formats,
        warning,
        refused: false,
    })
}

/// What `strip` leaves, in the order that `offer` asks for.
fn strip(formats: &[PayloadFormat], flags: &CodecFlags) -> Vec<PayloadFormat> {
    if !flags.strip.iter().any(CodecSpec::is_all) {
        return formats
            .iter()
            .filter(|f| !names(&flags.strip, f))
            .cloned()
            .collect();
    }
    let ordered = flags
        .offer
        .iter()
        .flat_map(|spec| formats.iter().filter(move |f| is_named(spec, f)));
    let mut kept: Vec<PayloadFormat> = Vec::new();
    for format in ordered.chain(formats.iter().filter(|f| names(&flags.except, f))) {
        if !kept.contains(format) {
            kept.push(format.clone());
        }
    }
    kept
}

fn masked(format: &PayloadFormat, flags: &CodecFlags) -> bool {
    let kept = [&flags.except, &flags.offer, &flags.transcode];
    if kept.iter().any(|specs| names(specs, format)) {
        return false;
    }
    let masks = || flags.mask.iter().chain(&flags.consume);
    let by_name = masks().any(|spec| is_named(spec, format));
    by_name || (masks().any(CodecSpec::is_all) && format.is_speech())
}

/// Adds the codecs of `transcode` that are not there. A codec that the sender has keeps its number; a new one takes its static
/// number or the lowest free one from 96.
fn add(formats: &mut Vec<PayloadFormat>, received: &[PayloadFormat], specs: &[CodecSpec]) {
    for spec in specs {
        if formats.iter().any(|f| is_named(spec, f)) {
            continue;
        }
        let format = match received.iter().find(|f| is_named(spec, f)) {
            Some(format) => Some(format.clone()),
            None => new_format(spec, formats, received),
        };
        let Some(format) = format else {
            continue;
        };
        // Events stay last, as everybody writes them.
        let place = formats
            .iter()
            .position(PayloadFormat::is_telephone_event)
            .filter(|_| !format.is_telephone_event())
            .unwrap_or(formats.len());
        formats.insert(place, format);
    }
}

fn new_format(
    spec: &CodecSpec,
    formats: &[PayloadFormat],
    received: &[PayloadFormat],
) -> Option<PayloadFormat> {
    let taken = |number: u8| {
        formats
            .iter()
            .chain(received)
            .any(|f| f.payload_type == number)
    };
    let fixed = PayloadFormat::static_of_name(&spec.name)
        .filter(|f| is_named(spec, f) && !taken(f.payload_type));
    if fixed.is_some() {
        return fixed;
    }
    let opus = spec.name.eq_ignore_ascii_case("opus");
    let (clock_rate, channels) = if opus { (48_000, 2) } else { (8_000, 1) };
    let number = (96..=127).find(|&number| !taken(number))?;
    let mut format = PayloadFormat::new(
        number,
        &spec.name,
        spec.clock_rate.unwrap_or(clock_rate),
        spec.channels.unwrap_or(channels),
    );
    format.fmtp = spec.fmtp.as_deref().map(Arc::from).or_else(|| {
        if format.is_telephone_event() {
            Some("0-15".into())
        } else {
            opus.then(|| "useinbandfec=1".into())
        }
    });
    // Nobody could make anything of a codec that is neither the sender's nor ours.
    (format.is_transcodable() || !format.is_speech()).then_some(format)
}

/// The codecs of the answer to the offerer: those of the answerer that the offerer offered, in the answerer's order, with the
/// answerer's parameters and the offerer's numbers.
///
/// Where there are none it is the offerer's first that can be transcoded, alone; where some of the offerer's are to be
/// `accepted` whatever the answerer takes, the first of these.
pub fn answer(
    offered_by_offerer: &[PayloadFormat],
    told_to_answerer: &[PayloadFormat],
    answered: &[PayloadFormat],
    accepted: &[CodecSpec],
    flags: &CodecFlags,
) -> Result<Vec<PayloadFormat>, NoCommonCodec> {
    let heard: Vec<PayloadFormat> = answered
        .iter()
        .filter(|f| !names(&flags.ignore, f))
        .cloned()
        .collect();
    let stripped = strip(&heard, flags);
    let considered = [&stripped, &heard]
        .into_iter()
        .find(|list| !list.is_empty());
    let considered = considered.map_or(answered, Vec::as_slice);
    // What the answerer was not offered is not answered either (RFC 3264 §6.1), unless it knows nothing else.
    let was_told = |theirs: &PayloadFormat| {
        theirs.name.is_empty() || told_to_answerer.iter().any(|t| t.same_encoding(theirs))
    };
    let keeps_to_it = considered.iter().any(|f| f.is_speech() && was_told(f));
    let mut formats: Vec<PayloadFormat> = Vec::new();
    for theirs in considered {
        if keeps_to_it && !was_told(theirs) && theirs.is_speech() {
            continue;
        }
        // A number without a name means what that number meant in our offer.
        let meant = told_to_answerer
            .iter()
            .find(|t| theirs.name.is_empty() && t.payload_type == theirs.payload_type)
            .unwrap_or(theirs);
        let Some(offered) = offered_by_offerer.iter().find(|o| o.same_encoding(meant)) else {
            continue;
        };
        if formats
            .iter()
            .any(|f| f.payload_type == offered.payload_type)
        {
            continue;
        }
        formats.push(PayloadFormat {
            payload_type: offered.payload_type,
            fmtp: theirs.fmtp.clone(),
            feedback: theirs.feedback.clone(),
            ..meant.clone()
        });
    }
    if flags.single_codec
        && let Some(first) = formats.iter().find(|f| f.is_speech()).cloned()
    {
        formats.retain(|f| !f.is_speech() || *f == first);
    }
    let speaks = |formats: &[PayloadFormat]| formats.iter().any(PayloadFormat::is_speech);
    let shared = speaks(&formats) || !speaks(offered_by_offerer);
    if let Some(first) = to_transcode(offered_by_offerer, considered, accepted, shared) {
        let known = formats
            .iter()
            .find(|f| f.payload_type == first.payload_type);
        let first = known.unwrap_or(first).clone();
        formats.retain(PayloadFormat::is_telephone_event);
        if formats.is_empty() {
            // Who knows no events hears the keys.
            let events = offered_by_offerer.iter();
            formats.extend(events.filter(|f| f.is_telephone_event()).cloned());
        }
        // Its pauses are described to it, if it knows how (RFC 3389 §4).
        let offered = offered_by_offerer.iter();
        let noise = offered.filter(|f| f.is_comfort_noise() && f.clock_rate == first.clock_rate);
        formats.splice(0..0, std::iter::once(first.clone()).chain(noise.cloned()));
        return Ok(formats);
    }
    if !shared {
        return Err(NoCommonCodec(format!(
            "the offerer has {}, the answerer {}",
            list(offered_by_offerer),
            list(answered)
        )));
    }
    Ok(formats)
}

/// What an offer's options say about codecs of its sender that are answered whatever the receiver takes.
pub fn accepted(flags: &CodecFlags) -> Vec<CodecSpec> {
    let all = flags.always_transcode.then(|| CodecSpec {
        name: "all".into(),
        ..CodecSpec::default()
    });
    let named = flags.accept.iter().chain(&flags.consume).cloned();
    named.chain(all).collect()
}

/// The offerer's codec that is answered although the answerer does not speak it.
fn to_transcode<'a>(
    offered: &'a [PayloadFormat],
    answered: &[PayloadFormat],
    accepted: &[CodecSpec],
    shared: bool,
) -> Option<&'a PayloadFormat> {
    if !answered.iter().any(PayloadFormat::is_transcodable) {
        return None;
    }
    let wanted = |format: &&PayloadFormat| {
        let named = accepted.iter().any(|spec| spec.is_all()) || names(accepted, format);
        format.is_transcodable() && (named || !shared)
    };
    offered.iter().find(wanted)
}

fn is_named(spec: &CodecSpec, format: &PayloadFormat) -> bool {
    spec.matches(&format.name, format.clock_rate, format.channels)
}

fn names(specs: &[CodecSpec], format: &PayloadFormat) -> bool {
    specs.iter().any(|spec| is_named(spec, format))
}

fn list(formats: &[PayloadFormat]) -> String {
    if formats.is_empty() {
        return "no codec".into();
    }
    let names: Vec<String> = formats
        .iter()
        .map(|f| f.mapping().unwrap_or_else(|| f.payload_type.to_string()))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(number: u8, mapping: &str) -> PayloadFormat {
        PayloadFormat::from_mapping(number, mapping).unwrap()
    }

    fn spec(name: &str) -> CodecSpec {
        CodecSpec {
            name: name.into(),
            ..CodecSpec::default()
        }
    }

    fn pbx() -> Vec<PayloadFormat> {
        vec![
            format(0, "PCMU/8000"),
            format(8, "PCMA/8000"),
            format(96, "opus/48000/2"),
            format(101, "telephone-event/8000"),
        ]
    }

    fn numbers(formats: &[PayloadFormat]) -> Vec<u8> {
        formats.iter().map(|f| f.payload_type).collect()
    }

    #[test]
    fn strip_removes_by_name_and_never_everything() {
        let flags = CodecFlags {
            strip: vec![spec("pcmu")],
            ..CodecFlags::default()
        };
        assert_eq!(
            numbers(&offer(&pbx(), &[], &flags).unwrap().formats),
            [8, 96, 101]
        );
        let flags = CodecFlags {
            strip: vec![spec("all")],
            ..CodecFlags::default()
        };
        let offered = offer(&pbx(), &[], &flags).unwrap();
        assert_eq!(offered.formats, pbx());
        assert!(offered.warning.unwrap().contains("codec-strip"));
    }

    #[test]
    fn strip_all_with_offer_sets_the_order() {
        let flags = CodecFlags {
            strip: vec![spec("all")],
            offer: vec![spec("opus"), spec("PCMA")],
            ..CodecFlags::default()
        };
        assert_eq!(
            numbers(&offer(&pbx(), &[], &flags).unwrap().formats),
            [96, 8]
        );
    }

    #[test]
    fn mask_all_keeps_the_8_khz_events_next_to_opus() {
        let flags = CodecFlags {
            mask: vec![spec("all")],
            transcode: vec![spec("opus"), spec("telephone-event")],
            ..CodecFlags::default()
        };
        let offered = offer(&pbx(), &[], &flags).unwrap().formats;
        assert_eq!(numbers(&offered), [96, 101]);
        assert_eq!(offered[1].clock_rate, 8000);
    }

    #[test]
    fn a_codec_that_nobody_can_transcode_is_refused_and_named() {
        let flags = CodecFlags {
            mask: vec![spec("all")],
            transcode: vec![spec("PCMU")],
            ..CodecFlags::default()
        };
        let NoCommonCodec(why) = offer(&[format(18, "G729/8000")], &[], &flags).unwrap_err();
        assert!(
            why.contains("PCMU/8000") && why.contains("G729/8000"),
            "{why}"
        );
        // Nor is such a one added.
        let flags = CodecFlags {
            transcode: vec![spec("speex"), spec("G722")],
            ..CodecFlags::default()
        };
        let offered = offer(&pbx(), &[], &flags).unwrap().formats;
        assert_eq!(numbers(&offered), [0, 8, 96, 9, 101]);
    }

    #[test]
    fn a_codec_that_only_the_relay_knows_stands_in_for_the_senders() {
        let flags = CodecFlags {
            mask: vec![spec("all")],
            transcode: vec![spec("opus")],
            ..CodecFlags::default()
        };
        let offered = offer(&pbx()[..2], &[], &flags).unwrap().formats;
        assert_eq!(numbers(&offered), [96]);
    }

    #[test]
    fn a_transcode_codec_beside_common_ones_is_appended_before_the_events() {
        let flags = CodecFlags {
            transcode: vec![spec("opus"), spec("G722")],
            ..CodecFlags::default()
        };
        let received = [format(0, "PCMU/8000"), format(101, "telephone-event/8000")];
        let offered = offer(&received, &[], &flags).unwrap().formats;
        assert_eq!(numbers(&offered), [0, 96, 9, 101]);
        assert_eq!(offered[1].fmtp.as_deref(), Some("useinbandfec=1"));
    }

    #[test]
    fn an_answer_speaks_in_the_numbers_of_the_offerer() {
        let offerer = [
            format(111, "opus/48000/2"),
            format(126, "telephone-event/8000"),
        ];
        let mut answered = vec![
            format(101, "telephone-event/8000"),
            format(96, "OPUS/48000/2"),
        ];
        answered[0].fmtp = Some("0-16".into());
        let formats = answer(&offerer, &offerer, &answered, &[], &CodecFlags::default()).unwrap();
        assert_eq!(numbers(&formats), [126, 111]);
        assert_eq!(formats[0].fmtp.as_deref(), Some("0-16"));
    }

    #[test]
    fn what_was_stripped_from_the_offer_is_not_answered() {
        let told = [pbx()[0].clone(), pbx()[3].clone()];
        let formats = answer(&pbx(), &told, &pbx(), &[], &CodecFlags::default()).unwrap();
        assert_eq!(numbers(&formats), [0, 101]);
    }

    #[test]
    fn an_answer_without_common_speech_is_the_offerers_first_codec() {
        let offerer = [
            format(111, "opus/48000/2"),
            format(9, "G722/8000"),
            format(126, "telephone-event/8000"),
        ];
        let flags = CodecFlags::default();
        let answered = [format(0, "PCMU/8000"), format(126, "telephone-event/8000")];
        let formats = answer(&offerer, &offerer, &answered, &[], &flags).unwrap();
        assert_eq!(numbers(&formats), [111, 126]);
        let answered = [format(18, "G729/8000")];
        assert!(answer(&offerer, &offerer, &answered, &[], &flags).is_err());
    }

    #[test]
    fn who_knows_comfort_noise_is_answered_with_it_where_speech_is_transcoded() {
        let offerer = [
            format(8, "PCMA/8000"),
            format(13, "CN/8000"),
            format(101, "telephone-event/8000"),
        ];
        let answered = [
            format(111, "opus/48000/2"),
            format(126, "telephone-event/8000"),
        ];
        let flags = CodecFlags::default();
        let formats = answer(&offerer, &answered, &answered, &[], &flags).unwrap();
        assert_eq!(numbers(&formats), [8, 13, 101]);
        // Opus has its own way to make pauses.
        let offerer = [format(111, "opus/48000/2"), format(13, "CN/8000")];
        let answered = [format(8, "PCMA/8000")];
        let formats = answer(&offerer, &answered, &answered, &[], &flags).unwrap();
        assert_eq!(numbers(&formats), [111]);
    }

    #[test]
    fn an_accepted_codec_is_answered_whatever_the_answerer_took() {
        let flags = CodecFlags::default();
        let answered = [format(8, "PCMA/8000"), format(101, "telephone-event/8000")];
        let of = |accepted: &[CodecSpec]| {
            let formats = answer(&pbx(), &pbx(), &answered, accepted, &flags);
            numbers(&formats.unwrap())
        };
        assert_eq!(of(&[spec("PCMU")]), [0, 101]);
        assert_eq!(of(&[spec("all")]), [0, 101]);
        assert_eq!(of(&[spec("PCMA")]), [8, 101]);
        assert_eq!(of(&[]), [8, 101]);
    }

    #[test]
    fn single_codec_keeps_the_first_and_the_events() {
        let flags = CodecFlags {
            single_codec: true,
            ..CodecFlags::default()
        };
        let formats = answer(&pbx(), &pbx(), &pbx()[1..], &[], &flags).unwrap();
        assert_eq!(numbers(&formats), [8, 101]);
    }
}
