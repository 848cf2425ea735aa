//! SRTP: packets under a key that the sender may not have. What is not authentic leaves no trace.

use relay_packet::PacketBuf;
use relay_transport::rtcp::write_report;
use relay_transport::rtp::Ssrc;
use relay_transport::srtp::{
    MAX_SSRCS, Mki, Skipped, SrtpContext, SrtpKey, SrtpProfile, SrtpState,
};

use crate::{Target, script};

/// This target.
pub const TARGET: Target = Target {
    name: "srtp",
    run: target,
    seeds,
    words: &[
        b"\x80\x6f",
        b"\x90\x6f",
        b"\xbe\xde\x00\x01",
        b"\x80\xc8\x00\x06",
        b"\x80\x00\x00\x00",
        b"\x7f\xff\xff\xff",
        b"\x00\x00\x00\x07",
        script::SEPARATOR,
    ],
};

/// The first byte chooses the profile and whether there is an identifier of the key; packets follow.
pub fn target(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let mut context = SrtpContext::new(&key(choice));
    for packet in script::records(rest) {
        let Some(original) = PacketBuf::from_slice(packet) else {
            continue;
        };
        for unprotect in [SrtpContext::unprotect_rtp, SrtpContext::unprotect_rtcp] {
            let mut packet = PacketBuf::new();
            assert!(packet.copy_from(&original));
            let before = context.state();
            if unprotect(&mut context, &mut packet).is_ok() {
                assert!(packet.len() < original.len());
                assert!(context.state().streams().len() <= MAX_SSRCS);
                assert!(packet.copy_from(&original));
                let replayed = unprotect(&mut context, &mut packet);
                assert!(replayed.is_err(), "the same packet is never taken twice");
            } else {
                assert_eq!(context.state(), before, "a forger leaves no trace");
            }
        }
    }
    // The state is read back from disk, where it may have been damaged too.
    let state = context.state().encode();
    let again = SrtpState::decode(&state).map(|state| state.encode());
    assert_eq!(again, Some(state));
    if let Some(state) = SrtpState::decode(rest) {
        let skipped = Skipped {
            rtp: u32::MAX,
            rtcp: u32::MAX,
        };
        let mut context = SrtpContext::restore(&key(choice), state.skip_ahead(skipped));
        for _ in 0..2 {
            let mut packet = rtp(1, 0x1234_5678);
            let _ = context.protect_rtp(&mut packet);
            let _ = context.unprotect_rtp(&mut packet);
            let _ = context.protect_rtcp(&mut report(7));
        }
    }
}

fn key(choice: u8) -> SrtpKey {
    let profile = SrtpProfile::ALL[usize::from(choice) % SrtpProfile::ALL.len()];
    let material = vec![0x2a; profile.key_len() + profile.salt_len()];
    let mki = (choice & 0x80 != 0).then(|| Mki::new(1, 1 + usize::from(choice & 3)));
    SrtpKey::from_material(profile, &material)
        .expect("as long as the profile wants")
        .with_mki(mki.flatten())
}

fn rtp(sequence: u16, ssrc: u32) -> PacketBuf {
    let mut bytes = b"\x80\x6f".to_vec();
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(u32::from(sequence).to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend(b"twenty ms of speech");
    PacketBuf::from_slice(&bytes).expect("a short packet")
}

fn report(ssrc: u32) -> PacketBuf {
    let mut packet = PacketBuf::new();
    assert!(write_report(&mut packet, Ssrc(ssrc), None, &[], "cname"));
    packet
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for choice in [0, 1, 2, 3, 4, 5, 0x80, 0x85] {
        let mut sender = SrtpContext::new(&key(choice));
        let mut packets = Vec::new();
        for sequence in [0xffff_u16, 0, 1, 5, 3] {
            let mut packet = rtp(sequence, 7);
            sender
                .protect_rtp(&mut packet)
                .expect("a new sequence number");
            packets.push(packet.to_vec());
            let mut packet = report(u32::from(sequence % 4));
            sender.protect_rtcp(&mut packet).expect("a new index");
            packets.push(packet.to_vec());
        }
        let mut seed = vec![choice];
        seed.extend(packets.join(script::SEPARATOR));
        seeds.push(seed);
        let mut seed = vec![choice];
        seed.extend(sender.state().encode());
        seeds.push(seed);
    }
    seeds
}
