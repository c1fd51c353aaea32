"""Real nodes: tandemd processes with their configuration, data directory, certificates and control socket."""
import json
import os
import pathlib
import signal
import subprocess
import urllib.request

from .wait import until

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("TANDEM_BUILD", ROOT / "build"))
TANDEMD = BUILD / "tandemd"
VARIANTS = BUILD / "tests" / "system" / "variant"  # nodes of other versions
CLUSTERCTL = BUILD / "clusterctl"


class CommandFailed(AssertionError):
    def __init__(self, args, result):
        super().__init__(f"clusterctl {' '.join(map(str, args))}: exit {result.returncode}\n{result.stdout}{result.stderr}")
        self.status = result.returncode
        self.stdout = result.stdout
        self.stderr = result.stderr


def clusterctl(*args, cwd=None, check=True, stdin=None):
    result = subprocess.run([str(CLUSTERCTL), *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=60,
                            input=stdin)
    if check and result.returncode != 0:
        raise CommandFailed(args, result)
    return result


class Node:
    """One tandemd. Its address is a loopback address of its own; its files live in folder/NAME."""

    def __init__(self, folder, name, site, address, config=None, mesh=True, seeds=(), extra=""):
        self.folder = pathlib.Path(folder)
        self.name, self.site, self.address = name, site, address
        self.data = self.folder / name
        self.socket = self.folder / f"{name}.sock"
        self.log = self.folder / f"{name}.log"
        self.config = pathlib.Path(config) if config else self.folder / f"{name}.yaml"
        self.process = None
        self.binary = TANDEMD
        self.told = None  # the process that was told to end
        self.environment = {}  # beside ours, for the next start
        self.prefix = []  # what it is started by
        if config is None:
            self.write_config(mesh, seeds, extra)

    @property
    def sip(self):
        return f"{self.address}:5060"

    @property
    def mesh(self):
        return f"{self.address}:7400"

    def write_config(self, mesh, seeds, extra):
        listen = [f"udp:{self.address}:5060", f"tcp:{self.address}:5060"] + ([f"tls:{self.address}:5061"] if mesh else [])
        lines = [f"node: {self.name}", f"site: {self.site}", f"data: {self.data}",
                 f"sip: {{ listen: {json.dumps(listen)} }}",
                 f"control: {self.socket}", f"http: \"{self.address}:8080\""]
        if mesh:
            lines.append(f"mesh: {{ listen: \"{self.mesh}\", advertise: \"{self.mesh}\", seeds: {json.dumps(list(seeds))} }}")
        self.config.write_text("\n".join(lines) + "\n" + extra)

    def show(self, certificate, key):
        """What others than members are shown by TLS, from the next start."""
        own = f"sip: {{ certificate: \"{certificate}\", key: \"{key}\", "
        self.config.write_text(self.config.read_text().replace("sip: { ", own, 1))

    def start(self, wait=True):
        assert self.process is None or self.process.poll() is not None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*self.prefix, str(self.binary), str(self.config)], stdout=log, stderr=log, cwd=self.folder,
                                            env={**os.environ, **self.environment}, start_new_session=True)
        if wait:
            until(self.ready, f"node {self.name} to be ready", 20)
        return self

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log_text()[-2000:]}")
        return self.ctl("status")[0]["node"] == self.name

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def ctl(self, *args):
        """The records of a command."""
        return json.loads(clusterctl("-s", self.socket, "-o", "json", *args).stdout)["records"]

    def run(self, *args, check=True):
        return clusterctl("-s", self.socket, *args, check=check)

    def digest(self):
        return self.ctl("status")[0]["plan_digest"]

    def nodes(self):
        return {r["node"]: r for r in self.ctl("nodes")}

    def running(self):
        return self.process is not None and self.process.poll() is None

    def status(self):
        return self.ctl("status")[0]

    def changes(self):
        """The whole history of the plan, the newest first."""
        return self.ctl("plan", "log", "-n", "0")

    def counters(self, module):
        return {r["name"]: r["value"] for r in self.ctl("counters") if r["module"] == module}

    def counter(self, module, name):
        for r in self.ctl("counters"):
            if (r["module"], r["name"]) == (module, name):
                return r["value"]
        raise AssertionError(f"no counter {module} {name}")

    def metrics(self):
        """The page that Prometheus reads."""
        with urllib.request.urlopen(f"http://{self.address}:8080/metrics", timeout=20) as page:
            return page.read().decode()

    def apply(self, text, message="test", *options, name="plan.yaml"):
        path = self.folder / f"{self.name}-{name}"
        path.write_text(text)
        return self.run("plan", "apply", path, "-m", message, *options)

    def apply_unchecked(self, text):
        path = self.folder / f"{self.name}-unchecked.yaml"
        path.write_text(text)
        return self.run("plan", "apply", path, "-m", "test", "--allow", "all", check=False)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def begin_stop(self):
        """Tells it to end; a second word would end it at once."""
        if self.running() and self.told is not self.process:
            self.told = self.process
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()

    def stop(self):
        """Ends it in an orderly way; its exit status."""
        if self.process is None:
            return None
        self.begin_stop()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end within 20 s of SIGTERM")
        return self.process.returncode


class Cluster:
    """A CA and its nodes. Use as a context: everything is stopped at the end, and every node must have ended well."""

    def __init__(self, folder, name="test"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.ca = self.folder / "ca"
        self.nodes = {}
        clusterctl("ca", "init", "--cluster", name, "--dir", self.ca)

    def invite(self, name, site, *options):
        """A join file."""
        out = self.folder / f"{name}.join"
        clusterctl("node", "invite", name, "--site", site, "--ca", self.ca, "--out", out, *options)
        return out

    def add(self, name, site, address, config=None, seeds=(), start=True, extra=""):
        node = Node(self.folder, name, site, address, config=config, seeds=seeds, extra=extra)
        seed_options = [o for s in seeds for o in ("--seed", s)]
        clusterctl("node", "join", self.invite(name, site, *seed_options), "--data", node.data)
        self.nodes[name] = node
        return node.start() if start else node

    def wait_linked(self, timeout=40):
        """Every running node sees every other alive, linked, in step, and knows where its SIP edge is."""
        def look():
            running = [n for n in self.nodes.values() if n.running()]
            for node in running:
                seen = node.nodes()
                for other in running:
                    r = seen.get(other.name)
                    if not r or r["status"] != "alive" or not r["linked"] or not r["in_step"] or not r["sip"]:
                        return False
            return True
        until(look, "all nodes linked and in step", timeout)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        problems = []
        for node in self.nodes.values():  # all at once, since each may take a while
            node.begin_stop()
        for node in self.nodes.values():
            try:
                status = node.stop()
                if status not in (0, -9, None):
                    problems.append(f"{node.name} ended with {status}:\n{node.log_text()[-3000:]}")
            except AssertionError as problem:
                problems.append(str(problem))
        if problems and kind is None:
            raise AssertionError("\n".join(problems))
