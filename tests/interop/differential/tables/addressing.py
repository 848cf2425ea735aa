"""Family `addressing`: which interface, family and address; and the flags about the way of media."""

from answering import Answer
from sequences import TO, Sequence, answer, call, offer, pairs, words

ADDRESSING = {
    "external": {"direction": ["internal", "external"]},
    "back": {"direction": ["external", "internal"]},
    "same": {"direction": ["external", "external"]},
    "natted": {"direction": ["internal", "natted"]},
    "natted-both": {"direction": ["natted", "natted"]},
    "pub-priv": {"direction": ["pub", "priv"]},
    "unknown-interface": {"direction": ["internal", "nowhere"]},
    "both-unknown": {"direction": ["foo", "bar"]},
    "one-name": {"direction": ["external"]},
    "three-names": {"direction": ["external", "internal", "pub"]},
    "direction-as-a-string": {"direction": "external"},
    "empty-direction": {"direction": []},
    "from-interface": {"from-interface": "external"},
    "to-interface": {"to-interface": "external"},
    "from-and-to-interface": {"from-interface": "pub", "to-interface": "priv"},
    "family-4": {"address-family": "IP4"},
    "family-6": {"address-family": "IP6"},
    "family-bogus": {"address-family": "IP5"},
    "family-spelled-with-space": {"address family": "IP6"},
    "media-address": {"media-address": "192.0.2.77"},
    "media-address-6": {"media-address": "2001:db8::77"},
    "media-address-bogus": {"media-address": "nonsense"},
    "received-from": {"received-from": ["IP4", "127.0.70.9"]},
    "received-from-string": {"received-from": "127.0.70.9"},
    "received-from-empty": {"received-from": []},
    "received-from-6": {"received-from": ["IP6", "2001:db8::9"]},
    "received-from-bogus": {"received-from": ["IP4", "nonsense"]},
    "trust-address": words("trust-address"),
    "sip-source": {"flags": ["SIP-source-address"], "received-from": ["IP4", "127.0.70.9"]},
    "sip-source-and-trust": {"flags": ["SIP-source-address", "trust-address"], "received-from": ["IP4", "127.0.70.9"]},
    "sip-source-alone": words("SIP-source-address"),
    "tos": {"TOS": 184},
    "tos-string": {"TOS": "184"},
    "tos-too-big": {"TOS": 999},
}

MEDIA_PATH = ["symmetric", "asymmetric", "unidirectional", "strict-source", "media-handover", "port-latching",
              "no-port-latching", "NAT-wait", "pierce-NAT", "reset", "recrypt", "passthrough", "no-passthrough", "block-DTMF",
              "inject-DTMF", "detect-DTMF", "block-egress", "block-short", "no-jitter-buffer", "early-media", "debug",
              "no-redis-update", "all", "directional", "new-branch", "provisional", "static-codecs", "reuse-codecs",
              "allow-transcoding", "allow-asymmetric-codecs", "allow-no-codec-media", "record-call", "exclude-recording",
              "discard-recording", "skip-recording-db", "asymmetric-codecs", "symmetric-codecs", "reorder-codecs",
              "bidirectional", "mix", "inactive", "siprec", "RTCP-mirror", "egress", "fatal", "fast", "to-tag", "force",
              "endpoint-learning-immediate", "endpoint-learning-off", "endpoint-learning-delayed",
              "endpoint-learning-heuristic", "generate-RTCP", "repacketize", "WebRTC", "trickle-ICE", "strip-extmap"]
MEDIA_KEYS = {
    "endpoint-learning": "immediate", "drop-traffic": "start", "media-echo": "blackhole", "passthrough": "on",
    "generate-RTCP": "on", "record-call": "no", "delay-buffer": "100", "DTMF-log-dest": "127.0.70.1:5555",
    "xmlrpc-callback": "127.0.70.1", "metadata": "x=y", "repacketize": 40, "set-label": "a", "label": "b", "supports": ["load limit"],
    "sip-message-type": "sip_request", "sip-code": 200, "template": "nothing", "audio-player": "off", "instance": "x",
    "alias-key": "off", "moh": {"file": "/nowhere.wav"}, "interface": "external", "vsc-start-rec": "*9",
}


def sequences():
    for name, flags in ADDRESSING.items():
        yield call(f"addressing/{name}", flags)
    for sdp in ("ipv6", "ice", "no-connection", "rtcp-attribute-address", "ice-mux", "meta-dtls", "media-connections-differ"):
        for name in ("external", "family-6", "natted", "media-address", "sip-source", "family-4"):
            yield call(f"addressing/{name}@{sdp}", ADDRESSING[name], sdp)
    few = ("external", "natted", "family-6", "media-address", "sip-source", "trust-address")
    for name, flags in pairs({key: ADDRESSING[key] for key in few}):
        yield call(f"addressing/{name}", flags)
    for name in ("family-6", "media-address", "external"):
        yield call(f"addressing/{name}-in-answer", sdp="plain", back=ADDRESSING[name])
    yield Sequence("addressing/interfaces-are-remembered", [
        offer("plain", ADDRESSING["external"]), answer(), offer("plain", to=TO), answer(),
        offer("plain", tag=TO, to="caller-tag"), answer(tag=TO, to="caller-tag")])
    yield Sequence("addressing/family-is-remembered", [
        offer("plain", ADDRESSING["family-6"]), answer(how=Answer(address="2001:db8:70::2")), offer("plain", to=TO), answer()])
    yield call("addressing/answer-in-other-family", sdp="plain", how=Answer(address="2001:db8:70::2"))
    yield Sequence("addressing/interface-changes-in-re-offer", [
        offer("plain", ADDRESSING["external"]), answer(), offer("plain", ADDRESSING["pub-priv"], to=TO), answer()])
    for word in MEDIA_PATH:
        yield call(f"flags/{word}", words(word), back=words(word))
        yield call(f"flags/{word}@meta-dtls", {**words(word), "transport-protocol": "RTP/AVP", "ICE": "remove"}, "meta-dtls",
                   back=words(word))
    for key, value in MEDIA_KEYS.items():
        yield call(f"flags/key-{key}", {key: value}, back={key: value})
