"""aiortc as a WebRTC endpoint: ICE, DTLS and SRTP that share no code with the relay.

Its event loop runs in a thread of its own; the driver calls it from outside.
"""

import array
import asyncio
import threading
from fractions import Fraction

import aioice.ice
import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from plain_peer import FRAME, FRAME_SECONDS, tone_samples
from report import SAMPLE_RATE, Report, listen

SECONDS = 20
FRAMES_KEPT = 3000

# aioice leaves loopback out of its candidates, and the tests have nothing else.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class ToneTrack(MediaStreamTrack):
    kind = "audio"

    def __init__(self, hertz):
        super().__init__()
        self.hertz, self.frames, self.began = hertz, 0, None

    async def recv(self):
        now = asyncio.get_running_loop().time()
        self.began = self.began or now
        await asyncio.sleep(max(0.0, self.began + self.frames * FRAME_SECONDS - now))
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME)
        # A tone of whole hertz repeats each second.
        frame.planes[0].update(tone_samples(self.hertz, self.frames * FRAME % SAMPLE_RATE, FRAME).tobytes())
        frame.pts, frame.sample_rate, frame.time_base = self.frames * FRAME, SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        self.frames += 1
        return frame


class AiortcPeer:
    NAME = "aiortc"

    def __init__(self, tone_hz, expect_hz, passive=False):
        self.expect_hz, self.passive = expect_hz, passive
        self.samples, self.frames, self.states = array.array("h"), 0, []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.run(self.set_up(tone_hz))

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SECONDS)

    async def set_up(self, tone_hz):
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.addTrack(ToneTrack(tone_hz))
        self.connection.on("track", lambda track: asyncio.ensure_future(self.hear(track)))
        self.connection.on("connectionstatechange", lambda: self.states.append(self.connection.connectionState))

    async def hear(self, track):
        while True:
            try:
                frame = await track.recv()
            except Exception:  # The track ends with the call.
                return
            if self.frames < FRAMES_KEPT:
                channels = len(frame.layout.channels)
                interleaved = array.array("h", bytes(frame.planes[0])[:2 * channels * frame.samples])
                self.samples.extend(interleaved[::channels])
                self.frames += 1

    def offer(self):
        return self.run(self.make_offer())

    async def make_offer(self):
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    def answer(self, sdp):
        return self.run(self.make_answer(sdp))

    async def make_answer(self, sdp):
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        if self.passive:
            # There is no public way to answer `setup:passive`.
            self.dtls()._set_role("server")
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return self.connection.localDescription.sdp

    def answered(self, sdp):
        self.run(self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer")))

    def dtls(self):
        return self.connection.getTransceivers()[0].receiver.transport

    def is_hearing(self, packets):
        return self.frames >= packets

    def report(self):
        return self.run(self.make_report())

    async def make_report(self):
        report = Report()
        for entry in (await self.connection.getStats()).values():
            if entry.type == "inbound-rtp":
                report.packets, report.lost = entry.packetsReceived, entry.packetsLost
        report.tone_seconds, report.loud_seconds = listen(self.samples, self.expect_hz)
        ice, dtls = self.connection.iceConnectionState, self.dtls()
        if ice != "completed":
            report.problems.append(f"ICE is {ice}")
        if dtls.state != "connected":
            report.problems.append(f"DTLS is {dtls.state}")
        report.dtls_role = dtls._role
        report.notes.append(f"ICE {dtls.transport.role} {ice}, DTLS {dtls._role} {dtls.state}")
        return report

    def hang_up(self):
        self.run(self.connection.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(2)
