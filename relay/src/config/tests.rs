//! Command lines and files, and what is made of them.

use std::net::Ipv6Addr;

use relay_net::interfaces::SystemAddress;

use super::*;
use crate::logging::{Facility, Subsystem};

struct NoNames;

impl Names for NoNames {
    fn system(&self) -> Vec<SystemAddress> {
        Vec::new()
    }

    fn host(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "localhost" => vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
            _ => Vec::new(),
        }
    }
}

fn config(line: &str) -> Result<Config, String> {
    let words = line.split_whitespace().map(str::to_owned);
    let Ok(arguments::Wish::Run(settings)) = arguments::read(words) else {
        panic!("nothing to run");
    };
    Config::from_settings_on(&settings, &NoNames).map_err(|error| error.to_string())
}

const LEAST: &str = "-i 192.0.2.1 -n 2223";

#[test]
fn the_defaults_are_rtpengines() {
    let config = config(LEAST).unwrap();
    assert_eq!(config.ports, 30_000..=39_999);
    assert_eq!(config.timeout, Duration::from_secs(60));
    assert_eq!(config.delete_delay, Duration::from_secs(30));
    assert_eq!(config.final_timeout, None);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.process.log.level, 6);
    assert_eq!(
        config.listen_ng,
        [
            "0.0.0.0:2223".parse().unwrap(),
            "[::]:2223".parse().unwrap()
        ]
    );
}

#[test]
fn options_that_act_are_obeyed() {
    let config = config(&format!(
        "{LEAST} -m 40000 -M 40010 -o 5 -a 7200 -d 0 --max-sessions=0 -T 184 --hold-ms=0 \
         --coalesce-us 500 -L 7 -fE --silence-fill=false --endpoint-learning=off --num-threads=3 -t -1 \
         --data-path=hub"
    ))
    .unwrap();
    assert_eq!(config.ports, 40_000..=40_010);
    assert_eq!(config.timeout, Duration::from_secs(5));
    assert_eq!(config.final_timeout, Some(Duration::from_secs(7200)));
    assert_eq!(config.delete_delay, Duration::ZERO);
    assert_eq!(config.limits.sessions, Some(0));
    assert_eq!(config.tos, Some(184));
    assert_eq!(config.hold, Duration::ZERO);
    assert_eq!(config.coalesce, Duration::from_micros(500));
    assert_eq!(config.process.log.level, 7);
    assert!(config.process.foreground && config.process.log.stderr);
    assert!(!config.silence_fill);
    assert_eq!(config.endpoint_learning, EndpointLearning::Off);
    assert_eq!(config.workers, 3);
    assert_eq!(config.data_path, Some(Tier::Hub));
}

#[test]
fn a_bad_value_is_named_with_its_option() {
    for (line, words) in [
        (
            "--port-min=x",
            "option port-min: `x`: a number from 1 to 65535",
        ),
        (
            "--port-max=20",
            "option port-max: `20`: must be above port-min",
        ),
        ("--timeout=-3", "option timeout: `-3`"),
        (
            "--log-level=8",
            "option log-level: `8`: a number from 0 to 7",
        ),
        ("--foreground=maybe", "option foreground: `maybe`"),
        (
            "--endpoint-learning=guess",
            "option endpoint-learning: `guess`",
        ),
        ("-n here:99999", "option listen-ng: `here:99999`"),
        (
            "-n nohost:2223",
            "option listen-ng: `nohost:2223`: nohost is no address",
        ),
        ("-i pub/nowhere", "option interface: `pub/nowhere`"),
    ] {
        let error = config(&format!("{LEAST} {line}")).unwrap_err();
        assert!(error.contains(words), "{line}: {error}");
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    assert!(
        config("-n 2223")
            .unwrap_err()
            .contains("option interface is missing")
    );
    assert!(
        config("-i 192.0.2.1")
            .unwrap_err()
            .contains("option listen-ng is missing")
    );
}

#[test]
fn listeners_are_addresses_hosts_and_ports() {
    let listeners = |entry: &str| {
        config(&format!("-i 192.0.2.1 -n {entry}"))
            .unwrap()
            .listen_ng
    };
    let addresses =
        |list: &[&str]| -> Vec<SocketAddr> { list.iter().map(|a| a.parse().unwrap()).collect() };
    assert_eq!(listeners("127.0.0.1:2223"), addresses(&["127.0.0.1:2223"]));
    assert_eq!(listeners("[::1]:2223"), addresses(&["[::1]:2223"]));
    assert_eq!(
        listeners("localhost:2223"),
        addresses(&["127.0.0.1:2223", "[::1]:2223"])
    );
    assert_eq!(
        listeners("127.0.0.1:1;127.0.0.1:2 -n 127.0.0.1:3"),
        addresses(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"])
    );
}

fn config_of_file(text: &str) -> Result<Config, String> {
    let settings = Settings::default().with_file(text);
    settings
        .and_then(|settings| Config::from_settings_on(&settings, &NoNames))
        .map_err(|error| error.to_string())
}

#[test]
fn a_bad_line_of_the_file_is_named() {
    let least = "[tandem]\ninterface = 192.0.2.1\nlisten-ng = 2223\n";
    for (line, words) in [
        (
            "port-min = x",
            "/etc/test.conf, line 4: option port-min: `x`: a number",
        ),
        (
            "prot-max = 7",
            "/etc/test.conf, line 4: there is no option prot-max; is port-max meant?",
        ),
        (
            "listen-udp = 12222",
            "line 4: option listen-udp: `12222`: the letter protocol",
        ),
        (
            "log-facility = foo",
            "line 4: option log-facility: `foo`: one of",
        ),
        (
            "log-format = xml",
            "line 4: option log-format: `xml`: default, parsable or json",
        ),
        ("log-level-ice = 9", "line 4: option log-level-ice: `9`"),
        (
            "max-cpu = 101",
            "line 4: option max-cpu: `101`: a number from 0",
        ),
        ("max-load = much", "line 4: option max-load: `much`"),
        (
            "dtmf-log-dest = 2226",
            "line 4: option dtmf-log-dest: `2226`: an address and a port",
        ),
        ("listen-cli = here", "line 4: option listen-cli: `here`"),
        (
            "templates = nowhere",
            "line 4: option templates: `nowhere`: there is no section",
        ),
        (
            "interfaces-config = nowhere",
            "line 4: option interfaces-config: `nowhere`: there is no section [nowhere-",
        ),
    ] {
        let error = config_of_file(&format!("{least}{line}\n")).unwrap_err();
        assert!(error.contains(words), "{line}: {error}");
    }
}

#[test]
fn a_name_that_is_no_option_stops_the_command_line() {
    let error = config(&format!("{LEAST} --port-mni=2")).unwrap_err();
    assert_eq!(error, "there is no option --port-mni; is port-min meant?");
}

#[test]
fn the_log_is_as_the_options_say() {
    let config = config(&format!(
        "{LEAST} -L 5 --log-level-ice=7 --log-level-internals=-1 --log-facility=local3 --log-name=relay \
         --log-format=parsable --log-mark-prefix=< --log-mark-suffix=> --split-logs --max-log-line-length=200"
    ))
    .unwrap();
    let log = config.process.log;
    assert_eq!(log.level, 5);
    assert_eq!(log.levels, [(Subsystem::Ice, 7)]);
    assert_eq!(log.facility, Facility::parse("local3").unwrap());
    assert_eq!(log.name, "relay");
    assert_eq!(log.format, LogFormat::Parsable);
    assert!(log.split);
    assert_eq!(log.mark, ("<".to_owned(), ">".to_owned()));
    assert_eq!(log.longest_line, Some(200));
}

#[test]
fn limits_are_read_and_zero_is_none() {
    let limits = |line: &str| config(&format!("{LEAST} {line}")).unwrap().limits;
    assert_eq!(
        limits("--max-sessions=5 --max-load=3.5 --max-cpu=90 --max-bandwidth=1000"),
        Limits {
            sessions: Some(5),
            load: Some(3.5),
            cpu: Some(90.0),
            bandwidth: Some(1000),
        }
    );
    assert_eq!(
        limits("--max-sessions=-1 --max-load=0 --max-cpu=0 --max-bandwidth=0"),
        Limits::default()
    );
}
