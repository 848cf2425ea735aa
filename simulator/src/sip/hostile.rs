//! Damaged messages through everything that looks at messages: nothing may panic.

use super::dialog::{Dialog, business_routes, contact_of};
use super::digest::{Challenge, Credentials};
use super::framing::{Frame, Framer};
use super::inspection::{inspect, inspect_echo, inspect_topology};
use super::message::{Message, Method, Request};
use super::reply::{reply, reply_to_stray};
use super::sdp_check::{Keys, Kind, check};
use super::uac::{Caller, Invite};
use super::uas::{Business, Challenging, Reception, accept};

const INVITE: &str = "INVITE sip:+4915112345678@wa.meta.vc;transport=tls SIP/2.0\r\n\
    Record-Route: <sip:sbc.example.com:5061;transport=tls;lr>\r\n\
    Via: SIP/2.0/TLS sbc.example.com:5061;branch=z9hG4bK1;rport, SIP/2.0/UDP 10.0.0.5\r\n\
    From: \"A \\\" B\" <sip:+15550001111@sbc.example.com>;tag=biz\r\n\
    To: <sip:+4915112345678@wa.meta.vc>\r\nRoute: <sip:wa.meta.vc;lr>\r\n\
    Contact: <sip:pbx@[2001:db8::1]:5060;x=\"y\">;q=1\r\nCall-ID: c\r\nCSeq: 2 INVITE\r\n\
    Proxy-Authorization: Digest username=\"a\\\"b\", realm=\"wa.meta.vc\", nonce=\"n\", \
    uri=\"sip:x@y\", response=\"r\", cnonce=\"c\", nc=00000001, qop=auth, algorithm=MD5\r\n\
    Supported: timer\r\nContent-Type: application/sdp\r\nContent-Length: 240\r\n\r\n\
    v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\nm=audio 30000 UDP/TLS/RTP/SAVPF 111 126\r\n\
    c=IN IP4 198.51.100.7\r\na=candidate:1 1 udp 1 198.51.100.7 30000 typ host\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:QUJD\r\na=fmtp:111 stereo=1\r\na=rtpmap:111 opus/48000/2\r\n";

/// A generator that needs no seed from outside, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Replaces, removes, repeats and cuts pieces of a text.
fn damage(text: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(bytes.len());
        match dice.roll(5) {
            0 => bytes[at] = b"<>\";,:=@[]\\ \r\n\0\xff%"[dice.roll(17)],
            1 => drop(bytes.remove(at)),
            2 => bytes.truncate(at.max(1)),
            3 => {
                let end = (at + dice.roll(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let end = (at + dice.roll(40)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
    bytes
}

fn look_at(request: &Request) {
    let peer = "192.0.2.1:5061".parse().unwrap();
    let business = Business {
        number: "+15550001111".to_owned(),
        password: "secret".to_owned(),
        host: "sbc.example.com".to_owned(),
    };
    let mut reception = Reception::new(vec![business], Challenging::Both);
    reception.receive(request);
    reception.receive(request);
    reply_to_stray(request, peer, "t");
    let (response, dialog, _) = accept(request, peer, "t", String::new());
    if let Some(mut dialog) = dialog {
        dialog.judge(request);
        dialog.next_hop();
        dialog.request(Method::Bye, Vec::new());
    }
    let caller = Caller {
        user: "+49".to_owned(),
        display_name: None,
        business: "+1".to_owned(),
        host: "sbc.example.com".to_owned(),
        port: None,
        user_parameters: None,
        preloaded_route: false,
        extra_headers: Vec::new(),
    };
    // The request's headers stand in for those of a response from the business.
    let mut answer = response;
    answer.headers = request.headers.clone();
    let mut invite = Invite::new(caller, String::new());
    inspect_echo(invite.request(), &answer);
    inspect_echo(request, &reply(request, peer, 200, "t"));
    let _: (Option<Dialog>, _) = invite.establish(&answer);
    answer.status = 407;
    if let Some(value) = request.headers.first("Proxy-Authorization") {
        answer.headers.push("Proxy-Authenticate", value.to_owned());
        let _ = (Challenge::parse(value), Credentials::parse(value));
    }
    let _ = invite.authenticate(&answer, "secret");
    inspect(&Message::Request(request.clone()), &[]);
    inspect_topology("INVITE", &request.headers);
    business_routes(&request.headers, true);
    let _ = contact_of(&request.headers, "INVITE");
    let sdp = String::from_utf8_lossy(&request.body);
    for keys in [Keys::Dtls, Keys::Sdes] {
        check(&sdp, Kind::Offer, keys, false);
        check(&sdp, Kind::AnswerTo(&sdp), keys, false);
    }
}

#[test]
fn damaged_messages_break_nothing() {
    let mut dice = Dice(7);
    let mut read = 0;
    for _ in 0..20_000 {
        let mut framer = Framer::default();
        framer.push(&damage(INVITE, &mut dice));
        while let Ok(Some(frame)) = framer.next_frame() {
            if let Frame::Message(message) = frame
                && let Message::Request(request) = *message
            {
                read += 1;
                look_at(&request);
            }
        }
    }
    assert!(read > 1_000, "only {read} damaged messages were readable");
}
