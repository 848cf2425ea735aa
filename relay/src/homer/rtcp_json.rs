//! RTCP as the JSON that Homer shows: sender and receiver reports and descriptions (RFC 3550 §6); the rest is left out.

use ng_protocol::{Dictionary, Encoding, Value};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;

/// A compound packet in words; `None` if there is no report in it.
pub(super) fn json(compound: &[u8]) -> Option<Vec<u8>> {
    let mut told = Dictionary::new();
    let mut reported = false;
    let mut rest = compound;
    while let Some((packet, after)) = split(rest) {
        rest = after;
        let count = packet[0] & 0x1f;
        let part = match packet[1] {
            // Homer shows one report a message.
            SENDER_REPORT | RECEIVER_REPORT if !reported => {
                let report = report(packet, count);
                reported = report.is_some();
                report
            }
            DESCRIPTION => description(packet, count),
            _ => None,
        };
        if let Some(part) = part {
            told.extend(part);
        }
    }
    let mut text = Vec::new();
    Encoding::Json.encode(&told, &mut text);
    reported.then_some(text)
}

/// The first packet of a compound one, and what follows it.
fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let words = u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]);
    rest.split_at_checked(usize::from(words) * 4 + 4)
}

fn number(packet: &[u8], at: usize) -> Option<u32> {
    let bytes = packet.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn report(packet: &[u8], count: u8) -> Option<Dictionary<'static>> {
    let number = |at| number(packet, at);
    let kind = packet[1];
    let mut told = Dictionary::new();
    let mut blocks_at = 8;
    if kind == SENDER_REPORT {
        blocks_at = 28;
        let sender = Dictionary::new()
            .with("ntp_timestamp_sec", number(8)?)
            // Homer looks for this name, though it is a fraction of 2^32.
            .with("ntp_timestamp_usec", number(12)?)
            .with("octets", number(24)?)
            .with("rtp_timestamp", number(16)?)
            .with("packets", number(20)?);
        told.push(b"sender_information", sender);
    }
    let mut blocks: Vec<Value<'static>> = Vec::new();
    for index in 0..usize::from(count) {
        let at = blocks_at + index * 24;
        let lost = number(at + 4)?;
        let block = Dictionary::new()
            .with("source_ssrc", number(at)?)
            .with("highest_seq_no", number(at + 8)?)
            // RFC 3550 §6.4.1: an eighth and three eighths of the word, the second with a sign.
            .with("fraction_lost", lost >> 24)
            .with("ia_jitter", number(at + 12)?)
            .with("packets_lost", i64::from(((lost << 8) as i32) >> 8))
            .with("lsr", number(at + 16)?)
            .with("dlsr", number(at + 20)?);
        blocks.push(block.into());
    }
    Some(
        told.with("ssrc", number(4)?)
            .with("type", u32::from(kind))
            .with("report_count", u32::from(count))
            .with("report_blocks", blocks),
    )
}

fn description(packet: &[u8], count: u8) -> Option<Dictionary<'static>> {
    let mut items: Vec<Value<'static>> = Vec::new();
    let mut at = 4;
    for _ in 0..count {
        let ssrc = number(packet, at)?;
        at += 4;
        while let Some(&kind) = packet.get(at).filter(|kind| **kind != 0) {
            let length = usize::from(*packet.get(at + 1)?);
            let text = packet.get(at + 2..at + 2 + length)?;
            let item = Dictionary::new()
                .with("sdes_chunk_ssrc", ssrc)
                .with("type", u32::from(kind))
                .with("text", String::from_utf8_lossy(text).into_owned());
            items.push(item.into());
            at += 2 + length;
        }
        // RFC 3550 §6.5: zeros up to the next word.
        at = (at + 4) / 4 * 4;
    }
    let told = Dictionary::new().with("sdes_report_count", u32::from(count));
    Some(told.with("sdes_information", items))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    const BLOCK: [u32; 6] = [0x2222, 0x0500_0003, 12_345, 77, 0x1111_2222, 0x3333];

    fn sender_report() -> Vec<u8> {
        let head = [
            0x81c8_000c,
            0x1111,
            0xe000_0000,
            0x8000_0000,
            50_000,
            10,
            1_600,
        ];
        words(&[&head[..], &BLOCK].concat())
    }

    fn receiver_report() -> Vec<u8> {
        words(&[&[0x81c9_0007, 0x1111][..], &BLOCK].concat())
    }

    fn name() -> Vec<u8> {
        let mut packet = words(&[0x81ca_0004, 0x1111]);
        packet.extend_from_slice(b"\x01\x07alice@x\0\0\0");
        packet
    }

    fn text(compound: &[u8]) -> String {
        String::from_utf8(json(compound).unwrap()).unwrap()
    }

    /// Recorded from rtpengine 10.5 for the same packets, but for the spaces.
    #[test]
    fn reports_read_as_rtpengine_writes_them() {
        assert_eq!(
            text(&[sender_report(), name()].concat()),
            r#"{"sender_information":{"ntp_timestamp_sec":3758096384,"ntp_timestamp_usec":2147483648,"octets":1600,"rtp_timestamp":50000,"packets":10},"ssrc":4369,"type":200,"report_count":1,"report_blocks":[{"source_ssrc":8738,"highest_seq_no":12345,"fraction_lost":5,"ia_jitter":77,"packets_lost":3,"lsr":286335522,"dlsr":13107}],"sdes_report_count":1,"sdes_information":[{"sdes_chunk_ssrc":4369,"type":1,"text":"alice@x"}]}"#
        );
        let goodbye = words(&[0x81cb_0001, 0x1111]);
        assert_eq!(
            text(&[receiver_report(), goodbye].concat()),
            r#"{"ssrc":4369,"type":201,"report_count":1,"report_blocks":[{"source_ssrc":8738,"highest_seq_no":12345,"fraction_lost":5,"ia_jitter":77,"packets_lost":3,"lsr":286335522,"dlsr":13107}]}"#
        );
    }

    #[test]
    fn it_is_json_whatever_comes() {
        let mut packet = [sender_report(), name()].concat();
        let is_json = |text: Vec<u8>| ng_protocol::json::decode(&text).is_ok();
        assert!(json(&packet).is_some_and(is_json));
        // A name with a quotation mark and bytes that are no text.
        let at = packet.len() - 8;
        packet[at..at + 2].copy_from_slice(b"\"\xff");
        assert!(json(&packet).is_some_and(is_json));
        for length in 0..packet.len() {
            assert!(json(&packet[..length]).is_none_or(is_json), "{length}");
        }
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] = changed[at].wrapping_add(0x5f);
            assert!(json(&changed).is_none_or(is_json), "{at}");
        }
    }

    #[test]
    fn losses_may_be_negative() {
        let mut block = BLOCK;
        block[1] = 0x00ff_ffff;
        let report = words(&[&[0x81c9_0007, 0x1111][..], &block].concat());
        assert!(text(&report).contains("\"packets_lost\":-1,"));
    }

    #[test]
    fn what_reports_nothing_is_not_told() {
        assert_eq!(json(&name()), None);
        assert_eq!(json(&[]), None);
        assert_eq!(json(&[0x80, 200]), None);
    }
}
