//! One NG command a file: the story of each request from top to bottom.

pub(crate) mod answer;
pub(crate) mod bundle;
pub(crate) mod connect;
pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod dtmf_security;
pub(crate) mod offer;
pub(crate) mod options;
pub(crate) mod passthrough;
pub(crate) mod play_dtmf;
pub(crate) mod play_media;
pub(crate) mod publish;
pub(crate) mod query;
pub(crate) mod restrict;
pub(crate) mod select;
pub(crate) mod subscribe;
pub(crate) mod unsupported;
