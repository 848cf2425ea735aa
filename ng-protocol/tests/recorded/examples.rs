//! One exchange of each kind, looked at closely: what a script wrote is what the typed request says.

use ng_protocol::flags::{Dtls, Ice, SdpSection, TransportProtocol};
use ng_protocol::request::SipMessageType;
use ng_protocol::{CallId, Command, Frame, Outcome, Request, Response, Tag, Templates, frame};

use crate::exchanges::exchanges;

/// The request and the reply of an example.
fn example(name: &str) -> (Request, Response) {
    let exchange = exchanges()
        .into_iter()
        .find(|exchange| exchange.name.starts_with("examples+") && exchange.name.ends_with(name))
        .unwrap();
    let request = Frame::split(&exchange.request).unwrap();
    let reply = exchange.reply.unwrap();
    let reply = Frame::split(&reply).unwrap();
    let request = Request::parse(request.payload).unwrap();
    assert_eq!(request.unknown, []);
    (request, Response::decode(reply.payload).unwrap())
}

/// Names of codecs, for comparison.
fn named(codecs: &[ng_protocol::flags::CodecSpec]) -> Vec<&str> {
    codecs.iter().map(|codec| codec.name.as_str()).collect()
}

#[test]
fn ping_is_the_same_in_both_encodings() {
    let (bencode, pong) = example("ping-bencode");
    let (json, json_pong) = example("ping-json");
    assert_eq!(bencode, Request::new(Command::Ping));
    assert_eq!(bencode, json);
    assert_eq!(pong, Response::pong());
    assert_eq!(pong, json_pong);
}

#[test]
fn kamailio_offers_a_whatsapp_call_to_a_pbx() {
    let (request, reply) = example("offer-whatsapp-kamailio");
    let flags = &request.flags;

    assert_eq!(request.command, Command::Offer);
    assert_eq!(request.call_id, Some(CallId::from("waid-1")));
    assert_eq!(request.from_tag, Some(Tag::from("ft1")));
    assert_eq!(request.to_tag, None);
    assert!(request.supports_load_limit);
    assert_eq!(request.sip_message_type, Some(SipMessageType::Request));
    assert_eq!(request.sdp.as_ref().unwrap().len(), 522);

    assert_eq!(flags.addressing.from_interface.as_deref(), Some("pub"));
    assert_eq!(flags.addressing.to_interface.as_deref(), Some("priv"));
    assert_eq!(
        flags.addressing.received_from,
        Some("198.51.100.1".parse().unwrap())
    );
    assert_eq!(flags.addressing.sip_source_address, Some(false));
    assert_eq!(
        flags.crypto.transport_protocol,
        Some(TransportProtocol::RtpAvp)
    );
    assert_eq!(flags.ice.mode, Some(Ice::Remove));
    assert!(flags.rtcp_mux.demux && !flags.rtcp_mux.offer);
    assert!(flags.sdp.replace.origin);
    assert!(reply.sdp_body().unwrap().starts_with(b"v=0\r\no=- 17 2"));
}

#[test]
fn opensips_sends_the_answer_of_the_pbx() {
    let (request, reply) = example("answer-pbx-opensips");
    assert_eq!(request.command, Command::Answer);
    assert_eq!(request.from_tag, Some(Tag::from("ft1")));
    assert_eq!(request.to_tag, Some(Tag::from("tt1")));
    assert!(request.flags.sdp.no_rtcp_attribute);
    assert!(!request.supports_load_limit);
    // A to-tag as a key is not the flag of that name.
    assert!(!request.flags.selection.to_tag);
    assert_eq!(reply.outcome(), Outcome::Ok);
}

#[test]
fn a_pbx_calls_whatsapp_with_ice_dtls_and_transcoding() {
    let (request, _) = example("offer-pbx-dtls");
    let flags = &request.flags;
    assert_eq!(flags.ice.mode, Some(Ice::Force));
    assert!(flags.crypto.sdes.off);
    assert_eq!(flags.crypto.dtls, None);
    assert_eq!(
        flags.crypto.transport_protocol,
        Some(TransportProtocol::UdpTlsRtpSavpf)
    );
    assert!(flags.rtcp_mux.offer && flags.rtcp_mux.require);
    assert!(flags.sdp.generate_mid);
    assert!(flags.codec.mask[0].is_all());
    assert_eq!(named(&flags.codec.transcode), ["opus", "telephone-event"]);
    assert_eq!(flags.codec.transcode[0].clock_rate, Some(48_000));
    assert_eq!(flags.codec.transcode[0].channels, Some(2));
}

#[test]
fn a_flags_string_is_understood_like_the_keys_it_stands_for() {
    let (request, _) = example("offer-pbx-sdes-rtpp-flags");
    let flags = &request.flags;
    assert_eq!(
        flags.crypto.transport_protocol,
        Some(TransportProtocol::RtpSavp)
    );
    assert_eq!(flags.crypto.dtls, Some(Dtls::Off));
    assert_eq!(flags.crypto.sdes.only, ["AES_CM_128_HMAC_SHA1_80"]);
    assert!(flags.crypto.sdes.pad);
    assert!(flags.sdp.replace.origin);
    assert_eq!(flags.addressing.from_interface.as_deref(), Some("priv"));
    assert_eq!(flags.addressing.to_interface.as_deref(), Some("pub"));
}

#[test]
fn a_json_string_counts_as_a_list() {
    let (request, reply) = example("offer-json");
    assert!(request.flags.sdp.generate_mid);
    assert_eq!(request.flags.addressing.sip_source_address, Some(false));
    assert!(request.flags.sdp.replace.origin);
    assert!(request.sdp.unwrap().ends_with(b"telephone-event/8000\r\n"));
    assert!(reply.sdp_body().unwrap().ends_with(b"a=rtcp:30737\r\n"));
}

#[test]
fn delete_is_a_warning_or_an_error_as_the_script_wishes() {
    let (request, reply) = example("delete-unknown");
    assert!(!request.flags.selection.fatal);
    assert_eq!(reply.outcome(), Outcome::Ok);
    let (request, reply) = example("delete-unknown-fatal");
    assert!(request.flags.selection.fatal);
    assert_eq!(
        reply.error_reason(),
        Some(ng_protocol::reason::CALL_ID_NOT_FOUND)
    );
    let (request, _) = example("delete-fast");
    assert!(request.flags.selection.fast);
    assert_eq!(request.from_tag, None);
}

#[test]
fn a_limit_is_told_to_those_who_announced_that_they_understand_it() {
    for name in ["limit-error", "limit-load-limit"] {
        let (request, reply) = example(name);
        let ours = Response::overloaded(
            ng_protocol::reason::PARALLEL_SESSION_LIMIT,
            request.supports_load_limit,
        );
        assert_eq!(ours, reply);
    }
}

#[test]
fn query_reads_back_to_the_deepest_level() {
    let (request, reply) = example("query");
    assert_eq!(request.command, Command::Query);
    let tags = reply.body().get("tags").unwrap().as_dictionary().unwrap();
    let party = tags.get("pbx9").unwrap().as_dictionary().unwrap();
    let medias = party.get("medias").unwrap().as_list().unwrap();
    let streams = medias[0].as_dictionary().unwrap().get("streams").unwrap();
    let port = streams.as_list().unwrap()[0]
        .as_dictionary()
        .unwrap()
        .get("local port");
    assert_eq!(port.unwrap().as_integer(), Some(30_066));
}

#[test]
fn lists_and_blocks_carry_their_keys() {
    let (request, _) = example("list");
    assert_eq!(request.limit, Some(2));
    let (request, reply) = example("block-media-unknown-tag");
    assert_eq!(request.command, Command::BlockMedia);
    assert!(request.flags.selection.directional);
    assert_eq!(
        reply.error_reason(),
        Some(ng_protocol::reason::NO_MATCHING_TAG)
    );
}

/// The words that scripts for the four WhatsApp cases need, as OpenSIPS 3.6 must send them: flag words only.
#[test]
fn flag_words_say_what_dictionaries_say() {
    let words = r#"{"command":"offer","flags":["RTP/AVP","ICE-remove","rtcp-mux-demux","replace-origin",
        "BUNDLE-accept","strip-extmap","sdp-attr-remove-audio-ssrc","sdp-attr-remove-none-msid-semantic",
        "SDES-off","no-tls-id","codec-mask-all","codec-transcode-opus/48000/2"]}"#;
    let dictionaries = r#"{"command":"offer","transport-protocol":"RTP/AVP","ICE":"remove","rtcp-mux":["demux"],
        "replace":["origin"],"bundle":["accept"],"extmap":{"strip":["all"]},
        "sdp-attr":{"audio":{"remove":["ssrc"]},"none":{"remove":["msid-semantic"]}},
        "SDES":["off"],"flags":["no-tls-id"],"codec":{"mask":["all"],"transcode":["opus/48000/2"]}}"#;
    let request = Request::parse(words.as_bytes()).unwrap();
    assert_eq!(request, Request::parse(dictionaries.as_bytes()).unwrap());
    assert_eq!(request.unknown, []);
    assert_eq!(
        request.flags.sdp.attribute_edits[1].section,
        SdpSection::Session
    );
}

#[test]
fn templates_come_before_what_the_request_says_itself() {
    let templates = Templates::from_iter([
        ("default", "generate-mid ICE=force"),
        ("offer", "codec=[strip=[PCMA]]"),
        ("answer", "no-rtcp-attribute"),
        ("wa", "ICE=optional DTLS=passive"),
    ]);
    let payload = br#"{"command":"offer","ICE":"remove","template":"wa"}"#;
    let dictionary = frame::decode(payload).unwrap();
    let request = Request::from_dictionary(&dictionary, &templates).unwrap();
    assert!(request.flags.sdp.generate_mid);
    assert_eq!(named(&request.flags.codec.strip), ["PCMA"]);
    assert!(!request.flags.sdp.no_rtcp_attribute);
    assert_eq!(request.flags.crypto.dtls, Some(Dtls::Passive));
    assert_eq!(request.flags.ice.mode, Some(Ice::Remove));
}
