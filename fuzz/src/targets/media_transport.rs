//! A local port with ICE and DTLS: two honest ends, and somebody between them who drops, damages, repeats and invents
//! datagrams while time passes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use relay_packet::{Outbox, PacketBuf, Received, SocketId};
use relay_transport::dtls::{DtlsIdentity, DtlsRole, FingerprintHash};
use relay_transport::ice::{Component, IceCredentials, RemoteIce};
use relay_transport::srtp::{SrtpKey, SrtpProfile};
use relay_transport::{Incoming, LocalSocket, MediaTransport, TransportConfig};

use crate::{Target, script};

/// This target.
pub const TARGET: Target = Target {
    name: "media_transport",
    run: target,
    seeds,
    words: &[
        script::SEPARATOR,
        b"\n--\nt\x05\n--\no\n--\np",
        b"\n--\nt\xff",
        b"\n--\no\n--\np",
        b"\n--\np\x00\x0d\x01",
        b"\n--\no\x00\x3b\xff",
        b"\n--\nO\n--\nP",
        b"\n--\nmabc\n--\nMabc",
        b"\n--\ns\x00\n--\ns\x01",
        b"d\x01\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0c",
        b"d\x00\x14\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01",
        b"d\x02\x00\x01\x00\x00\x21\x12\xa4\x42transaction!",
        b"\x80\xc8\x00\x06",
    ],
};

/// Our end and the far one.
const US: usize = 0;
const FAR: usize = 1;
const SOCKET: SocketId = SocketId(1);
/// Datagrams that wait between the ends; more are lost.
const MAX_WAITING: usize = 64;
/// What one datagram or one timeout may bring forth: a handshake flight, a round of checks.
const MAX_SENT: usize = 64;
/// A run ends after this many timeouts.
const MAX_TIMEOUTS: usize = 3000;

/// The first byte says what is agreed on; every record is something that happens.
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
}

struct Line {
    now: Instant,
    ends: [End; 2],
    out: Outbox,
    timeouts: usize,
}

struct End {
    transport: MediaTransport,
    address: SocketAddr,
    /// What it has sent and the other has not received.
    waiting: VecDeque<Vec<u8>>,
}

impl Line {
    fn new(choice: u8) -> Self {
        let addresses = ["198.51.100.7:30000", "192.0.2.49:3480"];
        let ends = addresses.map(|text| {
            let address: SocketAddr = text.parse().expect("an address");
            let local = LocalSocket {
                id: SOCKET,
                address,
                advertised: address.ip(),
            };
            let transport = MediaTransport::new(vec![local], Component::Rtp, config(), 7);
            End {
                transport,
                address,
                waiting: VecDeque::new(),
            }
        });
        let mut line = Self {
            now: script::epoch(),
            ends,
            out: Outbox::new(64),
            timeouts: 0,
        };
        line.agree(choice);
        line
    }

    /// What signalling does, the same on both ends.
    fn agree(&mut self, choice: u8) {
        let bit = |number: u8| choice >> number & 1 == 1;
        let (ice, dtls, client, far_is_lite) = (!bit(0), !bit(1), bit(2), bit(3));
        for end in [US, FAR] {
            let other = &self.ends[1 - end];
            let (address, candidates) = (other.address, other.transport.local_candidates());
            let transport = &mut self.ends[end].transport;
            transport.set_remote_address(self.now, Some(address));
            if dtls {
                transport.enable_dtls(identity(end));
                let role = if client == (end == US) {
                    DtlsRole::Client
                } else {
                    DtlsRole::Server
                };
                let fingerprint = identity(1 - end).fingerprint(FingerprintHash::Sha256);
                transport.set_remote_dtls(self.now, role, fingerprint);
            } else {
                transport.disable_dtls();
                transport.set_sdes(Some(key(end, choice)), Some(key(1 - end, choice)));
            }
            if ice {
                transport.enable_ice(credentials(end), far_is_lite && end == FAR);
                let remote = RemoteIce {
                    credentials: credentials(1 - end),
                    candidates,
                    lite: far_is_lite && end == US,
                    we_offered: end == US,
                };
                transport.set_remote_ice(self.now, remote);
            } else {
                transport.disable_ice();
            }
            transport.start(self.now);
        }
        self.settle();
    }

    fn happen(&mut self, what: u8, details: &[u8]) {
        let first = details.first().copied().unwrap_or(0);
        match what {
            b't' => self.pass(Duration::from_millis(u64::from(first).pow(2))),
            b'o' => self.deliver(US, details),
            b'p' => self.deliver(FAR, details),
            b'O' => drop(self.ends[US].waiting.pop_front()),
            b'P' => drop(self.ends[FAR].waiting.pop_front()),
            b'm' => self.speak(FAR, details),
            b'M' => self.speak(US, details),
            b's' => self.agree(first),
            b'd' => {
                // From the far end's address, from its host, from a stranger.
                let far = self.ends[FAR].address;
                let source = match first % 3 {
                    0 => far,
                    1 => SocketAddr::new(far.ip(), 9),
                    _ => "203.0.113.66:3480".parse().expect("an address"),
                };
                self.receive(US, source, details.get(1..).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// All that waits, or the first of it damaged: triples of a position and what is wrong there.
    fn deliver(&mut self, from: usize, damage: &[u8]) {
        let source = self.ends[from].address;
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
                    1 => self.receive(1 - from, source, &datagram),
                    wrong => {
                        if let Some(byte) = datagram.get_mut(at) {
                            *byte ^= wrong;
                        }
                    }
                }
            }
            self.receive(1 - from, source, &datagram);
        }
    }

    fn receive(&mut self, end: usize, source: SocketAddr, datagram: &[u8]) {
        let Some(packet) = PacketBuf::from_slice(datagram) else {
            return;
        };
        let received = Received {
            socket: SOCKET,
            source,
            packet,
        };
        let transport = &mut self.ends[end].transport;
        match transport.handle_datagram(self.now, received, &mut self.out) {
            Incoming::Rtp(packet) | Incoming::Rtcp(packet) | Incoming::Datagram(packet) => {
                self.out.recycle(packet);
            }
            Incoming::Consumed | Incoming::Dropped(_) => {}
        }
        self.post(end);
    }

    fn speak(&mut self, end: usize, bytes: &[u8]) {
        let mut packet = PacketBuf::new();
        if packet.copy_from(b"\x80\x6f\x00") && packet.extend_from_slice(bytes) {
            let transport = &mut self.ends[end].transport;
            let writable = transport.is_writable();
            let sent = transport.send_rtp(packet, &mut self.out);
            assert!(writable || sent.is_err(), "nothing leaves without keys");
            self.post(end);
        }
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.timeouts <= MAX_TIMEOUTS {
            let polled = |end: &End| end.transport.poll_timeout();
            let Some(at) = self.ends.iter().filter_map(polled).min() else {
                break;
            };
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// Whatever is due now is done now, and then no longer due.
    fn settle(&mut self) {
        for end in [US, FAR] {
            let mut rounds = 0;
            while self.ends[end]
                .transport
                .poll_timeout()
                .is_some_and(|at| at <= self.now)
            {
                let transport = &mut self.ends[end].transport;
                transport.handle_timeout(self.now, &mut self.out);
                self.post(end);
                self.timeouts += 1;
                rounds += 1;
                assert!(rounds < 100, "the transport never rests");
            }
        }
    }

    fn post(&mut self, end: usize) {
        let End {
            transport, waiting, ..
        } = &mut self.ends[end];
        while transport.poll_event().is_some() {}
        let _ = transport.status();
        assert!(
            self.out.queued().len() <= MAX_SENT,
            "one thing, many datagrams"
        );
        for transmit in self.out.drain() {
            if waiting.len() < MAX_WAITING {
                waiting.push_back(transmit.packet.to_vec());
            }
        }
    }
}

fn config() -> Arc<TransportConfig> {
    static CONFIG: OnceLock<Arc<TransportConfig>> = OnceLock::new();
    CONFIG.get_or_init(Arc::default).clone()
}

fn identity(end: usize) -> Arc<DtlsIdentity> {
    static IDENTITIES: OnceLock<[Arc<DtlsIdentity>; 2]> = OnceLock::new();
    let make = |_| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
        Arc::new(DtlsIdentity::generate(now).expect("a certificate"))
    };
    let identities = IDENTITIES.get_or_init(|| [US, FAR].map(make));
    Arc::clone(&identities[end])
}

fn credentials(end: usize) -> IceCredentials {
    let [ufrag, pwd] = [
        ["ours", "our password of ICE"],
        ["Meta", "AAECAwQFBgcICQoLDA0ODw=="],
    ][end];
    IceCredentials::new(ufrag, pwd).expect("short enough")
}

fn key(end: usize, choice: u8) -> SrtpKey {
    let material = [choice & 0xf0 | end as u8; 30];
    SrtpKey::from_material(SrtpProfile::Aes128CmSha1_80, &material).expect("30 bytes")
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for choice in [0, 4, 8, 12, 1, 5, 2, 3] {
        let mut records: Vec<&[u8]> = Vec::new();
        for _ in 0..10 {
            records.extend([&b"t\x06"[..], b"o", b"p", b"o", b"p"]);
        }
        for number in [b"M\x01time ssrcspeech", b"M\x02time ssrcspeech"] {
            records.extend([&number[..], b"o", b"m\x01time ssrcspeech", b"p", b"t\x05"]);
        }
        records.extend([
            &b"s\x10"[..],
            b"t\xff",
            b"o",
            b"p",
            b"d\x02\x00\x01\x00\x00!\x12\xa4Bx",
        ]);
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
    fn the_seeds_reach_media() {
        for seed in seeds() {
            let mut line = Line::new(seed[0]);
            for record in script::records(&seed[1..]) {
                line.happen(record[0], &record[1..]);
            }
            let status = line.ends[US].transport.status();
            assert!(
                status.last_packet_in.is_some(),
                "{:02x}: {status:?}",
                seed[0]
            );
        }
    }
}
