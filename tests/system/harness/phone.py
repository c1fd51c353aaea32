"""baresip as a phone without a screen: it plays a tone into the call and records what it hears."""
import json
import pathlib
import socket
import subprocess

from . import tone
from .wait import end, until

MODULES = "/usr/lib/baresip/modules"


class Phone:
    """A phone at address that registers user at registrar. It answers every call by itself."""

    def __init__(self, folder, user, secret, registrar, address, hertz, port=5060, control=4444, transport="udp",
                 srtp=False, video=False, ca=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.user, self.address, self.control, self.hertz = user, address, control, hertz
        tone.write(self.folder / "tone.wav", hertz, 60)
        (self.folder / "config").write_text("\n".join([
            f"sip_listen {address}:{port}", f"net_interface {address}", "audio_source aufile,tone.wav",
            "audio_player aubridge,ear", "audio_alert aubridge,alert", "audio_srate 8000-8000", "audio_channels 1-1",
            f"module_path {MODULES}", "module g711.so", "module aufile.so", "module aubridge.so", "module sndfile.so",
            "module_tmp account.so", "module_app menu.so", "module_app ctrl_tcp.so",
            f"ctrl_tcp_listen {address}:{control}", "rtp_ports 20000-21000", f"snd_path {self.folder}",
            *(["module srtp.so"] if srtp else []), *([f"sip_cafile {ca}"] if ca else []),
            *(["module fakevideo.so", "module vp8.so", "video_source fakevideo,nil", "video_display fakevideo,nil",
               "video_size 176x144", "video_bitrate 100000", "video_fps 5"] if video else []), ""]))
        media = ";mediaenc=srtp-mand" if srtp else ""
        (self.folder / "accounts").write_text(
            f"<sip:{user}@{registrar};transport={transport}>;auth_user={user};auth_pass={secret};answermode=auto;"
            f"regint=60;outbound=\"sip:{registrar};transport={transport}\";audio_codecs=PCMA{media}\n")
        (self.folder / "contacts").write_text("")
        self.log = self.folder / "baresip.log"
        self.process = None

    def start(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(["baresip", "-f", str(self.folder)], cwd=self.folder, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        until(lambda: "200 OK" in self.text(), f"phone {self.user} to register", 15)
        return self

    def text(self):
        return self.log.read_text(errors="replace")

    def command(self, command, params=""):
        body = json.dumps({"command": command, "params": params}).encode()
        with socket.create_connection((self.address, self.control), timeout=5) as s:
            s.sendall(b"%d:%s," % (len(body), body))
            return s.recv(65536)

    def dial(self, number, domain):
        self.command("dial", f"sip:{number}@{domain}")

    def hang_up(self):
        self.command("hangup")

    def in_call(self):
        return "Call established" in self.text()

    def heard(self):
        """Samples that this phone received so far: (rate, samples)."""
        files = sorted(self.folder.glob("dump-*-dec.wav"))
        return tone.read(files[-1]) if files else (tone.RATE, ())

    def stop(self):
        end(self.process, 5)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
