//! What a call costs before anybody speaks: offer, answer and delete through the NG port.
//!
//! The requests are those of a Kamailio with the flags of our scripts, in bencode.
//! Processor time is the relay's own; the rate says as much about the clients, which share the machine with it.

use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use simulator::media::impairment::Impairment;

use crate::bank::Bank;
use crate::figures::{cell, ratio};
use crate::forward::{cheap_voice, uic_answer_flags, uic_offer_flags};
use crate::ng::bencode;
use crate::pbx::Pbx;
use crate::place::Place;
use crate::relay_process::{Binaries, RelayKind, RelayProcess};

/// Calls that are set up before anything is measured.
const WARM_UP: usize = 100;

/// How much load.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each is taken, the relays taking turns.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Clients at once, each with one request under way.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    clients: Vec<usize>,
    /// Media workers of tandem; rtpengine has as many threads as there are processors.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    workers: Vec<usize>,
}

/// What is set up.
#[derive(Clone, Debug)]
struct Call {
    title: &'static str,
    offer: Value,
    answer: Value,
}

#[derive(Clone, Copy, Debug)]
struct Figures {
    microseconds: f64,
    per_second: f64,
}

/// A relay and how it is started.
#[derive(Clone, Debug)]
struct Subject {
    kind: RelayKind,
    name: String,
    arguments: Vec<String>,
}

pub(crate) fn run(
    options: &Options,
    relays: &[RelayKind],
    binaries: &Binaries,
) -> Result<(), Box<dyn Error>> {
    let subjects = subjects(options, relays);
    for call in [plain_call()?, whatsapp_call()?] {
        for &clients in &options.clients {
            println!(
                "\n{}, {clients} client(s), {} s, {} rounds",
                call.title, options.seconds, options.rounds
            );
            println!(
                "{:<20} {:>15} {:>9} {:>12}",
                "relay", "us CPU/set-up", "ratio", "set-ups/s"
            );
            let mut best: Vec<Option<Figures>> = vec![None; subjects.len()];
            for _round in 0..options.rounds {
                for (slot, subject) in best.iter_mut().zip(&subjects) {
                    let figures = measure(&call, clients, options, subject, binaries)?;
                    // The quietest round says most about the relay and least about its neighbours.
                    if slot.is_none_or(|known| figures.microseconds < known.microseconds) {
                        *slot = Some(figures);
                    }
                }
            }
            let reference = best.last().copied().flatten().map(|f| f.microseconds);
            for (figures, subject) in best.iter().zip(&subjects) {
                let microseconds = figures.map(|figures| figures.microseconds);
                println!(
                    "{:<20} {:>15} {:>9} {:>12}",
                    subject.name,
                    cell(microseconds),
                    ratio(microseconds, reference),
                    cell(figures.map(|figures| figures.per_second)),
                );
            }
        }
    }
    Ok(())
}

fn subjects(options: &Options, relays: &[RelayKind]) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for &kind in relays {
        match kind {
            RelayKind::Tandem => {
                for workers in &options.workers {
                    subjects.push(Subject {
                        kind,
                        name: format!("{}, {workers} worker(s)", kind.name()),
                        arguments: vec![format!("--num-threads={workers}")],
                    });
                }
            }
            RelayKind::Rtpengine => subjects.push(Subject {
                kind,
                name: kind.name().to_owned(),
                arguments: Vec::new(),
            }),
        }
    }
    subjects
}

/// Two phones.
fn plain_call() -> Result<Call, Box<dyn Error>> {
    let (near, far) = (
        Pbx::new(Ipv4Addr::LOCALHOST)?,
        Pbx::new(Ipv4Addr::LOCALHOST)?,
    );
    Ok(Call {
        title: "RTP - RTP",
        offer: with_sdp(json!({}), &near.sdp()),
        answer: with_sdp(json!({}), &far.sdp()),
    })
}

/// A call from WhatsApp: Meta's offer with ICE and DTLS, the PBX's plain answer.
fn whatsapp_call() -> Result<Call, Box<dyn Error>> {
    let mut bank = Bank::new(Ipv4Addr::LOCALHOST)?;
    let meta = bank.add(cheap_voice(), Impairment::none(), Impairment::none(), 1)?;
    let offer = bank.meta(meta).local_sdp_offer();
    Ok(Call {
        title: "WhatsApp (ICE, DTLS) - RTP",
        offer: with_sdp(uic_offer_flags(), &offer),
        answer: with_sdp(uic_answer_flags(), &Pbx::new(Ipv4Addr::LOCALHOST)?.sdp()),
    })
}

/// As Kamailio completes a request.
fn with_sdp(flags: Value, sdp: &str) -> Value {
    let mut request = flags;
    request["replace"] = json!(["origin", "session-connection"]);
    request["received-from"] = json!(["IP4", "127.0.0.1"]);
    request["supports"] = json!(["load limit"]);
    request["from-tag"] = json!("caller");
    request["sdp"] = json!(sdp);
    request
}

fn measure(
    call: &Call,
    clients: usize,
    options: &Options,
    subject: &Subject,
    binaries: &Binaries,
) -> Result<Figures, Box<dyn Error>> {
    eprintln!("  {} ...", subject.name);
    let relay = RelayProcess::start_with(
        subject.kind,
        binaries,
        &Place::loopback(),
        &subject.arguments,
    )?;
    let requests = Requests::new(call);
    Clients::new(relay.control)?.work(&requests, 1, |calls| calls >= WARM_UP)?;
    let before = relay.usage()?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(options.seconds);
    let calls = Clients::new(relay.control)?.work(&requests, clients, |_| Instant::now() >= end)?;
    let took = begun.elapsed();
    let used = relay.usage()?.processor - before.processor;
    Ok(Figures {
        microseconds: used.as_secs_f64() * 1e6 / calls.max(1) as f64,
        per_second: calls as f64 / took.as_secs_f64(),
    })
}

/// What stands for the call-id in the encoded requests, as long as every real one.
const CALL_ID: &str = "set-up-00000000000@bench";

/// The requests of a call, encoded once: the generator shares the machine with the relay, and what it spends is missing there.
#[derive(Debug)]
struct Requests([Encoded; 3]);

/// A request in which only the call-id is to be filled in.
#[derive(Debug)]
struct Encoded {
    bytes: Vec<u8>,
    call_id: usize,
}

impl Requests {
    fn new(call: &Call) -> Self {
        let mut offer = call.offer.clone();
        offer["command"] = json!("offer");
        let mut answer = call.answer.clone();
        answer["to-tag"] = json!("callee");
        answer["command"] = json!("answer");
        let delete = json!({ "from-tag": "caller", "command": "delete" });
        Self([offer, answer, delete].map(|mut request| {
            request["call-id"] = json!(CALL_ID);
            let mut bytes = Vec::new();
            bencode(&request, &mut bytes);
            let found = bytes
                .windows(CALL_ID.len())
                .position(|bytes| bytes == CALL_ID.as_bytes());
            Encoded {
                bytes,
                call_id: found.unwrap_or_default(),
            }
        }))
    }
}

/// Clients that each have one request under way. They are one thread and one socket, and the relay knows them by their cookies
/// alone.
#[derive(Debug)]
struct Clients {
    socket: UdpSocket,
    /// What the cookies begin with: some relays share their cache of replies between sockets.
    name: u16,
    datagram: Vec<u8>,
}

/// Where a client is.
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    call: usize,
    step: usize,
    asked: usize,
}

impl Clients {
    fn new(relay: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(relay)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        let name = socket.local_addr()?.port();
        Ok(Self {
            socket,
            name,
            datagram: Vec::new(),
        })
    }

    /// Sets calls up until it `is_over`, which hears how many there were. Gives their number.
    fn work(
        &mut self,
        requests: &Requests,
        count: usize,
        is_over: impl Fn(usize) -> bool,
    ) -> Result<usize, Box<dyn Error>> {
        let mut clients = vec![Client::default(); count];
        let (mut begun, mut done) = (0, 0);
        for (number, client) in clients.iter_mut().enumerate() {
            client.call = begun;
            begun += 1;
            self.ask(requests, number, client)?;
        }
        let mut buffer = vec![0; 65_536];
        while !is_over(done) {
            let Ok(length) = self.socket.recv(&mut buffer) else {
                // A lost datagram, or a relay that is still starting: as a proxy does, all ask again.
                for (number, client) in clients.iter().enumerate() {
                    self.ask(requests, number, client)?;
                }
                continue;
            };
            let reply = &buffer[..length];
            let cookie = reply.split(|byte| *byte == b' ').next().unwrap_or_default();
            let Some(number) = number_in(cookie, self.name, &clients) else {
                continue;
            };
            if !reply.windows(11).any(|bytes| bytes == b"6:result2:o") {
                let reply = String::from_utf8_lossy(reply);
                return Err(format!("the relay refused a request: {reply}").into());
            }
            let client = &mut clients[number];
            client.asked += 1;
            client.step += 1;
            if client.step == requests.0.len() {
                done += 1;
                client.step = 0;
                client.call = begun;
                begun += 1;
            }
            self.ask(requests, number, &clients[number])?;
        }
        Ok(done)
    }

    fn ask(&mut self, requests: &Requests, number: usize, client: &Client) -> io::Result<()> {
        let request = &requests.0[client.step];
        let (name, asked) = (self.name, client.asked);
        self.datagram.clear();
        write!(self.datagram, "{name}_{number}_{asked} ")?;
        let call_id = self.datagram.len() + request.call_id;
        self.datagram.extend_from_slice(&request.bytes);
        let mut place = &mut self.datagram[call_id..call_id + CALL_ID.len()];
        write!(place, "{name:05}-{:012}@bench", client.call)?;
        match self.socket.send(&self.datagram) {
            // Nobody listens yet; the next reply that does not come says so again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            sent => sent.map(|_| ()),
        }
    }
}

/// The client whose present request a reply is for.
fn number_in(cookie: &[u8], name: u16, clients: &[Client]) -> Option<usize> {
    let mut parts = std::str::from_utf8(cookie).ok()?.split('_');
    let mut next = || parts.next()?.parse::<usize>().ok();
    let (of, number, asked) = (next()?, next()?, next()?);
    let client = clients.get(number)?;
    (of == usize::from(name) && asked == client.asked).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_request_has_room_for_every_call_id() {
        let call = plain_call().unwrap();
        let Requests([offer, answer, delete]) = Requests::new(&call);
        for request in [offer, answer, delete] {
            let length = format!("24:{CALL_ID}");
            let from = request.call_id - 3;
            assert_eq!(&request.bytes[from..from + length.len()], length.as_bytes());
        }
        assert_eq!(
            format!("{:05}-{:012}@bench", 65_535, 7).len(),
            CALL_ID.len()
        );
    }

    #[test]
    fn a_reply_counts_for_the_present_request_of_its_client() {
        let mut clients = vec![Client::default(); 2];
        clients[1].asked = 7;
        assert_eq!(number_in(b"5_1_7", 5, &clients), Some(1));
        assert_eq!(number_in(b"5_1_6", 5, &clients), None);
        assert_eq!(number_in(b"6_1_7", 5, &clients), None);
        assert_eq!(number_in(b"5_2_0", 5, &clients), None);
        assert_eq!(number_in(b"pong", 5, &clients), None);
    }
}
