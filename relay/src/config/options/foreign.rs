//! The options of rtpengine that have no effect here, each with the reason, and those that cannot be accepted.

use super::Takes::{Many, Nothing, One};
use super::{Meaning, Opt, Takes};

const fn accepted(name: &'static str, short: char, takes: Takes, reason: &'static str) -> Opt {
    Opt {
        name,
        short: if short == ' ' { None } else { Some(short) },
        takes,
        meaning: Meaning::Accepted(reason),
    }
}

const fn refused(name: &'static str, short: char, takes: Takes, reason: &'static str) -> Opt {
    Opt {
        name,
        short: if short == ' ' { None } else { Some(short) },
        takes,
        meaning: Meaning::Refused(reason),
    }
}

const RTPPROXY: &str = "the letter protocol of rtpproxy is not spoken here; use listen-ng";
const KERNEL: &str = "packets are forwarded by this process, without a kernel module";
const REDIS: &str = "calls are not kept in Redis yet: they end with the process";
const GRAPHITE: &str = "nothing is sent to Graphite; Prometheus reads /metrics (listen-http)";
const MQTT: &str = "nothing is published to MQTT yet";
const PLAYER: &str = "files to be played are opened, decoded and kept as they are asked for";
const JANUS: &str = "the Janus interface is not provided";
const JITTER: &str =
    "packets are passed on at once; where they are transcoded, the buffer follows their jitter";
const TRANSCODING: &str = "the transcoder has no such setting: requests say what it does";
const SECRETS: &str = "keys are never written to the log";
const MACHINERY: &str =
    "threads and sockets are arranged differently here (num-threads, coalesce-us, pin-workers)";
const SEPARATE_LOGS: &str = "there are no separate logs for this";
const NO_SUCH_PART: &str = "this part of rtpengine does not exist here";
const OWN_PORTS: &str = "a port is only ever bound on the address that a stream uses";
const INVALID_SDP: &str = "a session description that cannot be read is always refused";
const MEASURED: &str = "the RTP that comes in is always measured";
const OWN_KEYS: &str = "keys that the relay presses itself are never told of";
const SPEECH_WITH_KEYS: &str = "speech that comes while a key is pressed is never held back";
const SLOW_KEYS: &str = "the keys of a trigger may come as slowly as they like";

/// In the order of rtpengine's own list.
pub(super) const FOREIGN: &[Opt] = &[
    refused("listen-tcp", 'l', Many(""), RTPPROXY),
    refused("listen-udp", 'u', Many(""), RTPPROXY),
    accepted("table", 't', One(""), KERNEL),
    accepted("no-fallback", 'F', Nothing, KERNEL),
    accepted("save-interface-ports", 'S', Nothing, OWN_PORTS),
    accepted("subscribe-keyspace", 'k', Many(""), REDIS),
    accepted("http-threads", ' ', One(""), MACHINERY),
    accepted("http-buf-size", ' ', One(""), MACHINERY),
    accepted("http-idle-timeout", ' ', One(""), MACHINERY),
    accepted("graphite", 'g', One(""), GRAPHITE),
    accepted("graphite-interval", 'G', One(""), GRAPHITE),
    accepted("graphite-prefix", ' ', One(""), GRAPHITE),
    accepted("graphite-timeout", ' ', One(""), GRAPHITE),
    accepted("redis", 'r', One(""), REDIS),
    accepted("redis-write", 'w', One(""), REDIS),
    accepted("redis-subscribe", ' ', One(""), REDIS),
    accepted("redis-num-threads", ' ', One(""), REDIS),
    accepted("redis-expires", ' ', One(""), REDIS),
    accepted("no-redis-required", 'q', Nothing, REDIS),
    accepted("redis-allowed-errors", ' ', One(""), REDIS),
    accepted("redis-disable-time", ' ', One(""), REDIS),
    accepted("redis-cmd-timeout", ' ', One(""), REDIS),
    accepted("redis-connect-timeout", ' ', One(""), REDIS),
    accepted("redis-delete-async", 'y', Nothing, REDIS),
    accepted("redis-delete-async-interval", ' ', One(""), REDIS),
    accepted("redis-format", ' ', One(""), REDIS),
    accepted("redis-resolve-on-reconnect", ' ', Nothing, REDIS),
    accepted("redis-tcp-keepalive-time", ' ', One(""), REDIS),
    accepted("redis-tcp-keepalive-intvl", ' ', One(""), REDIS),
    accepted("redis-tcp-keepalive-probes", ' ', One(""), REDIS),
    accepted("active-switchover", ' ', Nothing, REDIS),
    accepted("log-facility-cdr", ' ', One(""), SEPARATE_LOGS),
    accepted("log-facility-rtcp", ' ', One(""), SEPARATE_LOGS),
    accepted("log-facility-dtmf", ' ', One(""), SEPARATE_LOGS),
    accepted("log-srtp-keys", ' ', Nothing, SECRETS),
    accepted("log-level-spandsp", ' ', One(""), NO_SUCH_PART),
    accepted("log-level-ffmpeg", ' ', One(""), NO_SUCH_PART),
    accepted("log-level-dtx", ' ', One(""), NO_SUCH_PART),
    accepted("debug-srtp", ' ', Nothing, SECRETS),
    accepted("thread-stack", ' ', One(""), MACHINERY),
    accepted("media-num-threads", ' ', One(""), PLAYER),
    accepted("codec-num-threads", ' ', One(""), TRANSCODING),
    accepted("reject-invalid-sdp", ' ', Nothing, INVALID_SDP),
    accepted("measure-rtp", ' ', Nothing, MEASURED),
    accepted("dtmf-no-log-injects", ' ', Nothing, OWN_KEYS),
    accepted("dtmf-no-suppress", ' ', Nothing, SPEECH_WITH_KEYS),
    accepted("dtmf-digit-delay", ' ', One(""), SLOW_KEYS),
    accepted("nftables-chain", ' ', One(""), KERNEL),
    accepted("nftables-base-chain", ' ', One(""), KERNEL),
    accepted("nftables-family", ' ', One(""), KERNEL),
    accepted("nftables-append", ' ', Nothing, KERNEL),
    accepted("xtables", ' ', Nothing, KERNEL),
    accepted("iptables-chain", ' ', One(""), KERNEL),
    accepted("kernel-player", ' ', One(""), KERNEL),
    accepted("kernel-player-media", ' ', One(""), KERNEL),
    accepted("jitter-buffer", ' ', One(""), JITTER),
    accepted("jb-clock-drift", ' ', Nothing, JITTER),
    accepted("jb-adaptive", ' ', Nothing, JITTER),
    accepted("jb-adaptive-min", ' ', One(""), JITTER),
    accepted("jb-adaptive-max", ' ', One(""), JITTER),
    accepted("dtx-delay", ' ', One(""), TRANSCODING),
    accepted("max-dtx", ' ', One(""), TRANSCODING),
    accepted("dtx-buffer", ' ', One(""), TRANSCODING),
    accepted("dtx-lag", ' ', One(""), TRANSCODING),
    accepted("dtx-shift", ' ', One(""), TRANSCODING),
    accepted("dtx-cn-params", ' ', Many(""), TRANSCODING),
    accepted("amr-dtx", ' ', One(""), TRANSCODING),
    accepted("evs-lib-path", ' ', One(""), TRANSCODING),
    accepted("silence-detect", ' ', One(""), TRANSCODING),
    accepted("cn-payload", ' ', Many(""), TRANSCODING),
    accepted("audio-player", ' ', One(""), PLAYER),
    accepted("audio-buffer-length", ' ', One(""), PLAYER),
    accepted("audio-buffer-delay", ' ', One(""), PLAYER),
    accepted("player-cache", ' ', Nothing, PLAYER),
    accepted("preload-media-files", ' ', Many(""), PLAYER),
    accepted("media-files-reload", ' ', One(""), PLAYER),
    accepted("media-files-expire", ' ', One(""), PLAYER),
    accepted("media-expire", ' ', One(""), PLAYER),
    accepted("media-evict", ' ', One(""), PLAYER),
    accepted("db-media-cache", ' ', One(""), PLAYER),
    accepted("db-media-reload", ' ', One(""), PLAYER),
    accepted("db-media-expire", ' ', One(""), PLAYER),
    accepted("preload-db-media", ' ', Many(""), PLAYER),
    accepted("preload-db-cache", ' ', Many(""), PLAYER),
    accepted("cache-expire", ' ', One(""), PLAYER),
    accepted("mysql-host", ' ', One(""), PLAYER),
    accepted("mysql-port", ' ', One(""), PLAYER),
    accepted("mysql-user", ' ', One(""), PLAYER),
    accepted("mysql-pass", ' ', One(""), PLAYER),
    accepted("mysql-query", ' ', One(""), PLAYER),
    accepted("moh-max-duration", ' ', One(""), PLAYER),
    accepted("moh-max-repeats", ' ', One(""), PLAYER),
    accepted("moh-attr-name", ' ', One(""), PLAYER),
    accepted("moh-prevent-double-hold", ' ', Nothing, PLAYER),
    accepted("mqtt-host", ' ', One(""), MQTT),
    accepted("mqtt-port", ' ', One(""), MQTT),
    accepted("mqtt-id", ' ', One(""), MQTT),
    accepted("mqtt-keepalive", ' ', One(""), MQTT),
    accepted("mqtt-user", ' ', One(""), MQTT),
    accepted("mqtt-pass", ' ', One(""), MQTT),
    accepted("mqtt-cafile", ' ', One(""), MQTT),
    accepted("mqtt-capath", ' ', One(""), MQTT),
    accepted("mqtt-certfile", ' ', One(""), MQTT),
    accepted("mqtt-keyfile", ' ', One(""), MQTT),
    accepted("mqtt-publish-qos", ' ', One(""), MQTT),
    accepted("mqtt-publish-topic", ' ', One(""), MQTT),
    accepted("mqtt-publish-interval", ' ', One(""), MQTT),
    accepted("mqtt-publish-scope", ' ', One(""), MQTT),
    accepted("janus-secret", ' ', One(""), JANUS),
    accepted("transcode-config", ' ', One(""), TRANSCODING),
    accepted("ng-client-timeout", ' ', One(""), MACHINERY),
    accepted("ng-client-retries", ' ', One(""), MACHINERY),
    accepted("poller-per-thread", ' ', Nothing, MACHINERY),
    accepted("poller-size", ' ', One(""), MACHINERY),
    accepted("io-uring", ' ', Nothing, MACHINERY),
    accepted("io-uring-buffers", ' ', One(""), MACHINERY),
    accepted("timer-accuracy", ' ', One(""), MACHINERY),
    accepted("max-recv-iters", ' ', One(""), MACHINERY),
    accepted("socket-cpu-affinity", ' ', One(""), MACHINERY),
    accepted("scheduling", ' ', One(""), MACHINERY),
    accepted("priority", ' ', One(""), MACHINERY),
    accepted("idle-scheduling", ' ', One(""), MACHINERY),
    accepted("idle-priority", ' ', One(""), MACHINERY),
    accepted("control-pmtu", ' ', One(""), MACHINERY),
];
