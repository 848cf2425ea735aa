//! How the rewritten session description (RFC 8866) looks, beyond addresses, codecs and keys.

use std::borrow::Cow;

use crate::error::NgError;
use crate::spelling::{Report, Spelled, canonical, names, pairs, text};
use crate::value::Value;

/// The SDP shaping options of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdpFlags {
    /// The `replace` list.
    pub replace: Replace,
    /// Add `a=mid` where the party has none.
    pub generate_mid: bool,
    /// Write no `a=rtcp`.
    pub no_rtcp_attribute: bool,
    /// Write `a=rtcp` with its address.
    pub full_rtcp_attribute: bool,
    /// Pass the direction attribute as received; a missing one stays missing.
    pub original_sendrecv: bool,
    /// Drop every `a=extmap` towards the receiver.
    pub strip_extmap: bool,
    /// Drop `a=extmap` of these URIs towards the receiver.
    pub extmap_strip: Vec<String>,
    /// Drop these URIs towards the receiver, but keep them towards the sender (`all` is possible).
    pub extmap_mask: Vec<String>,
    /// The `bundle` list.
    pub bundle: Bundle,
    /// Textual edits, one entry a section, in the order of first mention.
    pub attribute_edits: Vec<AttributeEdits>,
    /// Media types whose sections are removed from the offer, in lower case.
    pub media_remove: Vec<String>,
    /// Write no `a=tls-id`, and do not restart DTLS for its sake.
    pub no_tls_id: bool,
    /// Mark the SDP as seen, and return marked SDP untouched.
    pub loop_protect: bool,
}

/// The elements of the `replace` list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replace {
    /// The address in `o=` becomes ours.
    pub origin: bool,
    /// The whole `o=` line stays constant towards the receiver.
    pub origin_full: bool,
    /// `c=`, which is always replaced anyway.
    pub session_connection: bool,
    /// The version grows by one exactly when the body differs from the last one sent.
    pub sdp_version: bool,
    /// The version always grows.
    pub force_increment: bool,
    /// Keep the user name of the first SDP.
    pub username: bool,
    /// Keep `s=` of the first SDP.
    pub session_name: bool,
    /// Replace the address 0.0.0.0 by the real one.
    pub zero_address: bool,
}

/// The elements of the `bundle` list (RFC 9143).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Answer a bundling sender with its bundle.
    pub accept: bool,
    /// Offer a bundle to the receiver.
    pub offer: bool,
    /// Offer nothing but a bundle.
    pub require: bool,
    /// Follow the rules of the RFC to the letter.
    pub strict: bool,
    /// Refuse the sender's bundle.
    pub reject: bool,
}

/// Edits of the attributes of one section, made while the SDP is printed (`sdp-attr`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeEdits {
    /// Which section is edited.
    pub section: SdpSection,
    /// Attribute values to append, without `a=`.
    pub add: Vec<String>,
    /// Attributes to leave out: a name, `name:token`, or the whole value.
    pub remove: Vec<String>,
    /// What to print instead: from and to.
    pub substitute: Vec<(String, String)>,
}

impl AttributeEdits {
    /// No edits yet for this section.
    pub fn new(section: SdpSection) -> Self {
        Self {
            section,
            add: Vec::new(),
            remove: Vec::new(),
            substitute: Vec::new(),
        }
    }
}

/// A section that `sdp-attr` can name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SdpSection {
    /// `none` or `global`: the session level.
    Session,
    /// Every `m=` section of this media type, in lower case.
    Media(String),
}

impl SdpFlags {
    pub(crate) fn apply_key(
        &mut self,
        key: &str,
        value: &Value<'_>,
        report: &mut Report,
    ) -> Result<bool, NgError> {
        match key {
            "replace" => {
                for element in names(key, value, report) {
                    self.replace.element(&element, report);
                }
            }
            "bundle" => {
                for element in names(key, value, report) {
                    self.bundle.element(&element, report);
                }
            }
            "sdp-attr" | "sdp-attribute" => {
                for (section, commands) in pairs(key, value, report) {
                    let path = format!("{key}.{section}");
                    for (command, list) in pairs(&path, &commands, report) {
                        if !self.edit(&section, &command, &list, report) {
                            // Half of the wanted edits would be worse than none.
                            return Err(NgError::BadValue {
                                key: path,
                                value: command,
                                expected: "add, remove or substitute",
                            });
                        }
                    }
                }
            }
            "sdp-media-remove" => {
                for media in names(key, value, report) {
                    self.remove_media(&media);
                }
            }
            "extmap" => {
                for (command, list) in pairs(key, value, report) {
                    let uris = names(key, &list, report);
                    match command.as_str() {
                        "strip" => uris.iter().for_each(|uri| self.strip_extmap_uri(uri)),
                        "mask" => self
                            .extmap_mask
                            .extend(uris.into_iter().map(Cow::into_owned)),
                        _ => report.unknown(key, command),
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>, report: &mut Report) -> bool {
        match word.canonical.as_ref() {
            "generate-mid" => self.generate_mid = true,
            "no-rtcp-attribute" => self.no_rtcp_attribute = true,
            "full-rtcp-attribute" => self.full_rtcp_attribute = true,
            "original-sendrecv" => self.original_sendrecv = true,
            "strip-extmap" => self.strip_extmap = true,
            "no-tls-id" => self.no_tls_id = true,
            "loop-protect" => self.loop_protect = true,
            _ => return self.apply_prefixed_word(word, report),
        }
        true
    }

    fn apply_prefixed_word(&mut self, word: &Spelled<'_>, report: &mut Report) -> bool {
        if let Some(element) = word.after("replace-") {
            self.replace.element(element, report);
        } else if let Some(element) = word.after("bundle-") {
            self.bundle.element(element, report);
        } else if let Some(rest) = word.after("sdp-attr-") {
            // command, section, value; the value may contain anything.
            let mut parts = rest.splitn(3, ['-', '_', ' ']);
            match (parts.next(), parts.next(), parts.next()) {
                (Some(command), Some(section), Some(value)) => {
                    let list = Value::List(vec![value.into()]);
                    return self.edit(&canonical(section), &canonical(command), &list, report);
                }
                _ => return false,
            }
        } else if let Some(media) = word.after("sdp-media-remove-") {
            self.remove_media(media);
        } else if let Some(uri) = word.after("extmap-strip-") {
            self.strip_extmap_uri(uri);
        } else if let Some(uri) = word.after("extmap-mask-") {
            self.extmap_mask.push(uri.to_owned());
        } else {
            return false;
        }
        true
    }

    fn remove_media(&mut self, media: &str) {
        let media = media.trim().to_ascii_lowercase();
        if !media.is_empty() && !self.media_remove.contains(&media) {
            self.media_remove.push(media);
        }
    }

    fn strip_extmap_uri(&mut self, uri: &str) {
        if uri.eq_ignore_ascii_case("all") {
            self.strip_extmap = true;
        } else {
            self.extmap_strip.push(uri.to_owned());
        }
    }

    /// One command of `sdp-attr`; false if there is no such command. Both names are in canonical spelling.
    fn edit(
        &mut self,
        section: &str,
        command: &str,
        list: &Value<'_>,
        report: &mut Report,
    ) -> bool {
        if !matches!(command, "add" | "remove" | "substitute" | "subst") {
            return false;
        }
        let section = match section {
            "none" | "global" | "session" => SdpSection::Session,
            media => SdpSection::Media(media.to_owned()),
        };
        let index = self
            .attribute_edits
            .iter()
            .position(|edits| edits.section == section);
        let index = index.unwrap_or_else(|| {
            self.attribute_edits.push(AttributeEdits::new(section));
            self.attribute_edits.len() - 1
        });
        let edits = &mut self.attribute_edits[index];
        match command {
            "add" => edits.add.extend(attributes(list, report)),
            "remove" => edits.remove.extend(attributes(list, report)),
            _ => substitutions(list, &mut edits.substitute, report),
        }
        true
    }
}

/// Attribute values: never split at commas, because attributes contain them.
fn attributes(list: &Value<'_>, report: &mut Report) -> Vec<String> {
    let items = match list {
        Value::List(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    items
        .iter()
        .filter_map(|item| {
            let value = text(item).map(|text| attribute(&text));
            if value.is_none() {
                report.unknown("sdp-attr", item);
            }
            value
        })
        .collect()
}

/// One attribute value: without `a=`, and with the stand-ins of flags strings (`--` for `=`, `..` for a space) replaced.
fn attribute(text: &str) -> String {
    let text = text.replace("--", "=").replace("..", " ");
    text.strip_prefix("a=").map(str::to_owned).unwrap_or(text)
}

/// `[[from to] [from to]]`, a single `[from to]`, or `from>to` as a string.
fn substitutions(list: &Value<'_>, out: &mut Vec<(String, String)>, report: &mut Report) {
    match list {
        Value::List(items) => {
            if let [from @ Value::String(_), to @ Value::String(_)] = items.as_slice()
                && !from.to_string().contains('>')
            {
                out.push((attribute(&from.to_string()), attribute(&to.to_string())));
            } else {
                for item in items {
                    substitutions_of_item(item, out, report);
                }
            }
        }
        single => substitutions_of_item(single, out, report),
    }
}

fn substitutions_of_item(item: &Value<'_>, out: &mut Vec<(String, String)>, report: &mut Report) {
    match item {
        Value::List(pair) => {
            if let [from, to] = pair.as_slice()
                && let (Some(from), Some(to)) = (text(from), text(to))
            {
                out.push((attribute(&from), attribute(&to)));
                return;
            }
        }
        Value::String(_) => {
            let text = item.to_string();
            if let Some((from, to)) = text.split_once('>') {
                out.push((attribute(from), attribute(to)));
                return;
            }
        }
        Value::Integer(_) | Value::Dictionary(_) => {}
    }
    report.unknown("sdp-attr", item);
}

impl Replace {
    fn element(&mut self, element: &str, report: &mut Report) {
        match canonical(element.trim()).as_ref() {
            "origin" => self.origin = true,
            "origin-full" => self.origin_full = true,
            "session-connection" => self.session_connection = true,
            "sdp-version" => self.sdp_version = true,
            "force-increment-sdp-ver" | "force-increment-sdp-version" => {
                self.force_increment = true;
            }
            "username" => self.username = true,
            "session-name" => self.session_name = true,
            "zero-address" => self.zero_address = true,
            _ => report.unknown("replace", element),
        }
    }
}

impl Bundle {
    pub(crate) fn element(&mut self, element: &str, report: &mut Report) {
        match canonical(element.trim()).as_ref() {
            "accept" => self.accept = true,
            "offer" => self.offer = true,
            "require" => {
                self.require = true;
                self.offer = true;
            }
            "strict" => self.strict = true,
            "reject" => self.reject = true,
            _ => report.unknown("bundle", element),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Request;
    use crate::testing::{offer, offer_of_string, unknown};

    #[test]
    fn replacements_are_a_list_or_words_in_any_spelling() {
        let expected = Replace {
            origin: true,
            sdp_version: true,
            zero_address: true,
            session_name: true,
            ..Replace::default()
        };
        for keys in [
            r#""replace":["origin","SDP version","zero address","session name"]"#,
            r#""replace":["origin","SDP-version","zero-address","session-name"]"#,
            r#""replace":"origin,sdp_version,zero_address,session_name""#,
            r#""flags":["replace-origin","replace-SDP-version","replace-zero-address","replace-session-name"]"#,
        ] {
            assert_eq!(offer(keys).flags.sdp.replace, expected, "{keys}");
        }
        assert_eq!(unknown(r#""replace":["foo"]"#), ["replace=foo"]);
    }

    #[test]
    fn bundle_words_are_taken_in_any_case() {
        for keys in [
            r#""bundle":["accept"]"#,
            r#""flags":["BUNDLE-accept"]"#,
            r#""flags":["bundle-accept"]"#,
            r#""flags":["Bundle_Accept"]"#,
        ] {
            let bundle = offer(keys).flags.sdp.bundle;
            assert!(bundle.accept && !bundle.offer, "{keys}");
        }
        assert!(offer(r#""bundle":"require""#).flags.sdp.bundle.offer);
    }

    #[test]
    fn edits_are_a_dictionary_words_or_brackets() {
        let expected = vec![
            AttributeEdits {
                section: SdpSection::Media("audio".to_owned()),
                add: vec!["x-test:1, 2".to_owned()],
                remove: vec!["ssrc".to_owned()],
                substitute: vec![("sendrecv".to_owned(), "sendonly".to_owned())],
            },
            AttributeEdits {
                remove: vec!["msid-semantic".to_owned()],
                ..AttributeEdits::new(SdpSection::Session)
            },
        ];
        for keys in [
            r#""sdp-attr":{"audio":{"add":["x-test:1, 2"],"remove":["ssrc"],"substitute":[["sendrecv","sendonly"]]},
               "none":{"remove":["msid-semantic"]}}"#,
            r#""sdp attr":{"AUDIO":{"add":"a=x-test:1, 2","remove":"ssrc","substitute":["sendrecv","sendonly"]},
               "global":{"remove":["msid-semantic"]}}"#,
            r#""flags":["sdp-attr-add-audio-x-test:1, 2","sdp-attr-remove-audio-ssrc",
               "sdp-attr-substitute-audio-sendrecv>sendonly","sdp-attr-remove-none-msid-semantic"]"#,
        ] {
            assert_eq!(offer(keys).flags.sdp.attribute_edits, expected, "{keys}");
        }
        let request = offer_of_string(
            "sdp-attr=[audio=[add=[x-test:1,..2] remove=[ssrc] substitute=[[sendrecv sendonly]]] none=[remove=[msid-semantic]]]",
        );
        assert_eq!(request.flags.sdp.attribute_edits, expected);
    }

    #[test]
    fn stand_ins_carry_equals_signs_and_spaces() {
        let request = offer(r#""flags":["sdp-attr-add-audio-fmtp:111..x--1"]"#);
        assert_eq!(request.flags.sdp.attribute_edits[0].add, ["fmtp:111 x=1"]);
    }

    #[test]
    fn a_misspelt_edit_is_the_one_thing_that_is_refused() {
        let payload = br#"{"command":"offer","sdp-attr":{"audio":{"ad":["x"]}}}"#;
        let error = Request::parse(payload).unwrap_err();
        assert_eq!(
            error.reason(),
            r#"sdp-attr.audio="ad": expected add, remove or substitute"#
        );
        assert_eq!(
            unknown(r#""flags":["sdp-attr-ad-audio-x"]"#),
            ["flags=sdp-attr-ad-audio-x"]
        );
        assert_eq!(unknown(r#""sdp-attr":"[audio=[""#), ["sdp-attr=[audio=["]);
    }

    #[test]
    fn extensions_and_sections_can_be_dropped() {
        let sdp = offer(
            r#""extmap":{"strip":["urn:a"],"mask":"all"},"sdp-media-remove":["Video"],
               "flags":["sdp-media-remove-image","strip-extmap"]"#,
        )
        .flags
        .sdp;
        assert_eq!(sdp.extmap_strip, ["urn:a"]);
        assert_eq!(sdp.extmap_mask, ["all"]);
        assert!(sdp.strip_extmap);
        assert_eq!(sdp.media_remove, ["video", "image"]);
    }
}
