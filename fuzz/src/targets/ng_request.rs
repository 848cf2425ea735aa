//! Requests: any dictionary is a request or an error with a reason, and any text is a flags string.

use ng_protocol::{Dictionary, NgError, Request, Templates, frame};

use crate::{Target, recorded};

/// This target.
pub const TARGET: Target = Target {
    name: "ng_request",
    run: target,
    seeds,
    words: &[
        b"7:command5:offer",
        b"5:flagsl",
        b"10:rtpp-flags",
        b"3:ICE",
        b"5:codecd",
        b"8:sdp-attrd",
        b"9:directionl",
        b"4:SDESl",
        b"13:received-froml",
        b"8:template4:deep",
        b"=[",
        b"]",
        b"[",
        b"=",
        b"-",
        b"--",
        b"..",
        b",",
        b"codec-",
        b"sdp-attr-",
        b"ICE-lite-",
        b"transcode-",
        b"only-",
        b"order:",
        b"\xc3\xa9",
        b"\xff",
        b" ",
        b"e",
        b"i-1e",
        b"0:",
    ],
};

/// A payload, and the same bytes as a flags string.
pub fn target(data: &[u8]) {
    let templates = Templates::from_iter([
        ("default", "generate-mid"),
        ("offer", "ICE=force codec=[strip=[PCMA]]"),
        ("deep", "template=deep flags=flags=x"),
    ]);
    if let Ok(dictionary) = frame::decode(data) {
        check(Request::from_dictionary(&dictionary, &templates));
        check(Request::from_dictionary(&dictionary, &Templates::default()));
    }
    for key in ["rtpp-flags", "flags", "sdp-attr", "codec"] {
        let dictionary = Dictionary::new().with("command", "offer").with(key, data);
        check(Request::from_dictionary(&dictionary, &templates));
    }
}

fn check(result: Result<Request, NgError>) {
    match result {
        Ok(request) => {
            for word in request.unknown.iter().chain(&request.inert) {
                assert!(
                    word.key.len() + word.value.len() < 1000,
                    "a word for the log is short"
                );
            }
            assert!(
                request.unknown.len() + request.inert.len() < 1000,
                "the log is short"
            );
        }
        Err(error) => assert!(!error.reason().is_empty()),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = recorded::exchanges()
        .into_iter()
        .filter_map(|datagram| {
            let space = datagram.iter().position(|byte| *byte == b' ')?;
            Some(datagram[space + 1..].to_vec())
        })
        .collect();
    for flags in [
        "replace-origin transport-protocol=RTP/SAVP DTLS=off SDES=[only-AES_CM_128_HMAC_SHA1_80 pad] \
         codec=[strip=[PCMA] transcode=[G722]] label=callee ICE=remove rtcp-mux-offer",
        "sdp-attr=[audio=[add=[x-test:1,..2] substitute=[[sendrecv sendonly]]] none=[remove=[msid-semantic]]]",
        "SRTP AVPF direction=a internal to-tag=t from-tag=f WebRTC codec-mask-opus/48000/2///x--1;..y--2",
        "sdp-attr-add-audio-X sdp-attr-substitute-audio-a>b BUNDLE-accept ICE-lite-both T.38-decode",
    ] {
        seeds.push(flags.as_bytes().to_vec());
    }
    seeds
}
