"""The plan group: a plan of a million routes in the hands of its operator: imported, linted, changed by one line, asked.

Commands are timed as the operator waits for them, process and all; memory is the most that clusterctl had resident."""
import pathlib
import statistics
import subprocess
import tempfile
import time

from rows import program, row, run_program
from harness.cluster import CLUSTERCTL, Node

GROUP = "plan"
MANY = 1_000_000
DIGITS = 10_000_000
REPEATS = 21
MEMORY_MIB = 64

BASE = """plan: 1
defaults: { domain: bench.example }
sites:
  hq:  { blocks: ["6"] }
  lab: { blocks: ["7"] }
trunks:
  carrier: { site: hq, address: ["127.0.9.10:5060"], trust: ["127.0.9.10/32"] }
  backup:  { site: lab, address: ["127.0.9.11:5060"], trust: ["127.0.9.11/32"] }
routes:
  - { match: "6", to: trunk/carrier }
  - { match: "+", to: trunk/backup, priority: 20 }
"""


def numbers():
    """Prefixes of seven digits behind +49 in no order, none twice."""
    return (f"+49{i * 7654321 % DIGITS:07d}" for i in range(MANY))


def write_yaml(path):
    with path.open("w") as out:
        out.write(BASE)
        out.writelines(f"  - {{ match: \"{n}\", to: trunk/carrier }}\n" for n in numbers())


def write_csv(path):
    with path.open("w") as out:
        out.write("match,to,priority\n")
        out.writelines(f"'{n},trunk/carrier,10\n" for n in numbers())


def resident_kib(pid):
    """The most that a process has had resident so far; 0 once it has gone."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def measured(*command, statuses=(0,), every=0.002):
    """Seconds and MiB of one command."""
    begin = time.monotonic()
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    most = 0
    while process.poll() is None:
        most = max(most, resident_kib(process.pid))
        time.sleep(every)
    took = time.monotonic() - begin
    complaint = process.stderr.read().decode()
    process.stderr.close()
    assert process.returncode in statuses, f"{command}: {process.returncode} {complaint}"
    return took, most / 1024


def memory_row(name, mib):
    row(GROUP, f"{name}: memory of clusterctl", mib, "MiB", MEMORY_MIB)


def offline(folder):
    path = folder / "many.yaml"
    write_yaml(path)
    took, mib = measured(CLUSTERCTL, "plan", "check", path)
    row(GROUP, f"plan check of {MANY} routes, no node", took, "s", 10)
    memory_row("plan check", mib)
    return path


def imported(node, folder):
    (folder / "base.yaml").write_text(BASE)
    (folder / "many.csv").write_bytes(b"")
    node.run("plan", "apply", folder / "base.yaml", "-m", "bench", "--allow", "all")
    write_csv(folder / "many.csv")
    before = node.digest()
    took, mib = measured(CLUSTERCTL, "-s", node.socket, "plan", "import", folder / "many.csv", "-m", "bench")
    assert node.digest() != before and node.status()["routes"] == MANY + 2, "not all of it is there"
    row(GROUP, f"plan import of {MANY} routes by CSV, as one change", took, "s", 30)
    memory_row("plan import", mib)
    row(GROUP, "plan import: the most that the node had resident", resident_kib(node.process.pid) / 1024, "MiB", 1024)


def one_line(node):
    """What the node says it took from the decision on is its receipt; the operator waits for the whole command."""
    command = [CLUSTERCTL, "-s", node.socket, "route"]
    times, most = [], 0
    for i in range(REPEATS):
        for change in (["add", f"61{i:03d}", "--to", "trunk/carrier"], ["remove", f"61{i:03d}"]):
            took, mib = measured(*command, *change, every=0.001)
            times.append(took * 1000)
            most = max(most, mib)
    row(GROUP, f"one line changed among {MANY} routes, p50", statistics.median(times), "ms", 50)
    row(GROUP, f"one line changed among {MANY} routes, most of {len(times)}", max(times), "ms")
    memory_row("route add", most)


def asked(node):
    for name, command in (("status", ["status"]), ("route explain", ["route", "explain", "+490123456"])):
        times = [measured(CLUSTERCTL, "-s", node.socket, *command, every=0.001)[0] * 1000 for _ in range(REPEATS)]
        row(GROUP, f"{name} as a process, p50", statistics.median(times), "ms", 30)
    for name, command in (("status", ["status"]), ("plan log", ["plan", "log"])):
        memory_row(name, measured(CLUSTERCTL, "-s", node.socket, *command, every=0.001)[1])


def compared(node, path):
    took, mib = measured(CLUSTERCTL, "-s", node.socket, "plan", "diff", path)
    row(GROUP, f"plan diff of {MANY} routes that are there", took, "s")
    memory_row("plan diff", mib)


def decisions():
    for _, name, value, unit in run_program(program("bench", "bench_store")):
        if name.startswith("lookup_decided_p"):
            row(GROUP, f"{name} among {MANY}", value, unit, {"lookup_decided_p50": 2000, "lookup_decided_p99": 5000}[name])


def plan(_):
    decisions()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = pathlib.Path(name)
        document = offline(folder)
        node = Node(folder, "hq-1", "hq", "127.0.9.1", mesh=False).start()
        try:
            imported(node, folder)
            one_line(node)
            asked(node)
            compared(node, document)
        finally:
            node.stop()
