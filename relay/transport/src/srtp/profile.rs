//! The protection profiles we speak, and the master key of one direction.

use std::fmt;

/// Longest master key, of the AES-256 profiles.
pub(super) const MAX_KEY_LEN: usize = 32;
/// Longest master salt, of the counter-mode profiles.
pub(super) const MAX_SALT_LEN: usize = 14;

/// Cipher, authentication and tag length, under the names of RFC 4568, RFC 6188 and RFC 7714.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum SrtpProfile {
    /// AES-128 in counter mode, HMAC-SHA1 with 80 bits (RFC 3711).
    Aes128CmSha1_80,
    /// AES-128 in counter mode, HMAC-SHA1 with 32 bits on RTP and 80 bits on RTCP (RFC 3711).
    Aes128CmSha1_32,
    /// AES-192 in counter mode, HMAC-SHA1 with 80 bits (RFC 6188).
    Aes192CmSha1_80,
    /// AES-192 in counter mode, HMAC-SHA1 with 32 bits on RTP and 80 bits on RTCP (RFC 6188).
    Aes192CmSha1_32,
    /// AES-256 in counter mode, HMAC-SHA1 with 80 bits (RFC 6188).
    Aes256CmSha1_80,
    /// AES-256 in counter mode, HMAC-SHA1 with 32 bits on RTP and 80 bits on RTCP (RFC 6188).
    Aes256CmSha1_32,
    /// AES-128 in Galois/counter mode (RFC 7714).
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode (RFC 7714).
    AeadAes256Gcm,
}

impl SrtpProfile {
    /// Every profile, in the order in which we offer them in SDES.
    pub const ALL: [Self; 8] = [
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::Aes256CmSha1_80,
        Self::Aes256CmSha1_32,
        Self::Aes192CmSha1_80,
        Self::Aes192CmSha1_32,
        Self::Aes128CmSha1_80,
        Self::Aes128CmSha1_32,
    ];

    /// The crypto-suite's name in `a=crypto` (RFC 4568 section 6.2, RFC 6188 section 6.1, RFC 7714 section 14.3).
    pub fn sdes_name(self) -> &'static str {
        match self {
            Self::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Aes128CmSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Aes192CmSha1_80 => "AES_192_CM_HMAC_SHA1_80",
            Self::Aes192CmSha1_32 => "AES_192_CM_HMAC_SHA1_32",
            Self::Aes256CmSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes256CmSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The profile with that name, in any case: some senders write the names of RFC 4568 in lower case.
    pub fn from_sdes_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.sdes_name().eq_ignore_ascii_case(name))
    }

    /// Bytes of master key.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 | Self::AeadAes128Gcm => 16,
            Self::Aes192CmSha1_80 | Self::Aes192CmSha1_32 => 24,
            Self::Aes256CmSha1_80 | Self::Aes256CmSha1_32 | Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of master salt.
    pub fn salt_len(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// Bytes of authentication tag on RTP.
    pub fn rtp_tag_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::Aes192CmSha1_80 | Self::Aes256CmSha1_80 => 10,
            Self::Aes128CmSha1_32 | Self::Aes192CmSha1_32 | Self::Aes256CmSha1_32 => 4,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// Bytes of authentication tag on RTCP (RFC 4568 section 6.2.2: 80 bits also where RTP has 32).
    pub fn rtcp_tag_len(self) -> usize {
        if self.is_aead() { 16 } else { 10 }
    }

    /// Whether the cipher authenticates by itself.
    pub fn is_aead(self) -> bool {
        matches!(self, Self::AeadAes128Gcm | Self::AeadAes256Gcm)
    }
}

impl fmt::Display for SrtpProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sdes_name())
    }
}

/// A master key identifier (RFC 3711 section 3.1): a number and the length in which it is written behind each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mki {
    value: u128,
    len: u8,
}

impl Mki {
    /// An identifier of `len` bytes, 1 to 128 (RFC 4568 section 6.1); `None` when the length is another or too short for it.
    pub fn new(value: u128, len: usize) -> Option<Self> {
        let fits = len >= size_of::<u128>() || value >> (8 * len) == 0;
        (fits && (1..=128).contains(&len)).then_some(Self {
            value,
            len: len as u8,
        })
    }

    /// The number.
    pub fn value(self) -> u128 {
        self.value
    }

    /// Bytes that it takes in a packet.
    pub fn wire_len(self) -> usize {
        usize::from(self.len)
    }

    /// The bytes in a packet; the first [`Self::wire_len`] of the array count.
    pub(super) fn to_bytes(self) -> [u8; 128] {
        let mut bytes = [0; 128];
        let len = self.wire_len();
        let number = self.value.to_be_bytes();
        let count = len.min(number.len());
        bytes[len - count..len].copy_from_slice(&number[number.len() - count..]);
        bytes
    }
}

/// The key material has not the length its profile wants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{profile} needs {expected} bytes of key and salt, not {found}")]
pub struct SrtpKeyError {
    pub profile: SrtpProfile,
    pub expected: usize,
    pub found: usize,
}

/// Master key and master salt of one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SrtpKey {
    profile: SrtpProfile,
    /// Zero behind the profile's own length; likewise the salt.
    key: [u8; MAX_KEY_LEN],
    salt: [u8; MAX_SALT_LEN],
    mki: Option<Mki>,
}

impl SrtpKey {
    /// From key and salt one behind the other, as SDES carries them.
    pub fn from_material(profile: SrtpProfile, material: &[u8]) -> Result<Self, SrtpKeyError> {
        let expected = profile.key_len() + profile.salt_len();
        if material.len() != expected {
            return Err(SrtpKeyError {
                profile,
                expected,
                found: material.len(),
            });
        }
        let (master_key, master_salt) = material.split_at(profile.key_len());
        let mut key = [0; MAX_KEY_LEN];
        let mut salt = [0; MAX_SALT_LEN];
        key[..master_key.len()].copy_from_slice(master_key);
        salt[..master_salt.len()].copy_from_slice(master_salt);
        Ok(Self {
            profile,
            key,
            salt,
            mki: None,
        })
    }

    /// A fresh key from the operating system's randomness. A generator seeded with 64 bits would not do for a secret.
    pub fn generate(profile: SrtpProfile) -> Self {
        let mut material = [0; MAX_KEY_LEN + MAX_SALT_LEN];
        // unwrap: aws-lc aborts the process by itself when the system has no randomness; it never returns an error.
        aws_lc_rs::rand::fill(&mut material).expect("the system gives randomness");
        let mut key = [0; MAX_KEY_LEN];
        let mut salt = [0; MAX_SALT_LEN];
        key[..profile.key_len()].copy_from_slice(&material[..profile.key_len()]);
        salt[..profile.salt_len()].copy_from_slice(&material[MAX_KEY_LEN..][..profile.salt_len()]);
        Self {
            profile,
            key,
            salt,
            mki: None,
        }
    }

    /// The same key, with an identifier behind each packet.
    #[must_use]
    pub fn with_mki(self, mki: Option<Mki>) -> Self {
        Self { mki, ..self }
    }

    /// What the key is for.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// The identifier that is written behind each packet.
    pub fn mki(&self) -> Option<Mki> {
        self.mki
    }

    /// The master key.
    pub fn master_key(&self) -> &[u8] {
        &self.key[..self.profile.key_len()]
    }

    /// The master salt.
    pub fn master_salt(&self) -> &[u8] {
        &self.salt[..self.profile.salt_len()]
    }

    /// The salt filled up to 112 bits at its end, as the key derivation wants it (RFC 7714 section 11).
    pub(super) fn padded_salt(&self) -> &[u8; MAX_SALT_LEN] {
        &self.salt
    }
}

impl fmt::Debug for SrtpKey {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpKey")
            .field("profile", &self.profile)
            .field("mki", &self.mki)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_sdp() {
        for profile in SrtpProfile::ALL {
            assert_eq!(
                SrtpProfile::from_sdes_name(profile.sdes_name()),
                Some(profile)
            );
        }
        assert_eq!(
            SrtpProfile::from_sdes_name("aes_cm_128_hmac_sha1_80"),
            Some(SrtpProfile::Aes128CmSha1_80)
        );
        assert_eq!(SrtpProfile::from_sdes_name("F8_128_HMAC_SHA1_80"), None);
    }

    #[test]
    fn material_is_key_then_salt() {
        let material: Vec<u8> = (0..30).collect();
        let key = SrtpKey::from_material(SrtpProfile::Aes128CmSha1_80, &material).unwrap();
        assert_eq!(key.master_key(), &material[..16]);
        assert_eq!(key.master_salt(), &material[16..]);
        let error = SrtpKey::from_material(SrtpProfile::AeadAes256Gcm, &material).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AEAD_AES_256_GCM needs 44 bytes of key and salt, not 30"
        );
    }

    #[test]
    fn debug_output_hides_the_key() {
        let key = SrtpKey::from_material(SrtpProfile::Aes128CmSha1_80, &[0xab; 30]).unwrap();
        let text = format!("{key:?}");
        assert!(!text.contains("171") && !text.contains("ab"), "{text}");
    }

    #[test]
    fn generated_keys_differ() {
        let [a, b] = [(); 2].map(|()| SrtpKey::generate(SrtpProfile::AeadAes256Gcm));
        assert_ne!(a, b);
        assert_ne!(a.master_salt(), b.master_salt());
    }

    #[test]
    fn an_identifier_is_written_in_its_length() {
        assert_eq!(Mki::new(0x0102, 4).unwrap().to_bytes()[..4], [0, 0, 1, 2]);
        assert_eq!(
            Mki::new(5, 20).unwrap().to_bytes()[..20],
            [&[0; 19][..], &[5]].concat()
        );
        assert_eq!(Mki::new(256, 1), None);
        assert_eq!(Mki::new(1, 0), None);
        assert_eq!(Mki::new(1, 129), None);
    }
}
