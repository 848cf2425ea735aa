//! Keys and counters written down, for a process that goes on with a call.
//!
//! Text everywhere: Base64 for what is bytes. It is the one place where a key leaves its type; whoever stores it has to guard it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Mki, SrtpKey, SrtpProfile, SrtpState};

/// A key as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    suite: SrtpProfile,
    material: String,
    /// The identifier as hexadecimal number, and its length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mki: Option<(String, usize)>,
}

impl Serialize for SrtpKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let material = [self.master_key(), self.master_salt()].concat();
        let mki = self.mki();
        let written = Written {
            suite: self.profile(),
            material: BASE64_STANDARD.encode(material),
            mki: mki.map(|mki| (format!("{:x}", mki.value()), mki.wire_len())),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SrtpKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let material = BASE64_STANDARD.decode(&written.material);
        let material = material.map_err(|_| D::Error::custom("a key is not Base64"))?;
        let key = Self::from_material(written.suite, &material).map_err(D::Error::custom)?;
        let Some((value, len)) = written.mki else {
            return Ok(key);
        };
        let mki = u128::from_str_radix(&value, 16).ok();
        let mki = mki.and_then(|value| Mki::new(value, len));
        let mki = mki.ok_or_else(|| D::Error::custom("a key identifier is none"))?;
        Ok(key.with_mki(Some(mki)))
    }
}

impl Serialize for SrtpState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(self.encode()))
    }
}

impl<'de> Deserialize<'de> for SrtpState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text).ok();
        let state = bytes.and_then(|bytes| Self::decode(&bytes));
        state.ok_or_else(|| D::Error::custom("the counters of a key are damaged"))
    }
}
