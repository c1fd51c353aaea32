"""clusterctl accept: the acceptance test of a plan, run at every node of a cluster, and its report."""
import html.parser
import json
import os
import pathlib
import pwd
import signal
import subprocess

import pytest

from harness.cluster import CLUSTERCTL, Cluster
from harness.peer import Peer
from harness.wait import until

HQ, FACTORY = "127.0.77.1", "127.0.78.1"
PBX, SECOND = "127.0.78.10", "127.0.77.10"
PLAN = f"""plan: 1
defaults: {{ domain: accept.example }}
sites:
  hq:      {{ blocks: ["6"], dial: [ {{ match: "0", strip: 1 }} ] }}
  factory: {{ blocks: ["7"] }}
trunks:
  pbx:    {{ site: factory, address: ["{PBX}:5060"], probe: 400ms, out: [ {{ match: "7", prepend: "9" }} ] }}
  second: {{ site: hq, address: ["{SECOND}:5060"] }}
accounts:
  "6001": {{ password: "secret", site: hq }}
routes:
  - {{ match: "7", to: trunk/pbx }}
  - {{ match: "7", to: trunk/second, priority: 20 }}
  - {{ match: "8", to: trunk/pbx }}
  - {{ match: "8", to: trunk/second }}
  - {{ match: "9", to: reject/410 }}
"""
CASES = """accept: 1
cases:
  - { name: "the PBX first", dial: "7100", expect: trunk/pbx }
  - { name: "then the second", dial: "07100", at: hq, number: "7100", expect: [trunk/pbx, trunk/second], sends: "97100" }
  - { dial: "8", at: [hq, factory], expect: [trunk/second, trunk/pbx], order: any }
  - { dial: "6001", expect: account/6001, plan_only: yes }
  - { dial: "9", expect: 410 }
  - { dial: "5", expect: 404 }
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("accept"), "accept") as cluster, Peer(PBX) as pbx:
        hq = cluster.add("hq", "hq", HQ)
        factory = cluster.add("factory", "factory", FACTORY, seeds=[hq.mesh])
        cluster.wait_linked()
        hq.apply(PLAN, "test", "--allow", "all")
        cluster.wait_linked()
        for node in (hq, factory):
            trunk_is(node, "up")
        cluster.pbx = pbx
        yield cluster


def trunk_is(node, state):
    until(lambda: [t["state"] for t in node.ctl("trunks") if t["trunk"] == "pbx" and t["node"]] == [state],
          f"the PBX to be {state} as {node.name} sees it", 30)


def accept(cluster, *words, at="hq", check=None):
    result = subprocess.run([str(CLUSTERCTL), "-s", str(cluster.nodes[at].socket), *map(str, words)], capture_output=True,
                            text=True, timeout=60, cwd=cluster.folder)
    assert check is None or result.returncode == check, result.stdout + result.stderr
    return result


def cases(cluster, text=CASES, name="cases.yaml"):
    (cluster.folder / name).write_text(text)
    return name


def of_kind(text, kind):
    return [r for r in json.loads(text)["records"] if r["kind"] == kind]


def outcomes(result):
    return {(r["case"], r["node"]): r for r in of_kind(result.stdout, "result")}


def test_all_is_well(two):
    result = accept(two, "-o", "json", "accept", "run", cases(two), check=0)
    seen = outcomes(result)
    assert len(seen) == 11 and {r["result"] for r in seen.values()} == {"passed"}
    assert seen["the PBX first", "factory"]["got"] == "trunk/pbx, trunk/second"
    assert "the report is in cases.report.json" in result.stderr
    report = json.loads((two.folder / "cases.report.json").read_text())
    assert report == json.loads(result.stdout)
    head = report["records"][0]
    assert head["by"] == f"{pwd.getpwuid(os.getuid()).pw_name}@hq" and head["cluster"].startswith("accept-")
    assert [n["plan_digest"] for n in report["records"] if n["kind"] == "node"] == [two.nodes["hq"].digest()] * 2
    assert not list(two.folder.glob("*.part"))


def test_it_is_the_same_by_way_of_another_node(two):
    result = accept(two, "-o", "json", "--node", "factory", "accept", "run", cases(two), "--no-report", check=0)
    assert {r["node"] for r in of_kind(result.stdout, "result")} == {"hq", "factory"}


def test_a_trunk_that_is_down_fails_with_its_reason(two):
    two.pbx.codes["OPTIONS"] = None
    try:
        for node in two.nodes.values():
            trunk_is(node, "down")
        seen = outcomes(accept(two, "-o", "json", "accept", "run", cases(two), check=3))
        assert {r["node"] for k, r in seen.items() if k[0] == "the PBX first" and r["result"] == "failed"} == {"hq", "factory"}
        lost = seen["the PBX first", "factory"]
        assert lost["got"] == "trunk/second"
        assert "trunk/pbx: its trunk does not answer its probe: no answer to OPTIONS, since 20" in lost["why"]
        assert seen["9", "hq"]["result"] == "passed"
        planned = outcomes(accept(two, "-o", "json", "accept", "run", cases(two), "--plan-only", "--no-report", check=0))
        assert planned["the PBX first", "hq"]["got"] == "trunk/pbx, trunk/second"
        shown = accept(two, "accept", "report", "cases.yaml", check=0).stdout
        assert "6 passed, 5 failed, 0 not asked" in shown and "no answer to OPTIONS" in shown
    finally:
        two.pbx.codes["OPTIONS"] = 200
        for node in two.nodes.values():
            trunk_is(node, "up")


def test_what_the_plan_has_not(two):
    text = """accept: 1
cases:
  - { name: "from nobody", dial: "7", at: hq, from: trunk/nobody, expect: trunk/pbx }
  - { name: "no route", dial: "5", at: hq, expect: trunk/pbx }
  - { name: "the wrong place", dial: "7", at: hq, expect: trunk/second }
  - { name: "one too many", dial: "7", at: hq, expect: [trunk/pbx] }
  - { name: "the wrong number", dial: "07", at: hq, number: "07", expect: trunk/pbx, sends: "7" }
  - { name: "not offline", dial: "6001", at: hq, expect: account/6001 }
  - { name: "not free", dial: "7", at: hq, expect: 404 }
  - { name: "another answer", dial: "9", at: hq, expect: 404 }
"""
    seen = {k[0]: r["why"] for k, r in outcomes(accept(two, "-o", "json", "accept", "run", cases(two, text, "wrong.yaml"),
                                                       "--no-report", check=3)).items()}
    assert seen == {
        "from nobody": "from: the plan has no such trunk or account",
        "no route": "the plan has no route for 5 to trunk/pbx",
        "the wrong place": "trunk/second has place 2",
        "one too many": "trunk/second is tried as well, by its match 7",
        "the wrong number": "in the plan it is 7, not 07; trunk/pbx is sent 97, not 7",
        "not offline": "account/6001: its account is not registered anywhere",
        "not free": "trunk/pbx is tried, by its match 7",
        "another answer": "reject/410 answers it, by its match 9",
    }


class Page(html.parser.HTMLParser):
    """Every element is closed in its order; no script, nothing from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text = [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "img", "iframe", "link", "a", "object"), tag
        assert {name for name, _ in attrs} <= {"class", "lang", "charset", "http-equiv", "content", "name"}, attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


HOSTILE = "<script>alert(1)</script> & \"'"


def test_the_page(two):
    text = json.dumps({"accept": "1", "cases": [{"name": HOSTILE, "dial": "7", "expect": "trunk/pbx"}]})
    accept(two, "accept", "run", cases(two, text, "hostile.yaml"), check=0)
    page = accept(two, "accept", "report", "hostile.yaml", "--html", check=0).stdout
    assert page.startswith("<!DOCTYPE html>") and "<script" not in page and "<style>" in page
    seen = Page(page).text
    assert seen.count(HOSTILE) == 2  # at both nodes, as it was written
    assert two.nodes["hq"].digest() in seen and "Passed: 2 passed, 0 failed, 0 not asked" in seen
    assert accept(two, "-o", "json", "accept", "report", "hostile.report.json", "--html").returncode == 2


def test_the_only_report_needs_no_name(two, tmp_path):
    def report():
        return subprocess.run([str(CLUSTERCTL), "accept", "report"], cwd=tmp_path, capture_output=True, text=True)

    assert report().returncode == 2 and "no *.report.json is here" in report().stderr
    accept(two, "accept", "run", cases(two), "--report", tmp_path / "a.report.json", check=0)
    assert report().returncode == 0 and report().stdout.startswith("11 passed, 0 failed, 0 not asked\n")
    (tmp_path / "b.report.json").write_text("{}")
    assert report().returncode == 2 and "several reports are here" in report().stderr


def test_a_report_is_taken_as_it_was_written(two):
    cases(two)
    accept(two, "accept", "run", "cases.yaml", "--report", "one.json", check=0)
    good = pathlib.Path(two.folder / "one.json").read_text()
    assert accept(two, "-o", "json", "accept", "report", "one.json", check=0).stdout == good
    for bad, words in ((good.replace('"passed":11', '"passed":12'), "its totals are not those of its cases"),
                       (good.replace('"result":"passed"', '"result":"well"', 1), "is no report that 'accept run'"),
                       (good.replace('"schema_version":1', '"schema_version":2'), "it is of another version"),
                       (good[:-3], "one.json: line "), ("[]", "is no report"), ("{\"records\":[1]}", "of another version")):
        assert bad != good
        (two.folder / "one.json").write_text(bad)
        result = accept(two, "accept", "report", "one.json", check=1)
        assert words in result.stderr, result.stderr


def test_a_node_that_is_stopped_was_not_asked(two):
    two.nodes["factory"].stop()
    until(lambda: two.nodes["hq"].nodes()["factory"]["status"] == "dead", "the death to be known", 20)
    text = "accept: 1\ncases:\n  - { dial: \"5\", expect: 404 }\n  - { dial: \"5\", at: [hq, nobody], expect: 404 }\n"
    try:
        result = accept(two, "-o", "json", "accept", "run", cases(two, text, "stopped.yaml"), check=4)
        assert {(r["node"], r["result"], r["why"]) for r in of_kind(result.stdout, "result")} == {
            ("hq", "passed", ""), ("factory", "not asked", "it cannot be reached"),
            ("nobody", "not asked", "the cluster has no such node")}
        assert "2 of 4 checks could not be made" in result.stderr
        assert of_kind((two.folder / "stopped.report.json").read_text(), "acceptance")[0]["not_asked"] == 2
    finally:
        two.nodes["factory"].start()
        two.wait_linked()


def test_a_node_that_hangs_holds_nobody_up(two):
    """It is taken for alive as yet: the first question tells, and it is asked no more."""
    factory = two.nodes["factory"]
    lines = "".join(f"  - {{ dial: \"5{i}\", expect: 404 }}\n" for i in range(20))
    cases(two, f"accept: 1\ncases:\n{lines}", "hang.yaml")
    relayed = two.nodes["hq"].counter("control", "requests_relayed")
    factory.signal(signal.SIGSTOP)
    try:
        result = accept(two, "-o", "json", "accept", "run", "hang.yaml", "--no-report", check=4)
        assert len([r for r in of_kind(result.stdout, "result") if r["result"] == "not asked"]) == 20
        assert two.nodes["hq"].counter("control", "requests_relayed") == relayed + 1
    finally:
        factory.signal(signal.SIGCONT)
        two.wait_linked()
