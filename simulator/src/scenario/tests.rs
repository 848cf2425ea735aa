//! Whole calls over real TLS on loopback, against a business whose every message is written out
//! in the test. Media is not judged here: the business has none.

mod business;
mod business_initiated;
mod tls;
mod user_initiated;
