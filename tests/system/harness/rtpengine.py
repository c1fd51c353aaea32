"""rtpengine as the media relay beside a node: the real one, without its kernel module."""
import itertools
import signal
import socket
import subprocess

from .wait import end, until

SERIAL = itertools.count(1)


def encode(value):
    """bencode, of what a test has to say."""
    if isinstance(value, dict):
        return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"
    data = value.encode()
    return b"%d:%s" % (len(data), data)


def decode(data, at=0):
    """The value at that place, and where it ends."""
    first = data[at:at + 1]
    if first == b"i":
        stop = data.index(b"e", at)
        return int(data[at + 1:stop]), stop + 1
    if first in (b"d", b"l"):
        values, at = [], at + 1
        while data[at:at + 1] != b"e":
            value, at = decode(data, at)
            values.append(value)
        return (dict(zip(values[::2], values[1::2])) if first == b"d" else values), at + 1
    colon = data.index(b":", at)
    stop = colon + 1 + int(data[at:colon])
    return data[colon + 1:stop].decode("latin-1"), stop


class Relay:
    """Told what to do at address:port; its media ports are of that address too."""

    def __init__(self, folder, address, port=2223):
        self.folder, self.address, self.port = folder, address, port
        self.process = None

    @property
    def control(self):
        return f"{self.address}:{self.port}"

    def start(self):
        with (self.folder / "rtpengine.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["rtpengine", "--config-file=none", "--foreground", "--log-stderr", "--table=-1", f"--interface={self.address}",
                 f"--listen-ng={self.control}", "--port-min=30000", "--port-max=31000", "--delete-delay=0", "--num-threads=2"],
                stdout=log, stderr=log, start_new_session=True)
        until(lambda: self.ask("ping")["result"] == "pong", "rtpengine to answer", 20)
        return self

    def stop(self):
        end(self.process, 5)

    def pause(self):
        """It is there, and says nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.go_on()
        self.stop()

    def ask(self, command, **keys):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(1)
            s.connect((self.address, self.port))
            s.send(b"test-%d " % next(SERIAL) + encode({"command": command, **{k.replace("_", "-"): v for k, v in keys.items()}}))
            return decode(s.recv(65536).partition(b" ")[2])[0]

    def calls(self):
        """The names of the calls that it has."""
        return self.ask("list")["calls"]

    def packets(self):
        """How many RTP packets each direction of its only call has had."""
        tags = self.ask("query", call_id=self.calls()[0])["tags"]
        return [media["streams"][0]["stats"]["packets"] for tag in tags.values() for media in tag["medias"]]
