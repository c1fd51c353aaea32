"""A client that registers by UDP from an address of its own, byte by byte: for right and for wrong passwords."""
import hashlib
import itertools
import re
import socket

ALGORITHMS = {"SHA-256": "sha256", "SHA-512-256": "sha512_256", "MD5": "md5"}


def hashed(algorithm, *parts):
    return hashlib.new(ALGORITHMS[algorithm], ":".join(parts).encode()).hexdigest()


def challenges(answer):
    """The challenges of a 401, in order, as dictionaries."""
    lines = re.findall(r"^WWW-Authenticate: Digest (.*)\r$", answer, re.MULTILINE)
    return [{k: v.strip('"') for k, v in re.findall(r'(\w+)=("[^"]*"|[^,\s]+)', line)} for line in lines]


CNONCES = itertools.count(1)


def fresh_cnonce():
    """Challenges of one millisecond are the same: who proves himself anew says so with this."""
    return f"c{next(CNONCES)}"


def proof(challenge, user, password, method, uri, count=1, cnonce=None):
    cnonce = cnonce or fresh_cnonce()
    a = challenge["algorithm"]
    first = hashed(a, user, challenge["realm"], password)
    nc = f"{count:08x}"
    response = hashed(a, first, challenge["nonce"], nc, cnonce, "auth", hashed(a, method, uri))
    return (f'Authorization: Digest username="{user}", realm="{challenge["realm"]}", nonce="{challenge["nonce"]}", '
            f'uri="{uri}", response="{response}", algorithm={a}, qop=auth, nc={nc}, cnonce="{cnonce}"\r\n')


class Client:
    """One UDP socket at source that talks to one node."""

    count = itertools.count(1)

    def __init__(self, node, source, port=0):
        self.node = node  # its address
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, port))
        self.source, self.port = self.socket.getsockname()
        self.cseq = 0
        self.challenge = None
        self.call_id = f"reg-{next(Client.count)}@{source}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, user, lines="", contact=None, method="REGISTER"):
        self.cseq += 1
        branch = f"z9hG4bK{self.call_id}{self.cseq}"
        contact = f"Contact: <sip:{user}@{self.source}:{self.port}>\r\n" if contact is None else contact
        self.socket.send((
            f"{method} sip:{self.node} SIP/2.0\r\nVia: SIP/2.0/UDP {self.source}:{self.port};branch={branch};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{user}@test.example>;tag=1\r\nTo: <sip:{user}@test.example>\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {self.cseq} {method}\r\n{contact}{lines}Content-Length: 0\r\n\r\n").encode())

    def ask(self, user, lines="", contact=None, method="REGISTER", patience=5.0):
        """The answer, "" when there is none."""
        self.socket.connect((self.node, 5060))
        self.socket.settimeout(patience)
        self.send(user, lines, contact, method)
        try:
            while True:
                answer = self.socket.recv(65536).decode()
                if f"CSeq: {self.cseq} " in answer and not answer.startswith("SIP/2.0 100"):
                    return answer
        except TimeoutError:
            return ""

    def learn(self, user, patience=5.0):
        """Asks for a challenge; False when nobody answers."""
        answer = self.ask(user, patience=patience)
        found = [c for c in challenges(answer) if c["algorithm"] in ALGORITHMS]
        self.challenge = found[0] if found else None
        self.cnonce = fresh_cnonce()
        return bool(found)

    def register(self, user, password, lines="", contact=None, patience=5.0, fresh=True):
        """Proves itself; the answer. With fresh a challenge is asked for first."""
        if (fresh or self.challenge is None) and not self.learn(user, patience):
            return ""
        credentials = proof(self.challenge, user, password, "REGISTER", f"sip:{self.node}")
        return self.ask(user, credentials + lines, contact, patience=patience)


def code(answer):
    return int(answer.split(" ", 2)[1]) if answer else 0
