//! The random parts of a call, all drawn from one seed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use crate::media::srtp::MasterKey;
use crate::sdp::{CNAME, SdpShape};

/// Credentials and numbers in the forms traces show.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// 12 octets, 16 characters.
    pub(crate) ufrag: String,
    /// 16 octets, 24 characters that end in `==`.
    pub(crate) password: String,
    pub(crate) master_key: MasterKey,
    pub(crate) session_id: u64,
    pub(crate) stream_id: String,
    pub(crate) foundations: [u32; 2],
    pub(crate) ssrc: u32,
    pub(crate) cname: String,
    pub(crate) first_sequence: u16,
    pub(crate) first_timestamp: u32,
}

/// The autumn of 2026 in Unix milliseconds, for the session id.
const SOME_TIME: u64 = 1_790_000_000_000;

impl Credentials {
    pub(crate) fn draw(seed: u64, shape: SdpShape) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self {
            ufrag: BASE64.encode(octets::<12>(&mut random)),
            password: BASE64.encode(octets::<16>(&mut random)),
            master_key: MasterKey {
                key: octets::<16>(&mut random).to_vec(),
                salt: octets::<14>(&mut random).to_vec(),
            },
            session_id: SOME_TIME + random.random_range(0..1_000_000_000),
            stream_id: uuid(octets(&mut random)),
            foundations: [random.random(), random.random()],
            ssrc: random.random_range(1..u32::MAX),
            cname: match shape {
                SdpShape::Current => CNAME.to_owned(),
                SdpShape::Older => BASE64.encode(octets::<12>(&mut random)),
            },
            first_sequence: random.random(),
            first_timestamp: random.random(),
        }
    }
}

fn octets<const LENGTH: usize>(random: &mut Xoshiro256PlusPlus) -> [u8; LENGTH] {
    let mut octets = [0; LENGTH];
    random.fill_bytes(&mut octets);
    octets
}

/// RFC 9562 §5.4, version 4.
fn uuid(mut octets: [u8; 16]) -> String {
    octets[6] = octets[6] & 0x0f | 0x40;
    octets[8] = octets[8] & 0x3f | 0x80;
    let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_have_the_lengths_of_traces_and_follow_from_the_seed() {
        let credentials = Credentials::draw(7, SdpShape::Current);
        assert_eq!(
            (credentials.ufrag.len(), credentials.password.len()),
            (16, 24)
        );
        assert!(credentials.password.ends_with("=="));
        assert_eq!(credentials.stream_id.len(), 36);
        assert_eq!(credentials.cname, "WhatsAppAudioStream1");
        assert_eq!(
            Credentials::draw(7, SdpShape::Current).ufrag,
            credentials.ufrag
        );
        assert_ne!(
            Credentials::draw(8, SdpShape::Current).ufrag,
            credentials.ufrag
        );
    }
}
