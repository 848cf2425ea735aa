//! The client's Finished, sealed once more.
//!
//! A server that has got it, but whose answer was lost, waits for it to come again. A copy would not do: its record has been seen,
//! and is dropped as a replay (RFC 6347 section 4.1.2.6). OpenSSL seals it anew only by its own clock, so we do: the keys follow
//! from the master secret (RFC 5246 section 6.3), the record from RFC 5288 or RFC 7905. The suites with CBC are left to OpenSSL.

use std::fmt;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA384};
use openssl::ssl::SslRef;

use super::super::record::RANDOM_LEN;

const HEADER_LEN: usize = 13;
const MASTER_SECRET_LEN: usize = 48;
/// Of the nonce, the part that a record of GCM carries.
const EXPLICIT_LEN: usize = 8;

/// Seals one message again and again.
pub(super) struct FinishedSealer {
    key: LessSafeKey,
    /// The part of the nonce that is not in the record: four bytes with GCM, twelve with ChaCha20.
    implicit: Vec<u8>,
    message: Vec<u8>,
    next_sequence: u64,
}

impl FinishedSealer {
    /// For the Finished in `record`, which the library has sealed as client; `None` with suites that we cannot seal.
    pub(super) fn new(ssl: &SslRef, record: &[u8]) -> Option<Self> {
        let suite = ssl.current_cipher()?.standard_name()?;
        let (algorithm, implicit_len) = match suite {
            _ if suite.contains("_AES_128_GCM_") => (&AES_128_GCM, 4),
            _ if suite.contains("_AES_256_GCM_") => (&AES_256_GCM, 4),
            _ if suite.contains("_CHACHA20_POLY1305_") => (&CHACHA20_POLY1305, NONCE_LEN),
            _ => return None,
        };
        let hash = if suite.ends_with("_SHA384") {
            HMAC_SHA384
        } else {
            HMAC_SHA256
        };
        let mut master_secret = [0; MASTER_SECRET_LEN];
        let mut seed = [0; 2 * RANDOM_LEN];
        ssl.session()?.master_key(&mut master_secret);
        let (server_random, client_random) = seed.split_at_mut(RANDOM_LEN);
        ssl.server_random(server_random);
        ssl.client_random(client_random);
        // The client's key, the server's, the client's part of the nonce, the server's.
        let key_len = algorithm.key_len();
        let block = expand(
            hash,
            &master_secret,
            b"key expansion",
            &seed,
            2 * (key_len + implicit_len),
        );
        let key = LessSafeKey::new(UnboundKey::new(algorithm, block.get(..key_len)?).ok()?);
        let implicit = block.get(2 * key_len..2 * key_len + implicit_len)?.to_vec();
        let mut sealer = Self {
            key,
            implicit,
            message: Vec::new(),
            next_sequence: 1,
        };
        sealer.message = sealer.open(record)?;
        Some(sealer)
    }

    /// The message in the next record of epoch 1.
    pub(super) fn seal(&mut self) -> Option<Vec<u8>> {
        let mut number = self.next_sequence.to_be_bytes();
        self.next_sequence += 1;
        number[1] = 1;
        let explicit = if self.implicit.len() == NONCE_LEN {
            &[][..]
        } else {
            &number
        };
        let mut sealed = self.message.clone();
        self.key
            .seal_in_place_append_tag(
                self.nonce(&number, explicit)?,
                Aad::from(additional_data(&number, self.message.len())),
                &mut sealed,
            )
            .ok()?;
        let len = (explicit.len() + sealed.len()) as u16;
        let header = [&[22, 0xfe, 0xfd], &number[..], &len.to_be_bytes()].concat();
        Some([&header[..], explicit, &sealed].concat())
    }

    /// The message in a record of our own: it shows that the key is the right one.
    fn open(&self, record: &[u8]) -> Option<Vec<u8>> {
        let (header, body) = record.split_first_chunk::<HEADER_LEN>()?;
        let number: &[u8; 8] = header[3..].first_chunk()?;
        let explicit_len = if self.implicit.len() == NONCE_LEN {
            0
        } else {
            EXPLICIT_LEN
        };
        let (explicit, sealed) = body.split_at_checked(explicit_len)?;
        let len = sealed.len().checked_sub(self.key.algorithm().tag_len())?;
        let mut message = sealed.to_vec();
        self.key
            .open_in_place(
                self.nonce(number, explicit)?,
                Aad::from(additional_data(number, len)),
                &mut message,
            )
            .ok()?;
        message.truncate(len);
        Some(message)
    }

    /// RFC 5288 section 3: both parts, one behind the other; RFC 7905 section 2: the record's number mixed in.
    fn nonce(&self, number: &[u8; 8], explicit: &[u8]) -> Option<Nonce> {
        let mut nonce = [self.implicit.as_slice(), explicit].concat();
        if explicit.is_empty() {
            for (byte, of_number) in nonce.iter_mut().skip(NONCE_LEN - 8).zip(number) {
                *byte ^= of_number;
            }
        }
        Nonce::try_assume_unique_for_key(&nonce).ok()
    }
}

impl fmt::Debug for FinishedSealer {
    /// Never shows key material.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinishedSealer")
            .field("next_sequence", &self.next_sequence)
            .finish_non_exhaustive()
    }
}

/// RFC 5246 section 6.2.3.3: number, content type, version and length of what is sealed.
fn additional_data(number: &[u8; 8], len: usize) -> [u8; HEADER_LEN] {
    let mut data = [0; HEADER_LEN];
    data[..8].copy_from_slice(number);
    data[8..11].copy_from_slice(&[22, 0xfe, 0xfd]);
    data[11..].copy_from_slice(&(len as u16).to_be_bytes());
    data
}

/// The pseudo-random function of RFC 5246 section 5.
fn expand(hash: hmac::Algorithm, secret: &[u8], label: &[u8], seed: &[u8], len: usize) -> Vec<u8> {
    let key = hmac::Key::new(hash, secret);
    let seed = [label, seed].concat();
    let mut expanded = Vec::new();
    let mut link = hmac::sign(&key, &seed);
    while expanded.len() < len {
        expanded.extend(hmac::sign(&key, &[link.as_ref(), &seed].concat()).as_ref());
        link = hmac::sign(&key, link.as_ref());
    }
    expanded.truncate(len);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector for SHA-256 that the TLS working group's list agreed on, as GnuTLS and mbed TLS test it.
    #[test]
    fn the_pseudo_random_function_is_that_of_tls() {
        let hex = |text: &str| -> Vec<u8> {
            let digits = text.as_bytes().chunks(2);
            digits
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect()
        };
        let secret = hex("9bbe436ba940f017b17652849a71db35");
        let seed = hex("a0ba9f936cda311827a6f796ffd5198c");
        let expanded = expand(HMAC_SHA256, &secret, b"test label", &seed, 100);
        let expected = hex(
            "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a\
             6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab\
             4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701\
             87347b66",
        );
        assert_eq!(expanded, expected);
    }
}
