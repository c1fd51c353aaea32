"""What is measured against what: a bare forwarder, Kamailio and one Tandem node, each started, loaded and stopped the same way."""
import contextlib
import os
import pathlib
import random
import re
import subprocess
import sys
import typing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from harness.cluster import BUILD, ROOT, Node  # noqa: E402
from harness.sipp import listening  # noqa: E402
from harness.wait import end, until  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROUTES = 100_000


class Place(typing.NamedTuple):
    """The addresses of one rival and of the two that call through it, so that several can be up at once."""
    caller: str
    proxy: str
    callee: str


def place(number):
    return Place(*(f"127.0.{number}.{i}" for i in (1, 2, 3)))


HERE_ALONE = place(9)
CALLER, PROXY, CALLEE = HERE_ALONE


def prefixes():
    """The same 100,000 six-digit prefixes for everyone."""
    return random.Random(7).sample(range(100_000, 1_000_000), ROUTES)


class Spent(typing.NamedTuple):
    """Seconds of processor: all of it, what the ticks of the clock give to user space and to the kernel, and of the first
    what threads of another name than the program's took."""
    total: float
    user: float
    system: float
    helpers: float

    def __sub__(self, other):
        return Spent(*(a - b for a, b in zip(self, other)))


def spent(pids):
    """By all threads until now; the total in the scheduler's own nanoseconds. Ticks are too coarse for short runs: only
    their ratio over many rounds says something."""
    total = user = system = helpers = 0
    for pid in pids:
        own = pathlib.Path(f"/proc/{pid}/comm").read_text()
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            ns = int((thread / "schedstat").read_text().split()[0])
            ticks = (thread / "stat").read_text().rsplit(")", 1)[1].split()
            total += ns
            user, system = user + int(ticks[11]), system + int(ticks[12])
            helpers += ns if (thread / "comm").read_text() != own else 0
    hz = os.sysconf("SC_CLK_TCK")
    return Spent(total / 1e9, user / hz, system / hz, helpers / 1e9)


def cpu_seconds(pids):
    return spent(pids).total


@contextlib.contextmanager
def apart():
    """What is measured gets a core for itself, and what loads it has the others: where the scheduler moves it from core
    to core it pays for cold caches each time. Yields what puts a rival there, with the threads that it has or will have."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[1:] or cores)

    def put(rival):
        for pid in rival.pids():
            for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cores[:1])

    try:
        yield put
    finally:
        os.sched_setaffinity(0, cores)


class Forwarder:
    name = "forwarder"

    def __init__(self, folder, at=HERE_ALONE):
        self.at = at

    def start(self):
        at = self.at
        self.process = subprocess.Popen([str(BUILD / "tests" / "bench" / "bench_forwarder"), at.proxy, "5060", at.caller,
                                         "5060", at.callee, "5060"])
        until(lambda: listening(at.proxy, 5060), "the forwarder to listen")

    def pids(self):
        return [self.process.pid]

    def stop(self):
        self.process.kill()
        self.process.wait()


class Kamailio:
    name = "kamailio"

    def __init__(self, folder, at=HERE_ALONE):
        self.at = at
        self.folder = pathlib.Path(folder) / "kamailio"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "version").write_text("table_name(string) table_version(int)\nroutes:1\nmtree:1\nmtrees:2\n")
        with (self.folder / "routes").open("w") as out:
            out.write("id(int,auto) tprefix(string) tvalue(string)\n")
            for i, prefix in enumerate(prefixes(), 1):
                out.write(f"{i}:{prefix}:{at.callee}\\:5060\n")
        config = (HERE / "kamailio.cfg").read_text().replace("LISTEN", f"{at.proxy}:5060").replace("TRUSTED", at.caller)
        self.config = self.folder / "kamailio.cfg"
        self.config.write_text(config.replace("FOLDER", str(self.folder)))

    def start(self):
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(["kamailio", "-f", str(self.config), "-DD", "-E", "-x", "tlsf", "-X", "tlsf", "-m",
                                         "1024", "-M", "64", "-w", str(self.folder), "-Y", str(self.folder), "-P",
                                         str(self.folder / "pid")], start_new_session=True, stdout=self.log, stderr=self.log)
        until(lambda: listening(self.at.proxy, 5060) or self.process.poll() is not None, "kamailio to listen", 120)
        if self.process.poll() is not None:
            raise SystemExit((self.folder / "log").read_text(errors="replace")[-2000:])

    def pids(self):
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return [self.process.pid, *map(int, children)]

    def stop(self):
        end(self.process)
        self.log.close()


def unit_environment():
    """What the systemd unit that we ship sets for a node."""
    unit = (ROOT / "cluster-configs" / "systemd" / "tandemd@.service").read_text()
    return dict(re.findall(r"(?m)^Environment=(\w+)=(.*)$", unit))


class Tandem:
    name = "tandem"
    prefixes = staticmethod(prefixes)
    AT_ONCE = 250_000  # routes of one request

    def __init__(self, folder, at=HERE_ALONE):
        self.at = at
        self.folder = pathlib.Path(folder) / "tandem"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.node = Node(self.folder, "bench", "bench", at.proxy, mesh=False, extra="log: warn\n")
        self.node.environment.update(unit_environment())
        self.loaded = False

    def plan(self):
        """Documents that make up the plan."""
        yield "\n".join(["plan: 1", "defaults: { domain: bench.example }", "sites:", "  bench: { blocks: [\"1\"] }", "trunks:",
                         f"  caller: {{ site: bench, address: [\"{self.at.caller}:5060\"], trust: [\"{self.at.caller}/32\"] }}",
                         f"  callee: {{ site: bench, address: [\"{self.at.callee}:5060\"], trust: [\"{self.at.callee}/32\"] }}", ""])
        routes = list(self.prefixes())
        for at in range(0, len(routes), self.AT_ONCE):
            lines = [f"  - {{ match: \"{prefix}\", to: trunk/callee }}" for prefix in routes[at:at + self.AT_ONCE]]
            yield "\n".join(["plan: 1", "routes:"] + lines) + "\n"

    def start(self):
        self.node.start()
        if self.loaded:
            return
        for text in self.plan():
            (self.folder / "plan.yaml").write_text(text)
            self.node.run("plan", "apply", self.folder / "plan.yaml", "-m", "bench", "--allow", "all")
        self.loaded = True

    def pids(self):
        return [self.node.process.pid]

    def stop(self):
        self.node.stop()
