//! Digest authentication (RFC 7616, RFC 8760), both sides of it.
//!
//! As client, Meta answers a challenge with the number without its `+` as user name and with a
//! `uri` that lacks `;transport=tls`, so it differs from the Request-URI. As server it challenges
//! with the realm `wa.meta.vc` and checks more than RFC 7616 asks for: the user name must be the
//! calling number and the `uri` must fit the `To` header.

use std::fmt;

use openssl::hash::MessageDigest;

use super::headers::split_outside;
use super::random;

/// A digest algorithm. The `-sess` variants are not used by anybody on this interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 2617.
    Md5,
    /// RFC 7616.
    Sha256,
}

impl Algorithm {
    /// The name as it stands in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("MD5") {
            Some(Self::Md5)
        } else if name.eq_ignore_ascii_case("SHA-256") {
            Some(Self::Sha256)
        } else {
            None
        }
    }

    fn hash(self, text: &str) -> Option<String> {
        let digest = match self {
            Self::Md5 => MessageDigest::md5(),
            Self::Sha256 => MessageDigest::sha256(),
        };
        // A system whose policy forbids MD5 makes this fail; the caller says so.
        let bytes = openssl::hash::hash(digest, text.as_bytes()).ok()?;
        Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What a response is computed over.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    pub algorithm: Algorithm,
    pub username: &'a str,
    pub realm: &'a str,
    pub password: &'a str,
    pub method: &'a str,
    pub uri: &'a str,
    pub nonce: &'a str,
    /// `nc` and `cnonce` when `qop=auth` is used, nothing for the form of RFC 2069.
    pub protection: Option<(&'a str, &'a str)>,
}

impl Inputs<'_> {
    /// The `response` value (RFC 7616 §3.4.1); `None` when the system forbids the algorithm.
    pub fn response(&self) -> Option<String> {
        let a1 = format!("{}:{}:{}", self.username, self.realm, self.password);
        let a2 = format!("{}:{}", self.method, self.uri);
        let (ha1, ha2) = (self.algorithm.hash(&a1)?, self.algorithm.hash(&a2)?);
        let nonce = self.nonce;
        self.algorithm.hash(&match self.protection {
            Some((nc, cnonce)) => format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"),
            None => format!("{ha1}:{nonce}:{ha2}"),
        })
    }
}

/// The `name=value` pairs behind the word `Digest`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        let scheme = header.get(..6)?;
        let rest = header.get(6..)?;
        if !scheme.eq_ignore_ascii_case("Digest") || !rest.starts_with([' ', '\t']) {
            return None;
        }
        split_outside(rest, ',')
            .into_iter()
            .map(|pair| {
                let (name, value) = pair.split_once('=')?;
                Some((name.trim().to_ascii_lowercase(), unquote(value.trim())))
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.value(name).map(str::to_owned)
    }
}

fn unquote(value: &str) -> String {
    let Some(inner) = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
    else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.extend(letters.next()),
            _ => text.push(letter),
        }
    }
    text
}

/// A `WWW-Authenticate` or `Proxy-Authenticate` value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The protection space.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be returned as it is.
    pub opaque: Option<String>,
    /// The algorithm; absent means MD5.
    pub algorithm: Algorithm,
    /// Whether `qop` lists `auth`; `None` when the server names no quality of protection.
    pub offers_auth: Option<bool>,
    /// Whether only the nonce was too old.
    pub stale: bool,
}

impl Challenge {
    /// Reads a challenge; the text says what is wrong with it.
    pub fn parse(header: &str) -> Result<Self, String> {
        let parameters =
            Parameters::parse(header).ok_or_else(|| "is not a Digest challenge".to_owned())?;
        let algorithm = parameters.value("algorithm").unwrap_or("MD5");
        Ok(Self {
            realm: parameters
                .owned("realm")
                .ok_or_else(|| "has no realm".to_owned())?,
            nonce: parameters
                .owned("nonce")
                .filter(|nonce| !nonce.is_empty())
                .ok_or_else(|| "has no nonce".to_owned())?,
            opaque: parameters.owned("opaque"),
            algorithm: Algorithm::parse(algorithm)
                .ok_or_else(|| format!("asks for the unknown algorithm {algorithm}"))?,
            offers_auth: parameters.value("qop").map(|qop| {
                qop.split(',')
                    .any(|word| word.trim().eq_ignore_ascii_case("auth"))
            }),
            stale: parameters
                .value("stale")
                .is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// A fresh challenge of Meta's form: 16 hexadecimal digits of nonce and opaque.
    pub fn of_meta(realm: &str, algorithm: Algorithm) -> Self {
        Self {
            realm: realm.to_owned(),
            nonce: random::hex::<8>(),
            opaque: Some(random::hex::<8>()),
            algorithm,
            offers_auth: Some(true),
            stale: false,
        }
    }

    /// Answers the challenge.
    pub fn answer(
        &self,
        username: &str,
        password: &str,
        method: &str,
        uri: &str,
    ) -> Option<Credentials> {
        let protection = self
            .offers_auth
            .unwrap_or(false)
            .then(|| ("00000001".to_owned(), random::hex::<8>()));
        let response = Inputs {
            algorithm: self.algorithm,
            username,
            realm: &self.realm,
            password,
            method,
            uri,
            nonce: &self.nonce,
            protection: protection
                .as_ref()
                .map(|(nc, cnonce)| (nc.as_str(), cnonce.as_str())),
        }
        .response()?;
        Some(Credentials {
            username: username.to_owned(),
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: uri.to_owned(),
            response,
            algorithm: Some(self.algorithm),
            opaque: self.opaque.clone(),
            protection,
        })
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Digest realm=\"{}\",nonce=\"{}\"",
            self.realm, self.nonce
        )?;
        if let Some(opaque) = &self.opaque {
            write!(formatter, ",opaque=\"{opaque}\"")?;
        }
        write!(formatter, ",algorithm={}", self.algorithm.as_str())?;
        if self.offers_auth == Some(true) {
            formatter.write_str(",qop=\"auth\"")?;
        }
        Ok(())
    }
}

/// An `Authorization` or `Proxy-Authorization` value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who says so.
    pub username: String,
    /// The protection space.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// The URI the response was computed over.
    pub uri: String,
    /// The proof.
    pub response: String,
    /// The algorithm, when named and known.
    pub algorithm: Option<Algorithm>,
    /// The server's opaque text.
    pub opaque: Option<String>,
    /// `nc` and `cnonce` when `qop=auth` was used.
    pub protection: Option<(String, String)>,
}

impl Credentials {
    /// Reads credentials; the text says what is wrong with them.
    pub fn parse(header: &str) -> Result<Self, String> {
        let parameters =
            Parameters::parse(header).ok_or_else(|| "are not Digest credentials".to_owned())?;
        let need = |name: &'static str| {
            parameters
                .owned(name)
                .ok_or_else(|| format!("have no {name}"))
        };
        let protection = match parameters.value("qop") {
            Some(qop) if qop.eq_ignore_ascii_case("auth") => Some((need("nc")?, need("cnonce")?)),
            Some(qop) => return Err(format!("use qop={qop}, only auth was offered")),
            None => None,
        };
        let algorithm = match parameters.value("algorithm") {
            Some(name) => {
                Some(Algorithm::parse(name).ok_or_else(|| format!("name the algorithm {name}"))?)
            }
            None => None,
        };
        Ok(Self {
            username: need("username")?,
            realm: need("realm")?,
            nonce: need("nonce")?,
            uri: need("uri")?,
            response: need("response")?,
            algorithm,
            opaque: parameters.owned("opaque"),
            protection,
        })
    }

    /// Checks the credentials against the challenge they should answer.
    pub fn verify(
        &self,
        challenge: &Challenge,
        password: &str,
        method: &str,
    ) -> Result<(), String> {
        if self.realm != challenge.realm {
            return Err(format!(
                "the realm is {:?}, the challenge said {:?}",
                self.realm, challenge.realm
            ));
        }
        if self.nonce != challenge.nonce {
            return Err("the nonce is not the one of the challenge".to_owned());
        }
        if self.algorithm.unwrap_or(Algorithm::Md5) != challenge.algorithm {
            return Err(format!(
                "the algorithm is not {}, the one of the challenge",
                challenge.algorithm.as_str()
            ));
        }
        if self.opaque != challenge.opaque {
            return Err("opaque did not come back as it was sent".to_owned());
        }
        let inputs = Inputs {
            algorithm: challenge.algorithm,
            username: &self.username,
            realm: &self.realm,
            password,
            method,
            uri: &self.uri,
            nonce: &self.nonce,
            protection: self
                .protection
                .as_ref()
                .map(|(nc, cnonce)| (nc.as_str(), cnonce.as_str())),
        };
        match inputs.response() {
            None => Err(format!(
                "this system's policy forbids {}",
                challenge.algorithm.as_str()
            )),
            Some(expected) if expected.eq_ignore_ascii_case(&self.response) => Ok(()),
            Some(_) => Err("the response does not fit the password".to_owned()),
        }
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{}\"",
            self.username, self.realm, self.nonce, self.uri, self.response
        )?;
        if let Some(algorithm) = self.algorithm {
            write!(formatter, ", algorithm={}", algorithm.as_str())?;
        }
        if let Some((nc, cnonce)) = &self.protection {
            write!(formatter, ", cnonce=\"{cnonce}\", qop=auth, nc={nc}")?;
        }
        if let Some(opaque) = &self.opaque {
            write!(formatter, ", opaque=\"{opaque}\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2617_comes_out() {
        let inputs = Inputs {
            algorithm: Algorithm::Md5,
            username: "Mufasa",
            realm: "testrealm@host.com",
            password: "Circle Of Life",
            method: "GET",
            uri: "/dir/index.html",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            protection: Some(("00000001", "0a4f113b")),
        };
        assert_eq!(
            inputs.response().as_deref(),
            Some("6629fae49393a05397450978507c4ef1")
        );
    }

    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        for (algorithm, expected) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (
                Algorithm::Sha256,
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let inputs = Inputs {
                algorithm,
                username: "Mufasa",
                realm: "http-auth@example.org",
                password: "Circle of Life",
                method: "GET",
                uri: "/dir/index.html",
                nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                protection: Some(("00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
            };
            assert_eq!(inputs.response().as_deref(), Some(expected));
        }
    }

    #[test]
    fn an_answer_satisfies_the_challenge_it_was_made_for() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let sent = Challenge::of_meta("wa.meta.vc", algorithm);
            assert_eq!(sent.nonce.len(), 16);
            let read = Challenge::parse(&sent.to_string()).unwrap();
            assert_eq!(read, sent);
            let answer = read
                .answer("15550001", "secret", "INVITE", "sip:+49@wa.meta.vc")
                .unwrap();
            let answer = Credentials::parse(&answer.to_string()).unwrap();
            assert_eq!(answer.verify(&sent, "secret", "INVITE"), Ok(()));
            assert!(answer.verify(&sent, "wrong", "INVITE").is_err());
            assert!(answer.verify(&sent, "secret", "BYE").is_err());
            let other = Challenge::of_meta("wa.meta.vc", algorithm);
            assert!(
                answer
                    .verify(&other, "secret", "INVITE")
                    .unwrap_err()
                    .contains("nonce")
            );
        }
    }

    #[test]
    fn broken_challenges_are_explained() {
        for (header, word) in [
            ("Basic realm=\"a\"", "Digest"),
            ("Digest nonce=\"a\"", "realm"),
            ("Digest realm=\"a\"", "nonce"),
            ("Digest realm=\"a\",nonce=\"b\",algorithm=SHA-3", "SHA-3"),
            ("Digest", "Digest"),
            ("Digést x", "Digest"),
        ] {
            let error = Challenge::parse(header).unwrap_err();
            assert!(error.contains(word), "{header}: {error}");
        }
    }

    #[test]
    fn escaped_quotes_in_values_are_undone() {
        let challenge = Challenge::parse(r#"Digest realm="a\"b,c", nonce="n""#).unwrap();
        assert_eq!(challenge.realm, "a\"b,c");
        assert_eq!(challenge.offers_auth, None);
    }
}
