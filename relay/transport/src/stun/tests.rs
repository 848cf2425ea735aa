//! What we write, an independent implementation reads, and the other way round.

use proptest::prelude::*;
use relay_packet::PacketBuf;
use stun_rs::attributes::ice::{IceControlled, IceControlling, Priority, UseCandidate};
use stun_rs::attributes::stun::{
    Fingerprint, MessageIntegrity, Software, UserName, XorMappedAddress,
};
use stun_rs::methods::BINDING;
use stun_rs::{
    DecoderContextBuilder, HMACKey, MessageClass, MessageDecoder, MessageDecoderBuilder,
    MessageEncoderBuilder, StunMessageBuilder,
};

use super::*;

const PASSWORD: &str = "AAECAwQFBgcICQoLDA0ODw==";

fn oracle_key() -> HMACKey {
    HMACKey::new_short_term(PASSWORD).unwrap()
}

/// Checks integrity and fingerprint.
fn oracle() -> MessageDecoder {
    let context = DecoderContextBuilder::default()
        .with_key(oracle_key())
        .with_validation();
    MessageDecoderBuilder::default()
        .with_context(context.build())
        .build()
}

#[test]
fn our_check_is_understood_by_others() {
    let mut packet = PacketBuf::new();
    let transaction = TransactionId([7; 12]);
    let mut writer = MessageWriter::new(&mut packet, Class::Request, transaction);
    writer
        .username("Qw3rTy6uIoP9aSdF", "abcdefgh")
        .priority(1_845_501_695)
        .role(RoleAttribute::Controlling(0x0102_0304_0506_0708))
        .use_candidate();
    assert!(writer.finish(Some(&IntegrityKey::new(PASSWORD))));

    let (message, len) = oracle().decode(&packet).unwrap();
    assert_eq!(len, packet.len());
    assert_eq!(message.method(), BINDING);
    assert_eq!(message.class(), MessageClass::Request);
    assert_eq!(message.transaction_id().as_bytes(), &[7; 12]);
    let username = message.get::<UserName>().unwrap().as_user_name().unwrap();
    assert_eq!(username.as_str(), "Qw3rTy6uIoP9aSdF:abcdefgh");
    let priority = message.get::<Priority>().unwrap().as_priority().unwrap();
    assert_eq!(*priority, 1_845_501_695);
    let role = message.get::<IceControlling>().unwrap();
    assert_eq!(*role.as_ice_controlling().unwrap(), 0x0102_0304_0506_0708);
    assert!(message.get::<UseCandidate>().is_some());
    assert!(message.get::<MessageIntegrity>().is_some());
    assert!(message.get::<Fingerprint>().is_some());
}

#[test]
fn our_replies_are_understood_by_others() {
    for text in [
        "192.0.2.1:32853",
        "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
    ] {
        let address = text.parse().unwrap();
        let mut packet = PacketBuf::new();
        let fits = MessageWriter::new(&mut packet, Class::Success, TransactionId([7; 12]))
            .mapped_address(address)
            .finish(Some(&IntegrityKey::new(PASSWORD)));
        assert!(fits);
        let (message, _) = oracle().decode(&packet).unwrap();
        assert_eq!(message.class(), MessageClass::SuccessResponse);
        let mapped = message.get::<XorMappedAddress>().unwrap();
        assert_eq!(
            *mapped.as_xor_mapped_address().unwrap().socket_address(),
            address
        );
    }
    let mut packet = PacketBuf::new();
    let fits = MessageWriter::new(&mut packet, Class::Error, TransactionId([7; 12]))
        .error_code(ErrorCode::ROLE_CONFLICT)
        .finish(Some(&IntegrityKey::new(PASSWORD)));
    assert!(fits);
    let (message, _) = oracle().decode(&packet).unwrap();
    let error = message
        .get::<stun_rs::attributes::stun::ErrorCode>()
        .unwrap();
    assert_eq!(
        error.as_error_code().unwrap().error_code().error_code(),
        487
    );
}

#[test]
fn the_checks_of_others_are_understood_by_us() {
    let request = StunMessageBuilder::new(BINDING, MessageClass::Request)
        .with_attribute(Software::new("somebody else").unwrap())
        .with_attribute(UserName::new("abcdefgh:Qw3r").unwrap())
        .with_attribute(Priority::from(77))
        .with_attribute(IceControlled::from(99))
        .with_attribute(MessageIntegrity::new(oracle_key()))
        .with_attribute(Fingerprint::default())
        .build();
    let mut buffer = [0; 300];
    let len = MessageEncoderBuilder::default()
        .build()
        .encode(&mut buffer, &request)
        .unwrap();
    let message = Message::parse(&buffer[..len]).unwrap();
    assert_eq!(message.class, Class::Request);
    assert_eq!(message.username, Some(b"abcdefgh:Qw3r".as_slice()));
    assert_eq!(message.priority, Some(77));
    assert_eq!(message.role, Some(RoleAttribute::Controlled(99)));
    assert!(!message.use_candidate);
    assert_eq!(&message.transaction.0, request.transaction_id().as_bytes());
    assert!(message.verify(&IntegrityKey::new(PASSWORD)));
    assert!(!message.verify(&IntegrityKey::new("another")));
}

proptest! {
    #[test]
    fn no_datagram_hurts_the_parser(mut bytes in prop::collection::vec(any::<u8>(), 0..200), repair: bool) {
        if repair && bytes.len() >= 20 {
            // Past the header, so that the attributes are reached.
            bytes.truncate(bytes.len() / 4 * 4);
            bytes[..2].copy_from_slice(&[0, 1]);
            let len = (bytes.len() - 20) as u16;
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        }
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert!(!message.verify(&IntegrityKey::new(PASSWORD)));
        }
    }

    #[test]
    fn no_change_to_a_real_check_hurts_the_parser(at in 20usize..100, value: u8, cut in 0usize..3) {
        let mut packet = PacketBuf::new();
        let mut writer = MessageWriter::new(&mut packet, Class::Request, TransactionId([7; 12]));
        writer.username("Qw3rTy6uIoP9aSdF", "abcdefgh").priority(7);
        prop_assert!(writer.finish(Some(&IntegrityKey::new(PASSWORD))));
        let at = at % packet.len();
        packet[at] = value;
        let len = packet.len() - cut * 4;
        let _ = Message::parse(&packet[..len]);
    }
}
