//! Codecs, silence, telephone-events, repacketising. Pure.
