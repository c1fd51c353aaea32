"""sipp, from the scenarios in tests/system/sipp: each run checks one flow and fails loudly."""
import pathlib
import subprocess
import tempfile

from .wait import until

SCENARIOS = pathlib.Path(__file__).resolve().parents[1] / "sipp"


class SippFailed(AssertionError):
    pass


def listening(address, port):
    """Whether a UDP socket is bound there, from the kernel's own table."""
    want = "".join(f"{int(b):02X}" for b in reversed(address.split("."))) + f":{port:04X}"
    return any(line.split()[1] == want for line in open("/proc/net/udp").read().splitlines()[1:])


class Sipp:
    """One sipp process. keys become [key] in the scenario."""

    def __init__(self, scenario, address, port, remote=None, calls=1, timeout=30, args=(), **keys):
        self.folder = tempfile.TemporaryDirectory(prefix="sipp-")
        self.scenario = scenario
        # sipp expands a -key nowhere inside [authentication ...], so keys are put in beforehand.
        text = (SCENARIOS / f"{scenario}.xml").read_text()
        for key, value in keys.items():
            text = text.replace(f"[{key}]", str(value))
        (pathlib.Path(self.folder.name) / "scenario.xml").write_text(text)
        command = ["sipp", "-sf", "scenario.xml", "-i", address, "-p", str(port), "-m", str(calls),
                   "-nostdin", "-timeout", str(timeout), "-timeout_error", "-trace_err", "-error_file", "errors.log",
                   "-trace_msg", "-message_file", "messages.log", "-trace_logs", "-log_file", "log.log"]
        command += list(args)
        if remote:
            command.append(remote)
        self.process = subprocess.Popen(command, cwd=self.folder.name, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True)
        self.address, self.port = address, port

    def wait_ready(self):
        until(lambda: listening(self.address, self.port) or self.process.poll() is not None,
              f"sipp {self.scenario} to listen", 10)
        return self

    def _file(self, name):
        path = pathlib.Path(self.folder.name) / name
        return path.read_text(errors="replace") if path.exists() else ""

    def messages(self):
        return self._file("messages.log")

    def log(self):
        """What the scenario noted with <log>."""
        return self._file("log.log")

    def wait(self, timeout=40):
        """Until it ended well."""
        try:
            out, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, _ = self.process.communicate()
            raise SippFailed(f"sipp {self.scenario} did not end in {timeout} s\n{self._file('errors.log')[-2000:]}\n"
                             f"{self.messages()[-3000:]}")
        if self.process.returncode != 0:
            raise SippFailed(f"sipp {self.scenario} exit {self.process.returncode}\n{out[-500:]}\n"
                             f"{self._file('errors.log')[-2000:]}\n{self.messages()[-4000:]}")
        return self

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.folder.cleanup()


def call(caller, callee_args, dialled, timeout=30):
    """One whole call: caller is (scenario, address, port, node.sip, keys), callee_args (scenario, address, port, keys).
    Returns the callee, ended, for a look at what it received."""
    scenario, address, port, remote, keys = caller
    callee_scenario, callee_address, callee_port, callee_keys = callee_args
    with Sipp(callee_scenario, callee_address, callee_port, timeout=timeout, **callee_keys).wait_ready() as callee:
        with Sipp(scenario, address, port, remote, timeout=timeout, dialled=dialled, **keys) as uac:
            uac.wait()
        callee.wait()
        return callee.messages()
