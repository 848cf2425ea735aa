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

use std::collections::VecDeque;
use std::ffi::{c_int, c_uint};
use std::io::{self, Read, Write};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use foreign_types::{ForeignType, ForeignTypeRef};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::srtp::SrtpProfileId;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslRef, SslStream,
    SslVerifyMode, SslVersion,
};
use openssl::x509::{X509, X509NameBuilder};

use crate::media::config::{Clock, DtlsConfig, SrtpProfile};
use crate::media::srtp::MasterKey;

unsafe extern "C" {
    fn DTLS_set_timer_cb(
        ssl: *mut openssl_sys::SSL,
        callback: extern "C" fn(*mut openssl_sys::SSL, c_uint) -> c_uint,
    );
}

/// `DTLS_CTRL_HANDLE_TIMEOUT`, what the macro `DTLSv1_handle_timeout` expands to.
const HANDLE_TIMEOUT: c_int = 74;

/// OpenSSL's timer in invented time. It counts as expired 15 ms early, so ten milliseconds remain.
const INVENTED_TIMER: Duration = Duration::from_millis(25);
/// Each unwanted repetition doubles it up to here: on a busy machine much real time passes within one invented
/// instant, and OpenSSL gives up after twelve.
const LONGEST_INVENTED_TIMER: Duration = Duration::from_millis(400);

/// Which end of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DtlsRole {
    Client,
    Server,
}

/// A self-signed P-256 certificate with its key, as Meta advises (small, no fragmentation).
#[derive(Clone, Debug)]
pub(crate) struct DtlsIdentity {
    certificate: X509,
    key: PKey<Private>,
}

impl DtlsIdentity {
    pub(crate) fn generate() -> Result<Self, ErrorStack> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_nid(Nid::COMMONNAME, "simulated media endpoint")?;
        let name = name.build();
        let mut serial = BigNum::new()?;
        serial.rand(64, MsbOption::MAYBE_ZERO, false)?;
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        builder.set_serial_number(&*serial.to_asn1_integer()?)?;
        builder.set_subject_name(&name)?;
        builder.set_issuer_name(&name)?;
        builder.set_pubkey(&key)?;
        builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
        builder.set_not_after(&*Asn1Time::days_from_now(30)?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self {
            certificate: builder.build(),
            key,
        })
    }

    /// RFC 8122 §5: upper-case pairs between colons.
    pub(crate) fn fingerprint(&self) -> Result<String, ErrorStack> {
        fingerprint(&self.certificate, MessageDigest::sha256())
    }
}

fn fingerprint(certificate: &X509, hash: MessageDigest) -> Result<String, ErrorStack> {
    let digest = certificate.digest(hash)?;
    let pairs: Vec<String> = digest.iter().map(|octet| format!("{octet:02X}")).collect();
    Ok(pairs.join(":"))
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
    Over,
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
        let timer = Arc::new(Timer {
            clock: config.clock,
            retransmissions: config.retransmissions.clone(),
            ..Timer::default()
        });
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
        })
    }

    /// As client, sends the ClientHello.
    pub(crate) fn start(&mut self, now: Instant) -> DtlsOutcome {
        match self.role {
            DtlsRole::Client => self.advance(now),
            DtlsRole::Server => DtlsOutcome::Nothing,
        }
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, bytes: &[u8]) -> DtlsOutcome {
        if self.state == State::Over {
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
                self.state = State::Over;
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
            State::Over => DtlsOutcome::Nothing,
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
                        self.state = State::Over;
                        DtlsOutcome::Failed(reason)
                    }
                }
            }
            Err(error) if is_waiting(error.code()) => {
                self.schedule(now);
                DtlsOutcome::Nothing
            }
            Err(error) => {
                self.state = State::Over;
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
                    self.state = State::Over;
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

fn spacing(retransmissions: &[Duration], repetition: u32) -> Duration {
    retransmissions
        .get(repetition as usize)
        .or(retransmissions.last())
        .copied()
        .unwrap_or(Duration::from_secs(1))
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

/// What OpenSSL's timer callback, the datagram queue and the association share.
#[derive(Debug, Default)]
struct Timer {
    clock: Clock,
    retransmissions: Vec<Duration>,
    /// How many flights were begun.
    flights: AtomicU32,
    /// How often the current one was repeated in earnest.
    repetitions: AtomicU32,
    /// The next repetition is the one we asked for.
    is_wanted: AtomicBool,
    /// How often OpenSSL repeated the current flight by its own clock.
    unwanted: AtomicU32,
    /// Records of the current flight.
    records: AtomicU32,
    /// Records of an unwanted repetition still to be thrown away.
    muted_records: AtomicU32,
}

impl Timer {
    fn position(&self) -> (u32, u32) {
        (
            self.flights.load(Ordering::Relaxed),
            self.repetitions.load(Ordering::Relaxed),
        )
    }

    /// A flight begins: how long until OpenSSL thinks of repeating it.
    fn flight_begun(&self) -> Duration {
        self.flights.fetch_add(1, Ordering::Relaxed);
        for counter in [
            &self.repetitions,
            &self.unwanted,
            &self.records,
            &self.muted_records,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.current()
    }

    /// OpenSSL is about to repeat: how long until the next time.
    fn expired(&self) -> Duration {
        if self.clock == Clock::Invented && !self.is_wanted.load(Ordering::Relaxed) {
            self.unwanted.fetch_add(1, Ordering::Relaxed);
            self.muted_records
                .store(self.records.load(Ordering::Relaxed), Ordering::Relaxed);
        } else {
            self.repetitions.fetch_add(1, Ordering::Relaxed);
        }
        self.current()
    }

    fn current(&self) -> Duration {
        match self.clock {
            Clock::Invented => {
                let doublings = self.unwanted.load(Ordering::Relaxed).min(8);
                (INVENTED_TIMER * (1 << doublings)).min(LONGEST_INVENTED_TIMER)
            }
            Clock::System => spacing(
                &self.retransmissions,
                self.repetitions.load(Ordering::Relaxed),
            ),
        }
    }

    /// Whether a datagram OpenSSL writes is meant for the peer.
    fn lets_out(&self, datagram: &[u8]) -> bool {
        let records = count_records(datagram);
        let muted = self.muted_records.load(Ordering::Relaxed);
        if muted > 0 {
            self.muted_records
                .store(muted.saturating_sub(records), Ordering::Relaxed);
            return false;
        }
        if !self.is_wanted.load(Ordering::Relaxed) {
            self.records.fetch_add(records, Ordering::Relaxed);
        }
        true
    }
}

/// RFC 6347 §4.1: thirteen octets of header, the last two of them the length.
fn count_records(datagram: &[u8]) -> u32 {
    let mut rest = datagram;
    let mut count = 0;
    while let Some(header) = rest.get(..13) {
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        rest = rest.get(13 + length..).unwrap_or_default();
        count += 1;
    }
    count
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

/// What OpenSSL takes for its socket: one write is one datagram, one read is one datagram.
#[derive(Debug, Default)]
struct Datagrams {
    inbound: VecDeque<Vec<u8>>,
    outbound: VecDeque<Vec<u8>>,
    timer: Arc<Timer>,
    /// Tests play a slow machine.
    #[cfg(test)]
    pause: Option<Duration>,
}

impl Datagrams {
    /// Datagrams that may wait; the reader empties the queue at once, so it stays nearly empty.
    const CAPACITY: usize = 64;
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(test)]
        if let Some(pause) = self.pause {
            std::thread::sleep(pause);
        }
        let datagram = self.inbound.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if self.timer.lets_out(datagram) && self.outbound.len() < Self::CAPACITY {
            self.outbound.push_back(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::impairment::PacketKind;
    use crate::testing::epoch;

    struct Pair {
        client: DtlsAssociation,
        server: DtlsAssociation,
        now: Instant,
        /// Datagrams let through in each direction are those for which this says yes.
        sent: Vec<(DtlsRole, Vec<u8>)>,
        keys: [Option<DtlsKeys>; 2],
        failures: Vec<String>,
    }

    fn invented() -> DtlsConfig {
        DtlsConfig {
            clock: Clock::Invented,
            ..DtlsConfig::default()
        }
    }

    fn pair(client: &DtlsConfig, server: &DtlsConfig) -> Pair {
        let identities = [0, 1].map(|_| DtlsIdentity::generate().expect("a certificate"));
        let promised = |identity: &DtlsIdentity| {
            (
                "sha-256".to_owned(),
                identity.fingerprint().expect("a fingerprint"),
            )
        };
        Pair {
            client: DtlsAssociation::new(
                DtlsRole::Client,
                &identities[0],
                promised(&identities[1]),
                client,
            )
            .expect("a client"),
            server: DtlsAssociation::new(
                DtlsRole::Server,
                &identities[1],
                promised(&identities[0]),
                server,
            )
            .expect("a server"),
            now: epoch(),
            sent: Vec::new(),
            keys: [None, None],
            failures: Vec::new(),
        }
    }

    impl Pair {
        fn note(&mut self, side: usize, outcome: DtlsOutcome) {
            match outcome {
                DtlsOutcome::Connected(keys) => self.keys[side] = Some(*keys),
                DtlsOutcome::Failed(reason) => self.failures.push(reason),
                DtlsOutcome::Nothing | DtlsOutcome::Closed => {}
            }
        }

        /// Lets both talk until both have keys or nothing more happens; `lose` decides which datagrams vanish.
        fn run(&mut self, mut lose: impl FnMut(DtlsRole, &[u8]) -> bool) {
            let started = self.client.start(self.now);
            self.note(0, started);
            for _ in 0..100 {
                let mut is_quiet = true;
                while let Some(datagram) = self.client.poll_datagram() {
                    is_quiet = false;
                    self.sent.push((DtlsRole::Client, datagram.clone()));
                    if !lose(DtlsRole::Client, &datagram) {
                        let outcome = self.server.handle_datagram(self.now, &datagram);
                        self.note(1, outcome);
                    }
                }
                while let Some(datagram) = self.server.poll_datagram() {
                    is_quiet = false;
                    self.sent.push((DtlsRole::Server, datagram.clone()));
                    if !lose(DtlsRole::Server, &datagram) {
                        let outcome = self.client.handle_datagram(self.now, &datagram);
                        self.note(0, outcome);
                    }
                }
                if !is_quiet {
                    continue;
                }
                let Some(due) = [self.client.poll_timeout(), self.server.poll_timeout()]
                    .into_iter()
                    .flatten()
                    .min()
                else {
                    return;
                };
                self.now = due;
                let outcome = self.client.handle_timeout(due);
                self.note(0, outcome);
                let outcome = self.server.handle_timeout(due);
                self.note(1, outcome);
            }
        }

        fn assert_connected(&self) {
            let [Some(client), Some(server)] = &self.keys else {
                panic!("not connected: {:?}", self.failures);
            };
            assert_eq!(client.inbound, server.outbound);
            assert_eq!(client.outbound, server.inbound);
            assert_eq!(client.profile, server.profile);
        }
    }

    #[test]
    fn a_handshake_takes_four_flights_and_no_time() {
        let mut pair = pair(&invented(), &invented());
        let start = pair.now;
        pair.run(|_, _| false);
        pair.assert_connected();
        assert_eq!(pair.now, start);
        assert_eq!(pair.sent.len(), 4, "one datagram a flight");
        let keys = pair.keys[0].as_ref().expect("connected");
        assert_eq!(keys.version, "DTLSv1.2");
        assert_eq!(keys.profile, SrtpProfile::Aes128CmSha1_80);
    }

    #[test]
    fn a_cookie_costs_one_more_round_trip() {
        let mut pair = pair(
            &invented(),
            &DtlsConfig {
                is_cookie_required: true,
                ..invented()
            },
        );
        pair.run(|_, _| false);
        pair.assert_connected();
        assert_eq!(pair.sent.len(), 6);
    }

    #[test]
    fn lost_client_hellos_are_repeated_after_one_two_and_four_seconds() {
        let mut pair = pair(&invented(), &invented());
        let start = pair.now;
        let mut lost = 0;
        pair.run(|_, datagram| {
            let is_lost = PacketKind::ClientHello.matches(datagram) && lost < 3;
            lost += u32::from(is_lost);
            is_lost
        });
        pair.assert_connected();
        assert_eq!(pair.now - start, Duration::from_secs(1 + 2 + 4));
        assert_eq!(pair.sent.len(), 3 + 4, "no repetition slips out between");
    }

    #[test]
    fn a_machine_too_slow_for_openssls_timer_changes_nothing() {
        let mut pair = pair(&invented(), &invented());
        let start = pair.now;
        for association in [&mut pair.client, &mut pair.server] {
            association.stream.get_mut().pause = Some(Duration::from_millis(12));
        }
        pair.run(|_, _| false);
        pair.assert_connected();
        assert!(
            pair.client.timer.unwanted.load(Ordering::Relaxed) > 0,
            "the machine was quick enough"
        );
        assert_eq!((pair.now, pair.sent.len()), (start, 4));
    }

    #[test]
    fn a_lost_finished_of_the_server_comes_again_when_the_client_repeats() {
        let mut pair = pair(&invented(), &invented());
        let start = pair.now;
        let mut is_lost = false;
        pair.run(|from, datagram| {
            let lose =
                from == DtlsRole::Server && PacketKind::Finished.matches(datagram) && !is_lost;
            is_lost |= lose;
            lose
        });
        assert!(is_lost);
        pair.assert_connected();
        assert_eq!(pair.now - start, Duration::from_secs(1));
    }

    #[test]
    fn another_certificate_than_the_promised_one_fails() {
        let mut pair = pair(&invented(), &invented());
        pair.server.promised.1 = "00".repeat(32);
        pair.run(|_, _| false);
        assert!(pair.keys[1].is_none());
        assert!(
            pair.failures[0].contains("fingerprint"),
            "{:?}",
            pair.failures
        );
    }

    #[test]
    fn profiles_in_common_are_agreed_and_none_in_common_fails() {
        let only = |profile| DtlsConfig {
            profiles: vec![profile],
            ..invented()
        };
        let mut agreeing = pair(&only(SrtpProfile::AeadAes128Gcm), &invented());
        agreeing.run(|_, _| false);
        agreeing.assert_connected();
        assert_eq!(
            agreeing.keys[0].as_ref().map(|keys| keys.profile),
            Some(SrtpProfile::AeadAes128Gcm)
        );
        let mut strangers = pair(
            &only(SrtpProfile::AeadAes256Gcm),
            &only(SrtpProfile::Aes128CmSha1_80),
        );
        strangers.run(|_, _| false);
        assert!(!strangers.failures.is_empty());
    }

    #[test]
    fn an_openssl_timer_on_the_system_clock_runs_at_the_real_spacing() {
        let config = DtlsConfig {
            retransmissions: vec![Duration::from_millis(60), Duration::from_millis(120)],
            ..DtlsConfig::default()
        };
        let mut association = DtlsAssociation::new(
            DtlsRole::Client,
            &DtlsIdentity::generate().expect("a certificate"),
            ("sha-256".to_owned(), String::new()),
            &config,
        )
        .expect("a client");
        let start = epoch();
        association.start(start);
        assert!(association.poll_datagram().is_some());
        let due = association.poll_timeout().expect("a repetition is due");
        assert_eq!(due - start, Duration::from_millis(60));
        // OpenSSL reads the real clock here, so this one test has to let it pass.
        std::thread::sleep(Duration::from_millis(60));
        association.handle_timeout(due);
        assert!(association.poll_datagram().is_some());
        assert_eq!(
            association.poll_timeout().map(|next| next - due),
            Some(Duration::from_millis(120))
        );
    }
}
