"""The session descriptions that the sequences are made of: what phones, PBXs, browsers and Meta send.

Addresses of peers are 127.0.70.x: nobody listens there while only signalling is compared.
"""

CALLER, CALLEE = "127.0.70.1", "127.0.70.2"
CALLER_V6 = "2001:db8:70::1"

FINGERPRINT = ":".join(["AB"] * 32)
FINGERPRINT_SHA1 = ":".join(["CD"] * 20)
TLS_ID = "0123456789abcdef0123456789abcdef"

# Keys of the callers; what a relay copies it must copy exactly.
KEYS = {
    "AES_CM_128_HMAC_SHA1_80": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd",
    "AES_CM_128_HMAC_SHA1_32": "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd",
    "AEAD_AES_128_GCM": "AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw",
    "AEAD_AES_256_GCM": "AwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis",
    "AES_256_CM_HMAC_SHA1_80": "BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLQ==",
    "AES_192_CM_HMAC_SHA1_80": "BQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCU=",
    "F8_128_HMAC_SHA1_80": "BgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd",
    "NULL_HMAC_SHA1_80": "BwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd",
}


def lines(text):
    """The lines of an indented block."""
    return [line.strip() for line in text.strip().splitlines() if line.strip()]


def body(*media, origin=f"o=caller 1000 1 IN IP4 {CALLER}", name="s=call", connection=f"c=IN IP4 {CALLER}",
         time="t=0 0", session="", end="\r\n"):
    """A description; a line that is None is left out."""
    head = ["v=0", origin, name, connection, time, *lines(session)]
    written = [line for line in head if line is not None]
    for section in media:
        written += lines(section)
    return "".join(line + end for line in written)


def crypto(*suites, tag=1):
    return "\n".join(f"a=crypto:{number} {suite} inline:{KEYS[suite]}" for number, suite in enumerate(suites, tag))


def dtls(setup="actpass", fingerprint=f"sha-256 {FINGERPRINT}", tls_id=None):
    return "\n".join([f"a=setup:{setup}", f"a=fingerprint:{fingerprint}"] + ([f"a=tls-id:{tls_id}"] if tls_id else []))


def ice(address=CALLER, port=41000, components=1, ufrag="callerUf", extra=""):
    candidates = [f"a=candidate:1 {component} UDP {2130706432 - component} {address} {port + component - 1} typ host"
                  for component in range(1, components + 1)]
    return "\n".join([f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{ufrag}Password0123456789", *candidates, extra])


G711 = """
    m=audio 40000 RTP/AVP 0 8 101
    a=rtpmap:0 PCMU/8000
    a=rtpmap:8 PCMA/8000
    a=rtpmap:101 telephone-event/8000
    a=fmtp:101 0-16
    a=ptime:20
"""
OPUS_CODECS = """
    a=rtpmap:111 opus/48000/2
    a=fmtp:111 minptime=10;useinbandfec=1
    a=rtpmap:126 telephone-event/8000
"""
VIDEO = """
    m=video 40100 RTP/AVP 96 97
    a=rtpmap:96 VP8/90000
    a=rtpmap:97 H264/90000
    a=fmtp:97 profile-level-id=42e01f;packetization-mode=1
    a=rtcp-fb:96 nack
    a=rtcp-fb:96 nack pli
    a=rtcp-fb:* ccm fir
"""
T38 = """
    m=image 40200 udptl t38
    a=T38FaxVersion:0
    a=T38MaxBitRate:14400
    a=T38FaxRateManagement:transferredTCF
    a=T38FaxMaxBuffer:1000
    a=T38FaxMaxDatagram:200
    a=T38FaxUdpEC:t38UDPRedundancy
"""
MSRP = """
    m=message 40300 TCP/MSRP *
    a=path:msrp://127.0.70.1:40300/abc;tcp
    a=accept-types:text/plain
"""


def g711(port=40000, proto="RTP/AVP", more="", formats="0 8 101"):
    return G711.replace("40000", str(port)).replace("RTP/AVP", proto).replace("0 8 101", formats) + more


def opus(proto="UDP/TLS/RTP/SAVPF", port=41000, more=""):
    return f"m=audio {port} {proto} 111 126\n" + OPUS_CODECS + more


# Calls from WhatsApp, as Meta's SIP guide shows them.
META_ICE = f"""
    a=candidate:1234567890 1 udp 2122260223 {CALLER} 3480 typ host generation 0 network-cost 50
    a=ice-ufrag:Qw3rTy6uIoP9aSdF
    a=ice-pwd:AAECAwQFBgcICQoLDA0ODw==
"""
META_DTLS = body(
    "m=audio 3480 UDP/TLS/RTP/SAVPF 111 126\n" f"c=IN IP4 {CALLER}\n" "a=rtcp:9 IN IP4 0.0.0.0\n" + META_ICE
    + dtls("actpass") + "\na=mid:audio\na=sendrecv\na=rtcp-mux\na=rtpmap:111 opus/48000/2\na=rtcp-fb:111 transport-cc\n"
    "a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1\n"
    "a=rtpmap:126 telephone-event/8000\na=maxptime:20\na=ptime:20\na=ssrc:2772485165 cname:WAAudioAndVideoMediaCname\n",
    origin=f"o=- 1790000000123 2 IN IP4 {CALLER}", name="s=-", connection=None,
    session="a=group:BUNDLE audio\na=msid-semantic: WMS 2c0d9b7b\na=ice-lite")
META_SDES = body(
    "m=audio 3480 RTP/SAVP 111 126\n" f"c=IN IP4 {CALLER}\n" "a=rtcp:9 IN IP4 0.0.0.0\na=mid:audio\na=sendrecv\na=rtcp-mux\n"
    + crypto("AES_CM_128_HMAC_SHA1_80") + "\na=rtpmap:111 opus/48000/2\na=rtpmap:126 telephone-event/8000\na=ptime:20\n",
    origin=f"o=- 1790000000456 2 IN IP4 {CALLER}", name="s=-", connection=None, session="a=group:BUNDLE audio")

BROWSER_AUDIO = f"""
    m=audio 41000 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
    c=IN IP4 {CALLER}
    a=rtcp:9 IN IP4 0.0.0.0
    {ice(extra="a=candidate:2 1 tcp 1518280447 " + CALLER + " 9 typ host tcptype active generation 0")}
    a=ice-options:trickle
    {dtls()}
    a=mid:0
    a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
    a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
    a=sendrecv
    a=msid:- 7f1c2f3a
    a=rtcp-mux
    a=rtcp-rsize
    a=rtpmap:111 opus/48000/2
    a=rtcp-fb:111 transport-cc
    a=fmtp:111 minptime=10;useinbandfec=1
    a=rtpmap:63 red/48000/2
    a=fmtp:63 111/111
    a=rtpmap:9 G722/8000
    a=rtpmap:0 PCMU/8000
    a=rtpmap:8 PCMA/8000
    a=rtpmap:13 CN/8000
    a=rtpmap:110 telephone-event/48000
    a=rtpmap:126 telephone-event/8000
    a=ssrc:1734522595 cname:8iLkfZ1X
    a=ssrc:1734522595 msid:- 7f1c2f3a
"""
BROWSER_VIDEO = f"""
    m=video 41000 UDP/TLS/RTP/SAVPF 96 97
    c=IN IP4 {CALLER}
    a=rtcp:9 IN IP4 0.0.0.0
    {ice()}
    a=ice-options:trickle
    {dtls()}
    a=mid:1
    a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    a=sendrecv
    a=rtcp-mux
    a=rtcp-rsize
    a=rtpmap:96 VP8/90000
    a=rtcp-fb:96 goog-remb
    a=rtcp-fb:96 transport-cc
    a=rtcp-fb:96 ccm fir
    a=rtcp-fb:96 nack
    a=rtcp-fb:96 nack pli
    a=rtpmap:97 rtx/90000
    a=fmtp:97 apt=96
    a=ssrc-group:FID 1734522600 1734522601
    a=ssrc:1734522600 cname:8iLkfZ1X
    a=ssrc:1734522601 cname:8iLkfZ1X
"""
BROWSER = body(BROWSER_AUDIO, origin="o=- 4611730451234567890 2 IN IP4 127.0.0.1", name="s=-", connection=None,
               session="a=group:BUNDLE 0\na=extmap-allow-mixed\na=msid-semantic: WMS")
BROWSER_WITH_VIDEO = body(
    BROWSER_AUDIO, BROWSER_VIDEO, origin="o=- 4611730451234567890 2 IN IP4 127.0.0.1", name="s=-", connection=None,
    session="a=group:BUNDLE 0 1\na=extmap-allow-mixed\na=msid-semantic: WMS")

# Everything in one table; a sequence names its body by the key.
BODIES = {
    "plain": body(g711()),
    "mux": body(g711(more="a=rtcp-mux")),
    "opus": body(opus("RTP/AVP")),
    "avpf": body(g711(proto="RTP/AVPF", more="a=rtcp-fb:0 nack")),
    "meta-dtls": META_DTLS,
    "meta-dtls-passive": META_DTLS.replace("actpass", "passive"),
    "meta-dtls-active": META_DTLS.replace("actpass", "active"),
    "meta-sdes": META_SDES,
    "browser": BROWSER,
    "browser-video": BROWSER_WITH_VIDEO,
    "sdes": body(g711(proto="RTP/SAVP", more=crypto("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"))),
    "sdes-savpf": body(g711(proto="RTP/SAVPF", more=crypto("AES_CM_128_HMAC_SHA1_80"))),
    "sdes-gcm": body(g711(proto="RTP/SAVP", more=crypto("AEAD_AES_256_GCM", "AEAD_AES_128_GCM"))),
    "sdes-tags": body(g711(proto="RTP/SAVP", more=crypto("AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80", tag=4))),
    "sdes-many": body(g711(proto="RTP/SAVP", more=crypto(
        "AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"))),
    "sdes-256": body(g711(proto="RTP/SAVP", more=crypto("AES_256_CM_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80"))),
    "sdes-f8": body(g711(proto="RTP/SAVP", more=crypto("F8_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80"))),
    "sdes-mki": body(g711(proto="RTP/SAVP", more=crypto("AES_CM_128_HMAC_SHA1_80") + "|1:4")),
    "sdes-lifetime": body(g711(proto="RTP/SAVP", more=crypto("AES_CM_128_HMAC_SHA1_80") + "|2^20")),
    "sdes-lifetime-mki": body(g711(proto="RTP/SAVP", more=crypto("AES_CM_128_HMAC_SHA1_80") + "|2^20|1:4")),
    "sdes-unencrypted-srtcp": body(g711(proto="RTP/SAVP",
                                        more=crypto("AES_CM_128_HMAC_SHA1_80") + " UNENCRYPTED_SRTCP")),
    "sdes-unknown-suite": body(g711(proto="RTP/SAVP", more="a=crypto:1 ROT13_SHA9 inline:AAAA\n"
                                    + crypto("AES_CM_128_HMAC_SHA1_80", tag=2))),
    "sdes-broken-line": body(g711(proto="RTP/SAVP", more="a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AA\n"
                                  + crypto("AES_CM_128_HMAC_SHA1_80", tag=2))),
    "sdes-mux": body(g711(proto="RTP/SAVP", more=crypto("AES_CM_128_HMAC_SHA1_80") + "\na=rtcp-mux")),
    "savp-without-keys": body(g711(proto="RTP/SAVP")),
    "dtls": body(opus(more=dtls() + "\na=rtcp-mux")),
    "dtls-active": body(opus(more=dtls("active") + "\na=rtcp-mux")),
    "dtls-passive": body(opus(more=dtls("passive") + "\na=rtcp-mux")),
    "dtls-no-setup": body(opus(more=f"a=fingerprint:sha-256 {FINGERPRINT}\na=rtcp-mux")),
    "dtls-holdconn": body(opus(more=dtls("holdconn"))),
    "dtls-sha1": body(opus(more=dtls(fingerprint=f"sha-1 {FINGERPRINT_SHA1}"))),
    "dtls-tls-id": body(opus(more=dtls(tls_id=TLS_ID))),
    "dtls-savp": body(opus("UDP/TLS/RTP/SAVP", more=dtls())),
    "dtls-session-level": body(opus(more="a=rtcp-mux"), session=dtls()),
    "dtls-over-savpf": body(opus("RTP/SAVPF", more=dtls())),
    "dtls-and-sdes": body(opus("RTP/SAVPF", more=dtls() + "\n" + crypto("AES_CM_128_HMAC_SHA1_80"))),
    "osrtp": body(g711(more=crypto("AES_CM_128_HMAC_SHA1_80"))),
    "osrtp-dtls": body(g711(more=dtls())),
    "ice": body(g711(41000, more=ice(components=2))),
    "ice-mux": body(g711(41000, more=ice() + "\na=rtcp-mux")),
    "ice-lite": body(g711(41000, more=ice(components=2)), session="a=ice-lite"),
    "ice-lite-media": body(g711(41000, more=ice(components=2) + "\na=ice-lite")),
    "ice-session-credentials": body(
        g711(41000, more=f"a=candidate:1 1 UDP 2130706431 {CALLER} 41000 typ host"),
        session="a=ice-ufrag:callerUf\na=ice-pwd:callerUfPassword0123456789"),
    "ice-srflx": body(g711(41000, more=ice(
        components=2, extra=f"a=candidate:9 1 UDP 1694498815 127.0.70.9 51000 typ srflx raddr {CALLER} rport 41000\n"
        f"a=candidate:9 2 UDP 1694498814 127.0.70.9 51001 typ srflx raddr {CALLER} rport 41001"))),
    "ice-no-candidates": body(g711(41000, more="a=ice-ufrag:callerUf\na=ice-pwd:callerUfPassword0123456789")),
    "ice-trickle": body(
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 126\nc=IN IP4 0.0.0.0\na=ice-ufrag:callerUf\n"
        "a=ice-pwd:callerUfPassword0123456789\na=ice-options:trickle\na=rtcp-mux\n" + dtls() + OPUS_CODECS, connection=None),
    "ice-mismatch": body(g711(41000, more=ice(components=2) + "\na=ice-mismatch")),
    "ice-dtls": body(opus(more=ice() + "\n" + dtls() + "\na=rtcp-mux")),
    "ice-sdes": body(g711(41000, "RTP/SAVPF", ice() + "\n" + crypto("AES_CM_128_HMAC_SHA1_80") + "\na=rtcp-mux")),
    "av": body(g711(), VIDEO),
    "av-mux": body(g711(more="a=rtcp-mux"), VIDEO + "a=rtcp-mux"),
    "av-bundle": body(g711(more="a=mid:a\na=rtcp-mux"), VIDEO + "a=mid:v\na=rtcp-mux", session="a=group:BUNDLE a v"),
    "av-bundle-only": body(g711(more="a=mid:a\na=rtcp-mux"),
                           VIDEO.replace("40100", "0") + "a=mid:v\na=rtcp-mux\na=bundle-only", session="a=group:BUNDLE a v"),
    "av-mids": body(g711(more="a=mid:a"), VIDEO + "a=mid:v"),
    "av-lip-sync": body(g711(more="a=mid:a"), VIDEO + "a=mid:v", session="a=group:LS a v"),
    "av-sdes": body(g711(proto="RTP/SAVP", more=crypto("AES_CM_128_HMAC_SHA1_80")),
                    VIDEO.replace("RTP/AVP", "RTP/SAVP") + crypto("AES_CM_128_HMAC_SHA1_32")),
    "video": body(VIDEO),
    "two-audio": body(g711(), g711(40400, formats="8 101")),
    "t38": body(T38),
    "audio-t38": body(g711(), T38),
    "msrp": body(g711(), MSRP),
    "data-channel": body(g711(), "m=application 41100 UDP/DTLS/SCTP webrtc-datachannel\na=sctp-port:5000\n" + dtls()),
    "text": body(g711(), "m=text 40500 RTP/AVP 98\na=rtpmap:98 t140/1000"),
    "first-rejected": body(g711(0), VIDEO),
    "second-rejected": body(g711(), VIDEO.replace("40100", "0")),
    "all-rejected": body(g711(0)),
    "all-rejected-av": body(g711(0), VIDEO.replace("40100", "0")),
    "sendonly": body(g711(more="a=sendonly")),
    "recvonly": body(g711(more="a=recvonly")),
    "inactive": body(g711(more="a=inactive")),
    "sendrecv": body(g711(more="a=sendrecv")),
    "session-sendonly": body(g711(), session="a=sendonly"),
    "session-inactive": body(g711(), session="a=inactive"),
    "session-sendonly-media-sendrecv": body(g711(more="a=sendrecv"), session="a=sendonly"),
    "zero-connection": body(g711(), connection="c=IN IP4 0.0.0.0"),
    "zero-connection-sendonly": body(g711(more="a=sendonly"), connection="c=IN IP4 0.0.0.0"),
    "zero-connection-inactive": body(g711(more="a=inactive"), connection="c=IN IP4 0.0.0.0"),
    "zero-media-connection": body(g711().replace("a=rtpmap:0", "c=IN IP4 0.0.0.0\na=rtpmap:0", 1)),
    "ipv6": body(g711(), origin=f"o=caller 1000 1 IN IP6 {CALLER_V6}", connection=f"c=IN IP6 {CALLER_V6}"),
    "ipv6-zero": body(g711(), origin=f"o=caller 1000 1 IN IP6 {CALLER_V6}", connection="c=IN IP6 ::"),
    "ipv6-media": body("m=audio 40000 RTP/AVP 0\n" f"c=IN IP6 {CALLER_V6}", VIDEO),
    "media-connection": body("m=audio 40000 RTP/AVP 0\n" f"c=IN IP4 {CALLER}", connection=None),
    "media-connections-differ": body("m=audio 40000 RTP/AVP 0\nc=IN IP4 127.0.70.3",
                                     "m=video 40100 RTP/AVP 96\nc=IN IP4 127.0.70.4\na=rtpmap:96 VP8/90000"),
    "rtcp-attribute": body(g711(more="a=rtcp:40555")),
    "rtcp-attribute-address": body(g711(more="a=rtcp:40555 IN IP4 127.0.70.5")),
    "rtcp-attribute-same-port": body(g711(more="a=rtcp:40000")),
    "no-connection": body(g711(), connection=None),
    "no-origin": body(g711(), origin=None),
    "no-name": body(g711(), name=None),
    "no-time": body(g711(), time=None),
    "no-media": body(),
    "line-feeds": body(g711(), end="\n"),
    "blank-line-at-the-end": body(g711()) + "\r\n",
    "static-without-rtpmap": body("m=audio 40000 RTP/AVP 0 8 18 9 3 4 13"),
    "dynamic-without-rtpmap": body("m=audio 40000 RTP/AVP 0 101"),
    "only-dynamic-without-rtpmap": body("m=audio 40000 RTP/AVP 101"),
    "many-codecs": body("""
        m=audio 40000 RTP/AVP 9 0 8 18 3 96 97 98 99 100 101
        a=rtpmap:9 G722/8000
        a=rtpmap:18 G729/8000
        a=fmtp:18 annexb=no
        a=rtpmap:3 GSM/8000
        a=rtpmap:96 iLBC/8000
        a=fmtp:96 mode=20
        a=rtpmap:97 speex/16000
        a=rtpmap:98 AMR/8000
        a=fmtp:98 octet-align=1;mode-set=0,2,4,7
        a=rtpmap:99 AMR-WB/16000
        a=rtpmap:100 opus/48000/2
        a=fmtp:100 useinbandfec=1; stereo=0
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=maxptime:40
    """),
    "upper-case-codecs": body("m=audio 40000 RTP/AVP 96 101\na=rtpmap:96 OPUS/48000/2\na=rtpmap:101 TELEPHONE-EVENT/8000"),
    "port-count": body("m=audio 40000/2 RTP/AVP 0"),
    "odd-port": body(g711(40001)),
    "bandwidth": body(g711().replace("a=rtpmap:0", "b=AS:64\nb=TIAS:64000\nb=RR:0\na=rtpmap:0", 1), session="b=CT:128\nb=AS:80"),
    "information": body(g711().replace("a=rtpmap:0", "i=media title\na=rtpmap:0", 1),
                        name="s=call\r\ni=session title\r\nu=http://example.com\r\ne=a@example.com\r\np=+1 617"),
    "keys-and-zones": body(g711(), time="t=2873397496 2873404696\r\nr=604800 3600 0 90000\r\nz=2882844526 -1h\r\nk=prompt"),
    "two-times": body(g711(), time="t=1 2\r\nt=3 4"),
    "unknown-attributes": body(g711(more="a=X-vendor:7\na=silenceSupp:off - - - -\na=rtcp-xr:voip-metrics\na=curr:qos e2e none\n"
                                         "a=foo"), session="a=X-session:1\na=tool:phone 1.0\na=cat:business"),
    "attributes-first": body("""
        m=audio 40000 RTP/AVP 8 0
        a=ptime:30
        a=sendrecv
        a=rtcp:40001
        a=fmtp:0 x=1
        a=rtpmap:8 PCMA/8000
        a=rtpmap:0 PCMU/8000
        a=X-last:1
    """),
    "label-and-mid": body(g711(more="a=label:7\na=mid:first")),
    "ssrc": body(g711(more="a=ssrc:12345 cname:abc\na=ssrc:12345 msid:x y\na=msid:x y\na=rtcp-rsize")),
    "extmap": body(g711(more="a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\n"
                             "a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:sdes:mid"), session="a=extmap-allow-mixed"),
    "session-attributes": body(g711(), session="a=ptime:30\na=rtcp-mux\na=mid:x"),
    "ptime-30": body(g711().replace("ptime:20", "ptime:30")),
    "maxptime": body(g711(more="a=maxptime:60")),
    "no-ptime": body(g711().replace("a=ptime:20", "")),
    "origin-domain-name": body(g711(), origin="o=- 3880000000 3880000001 IN IP4 phone.example.com"),
    "big-origin": body(g711(), origin=f"o=user-name 18446744073709551615 99999999999999 IN IP4 {CALLER}"),
    "zero-origin": body(g711(), origin="o=- 0 0 IN IP4 0.0.0.0"),
    "spaces-in-name": body(g711(), name="s=a call of three words"),
    "multicast-ttl": body(g711(), connection=f"c=IN IP4 {CALLER}/127"),
    "group-unknown": body(g711(more="a=mid:a"), session="a=group:FID a"),
    "fmtp-styles": body("m=audio 40000 RTP/AVP 111 101\na=rtpmap:111 opus/48000/2\n"
                        "a=fmtp:111 useinbandfec=1; maxaveragebitrate=20000 ;stereo=0;x\na=rtpmap:101 telephone-event/8000\n"
                        "a=fmtp:101 0-15,66"),
    "repeated-attributes": body(g711(more="a=ptime:40\na=sendonly\na=recvonly")),
    "red": body("m=audio 40000 RTP/AVP 112 0\na=rtpmap:112 red/8000\na=fmtp:112 0/0\na=rtpmap:0 PCMU/8000"),
    "loop": body(g711(), session="a=rtpengine:0123456789ab"),
}
