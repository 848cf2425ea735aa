//! Codec options: what is removed, added, hidden, forced, and how codecs are named.

/// The codec options of a request: the `codec` dictionary and the words around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodecFlags {
    /// Remove from the SDP towards the receiver.
    pub strip: Vec<CodecSpec>,
    /// Survivors of `strip=all` and `mask=all`.
    pub except: Vec<CodecSpec>,
    /// Like [`Self::except`], and sets the order of the survivors of `strip=all`.
    pub offer: Vec<CodecSpec>,
    /// Add to the offer; transcode if the receiver chooses it.
    pub transcode: Vec<CodecSpec>,
    /// Remove towards the receiver but keep usable towards the sender.
    pub mask: Vec<CodecSpec>,
    /// Like [`Self::mask`], and switches transcoding on by itself.
    pub consume: Vec<CodecSpec>,
    /// Answer the sender with it even if the receiver refuses it.
    pub accept: Vec<CodecSpec>,
    /// Treat as not offered by the sender.
    pub ignore: Vec<CodecSpec>,
    /// Encoder parameters for codecs that are accepted.
    pub set: Vec<CodecSpec>,
    /// `accept=all`.
    pub always_transcode: bool,
    /// Answer: keep the first codec and telephone-event only.
    pub single_codec: bool,
    /// Offer: keep the receiver's list of the earlier offer.
    pub static_codecs: bool,
    /// Keep the earlier order of preference.
    pub reuse_codecs: bool,
    /// `subscribe answer`: a codec that was not offered is no error.
    pub allow_transcoding: bool,
    /// Transcode even where codecs are common.
    pub force_transcoding: bool,
    /// Let payload numbers differ between offer and answer.
    pub allow_asymmetric_codecs: bool,
    /// An empty codec list becomes a rejected section.
    pub allow_no_codec_media: bool,
    /// `a=ptime` towards the receiver, in milliseconds (also from `repacketize`, which only proxies know).
    pub ptime_ms: Option<u32>,
    /// `a=ptime` towards the sender, in milliseconds.
    pub ptime_reverse_ms: Option<u32>,
    /// Elements of the `T.38` list; kept, not acted on.
    pub t38: Vec<String>,
}

/// A codec as options name it: `name/clock/channels/bitrate/ptime/fmtp/options`, all but the name optional.
///
/// `all` and `full` are names with a meaning of their own in some lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodecSpec {
    /// The encoding name of `a=rtpmap`, as written; compare without regard to case.
    pub name: String,
    /// RTP clock rate in hertz.
    pub clock_rate: Option<u32>,
    /// Number of audio channels.
    pub channels: Option<u8>,
    /// Encoder bit rate in bits per second.
    pub bitrate: Option<u32>,
    /// Packet time in milliseconds.
    pub ptime_ms: Option<u32>,
    /// Format parameters, as `a=fmtp` would have them.
    pub fmtp: Option<String>,
    /// Options for the codec implementation.
    pub options: Option<String>,
}

impl CodecSpec {
    /// Whether this stands for every codec (`all`, or `full`, which is its stronger form).
    pub fn is_all(&self) -> bool {
        self.name.eq_ignore_ascii_case("all") || self.is_full()
    }

    /// Whether this is `full`: like `all`, but `transcode` of an offered codec makes a new instance.
    pub fn is_full(&self) -> bool {
        self.name.eq_ignore_ascii_case("full")
    }

    /// Whether a codec of an SDP is meant: the name must agree, and every part that was written.
    pub fn matches(&self, name: &str, clock_rate: u32, channels: u8) -> bool {
        self.name.eq_ignore_ascii_case(name)
            && self.clock_rate.is_none_or(|rate| rate == clock_rate)
            && self.channels.is_none_or(|count| count == channels.max(1))
    }
}
