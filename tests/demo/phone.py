"""The SIP phone: baresip from Debian, headless, with its own configuration folder.

It answers every call by itself, says a steady tone, and writes what it hears into a WAV file
per call. It is steered over its ctrl_tcp module (JSON in netstrings).
"""

import glob
import json
import os
import re
import signal
import socket
import sys
import time

import tone
from processes import Part, PartFailed, tcp_answers

CONFIGURATION = """\
poll_method             epoll
sip_listen              127.0.0.1:{sip}
net_interface           127.0.0.1
rtp_ports               {rtp_first}-{rtp_last}
rtp_stats               yes
statmode_default        off
call_max_calls          4
audio_source            aufile,{tone}
audio_player            aufile,{player}
audio_alert             aufile,{player}
ausrc_srate             48000
auplay_srate            48000
ausrc_channels          1
auplay_channels         1
audio_buffer            20-160
opus_stereo             no
opus_sprop_stereo       no
opus_bitrate            20000
snd_path                {recordings}
module_path             /usr/lib/baresip/modules
module                  opus.so
module                  g711.so
module                  aufile.so
{recorder}
module_tmp              account.so
module_app              menu.so
module_app              ctrl_tcp.so
ctrl_tcp_listen         127.0.0.1:{control}
"""


class Phone:
    def __init__(self, run, ports, numbers, codecs=None, records=True):
        """`codecs` maps a number to the only codec that its account knows, where that is not Opus."""
        self.run = run
        self.ports = ports
        self.events = []
        self.keys_heard = ""  # in this call, so far
        self.buffer = b""
        folder = os.path.join(run, "baresip")
        self.recordings = os.path.join(run, "recordings")
        os.makedirs(folder, exist_ok=True)
        os.makedirs(self.recordings, exist_ok=True)
        tone_file = os.path.join(run, "phone-tone.wav")
        tone.write_tone(tone_file, tone.PHONE_TONE_HZ, seconds=60)
        with open(os.path.join(folder, "config"), "w") as file:
            file.write(CONFIGURATION.format(
                sip=ports.phone_sip, control=ports.phone_control,
                rtp_first=ports.phone_media, rtp_last=ports.phone_media + 98,
                tone=tone_file, recorder="module sndfile.so" if records else "",
                player=os.path.join(folder, "player.wav"), recordings=self.recordings))
        with open(os.path.join(folder, "accounts"), "w") as file:
            for number in numbers:
                file.write(f"<{self.account(number)};transport=udp>;regint=0;answermode=auto;"
                           f"audio_codecs={(codecs or {}).get(number, 'opus/48000/2')}\n")
        open(os.path.join(folder, "contacts"), "w").close()
        # On SIGTERM baresip waits for answers to its BYE, which no longer come when all else has ended.
        self.part = Part("baresip", ["baresip", "-f", folder], run, signal_when_orphaned=signal.SIGKILL)
        self.part.wait_until(tcp_answers(ports.phone_control))
        self.control = socket.create_connection(("127.0.0.1", ports.phone_control), 2)

    def account(self, number):
        return f"sip:+{number}@127.0.0.1:{self.ports.phone_sip}"

    def dial(self, from_number, to_number):
        self.command("uafind", self.account(from_number))
        self.command("dial", f"sip:+{to_number}@127.0.0.1:{self.ports.kamailio_udp}")

    def hang_up(self, number):
        self.command("uafind", self.account(number))
        self.command("hangup")

    def press(self, number, digits):
        self.command("uafind", self.account(number))
        for digit in digits:
            self.command("sndcode", digit)
            time.sleep(0.25)
            self.command("sndcode", "\x04")
            time.sleep(0.1)

    def command(self, name, parameters=""):
        payload = json.dumps({"command": name, "params": parameters, "token": name}).encode()
        self.control.sendall(b"%d:%s," % (len(payload), payload))

    def wait_for(self, events, seconds):
        """Wait for one of several events such as CALL_ESTABLISHED; its name, or None when none came."""
        deadline = time.monotonic() + seconds
        while True:
            for at, message in enumerate(self.events):
                if message.get("type") in events:
                    del self.events[:at + 1]
                    return message["type"]
            left = deadline - time.monotonic()
            if left <= 0 or not self.receive(left):
                return None

    def forget_events(self):
        while self.receive(0.01):
            pass
        self.events.clear()
        self.keys_heard = ""

    def receive(self, seconds):
        self.control.settimeout(seconds)
        try:
            data = self.control.recv(65536)
        except (TimeoutError, BlockingIOError):
            return False
        if not data:
            raise PartFailed(f"baresip ended, see {self.part.log}")
        self.buffer += data
        while True:
            match = re.match(rb"(\d+):", self.buffer)
            if not match or len(self.buffer) < match.end() + int(match[1]) + 1:
                return True
            end = match.end() + int(match[1])
            event = json.loads(self.buffer[match.end():end])
            if event.get("type") == "CALL_DTMF_START":
                self.keys_heard += event.get("param", "")
            self.events.append(event)
            self.buffer = self.buffer[end + 1:]

    def newest_recording(self):
        """What the phone heard in the last call."""
        files = sorted(glob.glob(os.path.join(self.recordings, "*-dec.wav")), key=os.path.getmtime)
        return files[-1] if files else None

    def last_statistics(self):
        """(received, lost) RTP packets of the last call, from the table that baresip logs.

        baresip prints how many were lost only once RTCP has told it.
        """
        with open(self.part.log, errors="replace") as log:
            text = log.read()
        tables = text.split("Transmit:")[1:]
        packets = tables and re.search(r"packets:\s+\d+\s+(\d+)", tables[-1])
        if not packets:
            return None
        lost = re.search(r"lost:\s+-?\d+\s+(-?\d+)", tables[-1])
        return int(packets[1]), int(lost[1]) if lost else 0


class SilentPhone:
    """It takes calls and sends nothing. It calls nobody."""

    def __init__(self, run, ports):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "silent_phone.py")
        self.part = Part("silent-phone", [sys.executable, program, "127.0.0.1", str(ports.phone_sip), str(ports.phone_media)], run)
        self.part.wait_until(lambda: "ready" in self.part.last_lines(1000))

    def dial(self, from_number, to_number):
        pass

    def forget_events(self):
        pass
