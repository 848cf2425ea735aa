//! Addresses and ports, how long calls last, and how media is treated.

use super::works;
use crate::config::options::Opt;
use crate::config::options::Takes::{Many, Nothing, One};

pub(super) const MEDIA: &[Opt] = &[
    works(
        "interface",
        'i',
        Many("[NAME/]ADDR[!ADVERTISED]"),
        "Local address for media. ADDR is an IPv4 or IPv6 address, a network interface of the system, a host name, or `any` \
         (all but loopback); ADVERTISED is written to SDP instead, for a relay behind NAT. The first one is the default; \
         ALIAS=NAME gives a second name. Repeat it, or separate several by `;`",
    ),
    works(
        "interfaces-config",
        ' ',
        One("PREFIX"),
        "Take interfaces from sections [PREFIX-NAME] of the file, with the keys address, advertised, name, alias, port-min, port-max, exclude-ports",
    ),
    works(
        "port-min",
        'm',
        One("PORT"),
        "Lowest port for media [default: 30000]",
    ),
    works(
        "port-max",
        'M',
        One("PORT"),
        "Highest port for media [default: 39999]",
    ),
    works(
        "timeout",
        'o',
        One("SECONDS"),
        "End a call when no packet came for this long [default: 60]",
    ),
    works(
        "silent-timeout",
        's',
        One("SECONDS"),
        "The same for calls that are muted or on hold [default: 3600]",
    ),
    works(
        "offer-timeout",
        ' ',
        One("SECONDS"),
        "End a call that was never answered after this long [default: 3600]",
    ),
    works(
        "final-timeout",
        'a',
        One("SECONDS"),
        "End every call after this long; 0 is never [default: 0]",
    ),
    works(
        "delete-delay",
        'd',
        One("SECONDS"),
        "Keep relaying for this long after `delete` [default: 30]",
    ),
    works(
        "tos",
        'T',
        One("0-255"),
        "Type-of-service byte of media packets, such as 184 for EF [default: the kernel's]",
    ),
    works(
        "endpoint-learning",
        ' ',
        One("MODE"),
        "How the far end's real address is learned: heuristic, immediate, delayed or off [default: heuristic]",
    ),
    works(
        "sip-source",
        ' ',
        Nothing,
        "Send media to the source of the SIP message, not to the address in SDP, unless a request says otherwise",
    ),
    works(
        "dtls-passive",
        ' ',
        Nothing,
        "Be the DTLS server towards a peer that leaves the choice",
    ),
    works(
        "dtls-engine",
        ' ',
        Many("[INTERFACE/]ENGINE"),
        "Which library speaks DTLS: dimpl, openssl, or auto for dimpl towards peers that it surely can serve and openssl towards all \
         others; with the name of an interface for that one alone [default: auto]",
    ),
    works(
        "dtls-mtu",
        ' ',
        One("BYTES"),
        "The largest DTLS datagram to send [default: 1200]",
    ),
    works(
        "dtls-cert-cipher",
        ' ',
        One("prime256v1|RSA"),
        "The key of our DTLS certificate; RSA makes every handshake one of OpenSSL's [default: prime256v1]",
    ),
    works(
        "dtls-rsa-key-size",
        ' ',
        One("BITS"),
        "Length of an RSA key [default: 2048]",
    ),
    works(
        "dtls-signature",
        ' ',
        One("SHA-256|SHA-1"),
        "The hash that our DTLS certificate is signed with [default: SHA-256]",
    ),
    works(
        "dtls-ciphers",
        ' ',
        One("LIST"),
        "Cipher suites for DTLS in OpenSSL's spelling; makes every handshake one of OpenSSL's",
    ),
    works(
        "rtcp-interval",
        ' ',
        One("MS"),
        "From one RTCP report of our own to the next, 500 to 60000; silence with reports in it keeps a WhatsApp call alive [default: 5000]",
    ),
    works(
        "mos",
        ' ',
        Many("CQ|LQ"),
        "What scores are about: the conversation, in which delay counts and without a measured round trip there is no score for the \
         first ten seconds, or listening, for which jitter and loss count alone. The formula is the one that rtpengine calls legacy; \
         its names for others (G.107, G.107.2) are passed over [default: CQ]",
    ),
    works(
        "ssrc-reporting",
        ' ',
        One("full|inline|global|none"),
        "Where query and delete tell of each source: beside its media (inline), under SSRC (global), both or neither [default: full]",
    ),
    works(
        "software-id",
        ' ',
        One("TEXT"),
        "How this relay calls itself towards others [default: tandem-VERSION]",
    ),
    works(
        "media-dir",
        ' ',
        One("FOLDER"),
        "Where `play media` finds its files; files elsewhere are refused [default: every file that can be read may be played]",
    ),
    works(
        "hold-ms",
        ' ',
        One("MILLISECONDS"),
        "Audio kept for a leg whose keys are not there yet, the newest; 0 drops it [default: 2000]",
    ),
    works(
        "silence-fill",
        ' ',
        One("true|false"),
        "Send silence to a WhatsApp leg while nobody else speaks [default: true]",
    ),
];
