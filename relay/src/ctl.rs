//! `tandem ctl`: sends an operator's command to a running relay and prints the reply.
//!
//! It speaks to the command port of either relay, as `rtpengine-ctl` does, and takes its options.
//! `drain SECONDS` goes on asking until the last call has ended or the time is over.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Where rtpengine-ctl looks when it is told nothing.
const DEFAULT: &str = "127.0.0.1:9900";
const DEFAULT_PORT: u16 = 9900;
/// The relay answers within a second; a reply with ten thousand calls takes a little longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often `drain` looks.
const LOOK: Duration = Duration::from_secs(1);

const USAGE: &str = "\
usage: tandem ctl [-ip ADDRESS[:PORT]] [-port PORT] COMMAND...

  list totals | sessions all|own|CALLID | numsessions | interfaces | jsonstats | counters
  list maxsessions | maxload | maxcpu | maxbw | timeout | ... | loglevels | loglevel [PART]
  set maxsessions|maxload|maxcpu|maxbw|timeout|silenttimeout|offertimeout|finaltimeout|deletedelay VALUE
  set loglevel [PART] 0-7
  terminate CALLID | all | own
  call CALLID [info | story | terminate | debug on|off | tag TAG info]
  debug CALLID on|off
  params start | current | diff | revert
  drain [SECONDS]     refuse new calls, and wait until the others have ended, at most so long
  undrain             take new calls again
  reload              read the configuration again
  version

The port is the relay's option listen-cli; without -ip it is 127.0.0.1:9900.
";

/// Runs the command that stands behind `ctl`.
pub fn run(arguments: &[String]) -> ExitCode {
    let (target, command) = match understand(arguments) {
        Ok(understood) => understood,
        Err(problem) => {
            eprintln!("tandem ctl: {problem}");
            return ExitCode::FAILURE;
        }
    };
    let done = match command[..] {
        [] | ["help" | "--help" | "-h"] => print(USAGE).map(|()| true),
        ["drain", seconds] => drain(&target, seconds),
        _ => ask(&target, &command.join(" ")).and_then(|reply| {
            print(&reply)?;
            Ok(!is_refusal(&reply))
        }),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tandem ctl: {target}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The address, and the words of the command.
fn understand(arguments: &[String]) -> Result<(String, Vec<&str>), String> {
    let (mut host, mut port) = (None, None);
    let mut words = arguments.iter().map(String::as_str);
    let mut command = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "-ip" | "--ip" => host = Some(words.next().ok_or("-ip wants an address")?),
            "-port" | "--port" => {
                let text = words.next().ok_or("-port wants a number")?;
                let number = text.parse::<u16>();
                port = Some(number.map_err(|_| format!("-port: `{text}` is no port number"))?);
            }
            word => {
                command.push(word);
                command.extend(words.by_ref());
            }
        }
    }
    let target = match (host, port) {
        (None, None) => DEFAULT.to_owned(),
        (None, Some(port)) => format!("127.0.0.1:{port}"),
        (Some(host), Some(port)) => format!("{host}:{port}"),
        // A colon in the text is a port's, unless it is one of an IPv6 address.
        (Some(host), None) if host.parse::<SocketAddr>().is_ok() => host.to_owned(),
        (Some(host), None) if host.matches(':').count() == 1 => host.to_owned(),
        (Some(host), None) if host.contains(':') => format!("[{host}]:{DEFAULT_PORT}"),
        (Some(host), None) => format!("{host}:{DEFAULT_PORT}"),
    };
    Ok((target, command))
}

/// One command, one connection.
fn ask(target: &str, command: &str) -> io::Result<String> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in target.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return exchange(stream, command),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: TcpStream, command: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{command}\n").as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// Refuses new calls, and waits for the others. Gives whether all have ended.
fn drain(target: &str, seconds: &str) -> io::Result<bool> {
    let Ok(limit) = seconds.parse::<u32>() else {
        let problem = format!("drain: `{seconds}` is no number of seconds");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    };
    let end = Instant::now() + Duration::from_secs(limit.into());
    print(&ask(target, "drain")?)?;
    let mut told = None;
    loop {
        let left = sessions(&ask(target, "list numsessions")?)?;
        if told.is_some_and(|told| told != left) {
            print(&format!("calls left: {left}\n"))?;
        }
        told = Some(left);
        if left == 0 {
            return Ok(true);
        }
        if Instant::now() >= end {
            print(&format!("time is over, calls left: {left}\n"))?;
            return Ok(false);
        }
        std::thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
    }
}

/// The number of calls in the reply to `list numsessions`.
fn sessions(reply: &str) -> io::Result<u64> {
    let mut lines = reply.lines();
    let total = lines.find_map(|line| line.strip_prefix("Current sessions total: "));
    total
        .and_then(|total| total.trim().parse().ok())
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the reply has no number of calls",
            )
        })
}

/// Whether the relay did not do what it was told.
fn is_refusal(reply: &str) -> bool {
    let reply = reply.trim_start();
    [
        "Unknown or incomplete",
        "More parameters",
        "Fail ",
        "No such call",
        "Call ID not found",
        "Call Id not found",
    ]
    .iter()
    .any(|beginning| reply.starts_with(beginning))
}

fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(line: &str) -> (String, String) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (target, command) = understand(&words).unwrap();
        (target, command.join(" "))
    }

    #[test]
    fn the_address_is_written_as_for_rtpengine_ctl() {
        for (line, target) in [
            ("list totals", "127.0.0.1:9900"),
            ("-ip 192.0.2.1 list totals", "192.0.2.1:9900"),
            ("-ip 192.0.2.1:77 list totals", "192.0.2.1:77"),
            ("-ip 192.0.2.1 -port 78 list totals", "192.0.2.1:78"),
            ("-port 79 list totals", "127.0.0.1:79"),
            ("-ip ::1 list totals", "[::1]:9900"),
            ("-ip [::1]:80 list totals", "[::1]:80"),
            ("-ip relay:81 list totals", "relay:81"),
        ] {
            assert_eq!(
                understood(line),
                (target.to_owned(), "list totals".to_owned()),
                "{line}"
            );
        }
        assert!(understand(&["-port".to_owned(), "x".to_owned()]).is_err());
    }

    #[test]
    fn words_behind_the_command_belong_to_it() {
        assert_eq!(understood("terminate -port").1, "terminate -port");
    }

    #[test]
    fn a_refusal_is_a_failure() {
        assert!(is_refusal("\nCall Id not found (x).\n\n"));
        assert!(is_refusal(
            "Fail setting maxsessions to x; no digists found\n"
        ));
        assert!(!is_refusal("Success setting maxsessions to 0\n"));
        assert_eq!(
            sessions("Current sessions own: 2\nCurrent sessions total: 2\n").unwrap(),
            2
        );
    }
}
