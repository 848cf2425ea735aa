//! Every word of the language, and what it is good for here.
//!
//! One table, from which the parser knows the words without effect, a test proves that none is unknown, and the reference
//! for operators (`docs/ng-compatibility.md`) is written.
//! Words stand as in a flags string: `word`, or `key=value` with a value that the key takes. `X` stands for a name.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use crate::spelling::canonical;

/// What a word does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// What its definition says.
    Works,
    /// It asks for what happens anyway.
    Default,
    /// It is accepted and changes nothing; the log says so once.
    Ignored,
}

/// Words about one thing.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// What they are about.
    pub name: &'static str,
    /// Words with an effect, separated by spaces outside brackets.
    pub works: &'static str,
    /// Words that ask for what happens anyway.
    pub default: &'static str,
    /// Words without effect.
    pub ignored: &'static str,
}

/// The language.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "Call and parties",
        works: "call-id=c from-tag=f to-tag=t via-branch=b from-tags=[a b] to-tag label=a set-label=b from-label=a to-label=b \
            address=192.0.2.1 all all=all all=offer-answer all=except-offer-answer all=flows directional fatal fast \
            delete-delay=0 metadata=x limit=3 template=x rtpp-flags=x supports=[load-limit] body=x to-call-id=x xmlrpc-callback=192.0.2.1",
        default: "sip-message-type=sip_request sip-message-type=sip_reply sip-code=200 sip_response_code=200 provisional",
        ignored: "alias-key=off instance=x new-branch no-redis-update \
            source-tag=x source-call-id=x medias=[[type=audio]] calls=[a b] tags=[[from=a to=[b]]] media=[[id=x]]",
    },
    Family {
        name: "Addresses and interfaces",
        works: "SIP-source-address received-from=[IP4 192.0.2.1] direction=[a b] internal external from-interface=a \
            to-interface=b interface=c address-family=IP6 media-address=192.0.2.1 TOS=184",
        default: "trust-address",
        ignored: "inbound-peer=192.0.2.1 outbound-peer=192.0.2.1 peer=192.0.2.1",
    },
    Family {
        name: "Media path",
        works: "asymmetric strict-source media-handover endpoint-learning=off endpoint-learning-off \
            endpoint-learning-immediate endpoint-learning-delayed endpoint-learning-heuristic NAT-wait pierce-NAT reset \
            drop-traffic=start media-echo=blackhole media-echo=forward media-echo=backwards media-echo=both loop-protect \
            block-egress egress fragment passthrough passthrough=on no-passthrough generate-RTCP generate-RTCP=on debug",
        default: "symmetric unidirectional port-latching no-port-latching recrypt early-media no-jitter-buffer",
        ignored: "unsubscribe",
    },
    Family {
        name: "RTCP multiplexing",
        works: "rtcp-mux=require rtcp-mux-offer rtcp-mux-require rtcp-mux-demux rtcp-mux-accept rtcp-mux-reject",
        default: "",
        ignored: "",
    },
    Family {
        name: "Session description",
        works: "replace=[origin] replace-origin replace-origin_full replace-SDP-version replace-force-increment-sdp-ver \
            replace-username replace-session-name replace-zero-address generate-mid no-rtcp-attribute full-rtcp-attribute \
            original-sendrecv strip-extmap extmap=[strip=[all] mask=[urn:x]] bundle=[accept] BUNDLE-accept BUNDLE-offer \
            BUNDLE-require BUNDLE-reject sdp-attr=[audio=[add=[x] remove=[y] substitute=[[a b]]]] \
            sdp-attr-add-audio-X sdp-attr-remove-none-X sdp-attr-substitute-audio-A>B sdp-media-remove=[video] no-tls-id \
            WebRTC",
        default: "replace-session-connection BUNDLE-strict",
        ignored: "",
    },
    Family {
        name: "ICE",
        works: "ICE=remove ICE=force ICE=optional ICE=force-relay ICE=force_relay \
            ICE=[trickle ice2 lite lite-forward lite-backward lite-both lite-off] ICE-lite=both ICE-lite-forward \
            ICE-lite-backward ICE-lite-both ICE-lite-off reject-ICE ICE-reject trickle-ICE",
        default: "ICE=default",
        ignored: "",
    },
    Family {
        name: "Transport protocol, DTLS, OSRTP",
        works: "transport-protocol=udptl transport-protocol=accept RTP SRTP AVP AVPF DTLS RTP/AVP RTP/AVPF RTP/SAVP RTP/SAVPF \
            UDP/TLS/RTP/SAVP UDP/TLS/RTP/SAVPF DTLS=off DTLS=no DTLS=disable DTLS=disabled DTLS=passive DTLS=active \
            DTLS-reverse=passive DTLS-fingerprint=SHA-1 DTLS-fingerprint=SHA-512 dtls-engine=openssl OSRTP=[offer] OSRTP-offer OSRTP-offer-RFC \
            OSRTP-accept-RFC OSRTP-accept",
        default: "",
        ignored: "OSRTP-offer-legacy OSRTP-accept-legacy",
    },
    Family {
        name: "SDES",
        works: "SDES=[off pad] SDES-off SDES-no SDES-disable SDES-disabled SDES-no-NULL_HMAC_SHA1_80 \
            SDES-only-AES_CM_128_HMAC_SHA1_80 SDES-nonew SDES-order:A;B; SDES-offerer_pref:A;B; SDES-pad pad-crypto \
            SDES-lifetime SDES-prefer SDES-priority",
        default: "SDES-static SDES-encrypted_srtp SDES-encrypted_srtcp SDES-authenticated_srtp",
        ignored: "SDES-unencrypted_srtp SDES-unencrypted_srtcp SDES-unauthenticated_srtp SDES-UNENCRYPTED_SRTP",
    },
    Family {
        name: "Codecs",
        works: "codec=[strip=[a] except=[b] set=[c]] codec-strip-X codec-except-X codec-offer-X codec-mask-X codec-consume-X \
            codec-accept-X codec-set-X codec-ignore-X codec-transcode-X transcode-X always-transcode allow-transcoding ptime=20 ptime-reverse=30 repacketize=20 \
            static-codecs reuse-codecs no-codec-renegotiation single-codec allow-no-codec-media force-transcoding",
        default: "allow-asymmetric-codecs asymmetric-codecs symmetric-codecs reorder-codecs",
        ignored: "codecs-offer=x T.38=[decode force] \
            T.38-decode T.38-version=0 delay-buffer=10 audio-player=on",
    },
    Family {
        name: "DTMF",
        works: "block-DTMF DTMF-security=drop DTMF-security=tone DTMF-security-trigger=random DTMF-security-trigger-end=off \
            trigger=*1 trigger-end=# trigger-end-time=3000 trigger-end-digits=4 DTMF-delay=100 frequency=400 \
            frequencies=[400 500] block-short DTMF-log-dest=192.0.2.1:5000 code=5 digit=5 duration=250 volume=-8 pause=100",
        default: "inject-DTMF detect-DTMF",
        ignored: "",
    },
    Family {
        name: "Subscriptions",
        works: "siprec inactive RTCP-mirror bidirectional mix",
        default: "",
        ignored: "",
    },
    Family {
        name: "Playing and recording",
        works: "file=x blob=x blob64=eA== repeat-times=2 repeat-duration=3 start-pos=4 moh=[file=x mode=sendonly] record-call record-call=yes exclude-recording discard-recording recording-vsc vsc-start-rec=1 vsc-stop-rec=2 \
            vsc-pause-rec=3 vsc-start-stop-rec=4 vsc-pause-resume-rec=5 vsc-start-pause-resume-rec=6 output-destination=x output-file=x recording-file=x \
            recording-dest=x recording-dir=x output-dir=x recording-path=x recording-folder=x recording-directory=x \
            recording-pattern=x output-pattern=x",
        default: "",
        ignored: "db-id=1 \
            recording-announcement skip-recording-db recording-media-slot-offer=1 \
            recording-media-slot-answer=1 recording-media-slots=2",
    },
];

impl Family {
    /// The words of this family with what they do, in the order of the table.
    pub fn words(&self) -> impl Iterator<Item = (&'static str, Support)> {
        let of = |text, support| split(text).map(move |word| (word, support));
        of(self.works, Support::Works)
            .chain(of(self.default, Support::Default))
            .chain(of(self.ignored, Support::Ignored))
    }
}

/// Words at spaces outside brackets.
fn split(text: &'static str) -> impl Iterator<Item = &'static str> {
    let mut depth = 0_i32;
    text.split(move |c: char| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ' ' && depth == 0
    })
    .filter(|word| !word.is_empty())
}

/// Whether a flag word or a key, in canonical spelling, is known and changes nothing.
///
/// A key some of whose values have an effect is not: its own parser reports the values that have none.
pub(crate) fn is_ignored(name: &str) -> bool {
    static IGNORED: LazyLock<HashSet<Cow<'_, str>>> = LazyLock::new(|| {
        let names = |wanted: fn(Support) -> bool| {
            let words = FAMILIES.iter().flat_map(Family::words);
            words
                .filter(move |&(_, support)| wanted(support))
                .map(|(word, _)| canonical(word.split('=').next().unwrap_or(word)))
                .collect::<HashSet<_>>()
        };
        let effective = names(|support| support != Support::Ignored);
        &names(|support| support == Support::Ignored) - &effective
    });
    /// Names that stand for many.
    const PREFIXES: [&str; 2] = ["t.38", "t38"];
    IGNORED.contains(name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The table for operators, in Markdown, as it stands in `docs/ng-compatibility.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "| about | works | asks for what happens anyway | accepted, no effect (the log says so once) |\n|---|---|---|---|\n",
    );
    for family in FAMILIES {
        let cell = |words| {
            let words: Vec<_> = split(words).map(|word| format!("`{word}`")).collect();
            words.join(" ")
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            family.name,
            cell(family.works),
            cell(family.default),
            cell(family.ignored)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::command::Command;
    use crate::request::Request;
    use crate::rtpp_flags::Templates;
    use crate::testing::{offer, offer_of_string};
    use crate::value::Dictionary;

    fn words(wanted: Support) -> impl Iterator<Item = &'static str> {
        let words = FAMILIES.iter().flat_map(Family::words);
        words.filter_map(move |(word, support)| (support == wanted).then_some(word))
    }

    #[test]
    fn no_word_of_the_language_is_unknown() {
        for (word, _) in FAMILIES.iter().flat_map(Family::words) {
            if word == "template=x" || word == "rtpp-flags=x" {
                continue; // They stand in a dictionary alone; see the tests of the parser.
            }
            assert_eq!(offer_of_string(word).unknown, [], "{word}");
            if !word.contains('=') {
                let spaces = word.replace('-', " ");
                assert_eq!(
                    offer(&format!(r#""flags":["{spaces}"]"#)).unknown,
                    [],
                    "{spaces}"
                );
            }
        }
    }

    #[test]
    fn words_with_an_effect_change_the_request_and_nobody_is_told_that_they_do_not() {
        let empty = offer_of_string("");
        for word in words(Support::Works) {
            if word == "template=x" || word == "rtpp-flags=x" {
                continue;
            }
            let request = offer_of_string(word);
            assert_eq!(request.inert, [], "{word}");
            assert_ne!(request, empty, "{word}");
        }
    }

    #[test]
    fn words_without_effect_are_reported() {
        for word in words(Support::Ignored) {
            assert_ne!(offer_of_string(word).inert, [], "{word}");
        }
    }

    #[test]
    fn words_that_ask_for_what_happens_anyway_are_not_reported() {
        for word in words(Support::Default) {
            assert_eq!(offer_of_string(word).inert, [], "{word}");
        }
    }

    #[test]
    fn the_reference_for_operators_is_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ng-compatibility.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (before, rest) = document.split_once("<!-- words -->\n").unwrap();
        let (written, after) = rest.split_once("<!-- end of words -->").unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let updated = [
                before,
                "<!-- words -->\n",
                &reference(),
                "<!-- end of words -->",
                after,
            ];
            std::fs::write(path, updated.concat()).unwrap();
            return;
        }
        assert!(
            written == reference(),
            "write it anew with UPDATE_DOCS=1 cargo test -p ng-protocol"
        );
    }

    /// Names that relay code reads: every identifier behind a dot in its sources.
    fn names_read_by_the_relay() -> HashSet<String> {
        let mut folders = vec![PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../relay"
        ))];
        let mut names = HashSet::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
                if path.is_dir() && !is_test {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") && !is_test {
                    let source = std::fs::read_to_string(path).unwrap();
                    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    let behind_dots = source.split('.').skip(1);
                    names.extend(behind_dots.map(|rest| {
                        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                        rest[..end].to_owned()
                    }));
                }
            }
        }
        names
    }

    /// The fields in which two requests differ, by their names in the debug output.
    fn differing_fields(one: &Request, other: &Request) -> Vec<String> {
        let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
        let known: HashSet<&str> = one.lines().collect();
        let new = other.lines().filter(|line| !known.contains(line));
        new.filter_map(|line| Some(line.trim().split_once(": ")?.0.to_owned()))
            .collect()
    }

    #[test]
    fn what_is_said_to_work_is_read_by_the_relay() {
        let read = names_read_by_the_relay();
        assert!(read.contains("sdp") && !read.contains("no_such_field"));
        let empty = offer_of_string("");
        let unread = words(Support::Works).filter(|word| {
            let fields = differing_fields(&empty, &offer_of_string(word));
            !fields.iter().any(|field| read.contains(field))
        });
        // They stand in a dictionary alone.
        let unread: Vec<_> = unread
            .filter(|word| !["template=x", "rtpp-flags=x"].contains(word))
            .collect();
        assert_eq!(unread, [""; 0], "nobody reads what these set: move them");
    }

    #[test]
    fn every_command_is_known_by_its_name() {
        for command in Command::all() {
            let keys = Dictionary::new().with("command", command.name());
            assert!(Request::from_dictionary(&keys, &Templates::default()).is_ok());
        }
    }
}
