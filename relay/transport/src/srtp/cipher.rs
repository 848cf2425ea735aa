//! The primitives: AES in counter mode with HMAC-SHA1, and AES-GCM. No other file names their libraries.

use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// Length of a GCM tag (RFC 7714 section 13.2).
pub(super) const GCM_TAG_LEN: usize = 16;

/// AES in counter mode, its key schedule computed once.
pub(super) enum CounterMode {
    Aes128(Aes128Enc),
    Aes192(Box<Aes192Enc>),
    Aes256(Box<Aes256Enc>),
}

impl CounterMode {
    /// `key` has 16, 24 or 32 bytes, by the table in `profile.rs`.
    pub(super) fn new(key: &[u8]) -> Self {
        match key.len() {
            // unwrap: the arms have just looked at the length, and the table has no other.
            16 => Self::Aes128(Aes128Enc::new_from_slice(key).expect("16 bytes")),
            24 => Self::Aes192(Box::new(Aes192Enc::new_from_slice(key).expect("24 bytes"))),
            _ => Self::Aes256(Box::new(Aes256Enc::new_from_slice(key).expect("32 bytes"))),
        }
    }

    /// Encrypts, or decrypts, `data` with the keystream that begins at `start`.
    pub(super) fn apply(&self, start: &[u8; 16], data: &mut [u8]) {
        match self {
            Self::Aes128(aes) => {
                let core = CtrCore::<_, Ctr128BE>::inner_iv_init(aes, start.into());
                StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
            }
            Self::Aes192(aes) => {
                let core = CtrCore::<_, Ctr128BE>::inner_iv_init(&**aes, start.into());
                StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
            }
            Self::Aes256(aes) => {
                let core = CtrCore::<_, Ctr128BE>::inner_iv_init(&**aes, start.into());
                StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
            }
        }
    }
}

/// HMAC-SHA1 whose inner and outer state are computed once and copied for each packet.
pub(super) struct HmacSha1(Hmac<Sha1>);

impl HmacSha1 {
    pub(super) fn new(key: &[u8]) -> Self {
        // unwrap: HMAC takes keys of any length.
        Self(Hmac::new_from_slice(key).expect("HMAC takes any key"))
    }

    /// The tag over `message` and `trailer`; its first bytes are what travels.
    pub(super) fn tag(&self, message: &[u8], trailer: &[u8]) -> [u8; 20] {
        self.over(message, trailer).finalize().into_bytes().into()
    }

    /// Whether `tag` is the beginning of the right one, compared in constant time.
    pub(super) fn verify(&self, message: &[u8], trailer: &[u8], tag: &[u8]) -> bool {
        self.over(message, trailer)
            .verify_truncated_left(tag)
            .is_ok()
    }

    fn over(&self, message: &[u8], trailer: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.update(trailer);
        mac
    }
}

/// AES-GCM with 12 bytes of nonce.
pub(super) struct Gcm(LessSafeKey);

impl Gcm {
    /// `key` has 16 or 32 bytes, by the table in `profile.rs`.
    pub(super) fn new(key: &[u8]) -> Self {
        let algorithm = if key.len() == 16 {
            &AES_128_GCM
        } else {
            &AES_256_GCM
        };
        // unwrap: the table gives the length that the algorithm wants.
        let key = UnboundKey::new(algorithm, key).expect("the key fits the algorithm");
        Self(LessSafeKey::new(key))
    }

    /// Encrypts `data` in place and gives the tag; `None` when the library refuses, which a packet's length cannot cause.
    pub(super) fn seal(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        data: &mut [u8],
    ) -> Option<[u8; GCM_TAG_LEN]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), data)
            .ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Checks and decrypts `data`, whose last bytes are the tag, in place. After `false` its contents are undefined.
    pub(super) fn open(&self, nonce: [u8; 12], aad: &[u8], data: &mut [u8]) -> bool {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::from(aad), data).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::hex;
    use super::*;

    /// RFC 3711 appendix B.2.
    #[test]
    fn the_keystream_is_that_of_rfc_3711() {
        let cipher = CounterMode::new(&hex("2B7E151628AED2A6ABF7158809CF4F3C"));
        let start = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000");
        let mut stream = [0; 48];
        cipher.apply(start.as_slice().try_into().unwrap(), &mut stream);
        let expected = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB \
                        41E95B3BB0A2E8DD477901E4FCA894C0";
        assert_eq!(stream[..], hex(expected));
    }

    /// RFC 6188 section 7.2.
    #[test]
    fn the_keystream_of_192_bits_is_that_of_rfc_6188() {
        let cipher = CounterMode::new(&hex("eab234764e517b2d3d160d587d8c8621 9740f65f99b6bcf7"));
        let start = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000");
        let mut stream = [0; 48];
        cipher.apply(start.as_slice().try_into().unwrap(), &mut stream);
        let expected = "35096cba4610028dc1b57503804ce37c 5de986291dcce161d5165ec4568f5c9a \
                        474a40c77894bc17180202272a4c264d";
        assert_eq!(stream[..], hex(expected));
    }

    /// RFC 2202 section 3, test case 2.
    #[test]
    fn the_tag_is_that_of_hmac_sha1() {
        let mac = HmacSha1::new(b"Jefe");
        let expected = hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(mac.tag(b"what do ya want ", b"for nothing?")[..], expected);
        assert!(mac.verify(b"what do ya want ", b"for nothing?", &expected[..10]));
        assert!(!mac.verify(b"what do ya want ", b"for nothing!", &expected[..10]));
    }
}
