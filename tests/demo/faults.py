"""Five faults that people make, each with the one change to a working set-up that makes it.

docs/troubleshooting.md tells what each looks like.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What is different from a set-up that works."""

    what: str
    relay_interfaces: tuple = ()  # in place of the demo's own
    keys: str = "DTLS"
    password: str | None = None  # in settings.cfg of the proxy
    script: tuple = ()  # (what stands in kamailio.cfg, what somebody wrote)
    meta: tuple = ()  # further options of the simulator
    pbx_speaks: bool = True

    def edit(self, script):
        """kamailio.cfg as somebody has left it."""
        for shipped, written in self.script:
            assert script.count(shipped) == 1, f"kamailio.cfg does not have {shipped}"
            script = script.replace(shipped, written)
        return script


# An address of documentation (RFC 5737): nobody has it, and nothing that is sent there comes back.
NOWHERE = "192.0.2.7"

FAULTS = {
    "none": Fault("nothing is wrong"),
    "udp-blocked": Fault("a firewall between the relay and WhatsApp drops every UDP packet", meta=("--loss", "100")),
    "wrong-address": Fault("the relay tells WhatsApp an address that it does not have",
                           relay_interfaces=(f"pub/127.0.0.1!{NOWHERE}", "priv/127.0.0.1")),
    "wrong-address-sdes": Fault("the same for a number whose keys are exchanged by SDES, without ICE", keys="SDES",
                                relay_interfaces=(f"pub/127.0.0.1!{NOWHERE}", "priv/127.0.0.1")),
    "wrong-password": Fault("the proxy has another password than the number has at Meta", password="password-of-yesterday"),
    "passive-dtls": Fault("the proxy asks the relay to wait for WhatsApp's DTLS, which never begins", script=(
        ('rtpengine_answer("$var(ice) rtcp-mux-accept', 'rtpengine_answer("DTLS=passive $var(ice) rtcp-mux-accept'),)),
    "silent-pbx": Fault("the PBX answers and sends no audio", pbx_speaks=False),
}
