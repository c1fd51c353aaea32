"""A phone that only registers, so that the moment of its 200 is known to a fraction of a millisecond."""
import itertools
import re
import socket
import time

from .digest import challenges, fresh_cnonce, proof

COUNT = itertools.count(1)


class Client:
    """One account, with its contact at address. A context."""

    def __init__(self, user, secret, registrar, address):
        self.user, self.secret, self.registrar = user, secret, registrar
        host, port = registrar.rsplit(":", 1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.connect((host, int(port)))
        self.socket.settimeout(5)
        self.local = "%s:%d" % self.socket.getsockname()
        self.contacts = [f"sip:{user}@{self.local}"]
        self.call_id = f"{user}-{time.monotonic_ns()}"
        self.challenge = None
        self.nonce_count = 0

    def _exchange(self, expires):
        """Status and text of the final answer to one REGISTER."""
        n = next(COUNT)
        head = [f"REGISTER sip:{self.registrar} SIP/2.0", f"Via: SIP/2.0/UDP {self.local};branch=z9hG4bK{n}x{self.call_id}",
                f"From: <sip:{self.user}@{self.registrar}>;tag=bench", f"To: <sip:{self.user}@{self.registrar}>",
                f"Call-ID: {self.call_id}", f"CSeq: {n} REGISTER", "Contact: " + ", ".join(f"<{uri}>" for uri in self.contacts),
                f"Expires: {expires}", "Max-Forwards: 70", "Content-Length: 0"]
        if self.challenge:
            self.nonce_count += 1
            uri = f"sip:{self.registrar}"
            head.append(proof(self.challenge, self.user, self.secret, "REGISTER", uri, self.nonce_count,
                              self.cnonce).strip())
        self.socket.send(("\r\n".join(head) + "\r\n\r\n").encode())
        while True:
            answer = self.socket.recv(65536).decode()
            status = int(answer.split(" ", 2)[1])
            if status >= 200 and re.search(rf"^CSeq: *{n} ", answer, re.MULTILINE | re.IGNORECASE):
                return status, answer

    def register(self, expires=600):
        """Registers (0: ends it)."""
        status, answer = self._exchange(expires)
        if status == 401:
            self.challenge = challenges(answer)[-1]  # the last is the weakest, and the cheapest for a bench
            self.nonce_count, self.cnonce = 0, fresh_cnonce()
            status, answer = self._exchange(expires)
        assert status == 200, answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
