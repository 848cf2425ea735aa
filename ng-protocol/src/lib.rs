//! The NG control language that OpenSIPS and Kamailio speak to a media relay: frames, requests, replies. Pure.
