//! Who is told of what happens: of pressed keys, RTCP, control messages, timeouts.

use super::works;
use crate::config::options::Opt;
use crate::config::options::Takes::{Nothing, One};

pub(super) const OUTSIDE: &[Opt] = &[
    works(
        "dtmf-log-dest",
        ' ',
        One("ADDR:PORT"),
        "Tell this UDP address of every key that is pressed, unless a request names another",
    ),
    works(
        "dtmf-log-ng-tcp",
        ' ',
        Nothing,
        "Tell every connection of listen-tcp-ng of every key that is pressed",
    ),
    works(
        "homer",
        ' ',
        One("ADDR:PORT"),
        "Send the RTCP that comes in to this Homer server, as HEP version 3",
    ),
    works(
        "homer-protocol",
        ' ',
        One("udp|tcp"),
        "How Homer is spoken to [default: udp]",
    ),
    works(
        "homer-id",
        ' ',
        One("NUMBER"),
        "What we are called at Homer [default: 2001]",
    ),
    works(
        "homer-disable-rtcp-stats",
        ' ',
        Nothing,
        "Send no RTCP to Homer",
    ),
    works(
        "homer-enable-ng",
        ' ',
        Nothing,
        "Send it the control protocol over UDP, each request and each reply as it is, under the call-id, or else the cookie",
    ),
    works(
        "homer-ng-capture-proto",
        ' ',
        One("NUMBER"),
        "What kind of payload HEP says that these are [default: 61]",
    ),
    works(
        "b2b-url",
        'b',
        One("URL"),
        "Tell this server by XML-RPC over HTTP when a call ends by a timeout; `%%` stands for the address in the key xmlrpc-callback",
    ),
    works(
        "xmlrpc-format",
        'x',
        One("0|1|2"),
        "How it is told: 0 as SEMS wants it, a message for each tag; 1 the call-id; 2 as Kamailio's dialog module wants it \
         [default: 0]",
    ),
];
