//! Session keys from the master key (RFC 3711 section 4.3, with a key derivation rate of zero).

use super::SrtpKey;
use super::cipher::CounterMode;
use super::profile::{MAX_KEY_LEN, MAX_SALT_LEN};

/// Bytes of the HMAC-SHA1 key (RFC 3711 section 5.2, n_a).
pub(super) const AUTH_KEY_LEN: usize = 20;

/// The labels of RFC 3711 section 4.3.1 and 4.3.2: encryption, authentication and salt, for RTP and for RTCP.
const RTP_LABELS: [u8; 3] = [0, 1, 2];
const RTCP_LABELS: [u8; 3] = [3, 4, 5];

/// What one of the two protocols uses.
#[derive(Clone)]
pub(super) struct ProtocolKeys {
    /// As long as the profile's master key.
    pub(super) cipher_key: [u8; MAX_KEY_LEN],
    pub(super) auth_key: [u8; AUTH_KEY_LEN],
    /// As long as the profile's master salt.
    pub(super) salt: [u8; MAX_SALT_LEN],
}

/// What a master key gives.
#[derive(Clone)]
pub(super) struct SessionKeys {
    pub(super) rtp: ProtocolKeys,
    pub(super) rtcp: ProtocolKeys,
}

impl SessionKeys {
    pub(super) fn derive(key: &SrtpKey) -> Self {
        Self {
            rtp: ProtocolKeys::derive(key, RTP_LABELS),
            rtcp: ProtocolKeys::derive(key, RTCP_LABELS),
        }
    }
}

impl ProtocolKeys {
    fn derive(key: &SrtpKey, [cipher_label, auth_label, salt_label]: [u8; 3]) -> Self {
        let prf = CounterMode::new(key.master_key());
        let mut keys = Self {
            cipher_key: [0; MAX_KEY_LEN],
            auth_key: [0; AUTH_KEY_LEN],
            salt: [0; MAX_SALT_LEN],
        };
        let profile = key.profile();
        let salt = key.padded_salt();
        generate(
            &prf,
            salt,
            cipher_label,
            &mut keys.cipher_key[..profile.key_len()],
        );
        generate(&prf, salt, auth_label, &mut keys.auth_key);
        generate(&prf, salt, salt_label, &mut keys.salt[..profile.salt_len()]);
        keys
    }
}

/// RFC 3711 section 4.3.3: the keystream of AES in counter mode whose start is the salt, with the label mixed in.
fn generate(prf: &CounterMode, salt: &[u8; MAX_SALT_LEN], label: u8, out: &mut [u8]) {
    let mut start = [0; 16];
    start[..MAX_SALT_LEN].copy_from_slice(salt);
    // The label stands above the 48 bits of the index, which is zero at this rate.
    start[7] ^= label;
    prf.apply(&start, out);
}

#[cfg(test)]
mod tests {
    use super::super::SrtpProfile;
    use super::*;
    use crate::srtp::hex;

    /// RFC 3711 appendix B.3.
    #[test]
    fn derives_the_keys_of_rfc_3711() {
        let material = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
        let key = SrtpKey::from_material(SrtpProfile::Aes128CmSha1_80, &material).unwrap();
        let keys = SessionKeys::derive(&key).rtp;
        assert_eq!(
            keys.cipher_key[..16],
            hex("C61E7A93744F39EE10734AFE3FF7A087")
        );
        assert_eq!(keys.salt[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(
            keys.auth_key[..],
            hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
        );
    }

    /// RFC 6188 section 7.4.
    #[test]
    fn derives_the_keys_of_192_bits_of_rfc_6188() {
        let material = hex("73edc66c4fa15776fb57f9505c171365 50ffda71f3e8e5f1 \
             c8522f3acd4ce86d5add78edbb11");
        let key = SrtpKey::from_material(SrtpProfile::Aes192CmSha1_80, &material).unwrap();
        let keys = SessionKeys::derive(&key).rtp;
        assert_eq!(
            keys.cipher_key[..24],
            hex("31874736a8f1143870c26e4857d8a5b2c4a354407faadabb")
        );
        assert_eq!(keys.salt[..], hex("2372b82d639b6d8503a47adc0a6c"));
        assert_eq!(
            keys.auth_key[..],
            hex("355b10973cd95b9eacf4061c7e1a7151e7cfbfcb")
        );
    }

    /// RFC 6188 section 7.2.
    #[test]
    fn derives_the_keys_of_rfc_6188() {
        let material = hex(
            "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6 \
             3b04803de51ee7c96423ab5b78d2",
        );
        let key = SrtpKey::from_material(SrtpProfile::Aes256CmSha1_80, &material).unwrap();
        let keys = SessionKeys::derive(&key).rtp;
        assert_eq!(
            keys.cipher_key[..],
            hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4")
        );
        assert_eq!(keys.salt[..], hex("fa31791685ca444a9e07c6c64e93"));
        assert_eq!(
            keys.auth_key[..],
            hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05")
        );
    }
}
