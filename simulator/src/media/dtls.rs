//! One DTLS 1.2 association (RFC 6347) over OpenSSL, with its timers on the caller's clock.
//!
//! OpenSSL repeats a flight when its own timer has run out, and that timer reads the system's clock. To play
//! 1-2-4 s repetitions in invented time, OpenSSL is given a timer of [`INVENTED_TIMER`] real time, whatever it
//! repeats because of it is thrown away, and at *our* deadline it is asked to repeat in earnest. It shaves 15 ms off
//! its timers, so asking costs some ten real milliseconds and never changes what the far side sees.
//! With [`Clock::System`] OpenSSL's timer simply runs at the real spacing.
//!
//! Throwing away has to be exact, for OpenSSL looks at its timer between any two messages it reads and may write
//! the next flight right after a repetition. A repetition has as many records as the flight had; so many go.
//!
//! Datagram borders are kept by [`Datagrams`]: each write is one datagram, each read takes one.

#![expect(
    unsafe_code,
    reason = "the timer callback and DTLSv1_handle_timeout have no safe wrapper in the openssl crate"
)]

mod datagrams;
mod identity;
mod timer;

use std::ffi::{c_int, c_uint};
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use foreign_types::{ForeignType, ForeignTypeRef};
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::hash::MessageDigest;
use openssl::srtp::SrtpProfileId;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslRef, SslStream,
    SslVerifyMode, SslVersion,
};

use datagrams::Datagrams;
pub(crate) use identity::DtlsIdentity;
use identity::fingerprint;
use timer::{INVENTED_TIMER, LONGEST_INVENTED_TIMER, Timer, spacing};

use crate::media::config::{Clock, DtlsConfig, SrtpProfile};
use crate::media::impairment::PacketKind;
use crate::media::srtp::MasterKey;

unsafe extern "C" {
    fn DTLS_set_timer_cb(
        ssl: *mut openssl_sys::SSL,
        callback: extern "C" fn(*mut openssl_sys::SSL, c_uint) -> c_uint,
    );
}

/// `DTLS_CTRL_HANDLE_TIMEOUT`, what the macro `DTLSv1_handle_timeout` expands to.
const HANDLE_TIMEOUT: c_int = 74;

/// Which end of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DtlsRole {
    Client,
    Server,
}

/// What a finished handshake gives.
#[derive(Clone, Debug)]
pub(crate) struct DtlsKeys {
    pub(crate) version: String,
    pub(crate) cipher: String,
    pub(crate) profile_name: String,
    pub(crate) profile: SrtpProfile,
    pub(crate) inbound: MasterKey,
    pub(crate) outbound: MasterKey,
}

/// What came of the last step.
#[derive(Debug)]
pub(crate) enum DtlsOutcome {
    Nothing,
    Connected(Box<DtlsKeys>),
    Failed(String),
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Handshaking,
    Connected,
    Failed,
    Closed,
}

/// One association, from the first flight to the end of the call.
#[derive(Debug)]
pub(crate) struct DtlsAssociation {
    stream: SslStream<Datagrams>,
    role: DtlsRole,
    /// Hash and value the description promised.
    promised: (String, String),
    timer: Arc<Timer>,
    timer_seen: (u32, u32),
    retransmissions: Vec<Duration>,
    clock: Clock,
    deadline: Option<Instant>,
    state: State,
    /// What a server begins again with.
    made_of: (DtlsIdentity, DtlsConfig),
}

impl DtlsAssociation {
    pub(crate) fn new(
        role: DtlsRole,
        identity: &DtlsIdentity,
        promised: (String, String),
        config: &DtlsConfig,
    ) -> Result<Self, ErrorStack> {
        let context = context(identity, config)?;
        let mut ssl = Ssl::new(&context)?;
        ssl.set_mtu(config.mtu)?;
        match role {
            DtlsRole::Client => ssl.set_connect_state(),
            DtlsRole::Server => ssl.set_accept_state(),
        }
        let timer = Arc::new(Timer::new(config.clock, config.retransmissions.clone()));
        ssl.set_ex_data(timer_index()?, Arc::clone(&timer));
        // SAFETY: `ssl` is a live SSL object; the callback has the type OpenSSL documents and stays for ever.
        unsafe { DTLS_set_timer_cb(ssl.as_ptr(), timer_ran) };
        let datagrams = Datagrams {
            timer: Arc::clone(&timer),
            ..Datagrams::default()
        };
        Ok(Self {
            stream: SslStream::new(ssl, datagrams)?,
            role,
            promised,
            timer,
            timer_seen: (0, 0),
            retransmissions: config.retransmissions.clone(),
            clock: config.clock,
            deadline: None,
            state: State::Handshaking,
            made_of: (identity.clone(), config.clone()),
        })
    }

    /// A server whose handshake has failed takes the next hello for a new one.
    fn begin_again(&mut self) {
        let (identity, config) = self.made_of.clone();
        if let Ok(again) = Self::new(self.role, &identity, self.promised.clone(), &config) {
            *self = again;
        }
    }

    /// As client, sends the ClientHello.
    pub(crate) fn start(&mut self, now: Instant) -> DtlsOutcome {
        match self.role {
            DtlsRole::Client => self.advance(now),
            DtlsRole::Server => DtlsOutcome::Nothing,
        }
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, bytes: &[u8]) -> DtlsOutcome {
        if self.state == State::Failed
            && self.role == DtlsRole::Server
            && PacketKind::ClientHello.matches(bytes)
        {
            self.begin_again();
        }
        if matches!(self.state, State::Failed | State::Closed) {
            return DtlsOutcome::Nothing;
        }
        let inbound = &mut self.stream.get_mut().inbound;
        if inbound.len() < Datagrams::CAPACITY {
            inbound.push_back(bytes.to_vec());
        }
        self.advance(now)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.stream.get_mut().outbound.pop_front()
    }

    /// Repeats the flight when its time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> DtlsOutcome {
        if self.state != State::Handshaking || self.deadline.is_none_or(|deadline| now < deadline) {
            return DtlsOutcome::Nothing;
        }
        self.timer.is_wanted.store(true, Ordering::Relaxed);
        let repeated = match self.clock {
            Clock::System => self.repeat_flight(),
            Clock::Invented => self.repeat_flight_when_openssl_agrees(),
        };
        self.timer.is_wanted.store(false, Ordering::Relaxed);
        match repeated {
            Repeated::Yes => self.schedule(now),
            // The two clocks differ by a little: ask again shortly.
            Repeated::NotYet => self.deadline = Some(now + Duration::from_millis(5)),
            Repeated::Failed => {
                self.state = State::Failed;
                self.deadline = None;
                return DtlsOutcome::Failed("the flight was repeated too often".to_owned());
            }
        }
        DtlsOutcome::Nothing
    }

    fn repeat_flight(&mut self) -> Repeated {
        // SAFETY: the SSL object is alive and used by this thread alone (`&mut self`); the command takes no argument.
        let result = unsafe {
            openssl_sys::SSL_ctrl(
                self.stream.ssl().as_ptr(),
                HANDLE_TIMEOUT,
                0,
                ptr::null_mut(),
            )
        };
        match result {
            0 => Repeated::NotYet,
            1.. => Repeated::Yes,
            _ => Repeated::Failed,
        }
    }

    fn repeat_flight_when_openssl_agrees(&mut self) -> Repeated {
        for _ in 0..2 * LONGEST_INVENTED_TIMER.as_millis() {
            match self.repeat_flight() {
                Repeated::NotYet => std::thread::sleep(Duration::from_millis(1)),
                decided => return decided,
            }
        }
        Repeated::NotYet
    }

    fn advance(&mut self, now: Instant) -> DtlsOutcome {
        match self.state {
            State::Handshaking => self.shake_hands(now),
            State::Connected => self.listen(),
            State::Failed | State::Closed => DtlsOutcome::Nothing,
        }
    }

    fn shake_hands(&mut self, now: Instant) -> DtlsOutcome {
        match self.stream.do_handshake() {
            Ok(()) => {
                self.deadline = None;
                match self.keys() {
                    Ok(keys) => {
                        self.state = State::Connected;
                        DtlsOutcome::Connected(Box::new(keys))
                    }
                    Err(reason) => {
                        self.state = State::Failed;
                        DtlsOutcome::Failed(reason)
                    }
                }
            }
            Err(error) if is_waiting(error.code()) => {
                self.schedule(now);
                DtlsOutcome::Nothing
            }
            Err(error) => {
                self.state = State::Failed;
                self.deadline = None;
                DtlsOutcome::Failed(error.to_string())
            }
        }
    }

    /// After the handshake: a repeated Finished of the peer makes OpenSSL repeat ours, an alert may close.
    fn listen(&mut self) -> DtlsOutcome {
        let mut unused = [0; 256];
        while !self.stream.get_ref().inbound.is_empty() {
            match self.stream.ssl_read(&mut unused) {
                Ok(_) => {}
                Err(error) if is_waiting(error.code()) => {}
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    self.state = State::Closed;
                    return DtlsOutcome::Closed;
                }
                // A broken record after the keys are made harms nobody: SRTP goes on.
                Err(_) => return DtlsOutcome::Nothing,
            }
        }
        DtlsOutcome::Nothing
    }

    /// Follows OpenSSL's timer: a new flight begins at the first spacing, a repetition takes the next.
    fn schedule(&mut self, now: Instant) {
        let seen = self.timer.position();
        if seen.0 == 0 || seen == self.timer_seen {
            return;
        }
        self.timer_seen = seen;
        self.deadline = Some(now + spacing(&self.retransmissions, seen.1));
    }

    fn keys(&self) -> Result<DtlsKeys, String> {
        let ssl = self.stream.ssl();
        self.check_fingerprint(ssl)?;
        let selected = ssl
            .selected_srtp_profile()
            .ok_or("the handshake agreed on no SRTP profile")?;
        let profile = profile_of(selected.id())?;
        let (key, salt) = (profile.key_length(), profile.salt_length());
        // RFC 5764 §4.2: client key, server key, client salt, server salt.
        let mut material = vec![0; 2 * (key + salt)];
        ssl.export_keying_material(&mut material, "EXTRACTOR-dtls_srtp", None)
            .map_err(|error| error.to_string())?;
        let (keys, salts) = material.split_at(2 * key);
        let client = MasterKey {
            key: keys[..key].to_vec(),
            salt: salts[..salt].to_vec(),
        };
        let server = MasterKey {
            key: keys[key..].to_vec(),
            salt: salts[salt..].to_vec(),
        };
        let (inbound, outbound) = match self.role {
            DtlsRole::Client => (server, client),
            DtlsRole::Server => (client, server),
        };
        Ok(DtlsKeys {
            version: ssl.version_str().to_owned(),
            cipher: ssl
                .current_cipher()
                .map_or_else(String::new, |cipher| cipher.name().to_owned()),
            profile_name: selected.name().to_owned(),
            profile,
            inbound,
            outbound,
        })
    }

    /// RFC 5763 §5: the certificate must be the one of the description.
    fn check_fingerprint(&self, ssl: &SslRef) -> Result<(), String> {
        let certificate = ssl
            .peer_certificate()
            .ok_or("the business showed no certificate")?;
        let (hash, promised) = &self.promised;
        let digest =
            MessageDigest::from_name(hash).ok_or_else(|| format!("no hash called {hash}"))?;
        let actual = fingerprint(&certificate, digest).map_err(|error| error.to_string())?;
        if actual.eq_ignore_ascii_case(promised) {
            Ok(())
        } else {
            Err(format!(
                "the certificate's fingerprint is {actual}, not {promised}"
            ))
        }
    }
}

enum Repeated {
    Yes,
    NotYet,
    Failed,
}

fn is_waiting(code: ErrorCode) -> bool {
    code == ErrorCode::WANT_READ || code == ErrorCode::WANT_WRITE
}

fn context(identity: &DtlsIdentity, config: &DtlsConfig) -> Result<SslContext, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::dtls())?;
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_certificate(&identity.certificate)?;
    context.set_private_key(&identity.key)?;
    // Self-signed certificates are checked by their fingerprint alone (RFC 5763 §5).
    context.set_verify_callback(
        SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
        |_, _| true,
    );
    context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET);
    let profiles: Vec<&str> = config
        .profiles
        .iter()
        .map(|profile| profile_name(*profile))
        .collect();
    context.set_tlsext_use_srtp(&profiles.join(":"))?;
    if config.is_cookie_required {
        context.set_options(SslOptions::COOKIE_EXCHANGE);
        // One association, one peer: the cookie only has to cost a round trip.
        context.set_cookie_generate_cb(|_, cookie| {
            let Some(place) = cookie.get_mut(..COOKIE.len()) else {
                return Err(ErrorStack::get());
            };
            place.copy_from_slice(COOKIE);
            Ok(COOKIE.len())
        });
        context.set_cookie_verify_cb(|_, cookie| cookie == COOKIE);
    }
    Ok(context.build())
}

const COOKIE: &[u8] = b"a cookie of the simulator";

fn profile_name(profile: SrtpProfile) -> &'static str {
    match profile {
        SrtpProfile::Aes128CmSha1_80 => "SRTP_AES128_CM_SHA1_80",
        SrtpProfile::Aes128CmSha1_32 => "SRTP_AES128_CM_SHA1_32",
        SrtpProfile::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
        SrtpProfile::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
    }
}

fn profile_of(id: SrtpProfileId) -> Result<SrtpProfile, String> {
    let known = [
        (
            SrtpProfileId::SRTP_AES128_CM_SHA1_80,
            SrtpProfile::Aes128CmSha1_80,
        ),
        (
            SrtpProfileId::SRTP_AES128_CM_SHA1_32,
            SrtpProfile::Aes128CmSha1_32,
        ),
        (
            SrtpProfileId::SRTP_AEAD_AES_128_GCM,
            SrtpProfile::AeadAes128Gcm,
        ),
        (
            SrtpProfileId::SRTP_AEAD_AES_256_GCM,
            SrtpProfile::AeadAes256Gcm,
        ),
    ];
    known
        .into_iter()
        .find(|(known, _)| *known == id)
        .map(|(_, profile)| profile)
        .ok_or_else(|| format!("SRTP profile {} is not known", id.as_raw()))
}

fn timer_index() -> Result<Index<Ssl, Arc<Timer>>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, Arc<Timer>>> = OnceLock::new();
    if let Some(index) = INDEX.get() {
        return Ok(*index);
    }
    let index = Ssl::new_ex_index()?;
    Ok(*INDEX.get_or_init(|| index))
}

/// Called by OpenSSL with 0 when a flight begins, else with the last duration when it is about to repeat.
extern "C" fn timer_ran(ssl: *mut openssl_sys::SSL, last_us: c_uint) -> c_uint {
    // SAFETY: OpenSSL calls back with the live SSL object it is working on; the reference ends with this function.
    let ssl = unsafe { SslRef::from_ptr(ssl) };
    let duration = timer_index()
        .ok()
        .and_then(|index| ssl.ex_data(index))
        .map_or(INVENTED_TIMER, |timer| match last_us {
            0 => timer.flight_begun(),
            _ => timer.expired(),
        });
    c_uint::try_from(duration.as_micros()).unwrap_or(c_uint::MAX)
}

#[cfg(test)]
mod tests;
