"""SRTP of the peers, by libsrtp from the virtual environment of the interop tests; without it those calls are left out."""

import base64
import glob
import os
import re
import sys

from bodies import KEYS

CALLEE_KEYS = {suite: "z" + key[1:] for suite, key in KEYS.items()}
PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": "SRTP_PROFILE_AES128_CM_SHA1_80", "AES_CM_128_HMAC_SHA1_32": "SRTP_PROFILE_AES128_CM_SHA1_32",
    "AEAD_AES_128_GCM": "SRTP_PROFILE_AEAD_AES_128_GCM", "AEAD_AES_256_GCM": "SRTP_PROFILE_AEAD_AES_256_GCM",
}


def is_there(target):
    """Whether libsrtp can be used; makes it known to Python."""
    sys.path += glob.glob(os.path.join(target, "interop-venv", "lib", "python3.*", "site-packages"))
    try:
        import pylibsrtp  # noqa: F401
        return True
    except ImportError:
        return False


def line(suite, keys, tag="1"):
    """What a peer writes to its description."""
    return f"a=crypto:{tag} {suite} inline:{keys[suite]}"


def tag_of(suite, description):
    return re.search(rf"^a=crypto:(\d+) {suite} ", description, flags=re.M)[1]


def secure(peer, suite, keys):
    """From now on the peer speaks with its own key and hears with the one that the relay wrote to it."""
    theirs = re.search(rf"^a=crypto:\d+ {suite} inline:([^|\s]+)", peer.description, flags=re.M)[1]
    outbound, inbound = session(suite, keys[suite], True), session(suite, theirs, False)
    from pylibsrtp import Error

    def unprotect(packet):
        try:
            return inbound.unprotect(packet)
        except Error:
            return None
    peer.protect, peer.unprotect = outbound.protect, unprotect


def session(suite, key, is_outbound):
    from pylibsrtp import Policy, Session
    direction = Policy.SSRC_ANY_OUTBOUND if is_outbound else Policy.SSRC_ANY_INBOUND
    secret = base64.b64decode(key + "=" * (-len(key) % 4))
    return Session(policy=Policy(key=secret, ssrc_type=direction, srtp_profile=getattr(Policy, PROFILES[suite])))
