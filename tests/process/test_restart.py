#!/usr/bin/env python3
"""Calls that outlive the process: it is killed, or stopped and started again, while WhatsApp calls and plain ones talk.

The far ends are the simulator's WhatsApp side (OpenSSL and webrtc-srtp; the program `meta-media` beside the relay's) and phones
that speak plain RTP from here. Prints how long each was not heard.
"""

import base64
import json
import os
import queue
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import unittest

from test_process import ADDRESS, BASE, Folder, TANDEM, eventually, cli, ng

META = os.path.join(os.path.dirname(TANDEM), "meta-media")
WHATSAPP_CALLS = int(os.environ.get("CALLS", "12"))
PLAIN_CALLS = 6
# Issue of operators: nobody hangs up for a pause of this length.
LONGEST_GAP = 1.5
# 20 ms of silence in Opus, and in G.711.
OPUS, PCMU = b"\xf8\xff\xfe", b"\xff" * 160


class Meta:
    """WhatsApp's media side of one call."""

    def __init__(self, seed):
        self.process = subprocess.Popen([META, "--expect-hz=440", f"--seed={seed}"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def offer(self):
        return self.lines.get(timeout=15)["offer"]

    def ask(self, value):
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()
        return self.lines.get(timeout=15)

    def report(self):
        return self.ask({"report": True})

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Phone:
    """A party that speaks plain RTP."""

    def __init__(self, number, payload_type, payload, step):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ADDRESS, 0))
        self.socket.setblocking(False)
        self.payload_type, self.payload, self.step = payload_type, payload, step
        self.ssrc, self.sequence, self.to = 0x1000 + number, 0, None
        self.heard, self.heard_at, self.gap, self.streams = 0, None, 0.0, set()

    def sdp(self):
        codec = "opus/48000/2" if self.payload_type == 96 else "PCMU/8000"
        return (f"v=0\r\no=- 1 1 IN IP4 {ADDRESS}\r\ns=-\r\nc=IN IP4 {ADDRESS}\r\nt=0 0\r\n"
                f"m=audio {self.socket.getsockname()[1]} RTP/AVP {self.payload_type}\r\n"
                f"a=rtpmap:{self.payload_type} {codec}\r\na=ptime:20\r\n")

    def speak(self):
        header = struct.pack(">BBHII", 0x80, self.payload_type, self.sequence & 0xffff,
                             self.sequence * self.step & 0xffffffff, self.ssrc)
        self.sequence += 1
        try:
            self.socket.sendto(header + self.payload, self.to)
        except OSError:
            # Nobody has the port at the moment, and the kernel says so.
            pass

    def hear(self, now):
        while True:
            try:
                packet = self.socket.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue
            if len(packet) < 12 or 192 <= packet[1] <= 223:
                continue
            self.heard += 1
            self.streams.add(packet[8:12])
            if self.heard_at is not None:
                self.gap = max(self.gap, now - self.heard_at)
            self.heard_at = now


class Talk(threading.Thread):
    """Everybody who speaks from here does so every 20 ms."""

    def __init__(self, phones):
        super().__init__(daemon=True)
        self.phones, self.over = phones, False

    def run(self):
        due = time.monotonic()
        while not self.over:
            due += 0.02
            for phone in self.phones:
                phone.speak()
            sockets = {phone.socket: phone for phone in self.phones}
            while (left := due - time.monotonic()) > 0:
                ready, _, _ = select.select(list(sockets), [], [], left)
                now = time.monotonic()
                for one in ready:
                    sockets[one].hear(now)


def body(reply):
    """The description in a reply; its length stands before it."""
    at = reply.index(b"3:sdp") + 5
    length, rest = reply[at:].split(b":", 1)
    return rest[:int(length)].decode()


def media_address(sdp):
    port = next(line for line in sdp.splitlines() if line.startswith("m=")).split(" ")[1]
    return ADDRESS, int(port)


def collect_secrets(value, secrets):
    """All that is secret by its name in what is written down of a call."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("material", "pwd", "private_key"):
                secrets.add(inner)
            elif name == "crypto":
                secrets.update(line.split("inline:")[1].split()[0].split("|")[0] for line in inner)
            else:
                collect_secrets(inner, secrets)
    elif isinstance(value, list):
        for inner in value:
            collect_secrets(inner, secrets)


def forms_of(secret):
    """The ways in which a log might show it."""
    forms = [secret.rstrip("=")]
    try:
        raw = base64.b64decode(secret + "=" * (-len(secret) % 4), validate=True)
    except ValueError:
        return forms
    # Of a key with its salt the key alone, too; and bytes as Rust shows them.
    for part in (raw, raw[:16]):
        forms += [part.hex(), part.hex().upper(), ", ".join(map(str, part)), ", ".join(f"{byte:#x}" for byte in part)]
    return forms


class Restart(Folder):
    def setUp(self):
        super().setUp()
        self.state = self.path("state")
        self.options = ["-f", "-E", f"--state-dir={self.state}", "--num-threads=2", "--delete-delay=0"]
        if path := os.environ.get("TANDEM_DATA_PATH"):
            self.options.append(f"--data-path={path}")
        self.metas, self.phones, self.talk = [], [], None
        self.addCleanup(self.hang_up)

    def hang_up(self):
        if self.talk:
            self.talk.over = True
            self.talk.join()
        for meta in self.metas:
            meta.end()
        for phone in self.phones:
            phone.socket.close()

    def call_from_whatsapp(self, number):
        meta, phone = Meta(number), Phone(number, 96, OPUS, 960)
        self.metas.append(meta)
        self.phones.append(phone)
        name = f"whatsapp-{number}"
        reply = ng(command="offer", call_id=name, from_tag="meta", sdp=meta.offer(), ICE="remove",
                   transport_protocol="RTP/AVP", rtcp_mux=["demux"], replace=["origin"])
        to_phone = body(reply)
        reply = ng(command="answer", call_id=name, from_tag="meta", to_tag="pbx", sdp=phone.sdp(), replace=["origin"])
        meta.ask({"answer": body(reply)})
        phone.to = media_address(to_phone)
        return name

    def plain_call(self, number):
        one, other = (Phone(100 + 2 * number + side, 0, PCMU, 160) for side in (0, 1))
        self.phones += [one, other]
        name = f"plain-{number}"
        other.to = media_address(body(ng(command="offer", call_id=name, from_tag="a", sdp=one.sdp())))
        one.to = media_address(body(ng(command="answer", call_id=name, from_tag="a", to_tag="b", sdp=other.sdp())))
        return name

    def everybody_talks(self, *options):
        process = self.start(*self.options, *options)
        names = [self.call_from_whatsapp(number) for number in range(WHATSAPP_CALLS)]
        names += [self.plain_call(number) for number in range(PLAIN_CALLS)]
        self.talk = Talk(self.phones)
        self.talk.start()
        eventually("everybody is heard", lambda: all(phone.heard > 50 for phone in self.phones)
                   and all(meta.report()["received"]["packets"] > 50 for meta in self.metas), 20)
        # Longer than progress takes to be written, and the pauses of the beginning do not count.
        time.sleep(3)
        for phone in self.phones:
            phone.gap = 0.0
        return process, names

    def assert_everybody_is_heard(self, what, before):
        """By the same keys and in the same streams; and how long nobody was."""
        heard = [phone.heard for phone in self.phones]
        since = [meta.report()["received"]["packets"] for meta in self.metas]
        time.sleep(3)
        for phone, count in zip(self.phones, heard):
            self.assertGreater(phone.heard - count, 100)
            self.assertEqual(len(phone.streams), 1, "one stream before and after")
        gaps = [phone.gap for phone in self.phones]
        for meta, count, earlier in zip(self.metas, since, before):
            report = meta.report()
            received = report["received"]
            self.assertGreater(received["packets"] - count, 100, report)
            self.assertEqual(report["unauthenticated"], 0, report)
            self.assertEqual(received["ssrc_changes"], 0, report)
            self.assertEqual(received["duplicates"], 0, report)
            self.assertEqual(report["checks_refused"], 0, report)
            news = [words for words in report["violations"] if words not in earlier["violations"]]
            self.assertEqual(news, [], report)
            gaps.append(received["longest_gap_ms"] / 1000)
        print(f"{what}: {len(self.metas)} WhatsApp and {PLAIN_CALLS} plain calls before, as many after;"
              f" longest time without audio {1000 * max(gaps):.0f} ms", file=sys.stderr)
        self.assertLessEqual(max(gaps), LONGEST_GAP)
        self.assertIn(f"total: {len(self.metas) + PLAIN_CALLS}\n", cli("list numsessions"))

    def assert_calls_can_be_ended(self, names):
        for name in names:
            reply = ng(command="delete", call_id=name, from_tag="meta" if name.startswith("w") else "a")
            self.assertIn(b"6:result2:ok", reply)
        calls = os.path.join(self.state, "calls")
        eventually("no call is kept", lambda: not [name for name in os.listdir(calls) if name.startswith("call-")])

    def test_a_killed_process_costs_no_call(self):
        process, names = self.everybody_talks()
        for again in (1, 2):
            before = [meta.report() for meta in self.metas]
            process.kill()
            process.wait()
            if again == 2:
                # With other parts of the ports than the workers had that opened them.
                self.options[self.options.index("--num-threads=2")] = "--num-threads=3"
            process = self.start(*self.options)
            self.assert_everybody_is_heard(f"kill -9 ({again})", before)
            time.sleep(2)
        self.assert_calls_can_be_ended(names)
        # Nothing is left of their ports: every worker may use all of its own.
        self.assertNotIn("cannot be opened again", self.read("log"))

    def test_a_restart_costs_no_call_and_hardly_a_packet(self):
        process, names = self.everybody_talks()
        before = [meta.report() for meta in self.metas]
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=5), 0)
        self.start(*self.options)
        self.assert_everybody_is_heard("TERM and start", before)
        # Nothing but what was said while there was no process: no hole is left on purpose.
        for meta, earlier in zip(self.metas, before):
            received = meta.report()["received"]
            lost = received["lost"] - earlier["received"]["lost"]
            self.assertLess(lost, 50 * LONGEST_GAP, received)
        self.assert_calls_can_be_ended(names)

    def test_what_is_kept_is_for_nobody_else_and_sealed_if_wished(self):
        key = self.write("key", "00112233445566778899aabbccddeeff" * 2 + "\n")
        process, names = self.everybody_talks(f"--state-key-file={key}")
        before = [meta.report() for meta in self.metas]
        for folder, _, files in os.walk(self.state):
            self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700, folder)
            for name in files:
                path = os.path.join(folder, name)
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)
                with open(path, "rb") as file:
                    content = file.read()
                self.assertNotIn(b"whatsapp-", content)
                self.assertNotIn(b"material", content)
        process.kill()
        process.wait()
        self.options.append(f"--state-key-file={key}")
        process = self.start(*self.options)
        self.assert_everybody_is_heard("kill -9, sealed", before)
        process.kill()
        process.wait()
        other = self.write("other", "ff" * 32)
        self.options[self.options.index(f"--state-key-file={key}")] = f"--state-key-file={other}"
        self.start(*self.options)
        self.assertIn("it was not sealed with the present key", self.read("log"))
        self.assertIn("total: 0\n", cli("list numsessions"))
        self.assertEqual(len(names), WHATSAPP_CALLS + PLAIN_CALLS)

    def test_no_key_of_any_call_is_in_the_log_of_a_debug_run(self):
        self.start(*self.options, "-L", "7")
        for number in range(2):
            self.call_from_whatsapp(number)
        # Keys in SDP on both sides, of which one is the far end's own.
        inline = base64.b64encode(os.urandom(30)).decode()
        phone = Phone(200, 0, PCMU, 160)
        self.phones.append(phone)
        sdp = phone.sdp().replace("RTP/AVP", "RTP/SAVP") + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{inline}\r\n"
        ng(command="offer", call_id="sdes", from_tag="a", sdp=sdp, DTLS="off")
        ng(command="answer", call_id="sdes", from_tag="a", to_tag="b", sdp=sdp)
        eventually("everybody has keys", lambda: all(
            meta.report()["dtls_ms"] is not None for meta in self.metas))
        # A tenth of a second after the last change everything is written down.
        time.sleep(1)
        secrets, calls = {inline}, os.path.join(self.state, "calls")
        for name in os.listdir(calls):
            if name.startswith("call-"):
                with open(os.path.join(calls, name), encoding="utf-8") as file:
                    collect_secrets(json.loads(file.read().split("\n", 1)[1]), secrets)
        # Two of SRTP and two passwords for each WhatsApp call, the certificate's, and those of the other.
        self.assertGreater(len(secrets), 10)
        log = self.read("log")
        self.assertIn("[sdes]", log)
        self.assertIn("DTLS 1.2", log)
        for secret in secrets:
            for form in forms_of(secret):
                self.assertNotIn(form, log)

    def test_one_process_at_a_time_has_the_folder(self):
        self.start(*self.options)
        arguments = [argument.replace(ADDRESS, "127.88.0.2") for argument in BASE]
        result = subprocess.run([TANDEM, *arguments, *self.options], capture_output=True, text=True, timeout=20,
                                check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"option state-dir: {self.state} is used by another process", result.stderr)

    def test_without_a_folder_calls_end_with_the_process(self):
        self.options.remove(f"--state-dir={self.state}")
        process = self.start(*self.options)
        self.plain_call(1)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=5), 0)
        self.start(*self.options)
        self.assertIn("total: 0\n", cli("list numsessions"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
