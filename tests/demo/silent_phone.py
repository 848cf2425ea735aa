#!/usr/bin/env python3
"""A PBX that takes every call and says nothing: SIP over UDP as much as that needs, and not one RTP packet.

usage: silent_phone.py ADDRESS PORT MEDIA-PORT
"""

import re
import socket
import sys

SDP = "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP {2}\r\na=rtpmap:{2} opus/48000/2\r\n"


def main(address, port, media_port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sip, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        sip.bind((address, port))
        # Somebody listens where the answer says, and never speaks.
        media.bind((address, media_port))
        print("ready", flush=True)
        while True:
            datagram, source = sip.recvfrom(65535)
            answer = answer_to(datagram.decode(errors="replace"), address, port, media_port)
            if answer:
                sip.sendto(answer.encode(), source)


def answer_to(request, address, port, media_port):
    """200 to everything that wants an answer."""
    first, *lines = request.split("\r\n\r\n", 1)[0].split("\r\n")
    method = first.split(" ", 1)[0]
    if method in ("ACK", "SIP/2.0"):
        return None
    print(first, flush=True)
    kept = [line for line in lines if re.match(r"(Via|From|Call-ID|CSeq|Record-Route) *:", line, re.I)]
    to = next(line for line in lines if re.match(r"To *:", line, re.I))
    kept.append(to if ";tag=" in to else to + ";tag=silent")
    body = ""
    if method == "INVITE":
        opus = re.search(r"a=rtpmap:(\d+) opus", request, re.I)
        body = SDP.format(address, media_port, opus[1] if opus else "96")
        kept += [f"Contact: <sip:{address}:{port}>", "Content-Type: application/sdp"]
    return "\r\n".join(["SIP/2.0 200 OK", *kept, f"Content-Length: {len(body)}", "", body])


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    except KeyboardInterrupt:
        pass
