"""A SIP user agent of one UDP socket, for tests that say each byte themselves."""
import itertools
import re
import select
import socket

SERIAL = itertools.count(1)


class Message:
    """A request or response as it came."""

    def __init__(self, data, source=None):
        self.data, self.source = data, source
        head, _, self.body = data.decode("latin-1").partition("\r\n\r\n")
        self.first, *lines = head.split("\r\n")
        self.lines = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if ":" in line]

    def all(self, name):
        return [value for key, value in self.lines if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    @property
    def code(self):
        return int(self.first.split()[1]) if self.first.startswith("SIP/2.0") else None

    @property
    def method(self):
        return None if self.first.startswith("SIP/2.0") else self.first.split()[0]

    @property
    def uri(self):
        return self.first.split()[1]

    def tag(self, name):
        found = re.search(r";\s*tag=([^;>\s]+)", self.get(name))
        return found and found.group(1)


class Peer:
    """Bound to address:port; talks to the node given."""

    def __init__(self, address, port=5060, node=None):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.address, self.port, self.node = address, port, node
        self.host = f"[{address}]" if ":" in address else address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, text, to=None):
        self.socket.sendto(text if isinstance(text, bytes) else text.encode("latin-1"), to or (self.node.strip("[]"), 5060))

    def request(self, method, uri, *lines, call_id=None, branch=None, cseq=1, from_=None, to=None, max_forwards=70, body="",
                contact=True):
        """The text of a request; lines are further header lines."""
        serial = next(SERIAL)
        all_lines = [f"{method} {uri} SIP/2.0",
                     f"Via: SIP/2.0/UDP {self.host}:{self.port};branch={branch or f'z9hG4bK-raw-{serial}'};rport",
                     f"From: {from_ or f'<sip:100@{self.host}>;tag=t{serial}'}", f"To: {to or f'<{uri}>'}",
                     f"Call-ID: {call_id or f'raw-{serial}@{self.host}'}", f"CSeq: {cseq} {method}"]
        all_lines += [f"Max-Forwards: {max_forwards}"] if max_forwards is not None else []
        all_lines += [f"Contact: <sip:100@{self.host}:{self.port}>"] if contact else []
        return "\r\n".join([*all_lines, *lines, f"Content-Length: {len(body)}", "", body])

    def reply(self, request, code, *lines, tag="callee", reason="X", body="", contact=None):
        """Answers a request that came; contact is a URI, our own address if none is given."""
        to = request.get("To")
        kept = [f"{name}: {value}" for name, value in request.lines
                if name.lower() in ("via", "from", "call-id", "cseq", "record-route")]
        text = "\r\n".join([f"SIP/2.0 {code} {reason}", *kept, "To: " + to + ("" if "tag=" in to or code == 100 else f";tag={tag}"),
                            f"Contact: <{contact or f'sip:callee@{self.host}:{self.port}'}>", *lines, f"Content-Length: {len(body)}", "", body])
        self.send(text, request.source)

    def receive(self, timeout=5):
        """The next message, or None."""
        ready, _, _ = select.select([self.socket], [], [], timeout)
        if not ready:
            return None
        data, source = self.socket.recvfrom(65536)
        return Message(data, source)

    def expect(self, what, timeout=8, call_id=None):
        """The next message with that method or code; provisional and repeated ones before it are passed over."""
        seen = []
        while True:
            m = self.receive(timeout)
            assert m is not None, f"waited for {what}, saw {seen}"
            seen.append(m.first)
            if what in (m.method, m.code) and (call_id is None or m.get("Call-ID") == call_id):
                return m

    def final(self, timeout=8, call_id=None):
        while True:
            m = self.receive(timeout)
            assert m is not None, "no final answer"
            if m.code and m.code >= 200 and (call_id is None or (m.get("Call-ID") or "") == call_id):
                return m

    def ask(self, method, uri, *lines, **keys):
        """Sends a request and gives its final answer."""
        text = self.request(method, uri, *lines, **keys)
        self.send(text)
        return self.final(call_id=Message(text.encode("latin-1")).get("Call-ID"))

    def ack(self, text, answer):
        """Acknowledges a failure: the INVITE's own transaction."""
        m = Message(text.encode("latin-1") if isinstance(text, str) else text)
        self.send("\r\n".join([f"ACK {m.uri} SIP/2.0", f"Via: {m.all('Via')[0]}", f"From: {m.get('From')}",
                               f"To: {answer.get('To')}", f"Call-ID: {m.get('Call-ID')}", f"CSeq: {m.get('CSeq').split()[0]} ACK",
                               "Max-Forwards: 70", "Content-Length: 0", "", ""]))


class Stream:
    """A SIP connection of TCP or TLS, already made, message by message."""

    def __init__(self, connection):
        self.socket, self.held = connection, b""
        connection.settimeout(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text.encode("latin-1"))

    def _more(self):
        more = self.socket.recv(65536)
        assert more, "the node has closed the connection"
        self.held += more

    def receive(self):
        """A message with its body; without a Content-Length there is none to a stream."""
        while b"\r\n\r\n" not in self.held:
            self._more()
        head = self.held[:self.held.index(b"\r\n\r\n") + 4]
        length = Message(head).get("Content-Length")
        assert length is not None, head
        end = len(head) + int(length)
        while len(self.held) < end:
            self._more()
        data, self.held = self.held[:end], self.held[end:]
        return Message(data)

    def final(self):
        """A final answer to an INVITE."""
        while True:
            message = self.receive()
            if (message.code or 0) >= 200 and message.get("CSeq").endswith("INVITE"):
                return message

    def answer(self, request, code):
        kept = [f"{name}: {value}" for name, value in request.lines
                if name.lower() in ("via", "from", "to", "call-id", "cseq", "record-route")]
        self.send("\r\n".join([f"SIP/2.0 {code} X", *kept, "Content-Length: 0", "", ""]))


class Call:
    """A call through the node that is up: made by caller, answered by callee."""

    def __init__(self, caller, callee, number, *lines, scheme="sip"):
        self.caller, self.callee = caller, callee
        self.invite_text = caller.request("INVITE", f"{scheme}:{number}@{caller.node}", *lines)
        sent = Message(self.invite_text.encode())
        self.call_id, self.from_ = sent.get("Call-ID"), sent.get("From")
        caller.send(self.invite_text)
        self.invite = callee.expect("INVITE", call_id=self.call_id)
        callee.reply(self.invite, 200)
        self.answer = caller.expect(200, call_id=self.call_id)
        self.to = self.answer.get("To")
        self.routes = [f"Route: {value}" for value in reversed(self.answer.all("Record-Route"))]
        self.target = re.search(r"<([^>]+)>", self.answer.get("Contact")).group(1)
        caller.send(self.in_dialog("ACK"))
        callee.expect("ACK", call_id=self.call_id)

    def in_dialog(self, method, *lines, routes=None, uri=None, cseq=None, **keys):
        return self.caller.request(method, uri or self.target, *(self.routes if routes is None else routes), *lines,
                                   call_id=self.call_id, from_=self.from_, to=self.to,
                                   cseq=cseq or (1 if method == "ACK" else 2), **keys)

    def end(self):
        self.caller.send(self.in_dialog("BYE", cseq=9))
        self.callee.reply(self.callee.expect("BYE", call_id=self.call_id), 200)
        self.caller.expect(200, call_id=self.call_id)
