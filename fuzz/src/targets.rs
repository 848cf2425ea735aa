//! One file a target.

pub mod ng_frame;
pub mod ng_request;
