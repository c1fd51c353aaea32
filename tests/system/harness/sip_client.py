"""A phone that only registers, so that the moment of its 200 is known to a fraction of a millisecond."""
import hashlib
import itertools
import re
import socket
import time

COUNT = itertools.count(1)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


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
            head.append(self._authorization())
        self.socket.send(("\r\n".join(head) + "\r\n\r\n").encode())
        while True:
            answer = self.socket.recv(65536).decode()
            status = int(answer.split(" ", 2)[1])
            if status >= 200 and re.search(rf"^CSeq: *{n} ", answer, re.MULTILINE | re.IGNORECASE):
                return status, answer

    def _authorization(self):
        realm, nonce = self.challenge
        self.nonce_count += 1
        uri, nc = f"sip:{self.registrar}", f"{self.nonce_count:08x}"
        response = md5(f"{md5(f'{self.user}:{realm}:{self.secret}')}:{nonce}:{nc}:bench:auth:{md5(f'REGISTER:{uri}')}")
        return (f'Authorization: Digest username="{self.user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
                f'response="{response}", algorithm=MD5, qop=auth, nc={nc}, cnonce="bench"')

    def register(self, expires=600):
        """Registers (0: ends it)."""
        status, answer = self._exchange(expires)
        if status == 401:
            self.challenge = [re.search(rf'{key}="([^"]*)"', answer).group(1) for key in ("realm", "nonce")]
            self.nonce_count = 0
            status, answer = self._exchange(expires)
        assert status == 200, answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
