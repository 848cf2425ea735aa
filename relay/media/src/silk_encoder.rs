//! An encoder of libopus with nothing in it but SILK (RFC 6716 §2.1.2), which is all of Opus that speech at up to 16 kHz needs.
//!
//! A whole encoder is the largest part of what a transcoded call keeps in memory, and a third of it is for music. libopus 1.6 can
//! leave that out, which its safe binding has no word for: hence the calls of C here. What comes out is Opus like any other, and
//! comes 4 ms sooner.

#![expect(
    unsafe_code,
    reason = "the safe binding of libopus cannot ask for this encoder"
)]

use std::ffi::c_int;
use std::fmt;
use std::ptr::NonNull;

use opusic_sys as ffi;

use crate::opus_codec::Refused;

/// Mono, at up to 16 kHz.
pub(crate) struct SilkEncoder(NonNull<ffi::OpusEncoder>);

// SAFETY: the state belongs to this object alone, and libopus keeps nothing about it elsewhere.
unsafe impl Send for SilkEncoder {}

impl SilkEncoder {
    /// The highest rate that SILK encodes.
    pub(crate) const MAX_RATE_HZ: u32 = 16_000;

    pub(crate) fn new(rate_hz: u32) -> Result<Self, Refused> {
        let rate_hz = i32::try_from(rate_hz).map_err(|_| Refused)?;
        let mut error = 0;
        // SAFETY: no pointer but to `error`, which lives across the call.
        let state = unsafe {
            ffi::opus_encoder_create(
                rate_hz,
                1,
                ffi::OPUS_APPLICATION_RESTRICTED_SILK,
                &raw mut error,
            )
        };
        NonNull::new(state).map(Self).ok_or(Refused)
    }

    pub(crate) fn set_bitrate(&mut self, bits_per_second: i32) -> Result<(), Refused> {
        self.set(ffi::OPUS_SET_BITRATE_REQUEST, bits_per_second)
    }

    pub(crate) fn set_complexity(&mut self, complexity: i32) -> Result<(), Refused> {
        self.set(ffi::OPUS_SET_COMPLEXITY_REQUEST, complexity)
    }

    pub(crate) fn set_inband_fec(&mut self, on: bool) -> Result<(), Refused> {
        self.set(ffi::OPUS_SET_INBAND_FEC_REQUEST, on.into())
    }

    pub(crate) fn set_dtx(&mut self, on: bool) -> Result<(), Refused> {
        self.set(ffi::OPUS_SET_DTX_REQUEST, on.into())
    }

    pub(crate) fn set_packet_loss_perc(&mut self, percent: i32) -> Result<(), Refused> {
        self.set(ffi::OPUS_SET_PACKET_LOSS_PERC_REQUEST, percent)
    }

    /// Encodes a packet into `room`; gives how much of that it fills.
    pub(crate) fn encode(&mut self, samples: &[i16], room: &mut [u8]) -> Result<usize, Refused> {
        let count = c_int::try_from(samples.len()).map_err(|_| Refused)?;
        let most = i32::try_from(room.len()).map_err(|_| Refused)?;
        // SAFETY: both slices live across the call, and their lengths are told; one channel has `count` samples.
        let filled = unsafe {
            let (samples, room) = (samples.as_ptr(), room.as_mut_ptr());
            ffi::opus_encode(self.0.as_ptr(), samples, count, room, most)
        };
        usize::try_from(filled).map_err(|_| Refused)
    }

    /// One of the settings whose value is a number.
    fn set(&mut self, request: c_int, value: i32) -> Result<(), Refused> {
        // SAFETY: each request that is used here takes one `opus_int32`.
        match unsafe { ffi::opus_encoder_ctl(self.0.as_ptr(), request, value) } {
            ffi::OPUS_OK => Ok(()),
            _ => Err(Refused),
        }
    }
}

impl Drop for SilkEncoder {
    fn drop(&mut self) {
        // SAFETY: made by `opus_encoder_create`, and used nowhere any more.
        unsafe { ffi::opus_encoder_destroy(self.0.as_ptr()) }
    }
}

impl fmt::Debug for SilkEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SilkEncoder")
    }
}
