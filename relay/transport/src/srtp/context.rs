//! Protects and unprotects packets in place (RFC 3711 section 3, RFC 7714), without an allocation but for a stream that is new.
//!
//! A packet is authenticated before anything about it is remembered, so a forger cannot make us keep state.

use std::fmt;

use relay_packet::{CAPACITY, DropReason, PacketBuf};

use super::cipher::{CounterMode, GCM_TAG_LEN, Gcm, HmacSha1};
use super::key_derivation::{ProtocolKeys, SessionKeys};
use super::state::{MAX_RTCP_INDEX, SrtpState, StreamState};
use super::{Mki, SrtpKey, SrtpProfile};
use crate::rtp::{RtpHeader, Ssrc};

/// RFC 3711 section 3.4: the fixed header and the sender's SSRC stay in the clear.
const RTCP_CLEAR_LEN: usize = 8;
/// RFC 3711 section 3.4: the E flag and the SRTCP index.
const RTCP_WORD_LEN: usize = 4;
/// The E flag: the packet is encrypted.
const RTCP_ENCRYPTED: u32 = 1 << 31;

/// One master key and what has been sent or received under it. A leg has one per direction.
pub struct SrtpContext {
    /// Kept for whoever takes the call over.
    key: SrtpKey,
    transform: Transform,
    state: SrtpState,
}

/// The session keys, ready for use.
enum Transform {
    CounterMode {
        rtp: Box<CounterModeKeys>,
        rtcp: Box<CounterModeKeys>,
    },
    Gcm {
        rtp: Box<GcmKeys>,
        rtcp: Box<GcmKeys>,
    },
}

struct CounterModeKeys {
    cipher: CounterMode,
    mac: HmacSha1,
    salt: [u8; 14],
}

struct GcmKeys {
    cipher: Gcm,
    salt: [u8; 12],
}

impl SrtpContext {
    /// A context that has seen nothing yet.
    pub fn new(key: &SrtpKey) -> Self {
        Self::restore(key, SrtpState::default())
    }

    /// A context that goes on where `state` was taken. For a sender, see [`SrtpState::skip_ahead`].
    pub fn restore(key: &SrtpKey, state: SrtpState) -> Self {
        Self {
            key: *key,
            transform: Transform::new(key.profile(), SessionKeys::derive(key)),
            state,
        }
    }

    /// A context for the same streams under another master key, as a re-offer with a new SDES key brings.
    ///
    /// Rollover counters go on (RFC 3711 section 3.3.1); a receiver also takes streams that start again at zero.
    #[must_use]
    pub fn rekeyed(&self, key: &SrtpKey) -> Self {
        Self::restore(key, self.state.clone().rekeyed())
    }

    /// What must be kept to go on later.
    pub fn state(&self) -> SrtpState {
        self.state.clone()
    }

    /// The master key.
    pub fn key(&self) -> &SrtpKey {
        &self.key
    }

    /// The profile of the key.
    pub fn profile(&self) -> SrtpProfile {
        self.key.profile()
    }

    /// Encrypts an RTP packet and appends its tag.
    pub fn protect_rtp(&mut self, packet: &mut PacketBuf) -> Result<(), DropReason> {
        let header = RtpHeader::parse(packet).ok_or(DropReason::Malformed)?;
        let mki_len = self.key.mki().map_or(0, Mki::wire_len);
        if packet.tailroom() < self.key.profile().rtp_tag_len() + mki_len {
            return Err(DropReason::Malformed);
        }
        let stream = self
            .state
            .find_or_insert(header.ssrc)
            .ok_or(DropReason::TooManySsrcs)?;
        let index = stream.outgoing_index(header.sequence);
        // An index is never used for two packets: their XOR would give both away.
        if !stream.rtp.accepts(index) {
            return Err(DropReason::SrtpReplay);
        }
        stream.rtp.note(index);
        let appended = match &self.transform {
            Transform::CounterMode { rtp, .. } => {
                let start = rtp.start(header.ssrc, index);
                rtp.cipher.apply(&start, &mut packet[header.header_len()..]);
                let tag = rtp.mac.tag(packet, &rollover_counter(index));
                append_mki(packet, self.key.mki())
                    && packet.extend_from_slice(&tag[..self.key.profile().rtp_tag_len()])
            }
            Transform::Gcm { rtp, .. } => {
                let nonce = rtp.rtp_nonce(header.ssrc, index);
                let (clear, payload) = packet.split_at_mut(header.header_len());
                let tag = rtp.cipher.seal(nonce, clear, payload);
                let tag = tag.ok_or(DropReason::Malformed)?;
                packet.extend_from_slice(&tag) && append_mki(packet, self.key.mki())
            }
        };
        if appended {
            Ok(())
        } else {
            Err(DropReason::Malformed)
        }
    }

    /// Checks an SRTP packet, decrypts it and cuts its tag off.
    pub fn unprotect_rtp(&mut self, packet: &mut PacketBuf) -> Result<(), DropReason> {
        let header = RtpHeader::parse(packet).ok_or(DropReason::Malformed)?;
        let known = self.state.find(header.ssrc).copied();
        let stream = known.unwrap_or_else(|| StreamState::new(header.ssrc));
        let candidates = stream.candidates(header.sequence);
        let mut reason = DropReason::SrtpReplay;
        for (index, last) in [
            (Some(candidates.first), candidates.second.is_none()),
            (candidates.second, true),
        ] {
            let Some(index) = index.filter(|index| stream.rtp.accepts(*index)) else {
                continue;
            };
            match self.open_rtp(packet, &header, index, last) {
                Ok(()) => {
                    self.state.find_or_replace(header.ssrc).rtp.note(index);
                    return Ok(());
                }
                Err(refused) => reason = refused,
            }
        }
        Err(reason)
    }

    /// One attempt with one index. Unless it is the `last` one, a failure leaves the packet as it was.
    fn open_rtp(
        &self,
        packet: &mut PacketBuf,
        header: &RtpHeader,
        index: u64,
        last: bool,
    ) -> Result<(), DropReason> {
        let clear_len = header.header_len();
        match &self.transform {
            Transform::CounterMode { rtp, .. } => {
                let tag_len = self.key.profile().rtp_tag_len();
                let tag_at = packet
                    .len()
                    .checked_sub(tag_len)
                    .ok_or(DropReason::Malformed)?;
                let end = tag_at - self.mki_len_before(packet, tag_at, clear_len);
                if end < clear_len {
                    return Err(DropReason::Malformed);
                }
                let counter = rollover_counter(index);
                if !rtp.mac.verify(&packet[..end], &counter, &packet[tag_at..]) {
                    return Err(DropReason::SrtpAuthentication);
                }
                let start = rtp.start(header.ssrc, index);
                rtp.cipher.apply(&start, &mut packet[clear_len..end]);
                packet.truncate(end);
                Ok(())
            }
            Transform::Gcm { rtp, .. } => {
                let end = packet.len() - self.mki_len_before(packet, packet.len(), clear_len);
                if end < clear_len + GCM_TAG_LEN {
                    return Err(DropReason::Malformed);
                }
                // A failed attempt spoils the bytes; only then, and only for another attempt, is a copy needed.
                let copy = (!last).then(|| {
                    let mut copy = [0; CAPACITY];
                    copy[..packet.len()].copy_from_slice(packet);
                    copy
                });
                let nonce = rtp.rtp_nonce(header.ssrc, index);
                let (clear, sealed) = packet[..end].split_at_mut(clear_len);
                if !rtp.cipher.open(nonce, clear, sealed) {
                    if let Some(copy) = copy {
                        let len = packet.len();
                        packet.copy_from_slice(&copy[..len]);
                    }
                    return Err(DropReason::SrtpAuthentication);
                }
                packet.truncate(end - GCM_TAG_LEN);
                Ok(())
            }
        }
    }

    /// Encrypts a compound RTCP packet and appends index and tag.
    pub fn protect_rtcp(&mut self, packet: &mut PacketBuf) -> Result<(), DropReason> {
        let ssrc = rtcp_sender(packet).ok_or(DropReason::Malformed)?;
        let mki_len = self.key.mki().map_or(0, Mki::wire_len);
        if packet.tailroom() < RTCP_WORD_LEN + self.key.profile().rtcp_tag_len() + mki_len {
            return Err(DropReason::Malformed);
        }
        let stream = self
            .state
            .find_or_insert(ssrc)
            .ok_or(DropReason::TooManySsrcs)?;
        let index = stream.take_rtcp_index().ok_or(DropReason::SrtpNoKeys)?;
        let word = (RTCP_ENCRYPTED | index).to_be_bytes();
        let appended = match &self.transform {
            Transform::CounterMode { rtcp, .. } => {
                let start = rtcp.start(ssrc, u64::from(index));
                rtcp.cipher.apply(&start, &mut packet[RTCP_CLEAR_LEN..]);
                let tag = rtcp.mac.tag(packet, &word);
                packet.extend_from_slice(&word)
                    && append_mki(packet, self.key.mki())
                    && packet.extend_from_slice(&tag[..self.key.profile().rtcp_tag_len()])
            }
            Transform::Gcm { rtcp, .. } => {
                let (clear, body) = packet.split_at_mut(RTCP_CLEAR_LEN);
                let aad = rtcp_aad(clear, word);
                let tag = rtcp.cipher.seal(rtcp.rtcp_nonce(ssrc, index), &aad, body);
                let tag = tag.ok_or(DropReason::Malformed)?;
                packet.extend_from_slice(&tag)
                    && packet.extend_from_slice(&word)
                    && append_mki(packet, self.key.mki())
            }
        };
        if appended {
            Ok(())
        } else {
            Err(DropReason::Malformed)
        }
    }

    /// Checks an SRTCP packet, decrypts it and cuts index and tag off.
    pub fn unprotect_rtcp(&mut self, packet: &mut PacketBuf) -> Result<(), DropReason> {
        let ssrc = rtcp_sender(packet).ok_or(DropReason::Malformed)?;
        let (end, index) = match &self.transform {
            Transform::CounterMode { rtcp, .. } => {
                let tag_len = self.key.profile().rtcp_tag_len();
                let tag_at = packet
                    .len()
                    .checked_sub(tag_len)
                    .ok_or(DropReason::Malformed)?;
                let word_end = tag_at - self.mki_len_before(packet, tag_at, RTCP_CLEAR_LEN);
                let (word, end) = rtcp_word(packet, word_end, RTCP_CLEAR_LEN)?;
                let index = self.unseen_rtcp_index(ssrc, word)?;
                if !rtcp.mac.verify(&packet[..word_end], &[], &packet[tag_at..]) {
                    return Err(DropReason::SrtpAuthentication);
                }
                if word & RTCP_ENCRYPTED != 0 {
                    let start = rtcp.start(ssrc, u64::from(index));
                    rtcp.cipher.apply(&start, &mut packet[RTCP_CLEAR_LEN..end]);
                }
                (end, index)
            }
            Transform::Gcm { rtcp, .. } => {
                let word_end =
                    packet.len() - self.mki_len_before(packet, packet.len(), RTCP_CLEAR_LEN);
                let (word, tag_end) = rtcp_word(packet, word_end, RTCP_CLEAR_LEN + GCM_TAG_LEN)?;
                let index = self.unseen_rtcp_index(ssrc, word)?;
                let nonce = rtcp.rtcp_nonce(ssrc, index);
                let end = tag_end - GCM_TAG_LEN;
                let opened = if word & RTCP_ENCRYPTED != 0 {
                    let (clear, sealed) = packet[..tag_end].split_at_mut(RTCP_CLEAR_LEN);
                    rtcp.cipher
                        .open(nonce, &rtcp_aad(clear, word.to_be_bytes()), sealed)
                } else {
                    // RFC 7714 section 9.3: all of an unencrypted packet is associated data, and so is the word behind the tag.
                    packet[end..word_end].rotate_right(RTCP_WORD_LEN);
                    let (clear, tag) = packet[..word_end].split_at_mut(end + RTCP_WORD_LEN);
                    rtcp.cipher.open(nonce, clear, tag)
                };
                if !opened {
                    return Err(DropReason::SrtpAuthentication);
                }
                (end, index)
            }
        };
        packet.truncate(end);
        self.state.find_or_replace(ssrc).rtcp.note(u64::from(index));
        Ok(())
    }

    fn unseen_rtcp_index(&self, ssrc: Ssrc, word: u32) -> Result<u32, DropReason> {
        let index = word & MAX_RTCP_INDEX;
        let known = self.state.find(ssrc);
        let unseen = known.is_none_or(|stream| stream.rtcp.accepts(u64::from(index)));
        unseen.then_some(index).ok_or(DropReason::SrtpReplay)
    }

    /// Length of our identifier in front of `end`; zero when it is not there, for peers that leave it out.
    fn mki_len_before(&self, packet: &[u8], end: usize, clear_len: usize) -> usize {
        let Some(mki) = self.key.mki() else { return 0 };
        let len = mki.wire_len();
        let present = end >= clear_len + len && packet[end - len..end] == mki.to_bytes()[..len];
        if present { len } else { 0 }
    }
}

impl fmt::Debug for SrtpContext {
    /// Never shows a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpContext")
            .field("profile", &self.key.profile())
            .field("mki", &self.key.mki())
            .field("streams", &self.state.streams())
            .finish_non_exhaustive()
    }
}

impl Transform {
    fn new(profile: SrtpProfile, SessionKeys { rtp, rtcp }: SessionKeys) -> Self {
        let key_len = profile.key_len();
        if profile.is_aead() {
            Self::Gcm {
                rtp: Box::new(GcmKeys::new(&rtp, key_len)),
                rtcp: Box::new(GcmKeys::new(&rtcp, key_len)),
            }
        } else {
            Self::CounterMode {
                rtp: Box::new(CounterModeKeys::new(&rtp, key_len)),
                rtcp: Box::new(CounterModeKeys::new(&rtcp, key_len)),
            }
        }
    }
}

impl CounterModeKeys {
    fn new(keys: &ProtocolKeys, key_len: usize) -> Self {
        Self {
            cipher: CounterMode::new(&keys.cipher_key[..key_len]),
            mac: HmacSha1::new(&keys.auth_key),
            salt: keys.salt,
        }
    }

    /// RFC 3711 section 4.1.1: where a packet's keystream begins.
    fn start(&self, ssrc: Ssrc, index: u64) -> [u8; 16] {
        let mut start = [0; 16];
        start[4..8].copy_from_slice(&ssrc.0.to_be_bytes());
        start[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in start.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        start
    }
}

impl GcmKeys {
    fn new(keys: &ProtocolKeys, key_len: usize) -> Self {
        let mut salt = [0; 12];
        salt.copy_from_slice(&keys.salt[..12]);
        Self {
            cipher: Gcm::new(&keys.cipher_key[..key_len]),
            salt,
        }
    }

    /// RFC 7714 section 8.1.
    fn rtp_nonce(&self, ssrc: Ssrc, index: u64) -> [u8; 12] {
        self.nonce(ssrc, index)
    }

    /// RFC 7714 section 9.1: the index is 31 bits behind two zero bytes, which is 48 bits of the same number.
    fn rtcp_nonce(&self, ssrc: Ssrc, index: u32) -> [u8; 12] {
        self.nonce(ssrc, u64::from(index))
    }

    fn nonce(&self, ssrc: Ssrc, index: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[2..6].copy_from_slice(&ssrc.0.to_be_bytes());
        nonce[6..12].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in nonce.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        nonce
    }
}

/// The 32 bits that RFC 3711 section 4.2 wants under the tag, behind the packet.
fn rollover_counter(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// The SSRC in the first header of a compound packet; `None` when it is no RTCP.
fn rtcp_sender(packet: &[u8]) -> Option<Ssrc> {
    let header: &[u8; RTCP_CLEAR_LEN] = packet.first_chunk()?;
    let ssrc = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    (header[0] >> 6 == 2).then_some(Ssrc(ssrc))
}

/// The word with flag and index that ends at `end`, and where it begins, which is not before `least`.
fn rtcp_word(packet: &[u8], end: usize, least: usize) -> Result<(u32, usize), DropReason> {
    let start = end
        .checked_sub(RTCP_WORD_LEN)
        .filter(|start| *start >= least);
    let start = start.ok_or(DropReason::Malformed)?;
    let word = packet.get(start..).and_then(|rest| rest.first_chunk());
    let word = word.ok_or(DropReason::Malformed)?;
    Ok((u32::from_be_bytes(*word), start))
}

/// RFC 7714 section 9.2: header and index word of an encrypted packet.
fn rtcp_aad(clear: &[u8], word: [u8; RTCP_WORD_LEN]) -> [u8; RTCP_CLEAR_LEN + RTCP_WORD_LEN] {
    let mut aad = [0; RTCP_CLEAR_LEN + RTCP_WORD_LEN];
    aad[..RTCP_CLEAR_LEN].copy_from_slice(&clear[..RTCP_CLEAR_LEN]);
    aad[RTCP_CLEAR_LEN..].copy_from_slice(&word);
    aad
}

fn append_mki(packet: &mut PacketBuf, mki: Option<Mki>) -> bool {
    mki.is_none_or(|mki| packet.extend_from_slice(&mki.to_bytes()[..mki.wire_len()]))
}

#[cfg(test)]
mod tests;
