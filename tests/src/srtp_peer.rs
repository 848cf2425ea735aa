//! A far end that speaks SRTP with keys from SDP (RFC 4568), encrypted by somebody else's library.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use crate::rtp_peer::{Packet, RtpPeer};

/// The suite of these peers, as SDP names it.
pub const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";
const MASTER_KEY: usize = 16;

/// An encrypting peer.
pub struct SrtpPeer {
    peer: RtpPeer,
    key: String,
    outbound: Context,
    inbound: Option<Context>,
}

impl SrtpPeer {
    /// A peer with a key of its own, made from `ssrc`.
    pub fn new(address: IpAddr, ssrc: u32) -> Self {
        let bytes: Vec<u8> = (0..30)
            .map(|n| n ^ ssrc.to_be_bytes()[n as usize % 4])
            .collect();
        let key = STANDARD.encode(bytes);
        Self {
            peer: RtpPeer::new(address, ssrc),
            outbound: context(&key),
            key,
            inbound: None,
        }
    }

    /// The key for its `a=crypto` line.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Learns the other end's key from its `a=crypto` line.
    pub fn learn(&mut self, key: &str) {
        self.inbound = Some(context(key));
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.peer.address()
    }

    /// Sends the next packet of its stream, encrypted.
    pub fn speak(&mut self, to: SocketAddr, words: &[u8]) {
        let packet = self.peer.next_packet(words);
        let protected = self.outbound.encrypt_rtp(&packet.bytes());
        self.peer.send(to, &protected.expect("SRTP protects"));
    }

    /// Sends a packet without encrypting it, as no honest peer would.
    pub fn speak_plainly(&mut self, to: SocketAddr, words: &[u8]) {
        self.peer.speak(to, words);
    }

    /// The next packet that decrypts and says `words`.
    pub fn hear(&mut self, words: &[u8], patience: Duration) -> Option<Packet> {
        let end = Instant::now() + patience;
        loop {
            let left = end.checked_duration_since(Instant::now())?;
            let (bytes, _) = self.peer.receive(left.max(Duration::from_millis(1)))?;
            assert!(
                !bytes.windows(words.len()).any(|window| window == words),
                "the relay sent the words in clear"
            );
            let inbound = self.inbound.as_mut().expect("the other end's key");
            if let Ok(plain) = inbound.decrypt_rtp(&bytes)
                && let Some(packet) = Packet::parse(&plain)
                && packet.says(words)
            {
                return Some(packet);
            }
        }
    }
}

impl std::fmt::Debug for SrtpPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SrtpPeer")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

fn context(key: &str) -> Context {
    let bytes = STANDARD.decode(key).expect("a key in base64");
    let (key, salt) = bytes.split_at(MASTER_KEY);
    let profile = ProtectionProfile::Aes128CmHmacSha1_80;
    Context::new(key, salt, profile, None, None).expect("a key and a salt of the right length")
}
