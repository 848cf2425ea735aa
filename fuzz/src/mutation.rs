//! Damage: a seeded source of inputs that are almost right.
//!
//! There is no feedback from the program under test; that is what libFuzzer is for. The same seed gives the same inputs.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose bytes with.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A source of numbers that depend on nothing but the seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end.max(1) as u64) as usize
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        choices.get(self.below(choices.len())).copied()
    }
}

/// The largest input, that of a UDP datagram.
const MAX_INPUT: usize = 65_535;

/// Bytes at the edges of what formats mean.
const EDGES: &[u8] = &[
    0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b' ', b'\n', b'\r', b'-', b':',
];

/// One of the seeds, with up to eight kinds of damage done to it.
pub fn mutated(random: &mut Random, seeds: &[Vec<u8>], words: &[&[u8]], input: &mut Vec<u8>) {
    input.clear();
    if let Some(seed) = seeds.get(random.below(seeds.len())) {
        input.extend_from_slice(seed);
    }
    for _ in 0..=random.below(8) {
        damage(random, seeds, words, input);
    }
    input.truncate(MAX_INPUT);
}

fn damage(random: &mut Random, seeds: &[Vec<u8>], words: &[&[u8]], input: &mut Vec<u8>) {
    let at = random.below(input.len());
    let length = random.below((input.len() - at).min(64)) + 1;
    let end = (at + length).min(input.len());
    match random.below(10) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.number() as u8;
            }
        }
        2 => {
            if let (Some(byte), Some(edge)) = (input.get_mut(at), random.of(EDGES)) {
                *byte = edge;
            }
        }
        3 => {
            input.drain(at..end);
        }
        4 => {
            let piece = input[at..end].to_vec();
            let to = random.below(input.len());
            input.splice(to..to, piece);
        }
        5 => input.truncate(at),
        6 => {
            // The beginning of one input and the end of another.
            if let Some(other) = seeds.get(random.below(seeds.len())) {
                let from = random.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
        7 => {
            if let Some(word) = random.of(words) {
                input.splice(at..at, word.iter().copied());
            }
        }
        8 => {
            // The same little piece very often: what costs a little each time must not cost more than that.
            let piece = random
                .of(words)
                .map_or_else(|| input[at..end].to_vec(), <[u8]>::to_vec);
            let times = 1 << random.below(14);
            let times = times.min(MAX_INPUT / piece.len().max(1));
            input.splice(at..at, piece.repeat(times));
        }
        _ => {
            // A number that is off by a little or by a lot.
            let digits = (at..input.len()).find(|index| input[*index].is_ascii_digit());
            if let Some(index) = digits {
                input[index] = b'0' + random.below(10) as u8;
                if random.below(4) == 0 {
                    input.insert(index, b'9');
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let seeds = vec![b"d7:command4:pinge".to_vec(), Vec::new()];
        let words: &[&[u8]] = &[b"5:flags", b""];
        let mut first = Random::new(7);
        let mut second = Random::new(7);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..2000 {
            mutated(&mut first, &seeds, words, &mut a);
            mutated(&mut second, &seeds, words, &mut b);
            assert_eq!(a, b);
            assert!(a.len() <= MAX_INPUT);
        }
    }
}
