//! The options that do something, by topic, with their help texts.

mod control;
mod media;
mod outside;
mod process;
mod recording;

use super::{Meaning, Opt, Takes};

const fn works(name: &'static str, short: char, takes: Takes, help: &'static str) -> Opt {
    Opt {
        name,
        short: if short == ' ' { None } else { Some(short) },
        takes,
        meaning: Meaning::Works(help),
    }
}

/// In the order of the help.
pub(super) const WORKING: [&[Opt]; 5] = [
    media::MEDIA,
    control::CONTROL,
    outside::OUTSIDE,
    recording::RECORDING,
    process::PROCESS,
];
