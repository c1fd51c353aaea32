"""Kamailio as an outside registrar, from tests/system/registrar.cfg."""
import json
import pathlib
import re
import socket
import subprocess

from .sipp import listening
from .wait import end, until

CONFIG = pathlib.Path(__file__).resolve().parents[1] / "registrar.cfg"
DEFAULTS = {"ALGORITHM": "", "EXPIRES_MIN": 1, "EXPIRES_MAX": 3600, "NONCE_EXPIRE": 300, "LOGIN": "u49301",
            "PASSWORD": "secret", "DOMAIN": "carrier.example", "DEFINES": ""}


class Registrar:
    """One Kamailio. words replace those of the configuration; start again to give it others."""

    def __init__(self, folder, address, phone, nodes, **words):
        self.folder = pathlib.Path(folder) / f"registrar-{address}"
        self.folder.mkdir(exist_ok=True)
        self.address, self.process = address, None
        self.words = {**DEFAULTS, "OWN": address, "PHONE": phone, "NODES": nodes, **words}

    def secure(self, certificate, key, client_ca=None):
        """By TLS as well, with that certificate, for who proves one of client_ca."""
        defines = "#!define WITH_TLS" + ("\n#!define WITH_CLIENTS" if client_ca else "")
        self.words.update(DEFINES=defines, CERTIFICATE=certificate, PRIVATE_KEY=key, CLIENT_CA=client_ca)
        return self

    def start(self, **words):
        self.words.update(words)
        text = CONFIG.read_text()
        for word, value in self.words.items():
            text = re.sub(rf"\b{word}\b", lambda _: str(value), text)
        (self.folder / "kamailio.cfg").write_text(text)
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(["kamailio", "-f", self.folder / "kamailio.cfg", "-DD", "-E", "-w", self.folder,
                                             "-Y", self.folder, "-P", self.folder / "pid", "-m", "64"],
                                            start_new_session=True, stdout=log, stderr=log)
        until(lambda: listening(self.address, 5060) or self.process.poll() is not None, "the registrar to listen", 20)
        assert self.process.poll() is None, self.log()
        return self

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def stop(self):
        end(self.process)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def rpc(self, method, *params):
        """The result of a call, in one datagram each way."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            control.settimeout(5)
            control.bind((self.address, 0))
            request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
            control.sendto(json.dumps(request).encode(), (self.address, 8090))
            return json.loads(control.recv(65536)).get("result", {})

    def contacts(self):
        """The contacts of every user, as Kamailio has them."""
        result = self.rpc("ul.dump")
        found = []
        for domain in result.get("Domains", []):
            for aor in domain["Domain"]["AoRs"]:
                found += [c["Contact"] for c in aor["Info"]["Contacts"]]
        return [c for c in found if c["Expires"] not in ("expired", "deleted") and c.get("State") != "CS_DELETED"]
