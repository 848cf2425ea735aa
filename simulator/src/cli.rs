//! The command line, written for somebody who runs a session border controller and has never
//! seen this program.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::sip::uas::{Challenging, Refusal};

/// Plays Meta's side of WhatsApp Business Calling over SIP, and says what your side does wrong.
///
/// It calls your SIP server as a WhatsApp user would (uic), or takes a call from it as Meta's
/// gateway wa.meta.vc would (bic): SIP over TLS with digest authentication, ICE-lite with DTLS, or
/// SDES, and Opus audio. Whatever would fail with Meta is reported in a sentence.
///
/// Exit status: 0 when every call went as expected and nothing was violated, 1 when not, 2 when
/// the simulator could not run.
#[derive(Debug, Parser)]
#[command(name = "simulator", version, after_help = EXAMPLES, args_override_self = true)]
pub struct Arguments {
    /// Show messages and stages while they happen (twice: whole messages). SIMULATOR_LOG
    /// overrides this with a filter such as simulator=trace.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Certificates for a test, all signed by one throw-away authority:
    simulator make-ca --out certs --host sbc.example.com

  A WhatsApp user calls the business number +15550001111 behind sbc.example.com:
    simulator uic --sbc sbc.example.com:5061 --business +15550001111 --password secret \\
        --user +4915112345678 --ca certs/ca.pem --tone 700 --expect-tone 440 --talk 5

  Wait for one call of the business, with the user picking up after two seconds:
    simulator bic --listen 0.0.0.0:5061 --cert certs/wa.meta.vc.pem --key certs/wa.meta.vc.key \\
        --ca certs/ca.pem --business +15550001111 --password secret --host sbc.example.com \\
        --sbc sbc.example.com:5061 --ring --answer-after-ms 2000

  Your server must send requests for wa.meta.vc to the simulator's --listen address.";

impl Arguments {
    /// The log filter that `--verbose` stands for.
    pub fn log_filter(&self) -> &'static str {
        match self.verbose {
            0 => "error",
            1 => "simulator=debug",
            _ => "simulator=trace",
        }
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Call the business as a WhatsApp user would (user-initiated call).
    Uic(Box<UicArguments>),
    /// Take calls of the business as Meta would (business-initiated call).
    Bic(Box<BicArguments>),
    /// Be Meta for as long as it takes: take calls of the business, and place calls now and then.
    Serve(Box<ServeArguments>),
    /// Write a throw-away authority and certificates for wa.meta.vc and your hosts.
    MakeCa(MakeCaArguments),
}

/// `simulator uic`.
#[derive(Debug, Args)]
pub struct UicArguments {
    #[command(flatten)]
    pub business: BusinessArguments,
    /// Your TLS server, as HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    pub sbc: String,
    #[command(flatten)]
    pub caller: CallerArguments,
    /// Where your server finds wa.meta.vc for its requests inside the call (its BYE).
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:5061")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub tls: TlsArguments,
    /// How many calls, one after the other.
    #[arg(long, default_value_t = 1)]
    pub calls: u32,
    /// The status the INVITE is meant to end with: 200, or for instance 403 with a wrong password.
    #[arg(long, value_name = "STATUS")]
    pub expect: Option<u16>,
    #[command(flatten)]
    pub talk: TalkArguments,
    #[command(flatten)]
    pub media: MediaArguments,
    #[command(flatten)]
    pub report: ReportArguments,
}

/// `simulator bic`.
#[derive(Debug, Args)]
pub struct BicArguments {
    #[command(flatten)]
    pub business: BusinessArguments,
    /// Your TLS server, as HOST:PORT, for Meta's BYE. Without it Meta uses your connection.
    #[arg(long, value_name = "HOST:PORT")]
    pub sbc: Option<String>,
    /// Where your server finds wa.meta.vc.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:5061")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub tls: TlsArguments,
    #[command(flatten)]
    pub callee: CalleeArguments,
    /// How many calls to take.
    #[arg(long, default_value_t = 1)]
    pub calls: u32,
    /// How many seconds to wait for each.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub wait: f64,
    /// The status the INVITE is meant to end with: 200 unless --refuse says otherwise, 487 when
    /// the business is to cancel.
    #[arg(long, value_name = "STATUS")]
    pub expect: Option<u16>,
    #[command(flatten)]
    pub talk: TalkArguments,
    #[command(flatten)]
    pub media: MediaArguments,
    #[command(flatten)]
    pub report: ReportArguments,
}

/// `simulator serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    #[command(flatten)]
    pub business: BusinessArguments,
    /// Your TLS server, as HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    pub sbc: String,
    #[command(flatten)]
    pub caller: CallerArguments,
    /// Where your server finds wa.meta.vc.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:5061")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub tls: TlsArguments,
    #[command(flatten)]
    pub callee: CalleeArguments,
    /// How many user-initiated calls to place beside taking calls.
    #[arg(long, value_name = "CALLS", default_value_t = 0)]
    pub place: u32,
    /// Seconds from the start of one placed call to the next.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub every: f64,
    /// Stop after this many seconds instead of waiting for Ctrl-C or SIGTERM.
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<f64>,
    #[command(flatten)]
    pub talk: TalkArguments,
    #[command(flatten)]
    pub media: MediaArguments,
    #[command(flatten)]
    pub report: ReportArguments,
}

/// `simulator make-ca`.
#[derive(Debug, Args)]
pub struct MakeCaArguments {
    /// The directory to write to; it is made when it is not there.
    #[arg(long, value_name = "DIRECTORY")]
    pub out: PathBuf,
    /// A host name of yours to make a certificate for; may be given several times.
    #[arg(long, required = true, value_name = "HOST")]
    pub host: Vec<String>,
}

/// The business as Meta's settings know it.
#[derive(Debug, Args)]
#[command(next_help_heading = "The business")]
pub struct BusinessArguments {
    /// The business' number, with +.
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    pub business: String,
    /// The SIP password Meta generated for that number. In uic it may be left out when your
    /// server asks for none.
    #[arg(long)]
    pub password: Option<String>,
    /// The host name configured at Meta; by default the host of --sbc.
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// The name to send as SNI and to find in your certificate; by default the same as --host.
    #[arg(long, value_name = "HOST")]
    pub sni: Option<String>,
}

/// The WhatsApp user who calls.
#[derive(Debug, Args)]
#[command(next_help_heading = "The WhatsApp user's call")]
pub struct CallerArguments {
    /// The calling user: a number with +, or a business-scoped id such as US.13491208655302741.
    #[arg(long, value_name = "NUMBER", default_value = "+4915112345678")]
    pub user: String,
    /// The user's profile name; by default the digits of the number.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Parameters in the user part of the Request-URI, such as "tgrp=a;trunk-context=b".
    #[arg(long, value_name = "PARAMETERS")]
    pub user_params: Option<String>,
    /// Leave a Route header naming Meta's inner proxy in the INVITE, as one published sample has.
    #[arg(long)]
    pub preloaded_route: bool,
    /// Add an x-wa-meta-* header, as NAME=VALUE; may be given several times.
    #[arg(long = "meta-header", value_name = "NAME=VALUE", value_parser = header)]
    pub meta_headers: Vec<(String, String)>,
    /// Send the INVITE with credentials twice.
    #[arg(long)]
    pub duplicate_invite: bool,
    /// The user gives up this many milliseconds after the first sign of life (100 or 180).
    #[arg(long, value_name = "MS")]
    pub cancel_after: Option<u64>,
    /// How many seconds the business has to answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub answer_within: f64,
}

/// The WhatsApp user who is called.
#[derive(Debug, Args)]
#[command(next_help_heading = "The business' call")]
pub struct CalleeArguments {
    /// How Meta challenges.
    #[arg(long, value_enum, default_value_t = Challenging::Md5)]
    pub challenge: Challenging,
    /// Send 180 before the answer.
    #[arg(long)]
    pub ring: bool,
    /// How many milliseconds the phone rings before it is answered.
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub answer_after_ms: u64,
    /// Refuse the call instead.
    #[arg(long, value_enum, value_name = "WHY")]
    pub refuse: Option<Refusal>,
    /// How many seconds Meta waits for an ACK it can route before it ends the call.
    #[arg(long, value_name = "SECONDS", default_value_t = 32.0)]
    pub ack_within: f64,
}

/// Certificates.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArguments {
    /// The authorities that signed your server's certificate (PEM); by default the system's.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Meta's certificate chain for wa.meta.vc (PEM). Without it, one is made up that nobody
    /// trusts: enough for a uic that Meta ends itself.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Present no certificate when your server asks for one. Meta presents one that cannot be
    /// verified.
    #[arg(long)]
    pub no_client_cert: bool,
}

/// Who hangs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HangUp {
    /// The WhatsApp user.
    Meta,
    /// The business.
    Business,
}

/// How long to talk, and who ends it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Talking and hanging up")]
pub struct TalkArguments {
    /// Seconds to talk.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub talk: f64,
    /// Who hangs up.
    #[arg(long, value_enum, value_name = "WHO", default_value_t = HangUp::Meta)]
    pub hangup: HangUp,
    /// How many seconds Meta waits for a response to its BYE or CANCEL.
    #[arg(long, value_name = "SECONDS", default_value_t = 32.0)]
    pub response_within: f64,
    /// Open a new connection for Meta's BYE instead of using the one at hand.
    #[arg(long)]
    pub fresh_connections: bool,
    /// A header that may reach Meta although it looks internal (X-..., P-...); may be repeated.
    #[arg(long = "allow-header", value_name = "NAME")]
    pub allowed_headers: Vec<String>,
}

/// How keys are agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// DTLS-SRTP with ICE, Meta's default.
    Dtls,
    /// SDES without ICE, a setting of the number at Meta.
    Sdes,
}

/// The codec the user's voice is sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Voice {
    Opus,
    Pcmu,
    Pcma,
}

/// Media.
#[derive(Debug, Args)]
#[command(next_help_heading = "Media")]
pub struct MediaArguments {
    /// How keys are agreed.
    #[arg(long, value_enum, default_value_t = Mode::Dtls)]
    pub mode: Mode,
    /// Meta's IPv4 address for media; by default the one this machine uses towards --sbc.
    #[arg(long, value_name = "ADDRESS")]
    pub media_ip: Option<Ipv4Addr>,
    /// The IPv4 address to write into the description when it is another (address translation).
    #[arg(long, value_name = "ADDRESS")]
    pub advertise_ip: Option<Ipv4Addr>,
    /// Meta's IPv6 address for media. Without it an IPv6 candidate is listed all the same, as
    /// Meta does, with nothing behind it.
    #[arg(long, value_name = "ADDRESS")]
    pub media_ipv6: Option<Ipv6Addr>,
    /// List no IPv6 candidate at all.
    #[arg(long, conflicts_with = "media_ipv6")]
    pub no_ipv6: bool,
    /// Ignore STUN and DTLS for this long after the answer, as Meta does (50 to 1500).
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub setup_delay_ms: u64,
    /// The tone the user makes.
    #[arg(long, value_name = "HZ", default_value_t = 700.0)]
    pub tone: f64,
    /// The tone the user must hear.
    #[arg(long, value_name = "HZ")]
    pub expect_tone: Option<f64>,
    /// Offer (or accept) PCMU and PCMA beside Opus, a setting of the number at Meta.
    #[arg(long)]
    pub g711: bool,
    /// The codec of the user's voice; pcmu and pcma need --g711.
    #[arg(long, value_enum, default_value_t = Voice::Opus)]
    pub voice: Voice,
    /// Digits the user presses one second after the answer.
    #[arg(long, value_name = "DIGITS")]
    pub digits: Option<String>,
    /// In bic, answer setup:passive instead of setup:active.
    #[arg(long)]
    pub passive: bool,
    /// Packets lost on the road, in per cent, each way.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub loss: f64,
    /// Packets overtaken by later ones, in per cent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub reorder: f64,
    /// Packets delivered twice, in per cent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub duplicate: f64,
    /// Delay of the road, each way.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub delay_ms: u64,
    /// Up to this much more, at random.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub jitter_ms: u64,
    /// Multiply Meta's media timers (20 s for the first packet, 30 s of silence) by this.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub media_timers: f64,
    /// Insist on public addresses even though the simulator itself has a private one.
    #[arg(long)]
    pub public_only: bool,
    /// Judge SIP only.
    #[arg(long)]
    pub ignore_media: bool,
}

/// Where the results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub struct ReportArguments {
    /// Write everything as JSON to this file ("-": standard output, in place of the table).
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

fn number(text: &str) -> Result<String, String> {
    match text.strip_prefix('+') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(text.to_owned())
        }
        _ => Err("a number in international form is needed, such as +15550001111".to_owned()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| "NAME=VALUE is needed".to_owned())?;
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !is_name || value.chars().any(char::is_control) {
        return Err("that is no header name and value".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_number_without_its_plus_is_refused() {
        let parse = |number: &str| {
            Arguments::try_parse_from([
                "simulator",
                "uic",
                "--sbc",
                "sbc.example.com:5061",
                "--business",
                number,
            ])
        };
        assert!(parse("+15550001111").is_ok());
        assert!(parse("15550001111").is_err());
        assert!(parse("+").is_err());
    }

    #[test]
    fn the_examples_in_the_help_are_accepted() {
        let joined = EXAMPLES.replace("\\\n", "");
        let commands: Vec<&str> = joined
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("simulator "))
            .collect();
        assert_eq!(commands.len(), 3);
        for command in commands {
            let parsed = Arguments::try_parse_from(command.split_whitespace());
            assert!(parsed.is_ok(), "{command}: {parsed:?}");
        }
    }
}
