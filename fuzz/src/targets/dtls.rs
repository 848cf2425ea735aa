//! Two DTLS engines, of the same or of different kinds, and somebody between them who drops, damages, repeats and invents datagrams
//! while time passes.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use relay_packet::PacketBuf;
use relay_transport::dtls::{
    CertificateKey, CertificateSettings, DtlsConfig, DtlsEngine, DtlsEvent, DtlsIdentity, DtlsRole,
    EngineChoice, new_engine,
};
use relay_transport::srtp::SrtpKey;

use crate::{Target, script};

/// This target.
pub const TARGET: Target = Target {
    name: "dtls",
    run: target,
    seeds,
    words: &[
        script::SEPARATOR,
        b"\n--\nt\x08\n--\no\n--\np",
        b"\n--\nt\xff",
        b"\n--\np\x00\x0d\x01",
        b"\n--\no\x00\x3b\xff",
        b"\n--\nO\n--\nP",
        b"d\x00\x15\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x09\x00\x02\x02\x28",
        b"d\x01\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0c",
        b"d\x01\x14\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01",
        b"d\x00\x16\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x00\x00\x10",
        b"\x00\x0e\x00\x05\x00\x02\x00\x02\x00",
    ],
};

const ENGINES: [EngineChoice; 3] = [
    EngineChoice::Auto,
    EngineChoice::Dimpl,
    EngineChoice::Openssl,
];
const MAX_WAITING: usize = 64;
/// What one datagram or one timeout may bring forth.
const MAX_SENT: usize = 32;
/// A run ends after this many timeouts.
const MAX_TIMEOUTS: usize = 2000;

/// The first byte says who meets whom; every record is something that happens.
pub fn target(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let mut line = Line::new(choice);
    for record in script::records(rest) {
        if let Some((&what, details)) = record.split_first() {
            line.happen(what, details);
        }
        if line.timeouts > MAX_TIMEOUTS {
            break;
        }
    }
    line.compare();
}

/// Client and server.
struct Line {
    now: Instant,
    ends: [End; 2],
    timeouts: usize,
    /// Nobody has damaged or invented anything, so what both ends agree on must be the same.
    is_honest: bool,
}

struct End {
    engine: Box<dyn DtlsEngine>,
    /// What it has sent and the other has not received.
    waiting: VecDeque<Vec<u8>>,
    keys: Option<[SrtpKey; 2]>,
    is_over: bool,
}

impl Line {
    fn new(choice: u8) -> Self {
        let now = script::epoch();
        let kinds = [choice, choice >> 2].map(|bits| ENGINES[usize::from(bits & 3) % 3]);
        let mut index = 0;
        let ends = [DtlsRole::Client, DtlsRole::Server].map(|role| {
            let config = config().with_engine(kinds[index]).expect("a known engine");
            let identity = identity(choice >> (4 + index) & 1 == 1);
            index += 1;
            End {
                engine: new_engine(&config, &identity, role, None, now),
                waiting: VecDeque::new(),
                keys: None,
                is_over: false,
            }
        });
        let mut line = Self {
            now,
            ends,
            timeouts: 0,
            is_honest: true,
        };
        line.pass(Duration::ZERO);
        line
    }

    fn happen(&mut self, what: u8, details: &[u8]) {
        let first = details.first().copied().unwrap_or(0);
        match what {
            b't' => self.pass(Duration::from_millis(u64::from(first).pow(2))),
            b'o' => self.deliver(0, details),
            b'p' => self.deliver(1, details),
            b'O' => drop(self.ends[0].waiting.pop_front()),
            b'P' => drop(self.ends[1].waiting.pop_front()),
            b'd' => {
                self.is_honest = false;
                self.receive(usize::from(first & 1), details.get(1..).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// All that waits, or the first of it damaged: triples of a position and what is wrong there.
    fn deliver(&mut self, from: usize, damage: &[u8]) {
        let count = match damage {
            [] => self.ends[from].waiting.len(),
            _ => 1,
        };
        for _ in 0..count {
            let Some(mut datagram) = self.ends[from].waiting.pop_front() else {
                return;
            };
            for [high, low, wrong] in damage.as_chunks().0 {
                let at = usize::from(u16::from_be_bytes([*high, *low])) % datagram.len().max(1);
                match wrong {
                    0 => datagram.truncate(at),
                    1 => self.receive(1 - from, &datagram),
                    wrong => {
                        self.is_honest = false;
                        if let Some(byte) = datagram.get_mut(at) {
                            *byte ^= wrong;
                        }
                    }
                }
            }
            self.receive(1 - from, &datagram);
        }
    }

    fn receive(&mut self, end: usize, datagram: &[u8]) {
        self.ends[end].engine.handle_datagram(self.now, datagram);
        self.settle(end);
    }

    fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            let due = [0, 1].map(|end| self.ends[end].engine.poll_timeout());
            let next = due.into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            for end in [0, 1] {
                if due[end].is_some_and(|at| at <= self.now) {
                    self.timeouts += 1;
                    self.ends[end].engine.handle_timeout(self.now);
                    self.settle(end);
                    let again = self.ends[end].engine.poll_timeout();
                    assert!(
                        again.is_none_or(|at| at > self.now),
                        "the timer stands still"
                    );
                }
            }
            if self.timeouts > MAX_TIMEOUTS {
                return;
            }
        }
        self.now = until;
    }

    fn settle(&mut self, end: usize) {
        let End {
            engine,
            waiting,
            keys,
            is_over,
        } = &mut self.ends[end];
        let mut packet = PacketBuf::new();
        let mut sent = 0;
        while engine.poll_datagram(&mut packet) {
            sent += 1;
            assert!(sent <= MAX_SENT, "an answer of {sent} datagrams");
            assert!(packet.len() <= 1200, "a datagram of {} bytes", packet.len());
            if waiting.len() < MAX_WAITING {
                waiting.push_back(packet.to_vec());
            }
        }
        while let Some(event) = engine.poll_event() {
            assert!(
                !std::mem::replace(is_over, true),
                "a second event: {event:?}"
            );
            match event {
                DtlsEvent::Connected {
                    inbound, outbound, ..
                } => *keys = Some([inbound, outbound]),
                DtlsEvent::Failed { reason } => assert!(!reason.is_empty()),
            }
        }
    }

    fn compare(&self) {
        if let (true, Some(client), Some(server)) =
            (self.is_honest, self.ends[0].keys, self.ends[1].keys)
        {
            assert_eq!(client, [server[1], server[0]]);
        }
    }
}

fn config() -> &'static DtlsConfig {
    static CONFIG: OnceLock<DtlsConfig> = OnceLock::new();
    CONFIG.get_or_init(|| DtlsConfig::new().expect("default settings"))
}

fn identity(rsa: bool) -> Arc<DtlsIdentity> {
    static IDENTITIES: OnceLock<[Arc<DtlsIdentity>; 2]> = OnceLock::new();
    let make = |key| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
        let settings = CertificateSettings {
            key,
            ..CertificateSettings::default()
        };
        Arc::new(DtlsIdentity::generate_with(now, &settings).expect("a certificate"))
    };
    let kinds = [CertificateKey::P256, CertificateKey::Rsa { bits: 2048 }];
    Arc::clone(&IDENTITIES.get_or_init(|| kinds.map(make))[usize::from(rsa)])
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for choice in [0, 2, 8, 10, 6, 9, 0x30, 0x10] {
        let mut records: Vec<&[u8]> = Vec::new();
        for _ in 0..5 {
            records.extend([&b"o"[..], b"p", b"t\x05"]);
        }
        records.extend([&b"a\x01"[..], b"t\xff", b"o", b"p"]);
        let mut seed = vec![choice];
        seed.extend(records.join(script::SEPARATOR));
        seeds.push(seed);
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_reach_keys() {
        for seed in seeds() {
            let mut line = Line::new(seed[0]);
            for record in script::records(&seed[1..]) {
                line.happen(record[0], &record[1..]);
            }
            line.compare();
            let has_keys = line.ends.iter().all(|end| end.keys.is_some());
            assert!(has_keys, "{:02x}", seed[0]);
        }
    }
}
