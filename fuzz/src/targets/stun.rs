//! STUN: any datagram parses or does not; what parses can be written again and says the same.

use relay_packet::PacketBuf;
use relay_transport::stun::{
    AttributeKind, Class, ErrorCode, IntegrityKey, Message, MessageWriter, RoleAttribute,
    TransactionId,
};

use crate::Target;

/// This target.
pub const TARGET: Target = Target {
    name: "stun",
    run: target,
    seeds,
    words: &[
        b"\x21\x12\xa4\x42",
        b"\x00\x06\x00\x09",
        b"\x00\x06\x02\x01",
        b"\x00\x08\x00\x14",
        b"\x00\x09\x00\x04\x00\x00\x04\x57",
        b"\x00\x20\x00\x08\x00\x01",
        b"\x00\x20\x00\x14\x00\x02",
        b"\x00\x24\x00\x04",
        b"\x00\x25\x00\x00",
        b"\x80\x28\x00\x04",
        b"\x80\x2a\x00\x08",
        b"\x7f\xff\x00\x00",
        b"\xff\xff",
        b"\x00\x00",
    ],
};

/// A datagram.
pub fn target(data: &[u8]) {
    let key = IntegrityKey::new("password");
    let Ok(message) = Message::parse(data) else {
        return;
    };
    let _ = (message.verify(&key), message.has_integrity());
    assert!(message.unknown_attributes().len() <= 4);

    let mut packet = PacketBuf::new();
    let mut writer = MessageWriter::new(&mut packet, message.class, message.transaction);
    if let Some(username) = message.username {
        writer.attribute(AttributeKind::USERNAME, username);
    }
    if let Some(priority) = message.priority {
        writer.priority(priority);
    }
    if message.use_candidate {
        writer.use_candidate();
    }
    if let Some(role) = message.role {
        writer.role(role);
    }
    if let Some(address) = message.mapped_address {
        writer.mapped_address(address);
    }
    if !writer.finish(Some(&key)) {
        return;
    }
    let again = Message::parse(&packet).expect("a message that we wrote");
    assert!(again.verify(&key));
    assert_eq!(
        (again.class, again.transaction, again.username),
        (message.class, message.transaction, message.username)
    );
    assert_eq!(
        (again.priority, again.use_candidate, again.role),
        (message.priority, message.use_candidate, message.role)
    );
    assert_eq!(again.mapped_address, message.mapped_address);
}

fn seeds() -> Vec<Vec<u8>> {
    let key = IntegrityKey::new("password");
    let id = TransactionId(*b"transaction!");
    let mut seeds = Vec::new();
    let mut seed = |class, fill: &dyn Fn(&mut MessageWriter<'_>)| {
        let mut packet = PacketBuf::new();
        let mut writer = MessageWriter::new(&mut packet, class, id);
        fill(&mut writer);
        assert!(writer.finish(Some(&key)));
        seeds.push(packet.to_vec());
    };
    seed(Class::Request, &|writer| {
        let role = RoleAttribute::Controlling(7);
        writer.username("ours", "theirs").priority(1).role(role);
        writer.use_candidate();
    });
    seed(Class::Request, &|writer| {
        let role = RoleAttribute::Controlled(u64::MAX);
        writer.username("a", "b").role(role);
        writer.attribute(AttributeKind(0x7fff), b"required and unknown");
    });
    seed(Class::Success, &|writer| {
        writer.mapped_address(([192, 0, 2, 1], 3480).into());
    });
    seed(Class::Success, &|writer| {
        writer.mapped_address(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 3480).into());
    });
    seed(Class::Error, &|writer| {
        writer.error_code(ErrorCode::BAD_REQUEST);
        writer.unknown_attributes(&[0x7fff, 0x7ffe]);
    });
    seed(Class::Indication, &|_| {});
    seeds
}
