//! Vectors of the RFCs, an independent implementation at the other end, and what forgers and repeaters get.

use proptest::prelude::*;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::super::hex;
use super::super::state::MAX_SSRCS;
use super::*;
use crate::rtp::{PayloadType, RtpHeaderMut, RtpTimestamp, SequenceNumber};

fn packet(bytes: &[u8]) -> PacketBuf {
    PacketBuf::from_slice(bytes).unwrap()
}

fn rtp(ssrc: u32, sequence: u16) -> PacketBuf {
    let header = RtpHeader::new(
        PayloadType::new(8).unwrap(),
        SequenceNumber(sequence),
        RtpTimestamp(u32::from(sequence) * 160),
        Ssrc(ssrc),
    );
    let mut packet = PacketBuf::new();
    assert!(header.write(&[sequence as u8; 160], &mut packet));
    packet
}

/// A receiver report without blocks.
fn rtcp(ssrc: u32) -> PacketBuf {
    let mut bytes = vec![0x80, 201, 0, 1];
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([
        0x81, 202, 0, 3, 0, 0, 0, 1, 1, 4, b'a', b'b', b'c', b'd', 0, 0,
    ]);
    packet(&bytes)
}

fn key(profile: SrtpProfile, seed: u8) -> SrtpKey {
    let len = profile.key_len() + profile.salt_len();
    let material: Vec<u8> = (0..len as u8)
        .map(|byte| byte.wrapping_mul(7) ^ seed)
        .collect();
    SrtpKey::from_material(profile, &material).unwrap()
}

fn protected(context: &mut SrtpContext, ssrc: u32, sequence: u16) -> PacketBuf {
    let mut packet = rtp(ssrc, sequence);
    context.protect_rtp(&mut packet).unwrap();
    packet
}

/// Sequence numbers over a wrap, some lost, some late, drawn from `seed`.
fn disordered(seed: u64) -> Vec<u16> {
    let mut state = seed;
    let mut dice = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut numbers: Vec<u16> = (0..400u16).map(|n| 65_300u16.wrapping_add(n)).collect();
    numbers.retain(|_| dice() % 10 != 0);
    for place in 0..numbers.len() - 8 {
        if dice() % 5 == 0 {
            numbers.swap(place, place + (dice() % 8) as usize);
        }
    }
    numbers
}

mod vectors {
    use super::*;

    const RTP: &str = "8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
    const RTCP: &str = "81c8000d4d617273 4e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
    const RTCP_INDEX: u32 = 0x5d4;

    /// The vectors of RFC 7714 give session keys, not master keys.
    fn gcm(profile: SrtpProfile) -> SrtpContext {
        let mut keys = ProtocolKeys {
            cipher_key: std::array::from_fn(|n| n as u8),
            auth_key: [0; 20],
            salt: [0; 14],
        };
        keys.salt[..12].copy_from_slice(b"Quid pro quo");
        let session = SessionKeys {
            rtp: keys.clone(),
            rtcp: keys,
        };
        SrtpContext {
            // Of no effect: session keys are not derived from it.
            key: SrtpKey::generate(profile),
            transform: Transform::new(profile, session),
            state: SrtpState::default(),
        }
    }

    fn rtp_vector(profile: SrtpProfile, expected: &str) {
        let mut sealed = packet(&hex(RTP));
        gcm(profile).protect_rtp(&mut sealed).unwrap();
        assert_eq!(sealed[..], hex(expected));
        gcm(profile).unprotect_rtp(&mut sealed).unwrap();
        assert_eq!(sealed[..], hex(RTP));
    }

    /// RFC 7714 section 16.1 and 16.2.
    #[test]
    fn rtp_in_gcm() {
        rtp_vector(
            SrtpProfile::AeadAes128Gcm,
            "8040f17b8041f8d35501a0b2 f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833 \
             899d7f27beb16a9152cf765ee4390cce",
        );
        rtp_vector(
            SrtpProfile::AeadAes256Gcm,
            "8040f17b8041f8d35501a0b2 32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b \
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        );
    }

    fn rtcp_vector(profile: SrtpProfile, expected: &str) {
        let mut context = gcm(profile);
        let stream = context.state.find_or_insert(Ssrc(0x4d61_7273)).unwrap();
        while stream.take_rtcp_index() != Some(RTCP_INDEX - 1) {}
        let mut sealed = packet(&hex(RTCP));
        context.protect_rtcp(&mut sealed).unwrap();
        assert_eq!(sealed[..], hex(expected));
        gcm(profile).unprotect_rtcp(&mut sealed).unwrap();
        assert_eq!(sealed[..], hex(RTCP));
    }

    /// RFC 7714 section 17.1 and 17.2.
    #[test]
    fn rtcp_in_gcm() {
        rtcp_vector(
            SrtpProfile::AeadAes128Gcm,
            "81c8000d4d617273 63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b \
             c84aa45896cf4d2fc5abf87245d9eade 800005d4",
        );
        rtcp_vector(
            SrtpProfile::AeadAes256Gcm,
            "81c8000d4d617273 d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad \
             1d1eb30c4446839f57ff6f6cb26ac3be 800005d4",
        );
    }

    /// RFC 7714 section 17.3: authenticated, not encrypted.
    #[test]
    fn rtcp_in_the_clear_is_authenticated() {
        let tagged = hex(&format!("{RTCP} 841dd9683dd78ec92ae58790125f62b3 000005d4"));
        let mut clear = packet(&tagged);
        gcm(SrtpProfile::AeadAes128Gcm)
            .unprotect_rtcp(&mut clear)
            .unwrap();
        assert_eq!(clear[..], hex(RTCP));
        for place in [0, 9, tagged.len() - 1, tagged.len() - 5] {
            let mut forged = packet(&tagged);
            forged[place] ^= 1;
            let result = gcm(SrtpProfile::AeadAes128Gcm).unprotect_rtcp(&mut forged);
            assert!(result.is_err(), "{place}");
        }
    }

    /// The packet with which libsrtp tests itself.
    #[test]
    fn rtp_in_counter_mode() {
        let material = hex("e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6");
        let key = SrtpKey::from_material(SrtpProfile::Aes128CmSha1_80, &material).unwrap();
        let plain = hex("800f1234decafbadcafebabe abababababababababababababababab");
        let mut sealed = packet(&plain);
        SrtpContext::new(&key).protect_rtp(&mut sealed).unwrap();
        let expected =
            hex("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb");
        assert_eq!(sealed[..], expected);
        SrtpContext::new(&key).unprotect_rtp(&mut sealed).unwrap();
        assert_eq!(sealed[..], plain);
    }
}

/// The profiles that `webrtc-srtp` has too; AES-192 is tested with the vectors of RFC 6188.
fn known_to_the_stranger() -> impl Iterator<Item = SrtpProfile> {
    const UNKNOWN: [SrtpProfile; 2] = [SrtpProfile::Aes192CmSha1_80, SrtpProfile::Aes192CmSha1_32];
    SrtpProfile::ALL
        .into_iter()
        .filter(|profile| !UNKNOWN.contains(profile))
}

/// The same profile in `webrtc-srtp`.
fn stranger(key: &SrtpKey) -> Context {
    let profile = match key.profile() {
        SrtpProfile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        SrtpProfile::Aes128CmSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        SrtpProfile::Aes256CmSha1_80 => ProtectionProfile::Aes256CmHmacSha1_80,
        SrtpProfile::Aes256CmSha1_32 => ProtectionProfile::Aes256CmHmacSha1_32,
        SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        other => panic!("{other} is unknown to webrtc-srtp"),
    };
    Context::new(key.master_key(), key.master_salt(), profile, None, None).unwrap()
}

/// A packet with contributing sources and an extension now and then.
fn decorated(sequence: u16) -> PacketBuf {
    let plain = rtp(0x1234_5678, sequence);
    if !sequence.is_multiple_of(3) {
        return plain;
    }
    let mut bytes = plain[..12].to_vec();
    bytes[0] |= 0x11;
    bytes.extend([0, 0, 0, 9, 0xbe, 0xde, 0, 1, 0x10, sequence as u8, 0, 0]);
    bytes.extend(&plain[12..]);
    packet(&bytes)
}

#[test]
fn a_stranger_reads_what_we_protect_over_a_wrap() {
    for profile in known_to_the_stranger() {
        let key = key(profile, 1);
        let (mut ours, mut theirs) = (SrtpContext::new(&key), stranger(&key));
        for sequence in disordered(11) {
            let plain = decorated(sequence);
            let mut sealed = packet(&plain);
            ours.protect_rtp(&mut sealed).unwrap();
            let opened = theirs.decrypt_rtp(&sealed).unwrap();
            assert_eq!(opened, plain[..], "{profile} {sequence}");
        }
        assert_eq!(ours.state().streams()[0].rollover_counter(), 1);
        for _ in 0..3 {
            let mut sealed = rtcp(5);
            ours.protect_rtcp(&mut sealed).unwrap();
            assert_eq!(
                theirs.decrypt_rtcp(&sealed).unwrap(),
                rtcp(5)[..],
                "{profile}"
            );
        }
    }
}

#[test]
fn we_read_what_a_stranger_protects_over_a_wrap() {
    for profile in known_to_the_stranger() {
        let key = key(profile, 2);
        let (mut ours, mut theirs) = (SrtpContext::new(&key), stranger(&key));
        let in_order = 65_300u32..65_700;
        let sealed: Vec<_> = in_order
            .map(|n| theirs.encrypt_rtp(&decorated(n as u16)).unwrap())
            .collect();
        for sequence in disordered(12) {
            let place = sequence.wrapping_sub(65_300);
            let mut opened = packet(&sealed[usize::from(place)]);
            ours.unprotect_rtp(&mut opened).unwrap();
            assert_eq!(opened[..], decorated(sequence)[..], "{profile} {sequence}");
        }
        for _ in 0..3 {
            let mut opened = packet(&theirs.encrypt_rtcp(&rtcp(5)).unwrap());
            ours.unprotect_rtcp(&mut opened).unwrap();
            assert_eq!(opened[..], rtcp(5)[..], "{profile}");
        }
    }
}

#[test]
fn what_was_seen_is_refused() {
    for profile in SrtpProfile::ALL {
        let key = key(profile, 3);
        let (mut sender, mut receiver) = (SrtpContext::new(&key), SrtpContext::new(&key));
        let copies: Vec<_> = (0..200).map(|n| protected(&mut sender, 1, n)).collect();
        for copy in &copies {
            receiver.unprotect_rtp(&mut packet(copy)).unwrap();
        }
        for copy in &copies {
            let again = receiver.unprotect_rtp(&mut packet(copy));
            assert_eq!(again, Err(DropReason::SrtpReplay));
        }
        let mut report = rtcp(1);
        sender.protect_rtcp(&mut report).unwrap();
        receiver.unprotect_rtcp(&mut packet(&report)).unwrap();
        let again = receiver.unprotect_rtcp(&mut report);
        assert_eq!(again, Err(DropReason::SrtpReplay));
    }
}

#[test]
fn forged_packets_leave_no_trace() {
    for profile in SrtpProfile::ALL {
        let key = key(profile, 4);
        let (mut sender, mut receiver) = (SrtpContext::new(&key), SrtpContext::new(&key));
        for ssrc in 0..100 {
            let mut forged = protected(&mut SrtpContext::new(&self::key(profile, 5)), ssrc, 1);
            assert_eq!(
                receiver.unprotect_rtp(&mut forged),
                Err(DropReason::SrtpAuthentication)
            );
            let mut forged = rtcp(ssrc);
            SrtpContext::new(&self::key(profile, 5))
                .protect_rtcp(&mut forged)
                .unwrap();
            assert_eq!(
                receiver.unprotect_rtcp(&mut forged),
                Err(DropReason::SrtpAuthentication)
            );
        }
        assert!(receiver.state().streams().is_empty());
        // A forged number far ahead does not move the window either.
        receiver
            .unprotect_rtp(&mut protected(&mut sender, 1, 1))
            .unwrap();
        let mut forged = protected(&mut sender, 1, 2);
        RtpHeaderMut::new(&mut forged)
            .unwrap()
            .set_sequence(SequenceNumber(20_000));
        let before = receiver.state();
        assert_eq!(
            receiver.unprotect_rtp(&mut forged),
            Err(DropReason::SrtpAuthentication)
        );
        assert_eq!(receiver.state(), before);
    }
}

#[test]
fn every_bit_of_a_packet_is_authenticated() {
    for profile in SrtpProfile::ALL {
        let key = key(profile, 6);
        let sealed = protected(&mut SrtpContext::new(&key), 7, 9);
        for bit in 0..sealed.len() * 8 {
            let mut forged = packet(&sealed);
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                SrtpContext::new(&key).unprotect_rtp(&mut forged).is_err(),
                "{profile} {bit}"
            );
        }
    }
}

#[test]
fn a_restored_context_goes_on_where_the_old_one_stopped() {
    for profile in SrtpProfile::ALL {
        let key = key(profile, 7);
        let (mut sender, mut receiver) = (SrtpContext::new(&key), SrtpContext::new(&key));
        let mut last = PacketBuf::new();
        for n in 65_500..65_600u32 {
            last = protected(&mut sender, 1, n as u16);
            receiver.unprotect_rtp(&mut packet(&last)).unwrap();
        }
        sender.protect_rtcp(&mut rtcp(1)).unwrap();
        let reload = |context: &SrtpContext| {
            let bytes = context.state().encode();
            SrtpContext::restore(&key, SrtpState::decode(&bytes).unwrap())
        };
        let (mut sender, mut receiver) = (reload(&sender), reload(&receiver));
        assert_eq!(
            receiver.unprotect_rtp(&mut last),
            Err(DropReason::SrtpReplay)
        );
        // The same number again would use an index twice.
        assert_eq!(
            sender.protect_rtp(&mut rtp(1, 63)),
            Err(DropReason::SrtpReplay)
        );
        receiver
            .unprotect_rtp(&mut protected(&mut sender, 1, 64))
            .unwrap();
        let mut report = rtcp(1);
        sender.protect_rtcp(&mut report).unwrap();
        receiver.unprotect_rtcp(&mut report).unwrap();
        assert_eq!(receiver.state().streams()[0].rtcp.highest(), Some(1));
    }
}

#[test]
fn a_new_key_goes_on_or_starts_at_zero() {
    for profile in SrtpProfile::ALL {
        let (old, new) = (key(profile, 8), key(profile, 9));
        let (mut sender, mut receiver) = (SrtpContext::new(&old), SrtpContext::new(&old));
        for n in 65_500..65_600u32 {
            receiver
                .unprotect_rtp(&mut protected(&mut sender, 1, n as u16))
                .unwrap();
        }
        let rekeyed = receiver.rekeyed(&new);
        assert_eq!(rekeyed.state().streams()[0].rollover_counter(), 1);
        for mut other in [sender.rekeyed(&new), SrtpContext::new(&new)] {
            let mut receiver = SrtpContext::restore(&new, rekeyed.state());
            for n in 64..70 {
                let mut opened = protected(&mut other, 1, n);
                receiver.unprotect_rtp(&mut opened).unwrap();
                assert_eq!(opened[..], rtp(1, n)[..], "{profile}");
            }
        }
        let mut receiver = rekeyed;
        let mut outdated = protected(&mut sender, 1, 64);
        assert_eq!(
            receiver.unprotect_rtp(&mut outdated),
            Err(DropReason::SrtpAuthentication)
        );
    }
}

#[test]
fn a_stream_that_wrapped_before_we_had_keys_is_read() {
    for profile in SrtpProfile::ALL {
        let key = key(profile, 10);
        let mut sender = SrtpContext::new(&key);
        protected(&mut sender, 1, 65_535);
        let mut opened = protected(&mut sender, 1, 0);
        let mut receiver = SrtpContext::new(&key);
        receiver.unprotect_rtp(&mut opened).unwrap();
        assert_eq!(opened[..], rtp(1, 0)[..]);
        assert_eq!(receiver.state().streams()[0].rollover_counter(), 1);
    }
}

#[test]
fn an_identifier_is_written_and_may_be_missing() {
    for profile in SrtpProfile::ALL {
        let plain_key = key(profile, 11);
        let marked_key = plain_key.with_mki(Mki::new(0x0102, 4));
        let mut receiver = SrtpContext::new(&marked_key);
        for (ssrc, sender_key, extra) in [(1, marked_key, 4), (2, plain_key, 0)] {
            let mut sender = SrtpContext::new(&sender_key);
            let mut sealed = protected(&mut sender, ssrc, 1);
            assert_eq!(sealed.len(), 172 + profile.rtp_tag_len() + extra);
            receiver.unprotect_rtp(&mut sealed).unwrap();
            assert_eq!(sealed[..], rtp(ssrc, 1)[..]);
            let mut report = rtcp(ssrc);
            sender.protect_rtcp(&mut report).unwrap();
            assert_eq!(report.len(), 24 + 4 + profile.rtcp_tag_len() + extra);
            receiver.unprotect_rtcp(&mut report).unwrap();
            assert_eq!(report[..], rtcp(ssrc)[..]);
        }
    }
}

#[test]
fn a_sender_has_a_limit_of_streams_and_a_receiver_forgets_the_oldest() {
    let key = key(SrtpProfile::Aes128CmSha1_80, 12);
    let mut receiver = SrtpContext::new(&key);
    for ssrc in 0..MAX_SSRCS as u32 + 5 {
        let mut sealed = protected(&mut SrtpContext::new(&key), ssrc, 1);
        receiver.unprotect_rtp(&mut sealed).unwrap();
    }
    assert_eq!(receiver.state().streams().len(), MAX_SSRCS);
    let mut sender = SrtpContext::new(&key);
    for ssrc in 0..MAX_SSRCS as u32 {
        protected(&mut sender, ssrc, 1);
    }
    assert_eq!(
        sender.protect_rtp(&mut rtp(99, 1)),
        Err(DropReason::TooManySsrcs)
    );
}

#[test]
fn debug_output_hides_the_keys() {
    let context = SrtpContext::new(&key(SrtpProfile::AeadAes128Gcm, 13));
    let text = format!("{context:?}");
    assert_eq!(
        text,
        "SrtpContext { profile: AeadAes128Gcm, mki: None, streams: [], .. }"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), framed in any::<bool>(), mki in any::<bool>()) {
        if let (true, Some(first)) = (framed, bytes.first_mut()) {
            *first = *first & 0x3f | 0x80;
        }
        for profile in SrtpProfile::ALL {
            let key = key(profile, 14).with_mki(Mki::new(1, 4).filter(|_| mki));
            let mut context = SrtpContext::new(&key);
            prop_assert!(context.unprotect_rtp(&mut packet(&bytes)).is_err());
            prop_assert!(context.unprotect_rtcp(&mut packet(&bytes)).is_err());
            let _ = context.protect_rtp(&mut packet(&bytes));
            let _ = context.protect_rtcp(&mut packet(&bytes));
        }
    }
}
