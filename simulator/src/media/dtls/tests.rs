//! Handshakes between two associations, in invented time but for one.

use super::*;
use crate::media::config::CertificateKey;
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
    let identities =
        [0, 1].map(|_| DtlsIdentity::generate(CertificateKey::Ecdsa).expect("a certificate"));
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
        let lose = from == DtlsRole::Server && PacketKind::Finished.matches(datagram) && !is_lost;
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
        &DtlsIdentity::generate(CertificateKey::Ecdsa).expect("a certificate"),
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

#[test]
fn a_server_that_failed_takes_the_next_hello_for_a_new_handshake() {
    let only = |profile| DtlsConfig {
        profiles: vec![profile],
        ..invented()
    };
    let mut pair = pair(&only(SrtpProfile::AeadAes256Gcm), &invented());
    pair.run(|_, _| false);
    assert!(!pair.failures.is_empty());
    let identity = DtlsIdentity::generate(CertificateKey::Ecdsa).expect("a certificate");
    pair.server.promised.1 = identity.fingerprint().expect("a fingerprint");
    let promised = pair.client.promised.clone();
    pair.client =
        DtlsAssociation::new(DtlsRole::Client, &identity, promised, &invented()).expect("a client");
    pair.run(|_, _| false);
    pair.assert_connected();
}
