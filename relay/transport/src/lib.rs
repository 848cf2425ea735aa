//! STUN, ICE, DTLS, SRTP, RTP and RTCP on one local port. Pure: no sockets, no clock.
