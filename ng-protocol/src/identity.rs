//! The names of calls, parties and branches: bytes that proxies choose and we never interpret.

use std::fmt;
use std::sync::Arc;

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
