//! The process, its log, and what it prints.

use super::works;
use crate::config::options::Opt;
use crate::config::options::Takes::{Nothing, One};

pub(super) const PROCESS: &[Opt] = &[
    works(
        "config-file",
        ' ',
        One("FILE"),
        "Read options from FILE; `none` reads no file [default: /etc/tandem/tandem.conf, or else /etc/rtpengine/rtpengine.conf]",
    ),
    works(
        "config-section",
        ' ',
        One("NAME"),
        "Section of that file [default: tandem, or else rtpengine]",
    ),
    works(
        "foreground",
        'f',
        Nothing,
        "Stay in the foreground and log to stderr",
    ),
    works(
        "pidfile",
        'p',
        One("FILE"),
        "Write the process number to FILE",
    ),
    works(
        "num-threads",
        ' ',
        One("NUMBER"),
        "Media worker threads [default: one per processor]",
    ),
    works(
        "pin-workers",
        ' ',
        Nothing,
        "Keep each worker thread on one processor",
    ),
    works(
        "data-path",
        ' ',
        One("auto|kernel|hub|per-port"),
        "How packets are moved: kernel (streams of plain RTP that pass with other addresses and numbers alone are forwarded by eBPF before they reach the relay; needs CAP_BPF and CAP_NET_ADMIN, Linux 6.6; what is left takes the best of the others), hub (eBPF steers all ports of a worker to one socket; needs CAP_BPF and CAP_NET_ADMIN, and CAP_NET_RAW to send in batches, Linux 5.9), per-port (a socket for each port; needs nothing), or the better of the last two [default: auto]",
    ),
    works(
        "coalesce-us",
        ' ',
        One("MICROSECONDS"),
        "Longest time that a busy worker lets packets gather, 0 to 2000 [default: 1000]",
    ),
    works(
        "log-level",
        'L',
        One("0-7"),
        "How much to log: 3 errors, 4 warnings, 6 one line per stage of a call, 7 everything [default: 6]",
    ),
    works(
        "log-stderr",
        'E',
        Nothing,
        "Log to stderr also when in the background",
    ),
    works(
        "no-log-timestamps",
        ' ',
        Nothing,
        "Leave the time out of log lines",
    ),
    works(
        "log-facility",
        ' ',
        One("NAME"),
        "Facility for syslog: daemon, user, local0 to local7 and so on [default: daemon]",
    ),
    works(
        "log-format",
        ' ',
        One("default|parsable|json"),
        "How the call stands in a log line: [ID], or ID=\"ID\"; json: each line is an object with time, level, call and message [default: default]",
    ),
    works(
        "log-name",
        ' ',
        One("TEXT"),
        "Name in syslog [default: tandem]",
    ),
    works(
        "log-mark-prefix",
        ' ',
        One("TEXT"),
        "Written before the call-id in log lines, for filters that hide it",
    ),
    works(
        "log-mark-suffix",
        ' ',
        One("TEXT"),
        "Written after the call-id in log lines",
    ),
    works(
        "log-level-core",
        ' ',
        One("0-7"),
        "Log level for everything that is none of the others [default: log-level]",
    ),
    works(
        "log-level-transcoding",
        ' ',
        One("0-7"),
        "Log level for transcoding [default: log-level]",
    ),
    works(
        "log-level-codec",
        ' ',
        One("0-7"),
        "Log level for negotiation of codecs [default: log-level]",
    ),
    works(
        "log-level-rtcp",
        ' ',
        One("0-7"),
        "Log level for RTCP [default: log-level]",
    ),
    works(
        "log-level-ice",
        ' ',
        One("0-7"),
        "Log level for ICE [default: log-level]",
    ),
    works(
        "log-level-crypto",
        ' ',
        One("0-7"),
        "Log level for DTLS, SDES and their keys [default: log-level]",
    ),
    works(
        "log-level-srtp",
        ' ',
        One("0-7"),
        "Log level for packets that cannot be authenticated [default: log-level]",
    ),
    works(
        "log-level-internals",
        ' ',
        One("0-7"),
        "Log level for the inside of the relay [default: log-level]",
    ),
    works(
        "log-level-http",
        ' ',
        One("0-7"),
        "Log level for HTTP and WebSocket [default: log-level]",
    ),
    works(
        "log-level-control",
        ' ',
        One("0-7"),
        "Log level for control protocols and commands [default: log-level]",
    ),
    works(
        "split-logs",
        ' ',
        Nothing,
        "Write a message of several lines as several log lines",
    ),
    works(
        "max-log-line-length",
        ' ',
        One("BYTES"),
        "Break log lines at this length; 0 does not [default: 0]",
    ),
    works(
        "nftables-start",
        ' ',
        Nothing,
        "Exit at once: there is no firewall rule to make (rtpengine's start scripts call this)",
    ),
    works(
        "nftables-stop",
        ' ',
        Nothing,
        "Exit at once: there is no firewall rule to remove",
    ),
    works(
        "nftables-status",
        ' ',
        Nothing,
        "Exit at once: there is no firewall rule to show",
    ),
    works(
        "codecs",
        ' ',
        Nothing,
        "Print the codecs that can be transcoded and exit",
    ),
    works(
        "check-config",
        ' ',
        Nothing,
        "Read the options and the file, say what is wrong with them, and exit (also --check)",
    ),
    works("version", 'v', Nothing, "Print the version and exit"),
    works("help", 'h', Nothing, "Print this text and exit"),
];
