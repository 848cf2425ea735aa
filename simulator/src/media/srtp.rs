//! SRTP and SRTCP of one call (RFC 3711, RFC 7714), with the contexts of `webrtc-srtp`.
//!
//! Replay protection is off on purpose: a repeated packet is something to be counted here, not hidden.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use crate::media::config::SrtpProfile;

impl SrtpProfile {
    fn library(self) -> ProtectionProfile {
        match self {
            Self::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            Self::Aes128CmSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
            Self::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Self::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        }
    }

    pub(crate) fn key_length(self) -> usize {
        self.library().key_len()
    }

    pub(crate) fn salt_length(self) -> usize {
        self.library().salt_len()
    }
}

/// Master key and salt of one direction.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct MasterKey {
    pub(crate) key: Vec<u8>,
    pub(crate) salt: Vec<u8>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(hidden)")
    }
}

impl MasterKey {
    /// RFC 4568 §6.1: key and salt behind one another, in base64; 40 characters for AES_CM_128.
    pub(crate) fn from_inline(inline: &str) -> Option<Self> {
        let bytes = BASE64.decode(inline).ok()?;
        let (key, salt) = bytes.split_at_checked(16)?;
        (salt.len() == 14).then(|| Self {
            key: key.to_vec(),
            salt: salt.to_vec(),
        })
    }

    pub(crate) fn to_inline(&self) -> String {
        BASE64.encode([self.key.as_slice(), &self.salt].concat())
    }
}

/// Both directions of a call.
pub(crate) struct SrtpSession {
    inbound: Context,
    outbound: Context,
}

impl fmt::Debug for SrtpSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SrtpSession")
    }
}

impl SrtpSession {
    pub(crate) fn new(
        profile: SrtpProfile,
        inbound: &MasterKey,
        outbound: &MasterKey,
    ) -> Option<Self> {
        let context = |master: &MasterKey| {
            Context::new(&master.key, &master.salt, profile.library(), None, None).ok()
        };
        Some(Self {
            inbound: context(inbound)?,
            outbound: context(outbound)?,
        })
    }

    pub(crate) fn unprotect_rtp(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.inbound
            .decrypt_rtp(bytes)
            .ok()
            .map(|plain| plain.to_vec())
    }

    pub(crate) fn unprotect_rtcp(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        // The library reads the trailing index before it looks at the length.
        if bytes.len() < 8 + 4 + 10 {
            return None;
        }
        self.inbound
            .decrypt_rtcp(bytes)
            .ok()
            .map(|plain| plain.to_vec())
    }

    pub(crate) fn protect_rtp(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.outbound
            .encrypt_rtp(bytes)
            .ok()
            .map(|sealed| sealed.to_vec())
    }

    pub(crate) fn protect_rtcp(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.outbound
            .encrypt_rtcp(bytes)
            .ok()
            .map(|sealed| sealed.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inline_key_has_forty_characters_and_comes_back() {
        let master = MasterKey {
            key: (0..16).collect(),
            salt: (100..114).collect(),
        };
        let inline = master.to_inline();
        assert_eq!(inline.len(), 40);
        assert_eq!(MasterKey::from_inline(&inline), Some(master));
    }

    #[test]
    fn a_key_of_another_length_is_none() {
        assert_eq!(MasterKey::from_inline("AAAA"), None);
        assert_eq!(MasterKey::from_inline("not base64!"), None);
    }

    #[test]
    fn short_datagrams_are_refused_and_do_not_panic() {
        let master = MasterKey {
            key: vec![1; 16],
            salt: vec![2; 14],
        };
        let mut session =
            SrtpSession::new(SrtpProfile::Aes128CmSha1_80, &master, &master).expect("a session");
        for length in 0..40 {
            let mut bytes = vec![0x80; length];
            assert_eq!(session.unprotect_rtp(&bytes), None);
            if let Some(second) = bytes.get_mut(1) {
                *second = 200;
            }
            assert_eq!(session.unprotect_rtcp(&bytes), None);
        }
    }
}
