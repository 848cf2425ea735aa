//! What is transcoded, by the two codecs between which it is.

use std::fmt;
use std::time::Duration;

use relay_media::AudioFormat;

/// A codec and what is made of it, written `opus/48000/2 -> PCMA/8000` as rtpengine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// What comes in.
    pub from: AudioFormat,
    /// What goes out.
    pub to: AudioFormat,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_format(f, self.from)?;
        f.write_str(" -> ")?;
        write_format(f, self.to)
    }
}

fn write_format(f: &mut fmt::Formatter<'_>, format: AudioFormat) -> fmt::Result {
    // What can be transcoded has a name.
    let name = format.codec.encoding_name().unwrap_or("unknown");
    write!(f, "{name}/{}", format.clock_hz)?;
    if format.channels > 1 {
        write!(f, "/{}", format.channels)?;
    }
    Ok(())
}

/// What a call has transcoded from one codec into another; everything only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transcoded {
    /// Between which codecs.
    pub chain: Chain,
    /// RTP packets that came in.
    pub packets: u64,
    /// Their payload.
    pub bytes: u64,
    /// What was made of them, in the clock of what goes out.
    pub samples: u64,
}

impl Transcoded {
    /// Chains of one call that are told apart. A call has two, and more when it changes its codecs.
    const MOST: usize = 16;

    /// Counts a packet among what a call has transcoded.
    pub(crate) fn note(all: &mut Vec<Self>, chain: Chain, bytes: usize, lasts: Duration) {
        let known = all.iter().position(|one| one.chain == chain);
        let position = known.unwrap_or_else(|| {
            if all.len() < Self::MOST {
                all.push(Self {
                    chain,
                    packets: 0,
                    bytes: 0,
                    samples: 0,
                });
            }
            all.len() - 1
        });
        let one = &mut all[position];
        one.packets += 1;
        one.bytes += bytes as u64;
        let samples = lasts.as_micros() * u128::from(chain.to.clock_hz) / 1_000_000;
        one.samples += u64::try_from(samples).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use relay_media::Codec;

    use super::*;

    const OPUS: AudioFormat = AudioFormat {
        codec: Codec::Opus,
        clock_hz: 48_000,
        channels: 2,
    };
    const PCMA: AudioFormat = AudioFormat {
        codec: Codec::Pcma,
        clock_hz: 8_000,
        channels: 1,
    };

    #[test]
    fn a_chain_counts_what_comes_in_and_the_samples_that_go_out() {
        let (there, back) = (
            Chain {
                from: PCMA,
                to: OPUS,
            },
            Chain {
                from: OPUS,
                to: PCMA,
            },
        );
        let mut all = Vec::new();
        for _ in 0..100 {
            Transcoded::note(&mut all, there, 160, Duration::from_millis(20));
        }
        Transcoded::note(&mut all, back, 40, Duration::from_millis(20));
        assert_eq!(all[0].chain.to_string(), "PCMA/8000 -> opus/48000/2");
        assert_eq!((all[0].packets, all[0].bytes), (100, 16_000));
        assert_eq!(all[0].samples, 96_000);
        assert_eq!(all[1].chain.to_string(), "opus/48000/2 -> PCMA/8000");
        assert_eq!((all[1].packets, all[1].samples), (1, 160));
    }

    #[test]
    fn a_call_that_goes_through_all_codecs_does_not_grow_for_ever() {
        let mut all = Vec::new();
        for clock_hz in 1..1_000 {
            let from = AudioFormat { clock_hz, ..OPUS };
            let chain = Chain { from, to: PCMA };
            Transcoded::note(&mut all, chain, 1, Duration::ZERO);
        }
        assert_eq!(all.len(), Transcoded::MOST);
        assert_eq!(all.iter().map(|one| one.packets).sum::<u64>(), 999);
    }
}
