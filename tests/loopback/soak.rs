//! A hundred proxies at once over a network that loses a tenth of everything.
//!
//! Every proxy makes, queries and deletes calls of its own and repeats what is not answered, as Kamailio and OpenSIPS do, only
//! faster.
//! What must hold: every datagram that reached the relay is answered exactly once, all replies to one cookie are the same
//! bytes, the ports in a reply belong to that call alone, and in the end nothing is left.
//!
//! Ten seconds by default; `NG_SOAK_SECONDS=60 cargo nextest run -p tests --test loopback soak --no-capture` is the long run.
//! Latency and rate are printed, not judged: they belong to the machine.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ng_protocol::{Dictionary, Encoding, Outcome, Response, Value, frame};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tests::ng_client::{answer, command, offer, split};
use tests::{TestRelay, sdp};

const PROXIES: usize = 100;
/// The share of datagrams that are lost on the way to the relay, and again on the way back.
const LOSS: f64 = 0.1;
/// How long a proxy waits before it asks again. The real ones wait a second; this loses less of the test's time.
const PATIENCE: Duration = Duration::from_millis(200);
/// A request that fails as often as this has not met loss but a defect.
const ATTEMPTS: usize = 25;
/// Calls of one proxy at the same time.
const CALLS: usize = 3;

fn seconds() -> Duration {
    let seconds = std::env::var("NG_SOAK_SECONDS").ok();
    let seconds = seconds.map(|text| text.parse().expect("NG_SOAK_SECONDS is a number"));
    Duration::from_secs(seconds.unwrap_or(10))
}

#[test]
fn a_hundred_proxies_that_lose_a_tenth_of_everything_are_served_without_a_fault() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = now.unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let relay = TestRelay::start_with("127.17.0.1", |config| {
        config.workers = 2;
        config.ports = 20_000..=29_999;
    });
    let ports = Mutex::new(HashMap::new());
    let end = Instant::now() + seconds();
    let begun = Instant::now();
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PROXIES)
            .map(|number| {
                let (address, control, ports) = (relay.address, relay.control(), &ports);
                scope.spawn(move || {
                    let mut proxy = Proxy::new(number, seed, address, control, ports);
                    proxy.work(end);
                    proxy.report
                })
            })
            .collect();
        let reports = threads.into_iter().map(|thread| thread.join());
        reports.map(|report| report.expect("a proxy")).collect()
    });
    let took = begun.elapsed();

    assert!(ports.into_inner().unwrap().is_empty(), "a port is not free");
    assert_eq!(relay.relay().sessions(), 0);
    assert_eq!(relay.media_sockets(), 0);
    assert_eq!(relay.relay().counters().abandoned, 0);
    describe(&reports, took);
}

/// What one proxy saw.
#[derive(Debug, Default)]
struct Report {
    /// From the first datagram of an offer that nothing was lost of to its reply.
    offers: Vec<Duration>,
    requests: usize,
    /// Datagrams that reached the relay.
    delivered: usize,
    /// Datagrams, replies included, that did not reach their end.
    lost: usize,
}

fn describe(reports: &[Report], took: Duration) {
    let mut offers: Vec<Duration> = reports.iter().flat_map(|r| r.offers.clone()).collect();
    offers.sort_unstable();
    let share = |percent: usize| offers[(offers.len() - 1) * percent / 100];
    let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    let requests = sum(|report| report.requests);
    println!(
        "{PROXIES} proxies, {:.1} s: {requests} requests ({:.0}/s), {} datagrams served, {} lost",
        took.as_secs_f64(),
        requests as f64 / took.as_secs_f64(),
        sum(|report| report.delivered),
        sum(|report| report.lost),
    );
    println!(
        "offers without loss: {}, {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, slowest {:.2} ms",
        offers.len(),
        offers.len() as f64 / took.as_secs_f64(),
        share(50).as_secs_f64() * 1e3,
        share(99).as_secs_f64() * 1e3,
        share(100).as_secs_f64() * 1e3,
    );
}

/// Which call a port of the relay belongs to, over all proxies.
type Ports = Mutex<HashMap<u16, String>>;

struct Proxy<'a> {
    number: usize,
    socket: UdpSocket,
    relay: SocketAddr,
    random: SmallRng,
    ports: &'a Ports,
    calls: Vec<Call>,
    made: usize,
    report: Report,
    /// The reply to each cookie, and how many datagrams are still to be answered with it.
    cookies: HashMap<Vec<u8>, (Option<Vec<u8>>, usize)>,
}

struct Call {
    id: String,
    caller: String,
    callee: String,
    /// The relay's ports, as its replies told.
    ports: Vec<u16>,
    answered: bool,
}

impl<'a> Proxy<'a> {
    fn new(number: usize, seed: u64, address: IpAddr, relay: SocketAddr, ports: &'a Ports) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(address, 0)).expect("a port for the proxy");
        socket.connect(relay).expect("a connected socket");
        Self {
            number,
            socket,
            relay,
            random: SmallRng::seed_from_u64(seed ^ ((number as u64) << 32)),
            ports,
            calls: Vec::new(),
            made: 0,
            report: Report::default(),
            cookies: HashMap::new(),
        }
    }

    fn work(&mut self, end: Instant) {
        while Instant::now() < end {
            let choice = self.random.random_range(0..10);
            match choice {
                _ if self.calls.is_empty() => self.make(),
                0..3 if self.calls.len() < CALLS => self.make(),
                0..6 => self.answer(),
                6..8 => self.query(),
                _ => self.delete(),
            }
            // A proxy has other things to do as well.
            let pause = self.random.random_range(0..10);
            std::thread::sleep(Duration::from_millis(pause));
        }
        while !self.calls.is_empty() {
            self.delete();
        }
        self.hear_the_rest();
    }

    /// An SDP of a phone that nobody will send to.
    fn phone(&mut self) -> String {
        let port = self.random.random_range(40_000..60_000) & !1;
        sdp::phone(SocketAddr::new(self.relay.ip(), port))
    }

    fn make(&mut self) {
        self.made += 1;
        let id = format!("call-{}-{}", self.number, self.made);
        let (caller, callee) = (format!("a-{id}"), format!("b-{id}"));
        let sdp = self.phone();
        let begun = Instant::now();
        let before = self.report.lost;
        let response = self.ask(&offer(&id, &caller, &sdp));
        if self.report.lost == before {
            self.report.offers.push(begun.elapsed());
        }
        let mut call = Call {
            id,
            caller,
            callee,
            ports: Vec::new(),
            answered: false,
        };
        self.note_port(&mut call, &response);
        self.calls.push(call);
    }

    fn answer(&mut self) {
        let mut call = self.draw();
        let sdp = self.phone();
        let response = self.ask(&answer(&call.id, &call.caller, &call.callee, &sdp));
        self.note_port(&mut call, &response);
        call.answered = true;
        self.calls.push(call);
    }

    /// The ports of a reply are this call's, and nobody else's at this time.
    fn note_port(&self, call: &mut Call, response: &Response) {
        let sdp = response.sdp_body();
        let sdp = sdp.unwrap_or_else(|| panic!("no SDP for {}: {response:?}", call.id));
        let address = sdp::audio_address(&String::from_utf8_lossy(sdp));
        assert_eq!(address.ip(), self.relay.ip());
        let port = address.port();
        if !call.ports.contains(&port) {
            let mut ports = self.ports.lock().expect("no proxy has panicked");
            let before = ports.insert(port, call.id.clone());
            assert_eq!(before, None, "port {port} of {} is also another's", call.id);
            call.ports.push(port);
            assert!(call.ports.len() <= 2, "{} moved: {:?}", call.id, call.ports);
        }
    }

    fn query(&mut self) {
        let call = self.draw();
        let response = self.ask(&command("query", &call.id));
        assert_eq!(response.outcome(), Outcome::Ok, "{}: {response:?}", call.id);
        let tags = response.body().get("tags").and_then(Value::as_dictionary);
        let tags = tags.expect("tags");
        assert!(
            tags.get(&call.caller).is_some(),
            "{}: {response:?}",
            call.id
        );
        assert_eq!(tags.get(&call.callee).is_some(), call.answered);
        for (_, tag) in tags.iter() {
            for port in local_ports(tag) {
                assert!(
                    call.ports.contains(&port) || !call.answered,
                    "{} has ports {:?}, and the query says {port}",
                    call.id,
                    call.ports
                );
            }
        }
        self.calls.push(call);
    }

    fn delete(&mut self) {
        let call = self.draw();
        {
            // Given back before the relay may give them to somebody else.
            let mut ports = self.ports.lock().expect("no proxy has panicked");
            for port in &call.ports {
                assert_eq!(ports.remove(port).as_ref(), Some(&call.id));
            }
        }
        let delete = command("delete", &call.id).with("delete-delay", 0i64);
        let response = self.ask(&delete);
        assert_eq!(response.outcome(), Outcome::Ok);
        let warning = response.body().get("warning");
        assert_eq!(warning, None, "{} was not there", call.id);
    }

    fn draw(&mut self) -> Call {
        let index = self.random.random_range(0..self.calls.len());
        self.calls.swap_remove(index)
    }

    /// Asks until a reply has come through.
    fn ask(&mut self, request: &Dictionary<'_>) -> Response {
        self.report.requests += 1;
        let cookie = format!("{}_{}", self.number, self.report.requests).into_bytes();
        let datagram = frame::encode(&cookie, request, Encoding::Bencode);
        self.cookies.insert(cookie.clone(), (None, 0));
        for _ in 0..ATTEMPTS {
            if self.random.random_bool(LOSS) {
                self.report.lost += 1;
            } else {
                self.socket
                    .send(&datagram)
                    .expect("a datagram to the relay");
                self.report.delivered += 1;
                self.cookies.get_mut(&cookie).expect("just asked").1 += 1;
            }
            let deadline = Instant::now() + PATIENCE;
            while let Some((back, reply)) = self.hear(deadline) {
                // Otherwise it is a late copy of an earlier reply.
                if back == cookie {
                    return Response::decode(&reply).expect("a reply that can be decoded");
                }
            }
        }
        panic!("{request:?} was never answered");
    }

    /// The next reply that is not lost. Those that are lost have still been sent, and are checked and counted.
    fn hear(&mut self, deadline: Instant) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut buffer = vec![0; 65_536];
        loop {
            let left = deadline.checked_duration_since(Instant::now())?;
            let left = left.max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let Ok(len) = self.socket.recv(&mut buffer) else {
                continue;
            };
            let (cookie, payload) = split(&buffer[..len]);
            let known = self.cookies.get_mut(cookie);
            let (stored, owed) = known.expect("a reply to a question of this proxy");
            assert!(*owed > 0, "a reply too many to {cookie:?}");
            *owed -= 1;
            match stored {
                None => *stored = Some(payload.to_vec()),
                Some(stored) => assert_eq!(stored, payload, "two replies differ"),
            }
            if self.random.random_bool(LOSS) {
                self.report.lost += 1;
                continue;
            }
            return Some((cookie.to_vec(), payload.to_vec()));
        }
    }

    /// Every datagram that reached the relay was answered, also those whose reply nobody waited for.
    fn hear_the_rest(&mut self) {
        let owed = |proxy: &Self| proxy.cookies.values().map(|(_, owed)| owed).sum::<usize>();
        let deadline = Instant::now() + Duration::from_secs(5);
        while owed(self) > 0 && self.hear(deadline).is_some() {}
        assert_eq!(owed(self), 0, "proxy {} misses replies", self.number);
        // And nothing more comes.
        let silence = Instant::now() + Duration::from_millis(50);
        assert_eq!(self.hear(silence), None);
    }
}

/// The values of `local port` of the RTP streams in a party's part of a `query` reply.
fn local_ports(party: &Value<'_>) -> Vec<u16> {
    let medias = list(party, "medias");
    let rtp = medias.iter().filter_map(|media| {
        let streams = list(media, "streams");
        let port = streams.first()?.as_dictionary()?.get("local port")?;
        u16::try_from(port.as_integer()?).ok()
    });
    rtp.collect()
}

fn list<'a>(value: &'a Value<'a>, key: &str) -> &'a [Value<'a>] {
    let entry = value.as_dictionary().and_then(|entries| entries.get(key));
    entry.and_then(Value::as_list).unwrap_or_default()
}
