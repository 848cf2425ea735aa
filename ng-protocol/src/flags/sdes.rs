//! The `SDES` list: which suites of `a=crypto` (RFC 4568) are offered and answered, and how they are written.

use crate::spelling::{Report, Spelled, canonical};

/// The elements of the `SDES` list. Suites are kept in upper case, as RFC 4568 names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sdes {
    /// Do not offer SDES.
    pub off: bool,
    /// Use only these suites; wins over [`Self::no`].
    pub only: Vec<String>,
    /// Do not use these suites.
    pub no: Vec<String>,
    /// Do not add suites to those received.
    pub nonew: bool,
    /// Output order of the suites.
    pub order: Vec<String>,
    /// Preferred suites towards the offerer.
    pub offerer_pref: Vec<String>,
    /// Keep the padding of base64 (`pad`, `pad-crypto`).
    pub pad: bool,
    /// Append a lifetime to the key.
    pub lifetime: bool,
    /// Answer only: keep the suite already negotiated.
    pub static_: bool,
    /// Prefer SDES over DTLS when both were offered.
    pub prefer: bool,
    /// Whether to offer `UNENCRYPTED_SRTP`; `None` passes the peer's wish on.
    pub unencrypted_srtp: Option<bool>,
    /// Whether to offer `UNENCRYPTED_SRTCP`.
    pub unencrypted_srtcp: Option<bool>,
    /// Whether to offer `UNAUTHENTICATED_SRTP`.
    pub unauthenticated_srtp: Option<bool>,
}

impl Sdes {
    /// Whether the operator allows this suite, named as in RFC 4568.
    pub fn allows(&self, suite: &str) -> bool {
        let named = |suites: &[String]| suites.iter().any(|name| name.eq_ignore_ascii_case(suite));
        if self.only.is_empty() {
            !named(&self.no)
        } else {
            named(&self.only)
        }
    }
}

impl Sdes {
    pub(super) fn element(&mut self, element: &str, report: &mut Report) {
        let word = Spelled::new(element.trim());
        match word.canonical.as_ref() {
            "off" | "no" | "disable" | "disabled" => self.off = true,
            "nonew" | "no-new" => self.nonew = true,
            "pad" => self.pad = true,
            "lifetime" => self.lifetime = true,
            "static" => self.static_ = true,
            "prefer" | "priority" => self.prefer = true,
            "unencrypted-srtp" => self.unencrypted_srtp = Some(true),
            "unencrypted-srtcp" => self.unencrypted_srtcp = Some(true),
            "unauthenticated-srtp" => self.unauthenticated_srtp = Some(true),
            "encrypted-srtp" => self.unencrypted_srtp = Some(false),
            "encrypted-srtcp" => self.unencrypted_srtcp = Some(false),
            "authenticated-srtp" => self.unauthenticated_srtp = Some(false),
            _ => {
                if let Some(suite) = word.after("only-") {
                    self.only.push(suite_name(suite));
                } else if let Some(suite) = word.after("no-") {
                    self.no.push(suite_name(suite));
                } else if let Some(suites) = word.after("order:") {
                    self.order = suite_names(suites);
                } else if let Some(suites) = word.after("offerer-pref:") {
                    self.offerer_pref = suite_names(suites);
                } else {
                    report.unknown("SDES", element);
                }
            }
        }
    }
}

/// The spelling of RFC 4568: upper case and underscores.
fn suite_name(name: &str) -> String {
    canonical(name.trim())
        .to_ascii_uppercase()
        .replace('-', "_")
}

fn suite_names(names: &str) -> Vec<String> {
    names
        .split(';')
        .filter(|name| !name.trim().is_empty())
        .map(suite_name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::offer;

    #[test]
    fn orders_of_suites_are_separated_by_semicolons() {
        let sdes = offer(r#""SDES":["order:AES_256_CM_HMAC_SHA1_80;AEAD_AES_256_GCM;","UNENCRYPTED_SRTP","authenticated_srtp"]"#)
            .flags
            .crypto
            .sdes;
        assert_eq!(sdes.order, ["AES_256_CM_HMAC_SHA1_80", "AEAD_AES_256_GCM"]);
        assert_eq!(sdes.unencrypted_srtp, Some(true));
        assert_eq!(sdes.unauthenticated_srtp, Some(false));
    }

    #[test]
    fn only_wins_over_no() {
        let mut sdes = Sdes {
            no: vec!["AEAD_AES_128_GCM".to_owned()],
            ..Sdes::default()
        };
        assert!(!sdes.allows("AEAD_AES_128_GCM"));
        assert!(sdes.allows("AES_CM_128_HMAC_SHA1_80"));
        sdes.only.push("AEAD_AES_128_GCM".to_owned());
        assert!(sdes.allows("AEAD_AES_128_GCM"));
        assert!(!sdes.allows("AES_CM_128_HMAC_SHA1_80"));
    }

    #[test]
    fn sdes_is_a_list_a_string_or_words() {
        let expected = Sdes {
            only: vec!["AES_CM_128_HMAC_SHA1_80".to_owned()],
            no: vec!["NULL_HMAC_SHA1_80".to_owned()],
            pad: true,
            prefer: true,
            ..Sdes::default()
        };
        for keys in [
            r#""SDES":["only-AES_CM_128_HMAC_SHA1_80","no-NULL_HMAC_SHA1_80","pad","prefer"]"#,
            r#""sdes":"only-AES_CM_128_HMAC_SHA1_80,no-NULL_HMAC_SHA1_80,pad,priority""#,
            r#""flags":["SDES-only-AES_CM_128_HMAC_SHA1_80","SDES-no-NULL_HMAC_SHA1_80","pad-crypto","sdes-prefer"]"#,
        ] {
            assert_eq!(offer(keys).flags.crypto.sdes, expected, "{keys}");
        }
        for keys in [
            r#""SDES":"off""#,
            r#""SDES":["no"]"#,
            r#""flags":["SDES-off"]"#,
            r#""flags":["SDES-disable"]"#,
        ] {
            assert!(offer(keys).flags.crypto.sdes.off, "{keys}");
        }
    }
}
