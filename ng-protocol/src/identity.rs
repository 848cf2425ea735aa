//! The names of calls, parties and branches: bytes that proxies choose and we never interpret.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An identity as it is written down.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

/// Declares a newtype over opaque bytes: compared and hashed, never interpreted, cheap to clone.
macro_rules! opaque_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<[u8]>);

        impl $name {
            /// The bytes as received.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<&[u8]> for $name {
            fn from(bytes: &[u8]) -> Self {
                Self(bytes.into())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.as_bytes().into())
            }
        }

        /// Text where the bytes are UTF-8, as they nearly always are; else a list of numbers.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match std::str::from_utf8(&self.0) {
                    Ok(text) => Written::Text(text.into()),
                    Err(_) => Written::Bytes(self.0.to_vec()),
                }
                .serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(match Written::deserialize(deserializer)? {
                    Written::Text(text) => text.as_bytes().into(),
                    Written::Bytes(bytes) => bytes.as_slice().into(),
                })
            }
        }

        impl fmt::Display for $name {
            /// Bytes that are not UTF-8 are shown as replacement characters.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&String::from_utf8_lossy(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), String::from_utf8_lossy(&self.0))
            }
        }
    };
}

opaque_bytes!(
    /// The name of a call: the SIP Call-ID (RFC 3261 section 20.8), opaque to us.
    CallId
);
opaque_bytes!(
    /// The name of a party: a SIP From or To tag (RFC 3261 section 19.3), opaque to us.
    Tag
);
opaque_bytes!(
    /// What separates the branches of a forked offer: a Via branch parameter, opaque to us.
    ViaBranch
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive_being_written_down() {
        for bytes in [&b"a84b4c76e66710@pc33"[..], b"\xff\x00\xfe", b""] {
            let tag = Tag::from(bytes);
            let text = serde_json::to_string(&tag).expect("bytes can be written");
            assert_eq!(serde_json::from_str::<Tag>(&text).expect(&text), tag);
        }
        let call = CallId::from("call-1");
        assert_eq!(serde_json::to_string(&call).expect("text"), "\"call-1\"");
    }
}
