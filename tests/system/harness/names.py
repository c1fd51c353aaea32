"""A name server for what a test makes up, and nodes that ask it and no other."""
import ipaddress
import socket
import struct
import threading

TYPES = {"A": 1, "AAAA": 28, "SRV": 33}


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def wire_data(kind, value):
    if kind == "SRV":  # (priority, weight, port, host)
        return struct.pack("!HHH", *value[:3]) + wire_name(value[3])
    return ipaddress.ip_address(value).packed


class Names:
    """Answers by UDP at address. records: {(kind, name): [value, ...]}, which may change; ttl 1 s."""

    def __init__(self, folder, address, records):
        self.records = records
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.config = folder / "resolv.conf"
        self.config.write_text(f"nameserver {address}\noptions timeout:1 attempts:2\n")
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.sendto(b"", self.socket.getsockname())  # the word to end
        self.thread.join(10)
        self.socket.close()

    def serve(self):
        while True:
            question, source = self.socket.recvfrom(4096)
            if not question:
                return
            self.socket.sendto(self.answer(question), source)

    def answer(self, question):
        at, labels = 12, []
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        asked = question[12:at + 5]
        number = struct.unpack("!H", question[at + 1:at + 3])[0]
        kind = next((k for k, n in TYPES.items() if n == number), None)
        values = self.records.get((kind, ".".join(labels).lower()), [])
        known = any(name == ".".join(labels).lower() for _, name in self.records)
        head = question[:2] + struct.pack("!HHHHH", 0x8580 | (0 if known else 3), 1, len(values), 0, 0)
        found = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", number, 1, 1, len(data)) + data
                         for data in (wire_data(kind, value) for value in values))
        return head + asked + found

    def prefix(self):
        """What a command is begun with to ask here: it sees another /etc/resolv.conf."""
        return ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"', "sh",
                str(self.config)]
