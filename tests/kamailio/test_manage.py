#!/usr/bin/env python3
"""A stock Kamailio configuration with rtpengine, and unchanged with tandem: both ends must see the same.

The configuration calls rtpengine_manage() as the module's documentation shows it. The calls are those of
tests/opensips/test_stock.py, with media and a re-INVITE; calls between a browser's description and a plain one have
signalling alone. TANDEM names the program (target/debug/tandem by default).
"""

import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(HERE, "..")
sys.path[:0] = [os.path.join(TESTS, name) for name in ("opensips", "demo", "kamailio", "interop/differential")]

from answering import Answer  # noqa: E402
from bodies import BROWSER, body, g711  # noqa: E402
from masking import Mask, in_order  # noqa: E402
from peers import token  # noqa: E402
from processes import Part, stop_all_at_exit  # noqa: E402
from test_stock import Stock  # noqa: E402

REPLACE = "replace-origin replace-session-connection"
CASES = {
    "without flags": ({"OFFER": "", "ANSWER": ""}, None),
    "trusted addresses": ({"OFFER": f"trust-address {REPLACE} ICE=remove", "ANSWER": f"trust-address {REPLACE} ICE=remove"}, None),
    "two interfaces": ({"OFFER": f"{REPLACE} direction=pub direction=priv", "ANSWER": REPLACE}, None),
    "a codec taken away": ({"OFFER": f"{REPLACE} codec-strip-PCMA", "ANSWER": REPLACE}, None),
    "a browser calls a phone": (
        {"OFFER": f"RTP/AVP ICE=remove rtcp-mux-demux {REPLACE} DTLS=off SDES-off",
         "ANSWER": f"UDP/TLS/RTP/SAVPF ICE=force {REPLACE}"}, (BROWSER, Answer(ice=None, mux=False))),
    "a phone calls a browser": (
        {"OFFER": f"UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer SDES-off {REPLACE}",
         "ANSWER": f"RTP/AVP ICE=remove rtcp-mux-demux {REPLACE}"}, (body(g711()), Answer())),
    "a phone calls one with SDES": (
        {"OFFER": f"RTP/SAVP DTLS=off {REPLACE}", "ANSWER": f"RTP/AVP {REPLACE}"}, (body(g711()), Answer())),
}
# What differs on purpose, or because 10.5 is older (tests/interop/differential/intended.toml has the reasons).
OURS = re.compile(r"a=(tls-id|ssrc):|a=crypto:\S+ (AES_256_CM|AES_192_CM|F8_128|NULL)_|a=extmap-allow-mixed")


class Manage(Stock):
    # Whether there is an OpenSIPS decides nothing here.
    __unittest_skip__ = False

    def test_both_ends_see_the_same_with_either_relay(self):
        for case, (words, bodies) in CASES.items():
            self.bodies = bodies
            seen = {name: self.one_call(name, "kamailio " + case, "stock-manage.cfg", words) for name in ("rtpengine", "tandem")}
            for topic in seen["rtpengine"]:
                with self.subTest(case=case, topic=topic):
                    self.assertEqual(seen["tandem"][topic], seen["rtpengine"][topic])
            print(f"  {case}: {', '.join(seen['tandem'])} compared")

    def start_proxy(self, folder, config, words):
        with open(os.path.join(HERE, config)) as file:
            text = file.read()
        words = words | {"PROXY": f"127.0.0.1:{self.ports.proxy}", "CALLEE": f"127.0.0.1:{self.ports.callee}",
                         "RELAY": f"127.0.0.1:{self.ports.relay_ng}"}
        for word, value in words.items():
            text = text.replace(f"%{word}%", value)
        path = os.path.join(folder, config)
        with open(path, "w") as file:
            file.write(text)
        return Proxy(folder, path, self.proxy_answers)

    def converse(self, caller, callee, relay):
        seen = super().converse(caller, callee, relay) if self.bodies is None else self.signal(caller, callee, relay)
        return seen | ({} if self.bodies else self.read_statistics())

    def signal(self, caller, callee, relay):
        """A call of which only the descriptions matter."""
        offer, how = self.bodies
        call_id = caller.call_id = callee.call_id = token()
        caller.send(self.request("INVITE", f"sip:callee@127.0.0.1:{self.ports.proxy}", 1, call_id, caller, body=offer))
        offered = callee.receive()
        answer = how.to(offered.body)
        callee.send(offered.reply(200, "OK", "callee", [("Contact", f"<sip:callee@127.0.0.1:{callee.port}>")], answer))
        answered = caller.final()
        self.assertEqual(answered.status, 200, answered)
        routes = [("Route", route) for route in answered.all("Record-Route")]
        for method, cseq in (("ACK", 1), ("BYE", 2)):
            caller.send(self.request(method, answered.contact_uri(), cseq, call_id, caller, "", routes, answered.get("To")))
            self.assertEqual(callee.receive().method, method)
        mask = Mask("127.0.0.")
        return {"offer": self.told(mask, offered.body, offer, "callee"), "answer": self.told(mask, answered.body, answer, "caller"),
                "calls left in the relay": relay.calls()}

    def told(self, mask, written, sent, party):
        mask.names.pop("FOUNDATION", None)
        mask.command = "offer" if party == "callee" else "answer"
        return [line for line in in_order(mask.sdp(written, sent, party)) if not OURS.match(line)]

    def read_statistics(self):
        line = self.proxy.lines("STATISTICS")[-1].split("|")
        return {"packets of $rtpstat": re.findall(r"(\d+) packets|packets:? ?(\d+)", line[1], re.IGNORECASE),
                "figures that are there": [value not in ("", "<null>") for value in line[2:-1]]}

    def statistics(self, proxy):
        raise NotImplementedError


class Proxy:
    """Kamailio with one configuration."""

    def __init__(self, folder, path, answers):
        self.part = Part("kamailio", ["kamailio", "-f", path, "-DD", "-E", "-m", "64", "-M", "8", "-Y", folder, "-w", folder], folder)
        Manage.proxy = self
        self.part.wait_until(answers)

    def lines(self, word):
        """The log lines of the script that begin with the word, without it."""
        with open(self.part.log, errors="replace") as log:
            return [line.rstrip("\n").split(word, 1)[1] for line in log if f"{word}|" in line]


if __name__ == "__main__":
    stop_all_at_exit()
    unittest.main(verbosity=2, defaultTest="Manage")
