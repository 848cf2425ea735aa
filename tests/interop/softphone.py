"""Headless Chromium as a softphone: the page in `browser/` takes orders over a loopback HTTP server."""

import http.server
import json
import os
import queue
import shutil
import threading

from processes import Part

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = {"/": ("browser/index.html", "text/html"), "/softphone.js": ("browser/softphone.js", "text/javascript")}

# How long the page's request for an order stays open.
ORDER_SECONDS = 5
# A busy machine takes its time to start a browser.
START_SECONDS = 90
RESULT_SECONDS = 20


class SoftphoneFailed(Exception):
    """The browser did not start, or the page could not carry out an order."""


class Softphone:
    """One browser, in which calls are made one after another."""

    def __init__(self, run, chromium):
        self.orders, self.results, self.is_here = queue.Queue(), queue.Queue(), threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        profile = os.path.join(run, "chromium-profile")
        shutil.rmtree(profile, ignore_errors=True)
        self.part = Part("chromium", [chromium, *OPTIONS, f"--user-data-dir={profile}",
                                      f"http://127.0.0.1:{self.server.server_address[1]}/"], run)
        if not self.is_here.wait(START_SECONDS):
            raise SoftphoneFailed(f"no page after {START_SECONDS} s, see {self.part.log}\n{self.part.last_lines()}")

    def offer(self, tone_hz, expect_hz, codecs=None):
        return self.order("offer", tone_hz=tone_hz, expect_hz=expect_hz, codecs=codecs)["sdp"]

    def answer(self, sdp, tone_hz, expect_hz, passive=False):
        return self.order("answer", sdp=sdp, tone_hz=tone_hz, expect_hz=expect_hz, passive=passive)["sdp"]

    def answered(self, sdp):
        self.order("answered", sdp=sdp)

    def report(self):
        return self.order("report")

    def hang_up(self):
        self.order("hang_up")

    def order(self, what, **details):
        self.orders.put({"what": what, **details})
        try:
            result = self.results.get(timeout=RESULT_SECONDS)
        except queue.Empty:
            raise SoftphoneFailed(f"the page did not finish '{what}' in {RESULT_SECONDS} s") from None
        if "error" in result:
            raise SoftphoneFailed(f"{what}: {result['error']}")
        return result

    def handler(self):
        phone = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/order":
                    phone.is_here.set()
                    try:
                        order = phone.orders.get(timeout=ORDER_SECONDS)
                    except queue.Empty:
                        order = {}
                    self.reply(200, "application/json", json.dumps(order).encode())
                elif self.path in FILES:
                    name, kind = FILES[self.path]
                    with open(os.path.join(HERE, name), "rb") as file:
                        self.reply(200, kind, file.read())
                else:
                    self.reply(404, "text/plain", b"")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                phone.results.put(json.loads(body))
                self.reply(200, "text/plain", b"")

            def reply(self, status, kind, body):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
    "--no-first-run", "--no-default-browser-check", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--metrics-recording-only",
    # Calls go on although nobody looks at the page.
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    # Host candidates on loopback, with addresses instead of mDNS names.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]
