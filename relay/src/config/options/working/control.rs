//! Who may ask for what: listeners of the control side, limits, templates.

use super::works;
use crate::config::options::Opt;
use crate::config::options::Takes::{Many, One};

pub(super) const CONTROL: &[Opt] = &[
    works(
        "listen-ng",
        'n',
        Many("[ADDR:]PORT"),
        "UDP address for the NG control protocol; several may be given",
    ),
    works(
        "listen-tcp-ng",
        'N',
        Many("[ADDR:]PORT"),
        "TCP address for the NG control protocol; several may be given",
    ),
    works(
        "listen-http",
        ' ',
        Many("[ADDR:]PORT"),
        "Address for HTTP and WebSocket: control, commands, /ping, /metrics and the page about calls; several may be given",
    ),
    works(
        "listen-https",
        ' ',
        Many("[ADDR:]PORT"),
        "The same over TLS",
    ),
    works(
        "https-cert",
        ' ',
        One("FILE"),
        "Certificate chain for TLS, PEM",
    ),
    works(
        "https-key",
        ' ',
        One("FILE"),
        "Its private key, PEM [default: it stands in the certificate's file]",
    ),
    works(
        "live-page",
        ' ',
        One("off|on|token:TEXT|token-file:FILE"),
        "Who may see the page about calls at `/` of listen-http: nobody, whoever reaches it, or whoever knows the token, which has \
         eight characters or more [default: on]",
    ),
    works(
        "live-page-calls",
        ' ',
        One("NUMBER"),
        "How many calls that are over it remembers, 0 to 10000 [default: 200]",
    ),
    works(
        "listen-cli",
        'c',
        Many("[ADDR:]PORT"),
        "TCP address for commands of `tandem ctl` and rtpengine-ctl; several may be given",
    ),
    works(
        "control-tos",
        ' ',
        One("0-255"),
        "Type-of-service byte of control replies",
    ),
    works(
        "max-sessions",
        ' ',
        One("NUMBER"),
        "Refuse further calls beyond this many; -1 is no limit, 0 drains [default: -1]",
    ),
    works(
        "max-load",
        ' ',
        One("LOAD"),
        "Refuse new calls while the system's load average is above this [default: no limit]",
    ),
    works(
        "max-cpu",
        ' ',
        One("PERCENT"),
        "Refuse new calls while all processors together are busier than this [default: no limit]",
    ),
    works(
        "max-bandwidth",
        ' ',
        One("BYTES"),
        "Refuse new calls while more bytes per second than this are received [default: no limit]",
    ),
    works(
        "templates",
        ' ',
        One("SECTION"),
        "Section of the file whose entries are flags for requests: by command (`offer`), for all (`default`), or as key `template`",
    ),
];
