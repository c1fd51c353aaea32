"""What each command prints, as a table and as JSON, compared with files in golden/: one cluster of two nodes for all.

After a wanted change of some output, look at the difference and take it over:
    unshare --net -- bash -c 'ip link set lo up; PYTHONPATH=tests/system /usr/bin/python3 tests/system/test_outputs.py write'"""
import difflib
import fcntl
import json
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from harness.cluster import CLUSTERCTL, Cluster
from harness.net import Cuts
from harness.peer import Caller, Peer, code_of
from harness.sipp import Sipp
from harness.wait import until

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
HQ, FACTORY = "127.0.75.1", "127.0.76.1"
CALLER, PBX, BACKUP, FAR, PHONE = "127.0.75.10", "127.0.75.11", "127.0.75.12", "127.0.76.10", "127.0.75.20"
PLAN = f"""plan: 1
defaults: {{ domain: out.example, digest: [md5] }}
sites:
  hq:      {{ blocks: ["6"], dial: [ {{ match: "0", strip: 1 }} ] }}
  factory: {{ blocks: ["7"] }}
trunks:
  caller: {{ site: hq, address: ["{CALLER}:5060"], trust: ["{CALLER}/32"], in: [ {{ match: "+49", strip: 3 }} ] }}
  pbx:    {{ site: hq, address: ["{PBX}:5060"], trust: ["{PBX}/32"], calls: 30, rate: 5/s, probe: 1s }}
  backup: {{ site: hq, address: ["{BACKUP}:5060"], trust: ["{BACKUP}/32"] }}
  far:    {{ site: factory, address: ["{FAR}:5060"], trust: ["{FAR}/32"], out: [ {{ match: "7", strip: 1, prepend: "+497" }} ] }}
accounts:
  "6001": {{ password: "secret", site: hq, numbers: ["62"], calls: 2 }}
routes:
  - {{ match: "6", to: trunk/pbx }}
  - {{ match: "6", to: trunk/backup, priority: 20 }}
  - {{ match: "7", to: trunk/far }}
  - {{ match: "8", to: site/factory, note: "the factory knows" }}
  - {{ match: "9", to: reject/410 }}
"""
FILES = {
    "gate.yaml": "plan: 1\nroutes:\n  - { match: \"75\", to: trunk/far, note: \"the gate\" }\n"
                 "  - { match: \"6\", to: trunk/pbx, disabled: true }\n",
    "wrong.yaml": "plan: 1\nroutes:\n  - { match: \"76\", to: trunk/gate }\n  - { match: \"77\", to: trunk/pbx }\n",
    "broken.yaml": "plan: 1\nroutes:\n  - { match: \"7x\", to: trunk/far }\n",
    "routes.csv": "match,to,note\n78,trunk/far,\"78 is new\"\n75,trunk/far,\"from a table\"\n",
    "secret": "another secret\n",
    "cases.yaml": "accept: 1\ncases:\n  - { name: \"the PBX\", dial: \"061\", at: hq, expect: [trunk/pbx, trunk/backup] }\n"
                  "  - { name: \"the phone\", dial: \"6001\", expect: account/6001 }\n"
                  "  - { dial: \"5\", at: [hq, depot], expect: trunk/pbx }\n",
}
# Commands that have no records: they are compared elsewhere (tests/unit/cli/test_manual.c).
WITHOUT = {"help", "man", "completion"}

NUMBERS = re.compile(r'"(\w*_(?:ms|us)|value|rtt|ms|after_ms|expires_s|age_s|talked_s|issued|incarnation)":-?\d+')
CHANGES = ((r"\b[a-z_][a-z0-9_-]*@(hq|factory)\b", r"USER@\1"), (r"out-[0-9a-f]{8}", "CLUSTER"),
           (r"\b\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d+)?Z)?", "TIME"), (r"(hq|factory)/[0-9a-f]{6,}/", r"\1/EPOCH/"),
           (r"\b[0-9a-f]{64}\b", "DIGEST"), (r"\b[0-9a-f]{32}\b", "SESSION"), (r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{12}\b", "DIGEST"),
           (r"\b[\d.]+ (ms|s|min)\b", "SPAN"), (r"\b(hq|factory) +yes +\d+ ", r"\1 yes MS "), (r"\d+ (MiB|more days)", r"N \1"),
           (r"undone in \w+", "undone in SPAN"), (r"\btls:(127[\d.]+):(?!5061)\d+", r"tls:\1:PORT"), (r"[ \t]+", " "), (r"-{2,}", "-"))


def plain(text, folder):
    """Without what differs from one run to the next."""
    text = NUMBERS.sub(r'"\1":N', text.replace(str(folder), "DIR"))
    for pattern, word in CHANGES:
        text = re.sub(pattern, word, text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


class Recorder:
    """Runs commands at the first node and keeps what they print, by the name of the golden file."""

    def __init__(self, cluster):
        self.cluster, self.folder = cluster, cluster.folder
        self.seen = {}
        self.commands = []
        self.parsed = 0  # outputs that a program can read
        for name, text in FILES.items():
            (self.folder / name).write_text(text)

    def run(self, line, at):
        socket = self.cluster.nodes[at].socket
        return subprocess.run([str(CLUSTERCTL), "-s", str(socket), *line], cwd=self.folder, capture_output=True, text=True,
                              timeout=60, stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "dumb"})

    def keep(self, name, line, at="hq", edit=lambda text: text):
        result = self.run(line, at)
        status = f"[exit status {result.returncode}]\n" if result.returncode else ""
        if line[:2] == ["-o", "json"] and line[2:] != ["version"] and "export" not in line:
            assert json.loads(result.stdout)
            self.parsed += 1
        assert '"packed"' not in result.stdout, f"{line}: an object as it is stored, with the hashes of its password"
        printed = edit(result.stdout) + result.stderr
        self.seen.setdefault(name, "")
        self.seen[name] += plain(f"$ clusterctl {' '.join(line)}\n{printed}", self.folder) + status
        self.commands.append(" ".join(line))

    def both(self, name, *line, json_line=None, **how):
        """As a table and as JSON; json_line where the command cannot be run twice."""
        self.keep(name, list(line), **how)
        self.keep(name, ["-o", "json", *(json_line or line)], **how)


def some_counters(text):
    """Of one part alone, so that a new counter is no new output."""
    return "".join(line + "\n" for line in text.splitlines() if re.search(r"^MODULE|schema|\bcontrol\b|^\]", line))


def same_checks(text):
    """The clock of a test machine may be kept or not, and its disk be slow."""
    text = re.sub(r"\n[^\n]*(time server|a write is on the disk)[^\n]*", "", text)
    return re.sub(r"\d+ checks: (\d+ failed), \d+ warnings?|\"checks\":\d+,(\"failed\":\d+),\"warnings\":\d+", r"\1\2", text)


def registered(node):
    with Sipp("register", PHONE, 5060, node.sip, user="6001", secret="secret", contact=f"sip:6001@{PHONE}:5060", expires=600) as run:
        run.wait()


def make_calls(hq, factory):
    with Peer(FAR), Peer(BACKUP), Caller(CALLER, HQ) as caller:
        pbx = Peer(PBX, INVITE=503).start()
        until(lambda: [t["state"] for t in hq.ctl("trunks") if t["trunk"] == "pbx"] == ["up"], "the PBX to be up")
        for number, call_id in (("6100", "second@out"), ("+4907100", "far@out"), ("9", "gone@out")):
            if code_of(caller.invite(number, call_id)) == 200:
                caller.bye(call_id)
        until(lambda: hq.counters("store")["calls_written"] >= 3 and factory.counters("store")["calls_written"] >= 1,
              "the records to be on disk", 20)
        return pbx


def conflict(cluster, cuts):
    """Both nodes edit one route, each without the other."""
    hq, factory = cluster.nodes["hq"], cluster.nodes["factory"]
    cuts.cut(f"{HQ}/24", f"{FACTORY}/24")
    for node in (hq, factory):
        node.run("route", "set", "8", "--note", f"as {node.name} has it", "-m", "meanwhile", "--wait", "1", "--timeout", "200ms")
    cuts.heal()
    until(lambda: hq.status()["conflicts"] == factory.status()["conflicts"] == 1, "the conflict to be known", 40)
    cluster.wait_linked()


def look(r, folder):
    """Commands that change nothing, in a cluster that has seen some calls."""
    r.both("nodes_one", "nodes", "factory")
    for command in ("status", "nodes", "registrations", "accounts", "trunks", "calls", "bans"):
        r.both(command, command)
    r.both("calls_some", "calls", "--number", "7", "--since", "1h")
    r.both("counters", "counters", edit=lambda t: re.sub(r"\d+$", "N", some_counters(t), flags=re.M))
    r.both("events", "events", "--module", "plan", edit=lambda t: re.sub(r'"(run|number)":\d+', r'"\1":N', t))
    r.both("trace", "trace", "second@out")
    r.both("trace_two_nodes", "trace", "far@out")
    r.both("trace_elsewhere", "trace", "far@", at="factory")
    r.both("trace_none", "trace", "never@out")
    r.both("route_explain", "route", "explain", "+4907100", "--from", "trunk/caller")
    r.both("route_explain_own", "route", "explain", "6001")
    r.both("route_explain_at", "route", "explain", "6001", "--at", "factory", "--from", "trunk/far")
    r.both("route_explain_site", "route", "explain", "8")
    r.both("route_explain_none", "route", "explain", "5")
    r.both("accept_run", "accept", "run", "cases.yaml")
    r.both("accept_report", "accept", "report")
    r.both("doctor", "doctor", edit=same_checks)
    r.both("names", "names", "trunk", "p")
    r.both("version", "version")
    r.both("ban_remove", "ban", "remove", "192.0.2.7")
    r.keep("plan_show", ["plan", "show"])
    r.keep("plan_show", ["-o", "json", "plan", "show", "trunk/"])
    r.both("plan_log", "plan", "log")
    r.keep("plan_check", ["plan", "check", "wrong.yaml"])
    r.both("plan_check", "plan", "check", "broken.yaml")
    r.both("plan_diff", "plan", "diff", "gate.yaml")
    r.both("plan_diff_effect", "plan", "diff", "gate.yaml", "--effect")
    r.both("plan_apply_refused", "plan", "apply", "wrong.yaml", "-m", "wrong")
    r.both("plan_export", "plan", "export", "--csv", "routes")
    r.both("plan_import_dry", "plan", "import", "routes.csv", "--dry-run")


def change(r, cluster):
    """Commands that change the plan: of each one change as a table and another one as JSON."""
    def change_id():
        return cluster.nodes["hq"].changes()[0]["id"]

    r.both("plan_apply", "plan", "apply", "gate.yaml", "-m", "the gate", "--allow", "all")
    r.both("plan_import", "plan", "import", "routes.csv", "-m", "a table", "--allow", "all")
    for kind, name, more in (("site", "depot", ["--blocks", "5"]), ("trunk", "depot-pbx", ["--site", "depot", "--address", "127.0.75.30"]),
                             ("account", "6002", ["--password-file", "secret"]), ("route", "55", ["--to", "trunk/depot-pbx"])):
        other = name + "2" if kind != "route" else "56"
        more_json = ["--blocks", "4"] if kind == "site" else more
        r.both(f"{kind}_add", kind, "add", name, *more, "--allow", "all", json_line=[kind, "add", other, *more_json, "--allow", "all"])
    r.both("route_set", "route", "set", "55", "--note", "one", json_line=["route", "set", "55", "--note", "two"])
    r.both("trunk_set", "trunk", "set", "depot-pbx", "--calls", "3", "--allow", "all",
           json_line=["trunk", "set", "depot-pbx", "--calls", "4", "--allow", "all"])
    r.both("account_set", "account", "set", "6002", "--calls", "3", json_line=["account", "set", "6002", "--calls", "4"])
    r.both("account_passwd", "account", "passwd", "6002", "--password-file", "secret",
           json_line=["account", "passwd", "60022", "--password-file", "secret"])
    r.both("site_set", "site", "set", "depot", "--media", "relay", "--allow", "all",
           json_line=["site", "set", "depot", "--media", "direct", "--allow", "all"])
    r.both("plan_rollback_dry", "plan", "rollback", next(c["id"] for c in cluster.nodes["hq"].changes() if "6002" in c["summary"]), "--dry-run")
    r.both("plan_show_change", "plan", "show", change_id())
    r.both("plan_rollback", "plan", "rollback", change_id(), "-m", "back", "--allow", "all",
           json_line=["plan", "rollback", change_id(), "-m", "back", "--allow", "all"])
    r.both("unconfirmed", "route", "set", "55", "--note", "soon", "--confirm-within", "1h",
           json_line=["route", "set", "56", "--note", "soon", "--confirm-within", "1h"])
    r.keep("unconfirmed", ["status"], edit=lambda t: "".join(line for line in t.splitlines(True) if line.startswith(("verdict", "unconf"))))
    ids = [c["id"] for c in cluster.nodes["hq"].changes()[:2]]
    r.both("plan_confirm", "plan", "confirm", ids[1], json_line=["plan", "confirm", ids[0]])
    for kind, name, other in (("route", "55", "56"), ("account", "6002", "60022"), ("trunk", "depot-pbx", "depot-pbx2"),
                              ("site", "depot", "depot2")):
        r.both(f"{kind}_remove", kind, "remove", name, "--allow", "all", json_line=[kind, "remove", other, "--allow", "all"])


def membership(r, cluster):
    r.both("node_drain", "node", "drain", json_line=["node", "drain", "--off"])
    r.both("ca_init", "ca", "init", "--cluster", "out", "--dir", "one-ca", json_line=["ca", "init", "--cluster", "out", "--dir", "two-ca"])
    r.both("node_invite", "node", "invite", "depot", "--site", "depot", "--ca", "one-ca",
           json_line=["node", "invite", "depot2", "--site", "depot", "--ca", "one-ca", "--seed", "10.0.0.1:7400"])
    r.both("node_join", "node", "join", "depot.join", "--data", "depot", json_line=["node", "join", "depot2.join", "--data", "depot2"])
    cluster.wait_linked()
    r.keep("node_leave", ["node", "leave", "--yes"], at="factory")
    until(lambda: cluster.nodes["hq"].nodes()["factory"]["status"] == "left", "the others to know that it left")
    r.keep("node_leave", ["-o", "json", "node", "leave", "--yes"], at="factory")
    r.both("node_evict", "node", "evict", "factory", "--yes", json_line=["node", "evict", "nobody", "--yes"])
    r.both("usage", "plan", "aply", "x")
    r.both("unreachable", "--node", "nobody", "status")


FITS = (["status"], ["events"], ["events", "--all"], ["nodes"], ["calls"], ["trunks"], ["accounts"], ["registrations"], ["plan", "log"], ["plan", "conflicts"],
        ["route", "explain", "+4907100", "--from", "trunk/caller"], ["trace", "far@out"], ["trace", "second@out"], ["doctor"],
        ["plan", "diff", "gate.yaml", "--effect"], ["accept", "report"])


LISTS = (["calls"], ["events", "--module", "plan"], ["registrations"], ["accounts"], ["trunks"], ["plan", "log"], ["plan", "log", "--object", "route/"],
         ["plan", "conflicts"], ["plan", "show"], ["names", "trunk"])


def csv_of_lists(node):
    return {" ".join(line): node.run("-o", "csv", *line).stdout.splitlines() for line in LISTS}


def on_terminal(line, folder, socket, width, height=24):
    """What a terminal of that width is sent."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(folder)
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        os.execve(CLUSTERCTL, [str(CLUSTERCTL), "-s", str(socket), *line], {**os.environ, "NO_COLOR": "1", "TERM": "xterm"})
    text = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(fd)
    os.waitpid(pid, 0)
    return text.decode().replace("\r\n", "\n")


def record(folder):
    with Cluster(folder, "out") as cluster:
        hq = cluster.add("hq", "hq", HQ)
        factory = cluster.add("factory", "factory", FACTORY, seeds=[hq.mesh])
        cuts = Cuts()
        r = Recorder(cluster)
        cluster.wait_linked()
        for command in ("calls", "registrations", "accounts", "trunks", "plan log"):
            r.keep("empty", command.split())
        r.empty = csv_of_lists(hq)
        hq.apply(PLAN, "the first plan", "--allow", "all")
        cluster.wait_linked()
        registered(hq)
        pbx = make_calls(hq, factory)
        try:
            until(lambda: all(n["states_in_step"] and not n["own_states_behind"] for n in hq.ctl("nodes")),
                  "both to know that their registrations agree")
            look(r, folder)
            r.wide = {(" ".join(line), width): on_terminal(line, folder, hq.socket, width) for line in FITS for width in (80, 120, 200)}
            conflict(cluster, cuts)
            r.both("plan_conflicts", "plan", "conflicts")
            r.filled = csv_of_lists(hq)
            r.both("plan_conflicts_accept", "plan", "conflicts", "--accept")
            r.effect = effect(hq)
            change(r, cluster)
        finally:
            pbx.stop()
        membership(r, cluster)
        return r


def effect(hq):
    """What --effect foretells of each call, and what trace says of it when the change has been made."""
    (hq.folder / "move.yaml").write_text(
        "plan: 1\nremove: [route//9/reject/410]\ntrunks:\n"
        f"  caller: {{ site: hq, address: [\"{CALLER}:5060\"], trust: [\"{CALLER}/32\"], in: [ {{ match: \"+49\", strip: 3 }},"
        " { match: \"61\", strip: 2, prepend: \"73\" } ] }\nroutes:\n  - { match: \"71\", to: reject/486 }\n"
        "  - { match: \"7000-7099\", to: reject/403 }\n")
    foretold, before = {}, {}
    for r in hq.ctl("plan", "apply", hq.folder / "move.yaml", "--dry-run", "--effect", "--allow", "all"):
        if r["kind"] == "effect":
            foretold.update({e["call_id"]: r["to"] for e in r["examples"]})
            before.update({e["call_id"]: r["from"] for e in r["examples"]})
    hq.run("plan", "apply", hq.folder / "move.yaml", "-m", "move", "--allow", "all")
    back = {}
    for r in hq.ctl("plan", "rollback", hq.changes()[0]["id"], "--dry-run", "--effect", "--allow", "all"):
        if r["kind"] == "effect":
            back.update({e["call_id"]: (r["from"], r["to"]) for e in r["examples"]})
    edit = [r for r in hq.ctl("trunk", "set", "far", "--disabled", "yes", "--dry-run", "--effect", "--allow", "all")
            if r["kind"] == "effect_total"]
    traced = {}
    for call_id in foretold:
        rows = hq.ctl("trace", call_id)
        first = [c for c in rows if c["kind"] == "candidate_today" and c["place"] == 1]
        code = [d["code"] for d in rows if d["kind"] == "today"]
        traced[call_id] = f"answer {code[0]}" if code[0] else first[0]["target"]
    return foretold, traced, {k: (foretold[k], before[k]) for k in foretold}, back, edit


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return record(tmp_path_factory.mktemp("outputs"))


def golden_names():
    return sorted(p.stem for p in GOLDEN.glob("*.txt"))


@pytest.mark.parametrize("name", golden_names())
def test_output(recorded, name):
    expected, seen = (GOLDEN / f"{name}.txt").read_text(), recorded.seen.get(name, "")
    difference = "\n".join(difflib.unified_diff(expected.splitlines(), seen.splitlines(), f"golden/{name}.txt", "printed",
                                                lineterm="", n=3))
    assert not difference, f"{difference}\n{__doc__}"


def test_every_command_has_its_file(recorded):
    assert set(recorded.seen) == set(golden_names())
    listed = subprocess.run([str(CLUSTERCTL), "help"], capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"^  ([a-z-]+(?: [a-z-]+)*) {2,}\S", listed, re.MULTILINE)) - WITHOUT
    assert len(commands) > 40
    words = [re.sub(r"--node \S+ ", "", c) for c in recorded.commands]
    for form in ("", "-o json "):
        assert not [c for c in commands if not any(f"{w} ".startswith(f"{form}{c} ") for w in words)], form
    assert recorded.parsed > 50


def test_tables_fit_the_terminal(recorded):
    for (line, width), text in recorded.wide.items():
        long = [row for row in text.splitlines() if len(row) > width]
        assert text and not long, f"{line} at {width} columns:\n{text}"
    assert len(recorded.wide["status", 80].splitlines()) <= 24
    assert recorded.wide["status", 80].startswith("verdict ")


def test_an_empty_list_has_the_columns_of_a_full_one(recorded):
    for line, rows in recorded.filled.items():
        assert len(rows) > 1, line
        assert recorded.empty[line] == rows[:1], line


def test_the_effect_is_what_happens(recorded):
    foretold, traced, undone, back, edit = recorded.effect
    assert set(foretold) == {"second@out", "far@out", "gone@out"}
    assert {k: v.split(" as ")[0] for k, v in foretold.items()} == traced
    assert back == undone  # a rollback would bring them back
    assert edit and edit[0]["calls"] >= 3


def test_a_difference_is_seen():
    assert plain('{"rtt_us":12,"routes":3}', "/x") == plain('{"rtt_us":9,"routes":3}', "/x")
    assert plain('{"rtt_us":12,"routes":3}', "/x") != plain('{"rtt_us":12,"routes":4}', "/x")
    assert plain("factory  alive\n", "/x") != plain("factory  dead\n", "/x")


def write(folder):
    """Takes over what is printed now."""
    r = record(folder)
    for old in GOLDEN.glob("*.txt"):
        old.unlink()
    for name, text in r.seen.items():
        (GOLDEN / f"{name}.txt").write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit(__doc__)
    import tempfile
    with tempfile.TemporaryDirectory() as made:
        write(pathlib.Path(made))
