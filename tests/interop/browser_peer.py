"""One call of the browser softphone, in the form in which the driver makes calls."""

from report import Report

# How often the page listens, see `LISTEN_EVERY_MS` there.
WINDOW_SECONDS = 0.1


class BrowserPeer:
    NAME = "browser"

    def __init__(self, phone, tone_hz, expect_hz, passive=False, codecs=None):
        self.codecs = codecs
        self.phone, self.tone_hz, self.expect_hz, self.passive = phone, tone_hz, expect_hz, passive

    def offer(self):
        return self.phone.offer(self.tone_hz, self.expect_hz, self.codecs)

    def answer(self, sdp):
        return self.phone.answer(sdp, self.tone_hz, self.expect_hz, self.passive)

    def answered(self, sdp):
        self.phone.answered(sdp)

    def is_hearing(self, packets):
        return self.phone.report().get("received", {}).get("packets", 0) >= packets

    def report(self):
        seen = self.phone.report()
        received, heard = seen.get("received", {}), seen["heard"]
        report = Report(packets=received.get("packets", 0), lost=received.get("lost", 0),
                        tone_seconds=heard["tone"] * WINDOW_SECONDS, loud_seconds=heard["loud"] * WINDOW_SECONDS)
        states, transport = dict(seen["states"]), seen.get("transport", {})
        if "connected" not in states:
            report.problems.append(f"never connected: {seen['states']}, {transport}")
            return report
        if "pair" not in seen:
            report.problems.append("no candidate pair was nominated")
        if transport.get("dtlsState") != "connected":
            report.problems.append(f"DTLS is {transport.get('dtlsState')}")
        if heard["echo"]:
            report.problems.append("it heard itself")
        report.dtls_role = transport.get("dtlsRole")
        report.notes.append(
            f"connected in {states['connected']} ms, ICE {transport.get('iceRole')}, DTLS {transport.get('dtlsRole')}"
            f" {transport.get('dtlsCipher')} {transport.get('srtpCipher')}, {seen.get('codec')}")
        return report

    def hang_up(self):
        self.phone.hang_up()
