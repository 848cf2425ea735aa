//! Tandem: the media relay between WhatsApp calls and any SIP stack.
