"""Two small SIP peers for testing the scripts: Meta over TLS and a PBX over UDP.

They send what the tests tell them and understand nothing by themselves. For a Meta that judges
what it gets, and for media, there is the simulator.
"""

import hashlib
import random
import re
import socket
import ssl
import time

CRLF = "\r\n"


class Message:
    """A SIP request or response: the first line, the headers in order, the body."""

    def __init__(self, first, headers, body=""):
        self.first = first
        self.headers = headers
        self.body = body

    @classmethod
    def parse(cls, text):
        head, body = text.split(CRLF * 2, 1)
        first, *lines = head.split(CRLF)
        return cls(first, [tuple(part.strip() for part in line.split(":", 1)) for line in lines], body)

    def to_bytes(self):
        headers = [(name, value) for name, value in self.headers if name != "Content-Length"]
        headers.append(("Content-Length", str(len(self.body))))
        return (CRLF.join([self.first] + [f"{name}: {value}" for name, value in headers]) + CRLF * 2
                + self.body).encode()

    def all(self, name):
        """The values of a header; those of a route set may share a line (RFC 3261 section 7.3.1)."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        if name.lower().endswith("route"):
            values = [part.strip() for value in values for part in value.split(",")]
        return values

    def get(self, name):
        return next(iter(self.all(name)), None)

    @property
    def status(self):
        return int(self.first.split()[1]) if self.first.startswith("SIP/2.0 ") else None

    @property
    def method(self):
        return None if self.status else self.first.split()[0]

    @property
    def cseq(self):
        return int(self.get("CSeq").split()[0])

    def contact_uri(self):
        return re.search(r"<([^>]*)>", self.get("Contact"))[1]

    def reply(self, status, phrase, tag=None, headers=(), body=""):
        """The response to this request, with Via, From, To, Call-ID, CSeq and Record-Route copied."""
        copied = []
        for name, value in self.headers:
            if name.lower() == "to" and tag and ";tag=" not in value:
                value += f";tag={tag}"
            if name.lower() in ("via", "from", "to", "call-id", "cseq", "record-route"):
                copied.append((name, value))
        if body:
            copied.append(("Content-Type", "application/sdp"))
        return Message(f"SIP/2.0 {status} {phrase}", copied + list(headers), body)

    def __repr__(self):
        return self.to_bytes().decode()


class UdpPeer:
    def __init__(self, port, proxy_port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", port))
        self.port = port
        self.proxy = ("127.0.0.1", proxy_port)
        self.call_id = None

    def send(self, message):
        self.sock.sendto(message.to_bytes(), self.proxy)

    def receive(self, seconds=5):
        """The next message of our call; None when none came. Repetitions of earlier calls are passed over."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                message = Message.parse(self.sock.recv(65535).decode())
            except TimeoutError:
                break
            if message.get("Call-ID") == self.call_id:
                return message
        return None

    def receive_any(self, seconds=10):
        """The next INVITE of any call, such as one of the simulator's."""
        self.sock.settimeout(seconds)
        while True:
            message = Message.parse(self.sock.recv(65535).decode())
            if message.method == "INVITE":
                return message

    def final(self):
        while (message := self.receive(10)) and message.status and message.status < 200:
            pass
        return message

    def close(self):
        self.sock.close()


class TlsPeer:
    """One end of a TLS connection that carries SIP."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.last_ack = None
        self.ended = False

    @classmethod
    def connect(cls, port, authority, server_name):
        context = ssl.create_default_context(cafile=authority)
        return cls(context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=server_name))

    def send(self, message):
        self.sock.sendall(message.to_bytes())

    def receive(self, seconds=5):
        """The next message. An ACK may come again, byte for byte (RFC 3261 section 17.1.1.3); OpenSIPS does it."""
        while (message := self.next_message(seconds)) and message.method == "ACK":
            if message.to_bytes() != self.last_ack:
                self.last_ack = message.to_bytes()
                break
        return message

    def next_message(self, seconds):
        self.sock.settimeout(seconds)
        while True:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if found:
                length = int(re.search(rb"(?im)^content-length:\s*(\d+)", head)[1])
                if len(rest) >= length:
                    self.buffer = rest[length:]
                    return Message.parse((head + found + rest[:length]).decode())
            try:
                data = self.sock.recv(65535)
            except TimeoutError:
                return None
            except ConnectionError:
                data = b""
            if not data:
                self.ended = True
                return None
            self.buffer += data

    def final(self):
        while (message := self.receive(10)) and message.status and message.status < 200:
            pass
        return message

    def close(self):
        self.sock.close()


class TlsListener:
    """Where Meta is called. Remembers the server name that a client asked for."""

    def __init__(self, port, certificate, key):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.sni_callback = lambda _sock, name, _context: self.server_names.append(name)
        self.server_names = []
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", port))
        self.sock.listen()

    def accept(self, seconds=5):
        """The next connection; None when nobody came, an SSLError when TLS failed."""
        self.sock.settimeout(seconds)
        try:
            connection, _ = self.sock.accept()
        except TimeoutError:
            return None
        return TlsPeer(self.context.wrap_socket(connection, server_side=True))

    def close(self):
        self.sock.close()


def token():
    return f"{random.randrange(1 << 48):012x}"


def challenge_fields(header):
    return dict(re.findall(r'(\w+)="?([^",]+)"?', header))


def digest_response(user, password, fields, method):
    """RFC 7616 with qop=auth, by MD5 or by SHA-256."""
    algorithm = hashlib.sha256 if fields.get("algorithm") == "SHA-256" else hashlib.md5

    def digest(*parts):
        return algorithm(":".join(parts).encode()).hexdigest()

    return digest(digest(user, fields["realm"], password), fields["nonce"], fields["nc"], fields["cnonce"], "auth",
                  digest(method, fields["uri"]))
