"""A SIP peer on a UDP socket of its own that does what a test tells it: it answers, refuses, or says nothing."""
import re
import socket
import threading


class Peer:
    """Answers each request with the code that codes has for its method (None: silence), and keeps what it got. Extra header
    lines of an answer stand in lines, by method."""

    def __init__(self, address, port=5060, **codes):
        self.codes = {"OPTIONS": 200, "BYE": 200, "INVITE": 200, "CANCEL": 200, **codes}
        self.lines = {}
        self.requests = []  # whole messages, in order
        self.address, self.port = address, port
        self.socket = None
        self.thread = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, self.port))
        self.thread = threading.Thread(target=self._run, args=(self.socket,), daemon=True)
        self.thread.start()
        return self

    def stop(self):
        """Nobody listens there any more."""
        if self.socket is None:
            return
        ended, self.socket = self.socket, None
        self._wake(ended)
        self.thread.join()
        ended.close()

    def _wake(self, listening):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"END", listening.getsockname())

    def _run(self, listening):
        while True:
            data, source = listening.recvfrom(65536)
            if data == b"END":
                return
            text = data.decode(errors="replace")
            if text.startswith("SIP/2.0"):
                continue
            method = text.split(" ", 1)[0]
            self.requests.append(text)
            code = self.codes.get(method)
            if method != "ACK" and code is not None:
                listening.sendto(self._answer(text, method, code), source)

    def _answer(self, text, method, code):
        kept = []
        for line in text.split("\r\n\r\n", 1)[0].split("\r\n")[1:]:
            name = line.split(":", 1)[0].lower()
            if name in ("via", "from", "call-id", "cseq", "record-route"):
                kept.append(line)
            elif name == "to":
                kept.append(line if ";tag=" in line else line + ";tag=peer")
        phrase = {200: "OK", 486: "Busy Here", 503: "Service Unavailable"}.get(code, "Answer")
        kept += [f"Contact: <sip:{self.address}:{self.port}>", *self.lines.get(method, []), "Content-Length: 0"]
        return ("\r\n".join([f"SIP/2.0 {code} {phrase}", *kept]) + "\r\n\r\n").encode()

    def got(self, method):
        return [r for r in self.requests if r.startswith(method + " ")]


class Caller:
    """One who makes calls by hand from a UDP socket: each answer is looked at, and a call stays up until it is told to end."""

    def __init__(self, address, node, port=5060):
        self.address, self.node, self.port = address, node, port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.socket.settimeout(20)
        self.calls = {}  # Call-ID -> the 2xx
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, method, uri, call_id, cseq, to_tag="", routes=(), lines=()):
        self.count += 1
        text = [f"{method} {uri} SIP/2.0",
                f"Via: SIP/2.0/UDP {self.address}:{self.port};branch=z9hG4bK{call_id}{method}{self.count};rport",
                f"From: <sip:600@{self.address}>;tag=caller", f"To: <sip:x@{self.node}>{to_tag}", f"Call-ID: {call_id}",
                f"CSeq: {cseq} {method}", f"Contact: <sip:600@{self.address}:{self.port}>", "Max-Forwards: 70",
                *[f"Route: {r}" for r in routes], *lines, "Content-Length: 0"]
        self.socket.sendto(("\r\n".join(text) + "\r\n\r\n").encode(), (self.node, 5060))

    def answer(self, call_id, method):
        """The final response."""
        while True:
            text = self.socket.recv(65536).decode(errors="replace")
            if not text.startswith("SIP/2.0") or text.startswith("SIP/2.0 1") or header(text, "Call-ID") != [call_id]:
                continue
            if header(text, "CSeq")[0].endswith(method):
                return text

    def invite(self, number, call_id, lines=()):
        """The final response; a call that is answered stays up."""
        self.send("INVITE", f"sip:{number}@{self.node}", call_id, 1, lines=lines)
        text = self.answer(call_id, "INVITE")
        if code_of(text) < 300:
            self.calls[call_id] = text
        to = header(text, "To")[0]
        self.in_dialog("ACK", call_id, 1, text, to[to.index(";tag="):])
        return text

    def in_dialog(self, method, call_id, cseq, text=None, to_tag=None, lines=()):
        text = text or self.calls[call_id]
        to = header(text, "To")[0]
        contact = header(text, "Contact")
        uri = contact[0].strip("<>") if contact else f"sip:x@{self.node}"
        self.send(method, uri, call_id, cseq, to_tag or to[to.index(";tag="):],
                  list(reversed(header(text, "Record-Route"))), lines)

    def bye(self, call_id):
        self.in_dialog("BYE", call_id, 2)
        assert code_of(self.answer(call_id, "BYE")) == 200
        del self.calls[call_id]


def code_of(response):
    return int(response.split(" ", 2)[1])


def header(message, name):
    """The values of a header's lines."""
    return [m.group(1).strip() for m in re.finditer(rf"^{re.escape(name)}:(.*)$", message.split("\r\n\r\n", 1)[0],
                                                    re.MULTILINE | re.IGNORECASE)]
