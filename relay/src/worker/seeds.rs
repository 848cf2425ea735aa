//! Seeds for the randomness of calls.
//!
//! They decide keys and passwords, so each one comes from the system's own source; in tests they follow from one number, so that
//! a run can be repeated.

use std::fs::File;
use std::io::{self, BufReader, Read};

/// Bytes that are read from the system at once.
const AHEAD: usize = 512;

/// A source of seeds.
#[derive(Debug)]
pub enum Seeds {
    /// The kernel's, some calls' worth at a time.
    System(BufReader<File>),
    /// A counted sequence.
    Test(u64),
}

impl Seeds {
    /// Seeds from the system, or the sequence of a test's seed for this worker.
    pub fn new(seed: Option<u64>, worker: usize) -> io::Result<Self> {
        match seed {
            Some(seed) => Ok(Self::Test(seed.wrapping_add((worker as u64) << 32))),
            None => {
                let source = File::open("/dev/urandom")?;
                Ok(Self::System(BufReader::with_capacity(AHEAD, source)))
            }
        }
    }

    /// The next one.
    pub fn draw(&mut self) -> u64 {
        match self {
            Self::System(file) => {
                let mut bytes = [0; 8];
                // unwrap: reading from the kernel's random device does not fail once it is open.
                file.read_exact(&mut bytes)
                    .expect("the kernel's random device gives bytes");
                u64::from_ne_bytes(bytes)
            }
            Self::Test(seed) => {
                *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                *seed
            }
        }
    }
}
