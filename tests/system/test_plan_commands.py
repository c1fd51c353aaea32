"""The commands that change the plan without a document: tables, small edits; and the watch. Against a running node."""
import csv
import io
import os
import pty
import select
import signal
import subprocess
import termios

import pytest

from harness.cluster import CLUSTERCTL, Node, clusterctl
from harness.wait import until

ADDRESS = "127.0.78.1"
PLAN = """plan: 1
defaults: { domain: test.example, digest: [md5] }
sites: { here: { blocks: ["6"] } }
trunks:
  pbx: { site: here, address: ["127.0.78.10:5060"], trust: ["127.0.78.10/32"] }
  line: { site: here, address: ["127.0.78.11:5060"], trust: ["127.0.78.11/32"],
          register: { user: "49301", password: "registration" } }
accounts:
  "6001": { password: "first", calls: 2 }
  gateway: { password: "second", numbers: ["8", "=9001"], max_contacts: 2 }
routes:
  - { match: "6", to: trunk/pbx }
  - { match: "+49", to: trunk/line, priority: 20, length: 4-15, note: "J\u00f6rg's line, \\"main\\"; =1+1" }
  - { match: "0049", to: trunk/line, failover: [408, 503] }
  - { match: "=6999", to: reject/404, hours: "Mo-Fr 08:00-18:00", overflow: true }
  - { match: "34020000001320", to: trunk/line, scope: here }
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    one = Node(tmp_path_factory.mktemp("plan"), "one", "here", ADDRESS, mesh=False).start()
    yield one
    assert one.stop() == 0, one.log_text()[-3000:]


@pytest.fixture
def node(running):
    """The node with exactly PLAN."""
    shown = clusterctl("-s", running.socket, "plan", "show", "-o", "csv").stdout.splitlines()[1:]
    remove = "".join(f"  - {row.split(',')[0]}\n" for row in shown)
    if remove:
        running.apply("plan: 1\nremove:\n" + remove, "empty it", "--allow", "all", "--force")
    running.apply(PLAN, "test", "--allow", "all", "--force")
    return running


def table(node, name, text):
    path = node.folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def export(node, what, *options):
    return node.run("plan", "export", "--csv", what, *options).stdout


def shown(node, key):
    return node.run("plan", "show", key).stdout


def rows(text, delimiter=","):
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter))


# ---- tables ----

@pytest.mark.parametrize("what", ["routes", "accounts"])
@pytest.mark.parametrize("separator", ["comma", "semicolon", "tab"])
def test_a_table_goes_out_and_comes_back(node, what, separator):
    """Also over an empty plan: the digest is the same, passwords aside."""
    digest = node.digest()
    path = table(node, "back.csv", export(node, what, "--separator", separator))
    assert "nothing to change" in node.run("plan", "import", path, "-m", "same").stderr
    if what == "routes":
        node.run("plan", "import", table(node, "one.csv", "match,to\n6,trunk/pbx\n"), "--mode", "replace", "-m", "x",
                 "--allow", "all")
        assert node.digest() != digest
        node.run("plan", "import", path, "--mode", "replace", "-m", "back", "--allow", "all")
    assert node.digest() == digest


def test_what_a_spreadsheet_program_reads_and_writes(node):
    """Python's csv module stands for the spreadsheet: it quotes and separates in its own way."""
    digest = node.digest()
    read = rows(export(node, "routes"))
    assert [r["match"] for r in read] == ["'+49", "'0049", "'34020000001320", "6", "'=6999"]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(reversed(list(read[0]))), delimiter=";", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(reversed(read))
    node.run("plan", "import", table(node, "sheet.csv", "\ufeff" + out.getvalue()), "-m", "same")
    assert node.digest() == digest


def test_merge_changes_what_is_named(node):
    node.run("plan", "import", table(node, "m.csv", "match;to;priority;note;action\r\n'+49;trunk/line;;REMOVE;\r\n"
                                     "7;trunk/pbx;5;\"new; one\";\r\n'0049;trunk/line;;;REMOVE\r\n"), "-m", "merge")
    assert "{match: \"+49\", to: trunk/line, priority: 20, length: 4-15}" in shown(node, "route//+49")
    assert "{match: \"7\", to: trunk/pbx, priority: 5, note: \"new; one\"}" in shown(node, "route//7")
    assert node.run("plan", "show", "route//0049", check=False).returncode == 1
    assert "to: trunk/pbx" in shown(node, "route//6/")
    log = node.ctl("plan", "log", "-n", "1")[0]
    assert (log["message"], log["ops"]) == ("merge", 3)


def test_replace_touches_its_own_kind_alone(node):
    accounts = export(node, "accounts")
    node.run("plan", "import", table(node, "r.csv", "match,to\n6,trunk/pbx\n7,trunk/line\n"), "--mode", "replace", "-m", "x")
    assert [r["match"] for r in rows(export(node, "routes"))] == ["6", "7"]
    assert export(node, "accounts") == accounts


def test_passwords_come_in_and_never_out(node):
    before = node.digest()
    text = export(node, "accounts")
    assert "(set)" in text and "first" not in text and "second" not in text
    node.run("plan", "import", table(node, "a.csv", "name,password\n6001,\ngateway,(set)\n"), "-m", "keeps")
    assert node.digest() == before
    node.run("plan", "import", table(node, "a.csv", "name,password,calls\n6001,third,\n6002,fourth,1\n"), "-m", "new")
    assert node.digest() != before
    assert "calls: 2" in shown(node, "account/6001") and "password: (set)" in shown(node, "account/6002")


@pytest.mark.parametrize("text, where, what", [
    ("match,to\n8.61E+12,trunk/line\n", ":2:1: cell A2:", "a spreadsheet has made this of a long number"),
    ("to;match\ntrunk/line;8,61E+12\n", ":2:12: cell B2:", "its last digits are lost"),
    ("match,to,length\n6,trunk/pbx,15. Apr\n", ":2:13: cell C2:", "taken this for a date"),
    ("match,to\n#NAME?,trunk/line\n", ":2:1: cell A2:", "as a formula"),
    ("match,to,length\n'=999,trunk/pbx,4\n", ":2:1: cell A2:", "took zeros from its front"),
    ("match,to,priorty\n6,trunk/pbx,1\n", ":1:10: cell C1:", "did you mean \"priority\"?"),
    ("match,to,action\n999,trunk/pbx,REMOVE\n", ":2:", "cannot be removed"),
    ("match,to\n\"6,trunk/pbx\n", ":2:1:", "never closed"),
    ("match,to\n6,trunk/pbx\n6,trunk/pbx\n", ":3:1: cell A3:", "already in line 2"),
])
def test_a_damaged_table_is_refused_with_its_place(node, text, where, what):
    digest = node.digest()
    result = node.run("plan", "import", table(node, "bad.csv", text), "-m", "x", check=False)
    assert result.returncode == 3, result
    assert f"bad.csv{where}" in result.stderr and what in result.stderr, result.stderr
    assert node.digest() == digest


def test_a_number_that_lost_its_front_is_a_finding(node):
    path = table(node, "lost.csv", "match,to\n49,trunk/line\n")
    result = node.run("plan", "import", path, "-m", "x", check=False)
    assert result.returncode == 3 and "lost-characters" in result.stdout and "route//+49/trunk/line" in result.stdout
    node.run("plan", "import", path, "-m", "x", "--allow", "lost-characters")
    assert "\"49\"" in shown(node, "route//49")


def test_lint_findings_of_a_table_have_its_lines(node):
    result = node.run("plan", "import", table(node, "lint.csv", "match,to\n6,trunk/pbx\n\n7,trunk/nobody\n"), "-m", "x",
                      check=False)
    assert result.returncode == 3
    assert "lint.csv:4:1: error: route//7/trunk/nobody" in result.stdout, result.stdout


def test_a_dry_run_only_looks(node):
    digest = node.digest()
    result = node.run("plan", "import", table(node, "dry.csv", "match,to,priority\n6,trunk/pbx,9\n"), "--dry-run")
    assert "~ route//6/trunk/pbx\n  priority: - -> 9\n" in result.stdout
    assert node.digest() == digest


def test_twenty_thousand_routes(node):
    text = "match,to\r\n" + "".join(f"7{i:05d},trunk/pbx\r\n" for i in range(20000))
    node.run("plan", "import", table(node, "many.csv", text), "-m", "many", "--allow", "all")
    assert node.ctl("status")[0]["routes"] == 20005
    node.run("plan", "import", table(node, "few.csv", "match,to\n6,trunk/pbx\n"), "--mode", "replace", "-m", "few", "--allow", "all")
    assert node.ctl("status")[0]["routes"] == 1


# ---- small edits ----

def test_a_site_from_nothing(node):
    """Without a document, by commands alone; and away again."""
    node.run("site", "add", "lab", "--blocks", "5")
    node.run("trunk", "add", "lab-pbx", "--site", "here", "--address", "127.0.78.12", "--trust", "127.0.78.12/32")
    node.run("route", "add", "9", "--to", "trunk/lab-pbx")
    node.run("route", "add", "9", "--to", "trunk/pbx", "--priority", "50", "--note", "by way of the PBX", "-m", "a way round")
    first = node.ctl("route", "explain", "9123")
    assert [r["target"] for r in first if r["kind"] == "candidate"] == ["trunk/lab-pbx", "trunk/pbx"]
    node.run("route", "set", "9", "--to", "trunk/pbx", "--priority", "1")
    first = node.ctl("route", "explain", "9123")
    assert [r["target"] for r in first if r["kind"] == "candidate"] == ["trunk/pbx", "trunk/lab-pbx"]
    assert [c["message"] for c in node.ctl("plan", "log", "-n", "2")] == ["route set 9 --to trunk/pbx --priority 1", "a way round"]
    node.run("route", "remove", "9", "--to", "trunk/pbx")
    node.run("route", "remove", "9", "--allow", "unused-trunk")
    node.run("trunk", "remove", "lab-pbx")
    node.run("site", "remove", "lab")
    assert node.run("plan", "show", "site/lab", check=False).returncode == 1


def test_set_keeps_what_is_not_named(node):
    secret = node.folder / "secret"
    secret.write_text("another\n")
    before = shown(node, "trunk/line")
    node.run("trunk", "set", "line", "--calls", "7")
    assert shown(node, "trunk/line") == before.replace("    register:", "    calls: 7\n    register:")
    node.run("trunk", "set", "line", "--calls", "")
    assert shown(node, "trunk/line") == before
    node.run("trunk", "set", "line", "--register-password-file", secret)
    assert shown(node, "trunk/line") == before
    node.run("trunk", "set", "line", "--register", "none")
    assert "register" not in shown(node, "trunk/line")


@pytest.mark.parametrize("line, status, what", [
    ("route add 6 --to trunk/pbx", 1, "is there already: 'route set' changes it"),
    ("route add 7", 2, "needs --to TARGET"),
    ("route add 7 --to trunk/nobody", 3, "stands in the way"),
    ("route set 6 --priority soon", 2, "priority: \"soon\" is no value for it; write priority: 10"),
    ("route remove 5", 1, "there is no route for 5"),
    ("trunk remove pbx", 3, "stands in the way"),
    ("trunk set nobody --calls 1", 1, "there is no trunk nobody"),
    ("account add 6001 --password-file /proc/version", 1, "is there already"),
    ("account passwd 6001", 2, "--password-file FILE"),
    ("site remove here", 3, "stand in the way"),
])
def test_an_edit_that_cannot_be_is_refused(node, line, status, what):
    digest = node.digest()
    result = subprocess.run([str(CLUSTERCTL), "-s", str(node.socket), *line.split()], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, timeout=30)
    assert result.returncode == status and what in result.stderr, result
    assert node.digest() == digest


def test_a_new_domain_does_not_orphan_passwords(node):
    text = "plan: 1\ndefaults: { domain: other.example, digest: [md5] }\n"
    path = table(node, "domain.yaml", text)
    result = node.run("plan", "apply", path, "-m", "x", check=False)
    assert result.returncode == 3 and "2 accounts (6001, gateway)" in result.stdout, result
    node.apply(text + "accounts:\n  \"6001\": { password: a }\n  gateway: { password: b }\n", "all at once", "--allow",
               "unused-account")
    assert "other.example" in shown(node, "defaults")


def test_a_document_over_the_plan(node):
    path = table(node, "part.yaml", "plan: 1\nroutes:\n  - { match: \"65\", to: trunk/pbx }\n")
    assert clusterctl("plan", "check", path, check=False).returncode == 3  # alone it leads nowhere
    assert "0 errors" in node.run("plan", "check", path).stdout


# ---- typing a password ----

def typed(node, *args, lines):
    """Runs clusterctl on a terminal of its own and types a line at each prompt. Its status, and all that was to be seen."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(str(CLUSTERCTL), [str(CLUSTERCTL), "-s", str(node.socket), *args])
    seen, todo = b"", list(lines)
    try:
        while True:
            ready, _, _ = select.select([fd], [], [], 20)
            assert ready, f"nothing more to be seen after {seen!r}"
            try:
                part = os.read(fd, 4096)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            seen += part
            if part.endswith(b": ") and todo:
                until(lambda: not termios.tcgetattr(fd)[3] & termios.ECHO, "the terminal to be silent")
                os.write(fd, todo.pop(0).encode())
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(fd)
    return os.waitstatus_to_exitcode(status), seen.decode()


def test_a_password_is_asked_for_and_not_shown(node):
    status, seen = typed(node, "account", "add", "6010", lines=["hidden\n", "hidden\n"])
    assert status == 0 and "hidden" not in seen and "password of account 6010" in seen, seen
    assert "(set)" in shown(node, "account/6010")
    digest = node.digest()
    status, seen = typed(node, "account", "passwd", "6010", lines=["one\n", "other\n"])
    assert status == 1 and "not the same" in seen
    status, seen = typed(node, "account", "passwd", "6010", lines=["\x03"])
    assert status == -signal.SIGINT
    assert node.digest() == digest


# ---- watch ----

def watch(node, *args, **kwargs):
    return subprocess.Popen([str(CLUSTERCTL), "-s", str(node.socket), *args, "--watch"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **kwargs)


@pytest.mark.parametrize("command", ["status", "nodes", "calls", "doctor", "counters", "plan log"])  # one of each kind
def test_watch_prints_blocks_and_ends_well(node, command):
    run = watch(node, *command.split())
    blocks, lines = 0, []
    while blocks < 2:
        line = run.stdout.readline()
        assert line, run.stderr.read()
        lines.append(line)
        blocks += line.endswith("Z\n") and line[4] == "-" and len(line) == 21
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=10)
    assert run.returncode == 0 and err == "", (run.returncode, err)
    assert not any("\033" in line for line in lines)


def test_watch_on_a_terminal_redraws(node):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(str(CLUSTERCTL), [str(CLUSTERCTL), "-s", str(node.socket), "trunks", "-w"])
    seen = b""
    while seen.count(b"\033[H") < 2:
        assert select.select([fd], [], [], 20)[0], seen
        seen += os.read(fd, 65536)
    os.write(fd, b"\x03")
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    assert os.waitstatus_to_exitcode(status) == 0
    assert seen.count(b"\033[2J") == 1 and b"pbx" in seen and b"Ctrl-C ends" in seen


def test_watch_says_why_it_cannot_begin(node):
    run = subprocess.run([str(CLUSTERCTL), "-s", str(node.folder / "nobody.sock"), "nodes", "--watch"], capture_output=True,
                         text=True, timeout=20)
    assert run.returncode == 5 and "does not exist" in run.stderr


# ---- history ----

def newest(node, *options):
    return node.ctl("plan", "log", "-n", "1", *options)[0]["id"]


def test_a_change_is_shown_whole_and_taken_back(node):
    digest = node.digest()
    node.run("route", "set", "6", "--priority", "5", "-m", "sooner")
    change = newest(node)
    node.run("site", "add", "lab", "-m", "a lab")
    shown = node.run("plan", "show", change).stdout
    assert "why      sooner\n" in shown and "~ route//6/trunk/pbx\n  priority: - -> 5\n" in shown
    assert newest(node, "--object", "route//6") == change
    look = node.run("plan", "rollback", change, "--dry-run").stdout
    assert "~ route//6/trunk/pbx\n  priority: 5 -> -\n" in look
    node.run("plan", "rollback", change, "-m", "no, later")
    assert "replaced by " + newest(node) in node.run("plan", "show", change).stdout
    node.run("plan", "rollback", newest(node, "--object", "site/lab"), "-m", "no lab")
    assert node.digest() == digest
    result = node.run("plan", "rollback", change, "-m", "again", check=False)
    assert result.returncode == 3 and "changed-since" in result.stdout and "--force" in result.stderr


# ---- confirming ----

def test_a_small_edit_that_is_confirmed(node):
    digest = node.digest()
    out = node.run("route", "set", "6", "--priority", "5", "--confirm-within", "2m").stdout
    change = newest(node)
    assert f"clusterctl plan confirm {change}" in out
    assert change in node.ctl("status")[0]["unconfirmed"]
    assert f"change {change} stands: confirmed by " in node.run("plan", "confirm").stdout
    assert node.ctl("status")[0]["unconfirmed"] is None
    node.run("plan", "rollback", change, "-m", "back", "--confirm-within", "1h")  # a confirmation is no later change
    node.run("plan", "confirm", newest(node))
    assert node.digest() == digest


@pytest.mark.parametrize("within", ["soon", "0s", "5"])
def test_a_time_that_is_none(node, within):
    result = node.run("route", "set", "6", "--priority", "5", "--confirm-within", within, check=False)
    assert result.returncode == 2 and "--confirm-within" in result.stderr
