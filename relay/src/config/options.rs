//! Every option by name: rtpengine's, and a few of our own.
//!
//! Operators bring their `rtpengine.conf` and their start scripts with them.
//! So every name that rtpengine knows is known here, and those that mean something to this relay act; the others are reported
//! once and otherwise ignored, because a start that fails over `nftables-chain` helps nobody.

/// One option of the command line, and of the file under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt {
    /// The long name, without dashes.
    pub name: &'static str,
    /// The letter, if it has one.
    pub short: Option<char>,
    /// What follows the name.
    pub takes: Takes,
    /// What the option does.
    pub meaning: Meaning,
}

/// What follows an option's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing; `=true` and `=false` are understood.
    Nothing,
    /// One value; of several the last counts. The text stands for it in the help.
    One(&'static str),
    /// Values that add up: the option repeated, or the values separated by `;`.
    Many(&'static str),
}

/// Whether an option does anything here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It acts; this is its help text.
    Acts(&'static str),
    /// It is rtpengine's and has no effect here.
    Inert,
}

/// The option called `name`, `_` counting as `-`.
pub fn by_name(name: &str) -> Option<&'static Opt> {
    let name = name.replace('_', "-");
    OPTIONS.iter().find(|option| option.name == name)
}

/// The option with this letter.
pub fn by_letter(letter: char) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.short == Some(letter))
}

const fn acts(name: &'static str, short: char, takes: Takes, help: &'static str) -> Opt {
    Opt {
        name,
        short: if short == ' ' { None } else { Some(short) },
        takes,
        meaning: Meaning::Acts(help),
    }
}

const fn inert(name: &'static str, short: char, takes: Takes) -> Opt {
    Opt {
        name,
        short: if short == ' ' { None } else { Some(short) },
        takes,
        meaning: Meaning::Inert,
    }
}

use Takes::{Many, Nothing, One};

/// All of them; those that act come first, in the order of the help.
pub const OPTIONS: &[Opt] = &[
    acts(
        "interface",
        'i',
        Many("[NAME/]ADDR[!ADVERTISED]"),
        "Local address for media. ADDR is an IPv4 or IPv6 address, a network interface of the system, a host name, or `any` \
         (all but loopback); ADVERTISED is written to SDP instead, for a relay behind NAT. The first one is the default; \
         ALIAS=NAME gives a second name. Repeat it, or separate several by `;`",
    ),
    acts(
        "listen-ng",
        'n',
        Many("[ADDR:]PORT"),
        "UDP address for the NG control protocol; several may be given",
    ),
    acts(
        "listen-cli",
        'c',
        Many("[ADDR:]PORT"),
        "TCP address for commands of `tandem ctl` and rtpengine-ctl; several may be given",
    ),
    acts(
        "port-min",
        'm',
        One("PORT"),
        "Lowest port for media [default: 30000]",
    ),
    acts(
        "port-max",
        'M',
        One("PORT"),
        "Highest port for media [default: 39999]",
    ),
    acts(
        "timeout",
        'o',
        One("SECONDS"),
        "End a call when no packet came for this long [default: 60]",
    ),
    acts(
        "silent-timeout",
        's',
        One("SECONDS"),
        "The same for calls that are muted or on hold [default: 3600]",
    ),
    acts(
        "offer-timeout",
        ' ',
        One("SECONDS"),
        "End a call that was never answered after this long [default: 3600]",
    ),
    acts(
        "final-timeout",
        'a',
        One("SECONDS"),
        "End every call after this long; 0 is never [default: 0]",
    ),
    acts(
        "delete-delay",
        'd',
        One("SECONDS"),
        "Keep relaying for this long after `delete` [default: 30]",
    ),
    acts(
        "max-sessions",
        ' ',
        One("NUMBER"),
        "Refuse further calls beyond this many; -1 is no limit, 0 drains [default: -1]",
    ),
    acts(
        "tos",
        'T',
        One("0-255"),
        "Type-of-service byte of media packets, such as 184 for EF [default: the kernel's]",
    ),
    acts(
        "control-tos",
        ' ',
        One("0-255"),
        "Type-of-service byte of control replies",
    ),
    acts(
        "endpoint-learning",
        ' ',
        One("MODE"),
        "How the far end's real address is learned: heuristic, immediate, delayed or off [default: heuristic]",
    ),
    acts(
        "sip-source",
        ' ',
        Nothing,
        "Send media to the source of the SIP message, not to the address in SDP, unless a request says otherwise",
    ),
    acts(
        "dtls-passive",
        ' ',
        Nothing,
        "Be the DTLS server towards a peer that leaves the choice",
    ),
    acts(
        "software-id",
        ' ',
        One("TEXT"),
        "How this relay calls itself towards others [default: tandem-VERSION]",
    ),
    acts(
        "num-threads",
        ' ',
        One("NUMBER"),
        "Media worker threads [default: one per processor]",
    ),
    acts(
        "config-file",
        ' ',
        One("FILE"),
        "Read options from FILE; `none` reads no file [default: /etc/tandem/tandem.conf, or else /etc/rtpengine/rtpengine.conf]",
    ),
    acts(
        "config-section",
        ' ',
        One("NAME"),
        "Section of that file [default: tandem, or else rtpengine]",
    ),
    acts(
        "foreground",
        'f',
        Nothing,
        "Stay in the foreground and log to stderr",
    ),
    acts(
        "pidfile",
        'p',
        One("FILE"),
        "Write the process number to FILE",
    ),
    acts(
        "log-level",
        'L',
        One("0-7"),
        "How much to log: 3 errors, 4 warnings, 6 one line per stage of a call, 7 everything [default: 6]",
    ),
    acts(
        "log-stderr",
        'E',
        Nothing,
        "Log to stderr also when in the background",
    ),
    acts(
        "no-log-timestamps",
        ' ',
        Nothing,
        "Leave the time out of log lines",
    ),
    acts(
        "hold-ms",
        ' ',
        One("MILLISECONDS"),
        "Audio kept for a leg whose keys are not there yet, the newest; 0 drops it [default: 2000]",
    ),
    acts(
        "silence-fill",
        ' ',
        One("true|false"),
        "Send silence to a WhatsApp leg while nobody else speaks [default: true]",
    ),
    acts(
        "coalesce-us",
        ' ',
        One("MICROSECONDS"),
        "Longest time that a busy worker lets packets gather, 0 to 2000 [default: 1000]",
    ),
    acts(
        "pin-workers",
        ' ',
        Nothing,
        "Keep each worker thread on one processor",
    ),
    acts("version", 'v', Nothing, "Print the version and exit"),
    acts("help", 'h', Nothing, "Print this text and exit"),
    inert("table", 't', One("")),
    inert("no-fallback", 'F', Nothing),
    inert("interfaces-config", ' ', One("")),
    inert("save-interface-ports", 'S', Nothing),
    inert("subscribe-keyspace", 'k', Many("")),
    inert("listen-tcp", 'l', Many("")),
    inert("listen-udp", 'u', Many("")),
    inert("listen-tcp-ng", 'N', Many("")),
    inert("listen-http", ' ', Many("")),
    inert("listen-https", ' ', Many("")),
    inert("https-cert", ' ', One("")),
    inert("https-key", ' ', One("")),
    inert("http-threads", ' ', One("")),
    inert("http-buf-size", ' ', One("")),
    inert("http-idle-timeout", ' ', One("")),
    inert("graphite", 'g', One("")),
    inert("graphite-interval", 'G', One("")),
    inert("graphite-prefix", ' ', One("")),
    inert("graphite-timeout", ' ', One("")),
    inert("redis", 'r', One("")),
    inert("redis-write", 'w', One("")),
    inert("redis-subscribe", ' ', One("")),
    inert("redis-num-threads", ' ', One("")),
    inert("redis-expires", ' ', One("")),
    inert("no-redis-required", 'q', Nothing),
    inert("redis-allowed-errors", ' ', One("")),
    inert("redis-disable-time", ' ', One("")),
    inert("redis-cmd-timeout", ' ', One("")),
    inert("redis-connect-timeout", ' ', One("")),
    inert("redis-delete-async", 'y', Nothing),
    inert("redis-delete-async-interval", ' ', One("")),
    inert("redis-format", ' ', One("")),
    inert("redis-resolve-on-reconnect", ' ', Nothing),
    inert("redis-tcp-keepalive-time", ' ', One("")),
    inert("redis-tcp-keepalive-intvl", ' ', One("")),
    inert("redis-tcp-keepalive-probes", ' ', One("")),
    inert("active-switchover", ' ', Nothing),
    inert("b2b-url", 'b', One("")),
    inert("xmlrpc-format", 'x', One("")),
    inert("log-facility", ' ', One("")),
    inert("log-facility-cdr", ' ', One("")),
    inert("log-facility-rtcp", ' ', One("")),
    inert("log-facility-dtmf", ' ', One("")),
    inert("log-format", ' ', One("")),
    inert("log-name", ' ', One("")),
    inert("log-mark-prefix", ' ', One("")),
    inert("log-mark-suffix", ' ', One("")),
    inert("log-srtp-keys", ' ', Nothing),
    inert("log-level-core", ' ', One("")),
    inert("log-level-spandsp", ' ', One("")),
    inert("log-level-ffmpeg", ' ', One("")),
    inert("log-level-transcoding", ' ', One("")),
    inert("log-level-codec", ' ', One("")),
    inert("log-level-rtcp", ' ', One("")),
    inert("log-level-ice", ' ', One("")),
    inert("log-level-crypto", ' ', One("")),
    inert("log-level-srtp", ' ', One("")),
    inert("log-level-internals", ' ', One("")),
    inert("log-level-http", ' ', One("")),
    inert("log-level-control", ' ', One("")),
    inert("log-level-dtx", ' ', One("")),
    inert("split-logs", ' ', Nothing),
    inert("max-log-line-length", ' ', One("")),
    inert("debug-srtp", ' ', Nothing),
    inert("thread-stack", ' ', One("")),
    inert("media-num-threads", ' ', One("")),
    inert("codec-num-threads", ' ', One("")),
    inert("max-load", ' ', One("")),
    inert("max-cpu", ' ', One("")),
    inert("max-bandwidth", ' ', One("")),
    inert("dtls-mtu", ' ', One("")),
    inert("dtls-cert-cipher", ' ', One("")),
    inert("dtls-rsa-key-size", ' ', One("")),
    inert("dtls-signature", ' ', One("")),
    inert("dtls-ciphers", ' ', One("")),
    inert("templates", ' ', One("")),
    inert("reject-invalid-sdp", ' ', Nothing),
    inert("recording-dir", ' ', One("")),
    inert("recording-method", ' ', One("")),
    inert("recording-format", ' ', One("")),
    inert("record-egress", ' ', Nothing),
    inert("record-both", ' ', Nothing),
    inert("ssrc-reporting", ' ', One("")),
    inert("mos", ' ', Many("")),
    inert("measure-rtp", ' ', Nothing),
    inert("rtcp-interval", ' ', One("")),
    inert("dtmf-log-dest", ' ', One("")),
    inert("dtmf-log-ng-tcp", ' ', Nothing),
    inert("dtmf-no-log-injects", ' ', Nothing),
    inert("dtmf-no-suppress", ' ', Nothing),
    inert("dtmf-digit-delay", ' ', One("")),
    inert("homer", ' ', One("")),
    inert("homer-protocol", ' ', One("")),
    inert("homer-id", ' ', One("")),
    inert("homer-enable-ng", ' ', Nothing),
    inert("homer-disable-rtcp-stats", ' ', Nothing),
    inert("homer-ng-capture-proto", ' ', One("")),
    inert("nftables-chain", ' ', One("")),
    inert("nftables-base-chain", ' ', One("")),
    inert("nftables-family", ' ', One("")),
    inert("nftables-append", ' ', Nothing),
    inert("nftables-start", ' ', Nothing),
    inert("nftables-stop", ' ', Nothing),
    inert("nftables-status", ' ', Nothing),
    inert("xtables", ' ', Nothing),
    inert("iptables-chain", ' ', One("")),
    inert("kernel-player", ' ', One("")),
    inert("kernel-player-media", ' ', One("")),
    inert("jitter-buffer", ' ', One("")),
    inert("jb-clock-drift", ' ', Nothing),
    inert("jb-adaptive", ' ', Nothing),
    inert("jb-adaptive-min", ' ', One("")),
    inert("jb-adaptive-max", ' ', One("")),
    inert("dtx-delay", ' ', One("")),
    inert("max-dtx", ' ', One("")),
    inert("dtx-buffer", ' ', One("")),
    inert("dtx-lag", ' ', One("")),
    inert("dtx-shift", ' ', One("")),
    inert("dtx-cn-params", ' ', Many("")),
    inert("amr-dtx", ' ', One("")),
    inert("evs-lib-path", ' ', One("")),
    inert("silence-detect", ' ', One("")),
    inert("cn-payload", ' ', Many("")),
    inert("audio-player", ' ', One("")),
    inert("audio-buffer-length", ' ', One("")),
    inert("audio-buffer-delay", ' ', One("")),
    inert("player-cache", ' ', Nothing),
    inert("preload-media-files", ' ', Many("")),
    inert("media-files-reload", ' ', One("")),
    inert("media-files-expire", ' ', One("")),
    inert("media-expire", ' ', One("")),
    inert("media-evict", ' ', One("")),
    inert("db-media-cache", ' ', One("")),
    inert("db-media-reload", ' ', One("")),
    inert("db-media-expire", ' ', One("")),
    inert("preload-db-media", ' ', Many("")),
    inert("preload-db-cache", ' ', Many("")),
    inert("cache-expire", ' ', One("")),
    inert("mysql-host", ' ', One("")),
    inert("mysql-port", ' ', One("")),
    inert("mysql-user", ' ', One("")),
    inert("mysql-pass", ' ', One("")),
    inert("mysql-query", ' ', One("")),
    inert("moh-max-duration", ' ', One("")),
    inert("moh-max-repeats", ' ', One("")),
    inert("moh-attr-name", ' ', One("")),
    inert("moh-prevent-double-hold", ' ', Nothing),
    inert("vsc-start-rec", ' ', One("")),
    inert("vsc-stop-rec", ' ', One("")),
    inert("vsc-pause-rec", ' ', One("")),
    inert("vsc-start-stop-rec", ' ', One("")),
    inert("vsc-pause-resume-rec", ' ', One("")),
    inert("vsc-start-pause-resume-rec", ' ', One("")),
    inert("mqtt-host", ' ', One("")),
    inert("mqtt-port", ' ', One("")),
    inert("mqtt-id", ' ', One("")),
    inert("mqtt-keepalive", ' ', One("")),
    inert("mqtt-user", ' ', One("")),
    inert("mqtt-pass", ' ', One("")),
    inert("mqtt-cafile", ' ', One("")),
    inert("mqtt-capath", ' ', One("")),
    inert("mqtt-certfile", ' ', One("")),
    inert("mqtt-keyfile", ' ', One("")),
    inert("mqtt-publish-qos", ' ', One("")),
    inert("mqtt-publish-topic", ' ', One("")),
    inert("mqtt-publish-interval", ' ', One("")),
    inert("mqtt-publish-scope", ' ', One("")),
    inert("janus-secret", ' ', One("")),
    inert("transcode-config", ' ', One("")),
    inert("ng-client-timeout", ' ', One("")),
    inert("ng-client-retries", ' ', One("")),
    inert("poller-per-thread", ' ', Nothing),
    inert("poller-size", ' ', One("")),
    inert("io-uring", ' ', Nothing),
    inert("io-uring-buffers", ' ', One("")),
    inert("timer-accuracy", ' ', One("")),
    inert("max-recv-iters", ' ', One("")),
    inert("socket-cpu-affinity", ' ', One("")),
    inert("scheduling", ' ', One("")),
    inert("priority", ' ', One("")),
    inert("idle-scheduling", ' ', One("")),
    inert("idle-priority", ' ', One("")),
    inert("control-pmtu", ' ', One("")),
    inert("codecs", ' ', Nothing),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_letters_are_unique() {
        for option in OPTIONS {
            let same_name = OPTIONS.iter().filter(|o| o.name == option.name);
            assert_eq!(same_name.count(), 1, "{}", option.name);
            if let Some(letter) = option.short {
                let same_letter = OPTIONS.iter().filter(|o| o.short == Some(letter));
                assert_eq!(same_letter.count(), 1, "-{letter}");
            }
        }
    }

    #[test]
    fn names_are_found_in_either_spelling() {
        assert_eq!(by_name("port_min"), by_name("port-min"));
        assert_eq!(by_letter('m'), by_name("port-min"));
        assert_eq!(by_name("port-mid"), None);
    }
}
