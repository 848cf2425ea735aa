//! Recordings, and keys that order them.

use super::works;
use crate::config::options::Opt;
use crate::config::options::Takes::{Nothing, One};

pub(super) const RECORDING: &[Opt] = &[
    works(
        "recording-dir",
        ' ',
        One("PATH"),
        "Record calls that ask for it into this folder: pcaps/ with their packets, metadata/ with a text about each, tmp/ for the texts \
         of calls that go on [default: nothing is recorded]",
    ),
    works(
        "recording-audio",
        ' ',
        One("off|mixed|stereo"),
        "Write what is heard in recorded calls as files, too, into audio/: one channel for everybody, or the caller left and all \
         others right; from Opus, PCMU, PCMA, G.722 and L16, at 16 kHz [default: off]",
    ),
    works(
        "recording-audio-format",
        ' ',
        One("wav|opus"),
        "wav is 115 MB an hour and channel; opus, in Ogg files, is 13 MB and costs the thread that writes some processor time \
         [default: wav]",
    ),
    works(
        "recording-vcon",
        ' ',
        One("off|inline|URL"),
        "Leave a vCon about each recording, too (the IETF's JSON format for conversations), in vcon/: with the audio inside, or with \
         the https:// URL under which recording-dir can be read, so that the document links to it; needs recording-audio [default: off]",
    ),
    works(
        "recording-method",
        ' ',
        One("pcap|proc|all"),
        "All write packets to files; proc, which is for rtpengine's recording daemon, does not if there is audio [default: pcap]",
    ),
    works(
        "recording-format",
        ' ',
        One("raw|eth"),
        "What packets in files begin with: their IP header, or an Ethernet header of zeros before it [default: raw]",
    ),
    works(
        "record-egress",
        ' ',
        Nothing,
        "Record what parties are sent, with all that was changed or played, in place of what they send",
    ),
    works(
        "record-both",
        ' ',
        Nothing,
        "Record the packets of both; audio is what parties are sent",
    ),
    works(
        "vsc-start-rec",
        ' ',
        One("KEYS"),
        "Telephone keys of a party with the flag recording-vsc, such as *97, that record the call [default: none]",
    ),
    works(
        "vsc-stop-rec",
        ' ',
        One("KEYS"),
        "Telephone keys that record it no more [default: none]",
    ),
    works(
        "vsc-pause-rec",
        ' ',
        One("KEYS"),
        "Telephone keys that stop for a while [default: none]",
    ),
    works(
        "vsc-start-stop-rec",
        ' ',
        One("KEYS"),
        "Telephone keys that record the call, or record it no more [default: none]",
    ),
    works(
        "vsc-pause-resume-rec",
        ' ',
        One("KEYS"),
        "Telephone keys that stop for a while, or go on [default: none]",
    ),
    works(
        "vsc-start-pause-resume-rec",
        ' ',
        One("KEYS"),
        "Telephone keys that record the call, stop for a while, go on [default: none]",
    ),
];
