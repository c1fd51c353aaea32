"""Many accounts that register at once, from one socket: what each was answered, and when."""
import collections
import hashlib
import re
import select
import socket
import time

AGAIN_S = 0.8
STATUS = re.compile(rb"SIP/2\.0 (\d+)")
CSEQ = re.compile(rb"^CSeq: *(\d+)", re.M | re.I)
CALL = re.compile(rb"^Call-ID: *(\S+)", re.M | re.I)
NONCE = re.compile(rb'nonce="([^"]*)"')
REALM = re.compile(rb'realm="([^"]*)"')


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Storm:
    """Registers accounts at registrar ("127.0.0.1:5060") with one password. Each has its contact at our socket. A context."""

    def __init__(self, registrar, address, secret="secret", contact=None):
        self.registrar, self.secret = registrar, secret
        host, port = registrar.rsplit(":", 1)
        self.to = (host, int(port))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((address, 0))
        self.local = "%s:%d" % self.socket.getsockname()
        self.contact = contact or self.local
        self.cseq = 0
        self.confirmed = {}  # account -> time of its 200
        self.refused = collections.Counter()
        self.put_off = 0  # answers of 503
        self.stopping = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def message(self, user, cseq, expires, authorization=""):
        at = self.registrar
        return (f"REGISTER sip:{at} SIP/2.0\r\nVia: SIP/2.0/UDP {self.local};branch=z9hG4bK{cseq}x{user};rport\r\n"
                f"From: <sip:{user}@{at}>;tag=s{user}\r\nTo: <sip:{user}@{at}>\r\nCall-ID: {user}-{self.local}\r\n"
                f"CSeq: {cseq} REGISTER\r\nContact: <sip:{user}@{self.contact}>\r\nExpires: {expires}\r\n"
                f"Max-Forwards: 70\r\n{authorization}Content-Length: 0\r\n\r\n").encode()

    def authorization(self, user, answer):
        nonce, realm = NONCE.search(answer).group(1).decode(), REALM.search(answer).group(1).decode()
        uri = f"sip:{self.registrar}"
        response = md5(f"{md5(f'{user}:{realm}:{self.secret}')}:{nonce}:00000001:storm:auth:{md5(f'REGISTER:{uri}')}")
        return (f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
                f'response="{response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="storm"\r\n')

    def register(self, users, expires=600, window=400, timeout=60, rate=None):
        """Until each has its final answer, or the time is up, or stopping is set; at most window at a time, and rate new
        ones in a second. Sends again what is not answered."""
        waiting = collections.OrderedDict()  # user -> [cseq, message, when sent]
        users = iter(users)
        begin, end = time.monotonic(), time.monotonic() + timeout
        begun, more = 0, True
        while (more or waiting) and not self.stopping and time.monotonic() < end:
            now = time.monotonic()
            while more and len(waiting) < window and (rate is None or begun < (now - begin) * rate):
                user = next(users, None)
                if user is None:
                    more = False
                    break
                begun += 1
                self.cseq += 1
                self._send(waiting, user, self.cseq, self.message(user, self.cseq, expires))
            if select.select([self.socket], [], [], 0.002 if rate else 0.02)[0]:
                for _ in range(64):
                    try:
                        self._answer(self.socket.recv(65536, socket.MSG_DONTWAIT), waiting, expires)
                    except (BlockingIOError, ConnectionRefusedError):
                        break
            self._again(waiting)
        return not waiting and not more

    def _send(self, waiting, user, cseq, message):
        waiting[user] = [cseq, message, time.monotonic()]
        try:
            self.socket.sendto(message, self.to)
        except OSError:
            pass  # nobody listens just now: it is sent again

    def _again(self, waiting):
        now = time.monotonic()
        for user in list(waiting):
            cseq, message, sent = waiting[user]
            if now - sent < AGAIN_S:
                break  # they stand in the order in which they were sent
            waiting.pop(user)
            self._send(waiting, user, cseq, message)

    def _answer(self, data, waiting, expires):
        call, cseq, status = CALL.search(data), CSEQ.search(data), STATUS.match(data)
        if not (call and cseq and status):
            return
        user = call.group(1).decode().split("-", 1)[0]
        if user not in waiting or waiting[user][0] != int(cseq.group(1)):
            return
        code = int(status.group(1))
        if code == 401 and b"Authorization:" not in waiting[user][1]:
            waiting.pop(user)
            self.cseq += 1
            self._send(waiting, user, self.cseq, self.message(user, self.cseq, expires, self.authorization(user, data)))
        elif code == 200:
            waiting.pop(user)
            self.confirmed[user] = time.monotonic()
        elif code == 503:  # busy, as it may be: asked once more a little later
            self.put_off += 1
            self.cseq += 1
            waiting.pop(user)
            waiting[user] = [self.cseq, self.message(user, self.cseq, expires), time.monotonic()]
        elif code >= 300:
            waiting.pop(user)
            self.refused[code] += 1
