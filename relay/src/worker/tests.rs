//! One worker, told requests one by one, without its thread.

use ng_protocol::Request;
use relay_net::{DataPath, Tier};

use super::*;
use crate::call_config;
use crate::config::{Config, arguments};
use crate::control::directory::Ticket;
use crate::prompts::Prompts;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0\r\n";

/// How packets are moved in this run of the tests: `TANDEM_DATA_PATH` says it, as in the loopback suite.
fn data_path() -> DataPath {
    let tier = std::env::var("TANDEM_DATA_PATH").map_or(Tier::PerPort, |name| {
        Tier::named(&name).expect("TANDEM_DATA_PATH is kernel, hub or per-port")
    });
    DataPath::choose(Some(tier), 1, 100).unwrap()
}

/// Sockets of a worker.
pub(super) fn backend() -> Box<dyn Backend + Send> {
    let options = relay_net::SocketOptions::default();
    data_path().backend(options, Duration::ZERO).unwrap()
}

fn worker() -> Worker {
    let line = "-i 127.0.0.1 -n 127.0.0.1:2223 --delete-delay=0 --config-file=none";
    let words = line.split_whitespace().map(str::to_owned);
    let Ok(arguments::Wish::Run(settings)) = arguments::read(words) else {
        panic!("nothing to run");
    };
    let config = Config::from_settings(&settings).unwrap();
    let settings = WorkerSettings {
        number: 0,
        workers: 1,
        ports: 42_000..=42_099,
        interface_ports: Vec::new(),
        data_path: data_path(),
        sockets: relay_net::SocketOptions::default(),
        coalesce: Duration::ZERO,
        pin: false,
        calls: Arc::new(call_config::make(&config).unwrap()),
        notifier: mpsc::channel(1).0,
        tells_connections: false,
        recordings: None,
        prompts: Prompts::start(None).unwrap(),
        history: None,
        keeper: None,
        seed: Some(1),
    };
    let backend = settings
        .data_path
        .backend(settings.sockets, settings.coalesce)
        .unwrap();
    let (sender, commands) = sync_channel(1);
    let (own, gone) = ((sender, backend.waker()), mpsc::channel(1).0);
    Worker::new(settings, backend, own, commands, gone, Arc::default()).unwrap()
}

/// Keys and values of an NG request about the call `c`, all of them strings.
fn request(pairs: &[(&str, &str)]) -> Request {
    let mut text = String::from("d7:call-id1:c8:from-tag1:a");
    for (key, value) in pairs {
        text += &format!("{}:{key}{}:{value}", key.len(), value.len());
    }
    Request::parse((text + "e").as_bytes()).unwrap()
}

fn offer() -> Request {
    request(&[("command", "offer"), ("sdp", SDP)])
}

fn answer() -> Request {
    request(&[("command", "answer"), ("to-tag", "b"), ("sdp", SDP)])
}

fn delete() -> Request {
    request(&[("command", "delete")])
}

#[test]
fn a_delete_that_a_newer_request_has_overtaken_is_told_on_the_ticket_of_that_one() {
    let (mut worker, now) = (worker(), Instant::now());
    assert!(worker.carry_out(now, &offer(), Ticket(1)).exists);
    // The control side numbered the delete 2 and the answer 3; they came the other way round.
    let handled = worker.carry_out(now, &answer(), Ticket(3));
    assert_eq!(handled.response.error_reason(), None);
    assert!(!worker.carry_out(now, &delete(), Ticket(2)).exists);
    let gone = CallGone {
        call_id: CallId::from("c"),
        ticket: Ticket(3),
    };
    assert_eq!(worker.gone_later, [gone]);
}

#[test]
fn a_delete_in_its_turn_is_told_by_the_reply_alone() {
    let (mut worker, now) = (worker(), Instant::now());
    worker.carry_out(now, &offer(), Ticket(1));
    worker.carry_out(now, &answer(), Ticket(2));
    assert!(!worker.carry_out(now, &delete(), Ticket(3)).exists);
    assert!(worker.gone_later.is_empty());
}
