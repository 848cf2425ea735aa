//! Recordings that are kept decoded: those that are short, until there are too many.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use relay_media::Piece;

/// Samples that are kept altogether: 64 MiB.
const MOST: usize = 32 << 20;
/// Samples of the longest recording that is kept: two minutes at 48 kHz.
pub(super) const LONGEST: usize = 120 * 48_000;

/// Which file it was, and in which state: one that is written anew is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) modified: Option<SystemTime>,
}

/// A recording, whole and decoded.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    pub(super) rate_hz: u32,
    pub(super) duration: Option<Duration>,
    pub(super) pieces: Arc<[Arc<Piece>]>,
}

impl Decoded {
    fn samples(&self) -> usize {
        self.pieces.iter().map(|piece| piece.samples.len()).sum()
    }
}

/// The newest recordings, the least used first.
#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: VecDeque<(Identity, Decoded)>,
    samples: usize,
}

impl Cache {
    pub(super) fn find(&mut self, identity: &Identity) -> Option<Decoded> {
        let at = self.kept.iter().position(|(known, _)| known == identity)?;
        let found = self.kept.remove(at)?;
        let decoded = found.1.clone();
        self.kept.push_back(found);
        Some(decoded)
    }

    pub(super) fn keep(&mut self, identity: Identity, decoded: Decoded) {
        let samples = decoded.samples();
        if samples > LONGEST {
            return;
        }
        // Older states of the file are of no use any more.
        let mut gone = 0;
        self.kept.retain(|(known, old)| {
            let stays = known.path != identity.path;
            gone += if stays { 0 } else { old.samples() };
            stays
        });
        self.samples -= gone;
        while self.samples + samples > MOST {
            let Some((_, oldest)) = self.kept.pop_front() else {
                break;
            };
            self.samples -= oldest.samples();
        }
        self.samples += samples;
        self.kept.push_back((identity, decoded));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(samples: usize) -> Decoded {
        let piece = Piece {
            samples: vec![0; samples].into(),
            position: Duration::ZERO,
        };
        Decoded {
            rate_hz: 8_000,
            duration: None,
            pieces: [Arc::new(piece)].into(),
        }
    }

    fn file(path: &str, length: u64) -> Identity {
        Identity {
            path: path.into(),
            length,
            modified: None,
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_least_used_goes_first() {
        let mut cache = Cache::default();
        cache.keep(file("/long", 1), decoded(LONGEST + 1));
        assert!(cache.find(&file("/long", 1)).is_none());
        let whole = MOST / LONGEST;
        for number in 0..whole {
            cache.keep(file(&format!("/{number}"), 1), decoded(LONGEST));
        }
        assert!(cache.find(&file("/0", 1)).is_some());
        cache.keep(file("/one more", 1), decoded(LONGEST));
        assert!(cache.samples <= MOST);
        assert!(cache.find(&file("/0", 1)).is_some(), "it was just used");
        assert!(cache.find(&file("/1", 1)).is_none());
        cache.keep(file("/0", 2), decoded(1));
        assert!(cache.find(&file("/0", 1)).is_none(), "it was written anew");
        assert_eq!(cache.samples, (cache.kept.len() - 1) * LONGEST + 1);
    }
}
