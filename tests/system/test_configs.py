"""Every file of cluster-configs is taken by the program that it is for; a file that nothing here knows is a failure."""
import shutil
import subprocess

import pytest

from harness.cluster import ROOT, TANDEMD, clusterctl

CONFIGS = ROOT / "cluster-configs"
TEMPLATES = ("plans", "two-nodes")  # folders whose plans are to be copied: not even a warning stands there
FILES = sorted(p for p in CONFIGS.rglob("*") if p.is_file())


def kind(path):
    if path.suffix == ".service":
        return "unit"
    if path.parent.parent.name == "phones":
        return "phone"
    if path.suffix != ".yaml":
        return "unknown"
    first = next(line for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {"plan: 1": "plan", "accept: 1": "accept"}.get(first, "node")


def of(wanted):
    found = [p for p in FILES if kind(p) == wanted]
    assert found, f"no {wanted} in cluster-configs"
    return pytest.mark.parametrize("path", found, ids=lambda p: str(p.relative_to(CONFIGS)))


def check_node(path):
    return subprocess.run([str(TANDEMD), "--check", str(path)], capture_output=True, text=True)


def check_cases(path):
    """It is read before a node is asked, and there is none: exit status 5 then."""
    return clusterctl("-s", "/nonexistent.sock", "accept", "run", path, "--no-report", check=False)


def check_plan(path):
    """A plan that belongs to another of its folder (NAME-plan.yaml) is checked together with it."""
    base = path.parent / "plan.yaml"
    if path.parent.name in TEMPLATES:
        return clusterctl("plan", "check", path, check=False)
    if path == base or not base.exists():
        return clusterctl("plan", "check", path, "--allow", "all", check=False)
    merged = merge(base.read_text(), path.read_text())
    return clusterctl("plan", "check", "-", "--allow", "all", check=False, stdin=merged)


def merge(base, part):
    """Sections of part behind the same section of base. Enough for documents whose sections stand in one column."""
    sections = {}
    for text in (base, part):
        name = None
        for line in text.splitlines():
            if line and line[0] not in " #-":
                name = line.split(":")[0]
                sections.setdefault(name, [line])
            elif name:
                sections[name].append(line)
    return "\n".join(line for lines in sections.values() for line in lines) + "\n"


def test_every_key_of_a_trunk_is_shown():
    """In the templates and in the README: the list is the program's own."""
    said = clusterctl("plan", "check", "-", check=False, stdin="plan: 1\ntrunks: { a: { colour: x } }\n").stdout
    keys = said.partition("known here: ")[2].split("\n")[0].split("[")[0].strip().split(", ")
    assert len(keys) > 10 and "address" in keys, said
    template = (CONFIGS / "trunks" / "plan.yaml").read_text()
    readme = (ROOT / "README.md").read_text()
    for key in keys:
        assert f"    {key}:" in template, key
        assert f"`{key}`" in readme, key


def test_nothing_is_left_out():
    assert not [str(p) for p in FILES if kind(p) == "unknown"]


@of("node")
def test_node(path):
    result = check_node(path)
    assert result.returncode == 0, result.stderr


@of("plan")
def test_plan(path):
    result = check_plan(path)
    assert result.returncode == 0, result.stdout + result.stderr


@of("accept")
def test_cases(path):
    """The walk in the README runs them."""
    result = check_cases(path)
    assert result.returncode == 5 and "does not exist" in result.stderr, result.stderr


@of("unit")
def test_unit(path):
    """Every option stands in a section; what is started is what --check was run on before."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "[Unit]" and all("=" in line or line.startswith("[") for line in lines)
    options = dict(line.split("=", 1) for line in lines if "=" in line)
    program, config = options["ExecStart"].split()
    assert options["ExecStartPre"] == f"{program} --check {config}"
    assert options["Type"] == "notify"


@of("phone")
def test_phone(path):
    """Both files of a phone name the phone's own number and its branch's node."""
    number, text = path.parent.name, path.read_text()
    plan = (path.parents[2] / "plan.yaml").read_text()
    if path.name == "accounts":
        assert f"<sip:{number}@" in text and text.split("auth_pass=")[1].split(";")[0] in plan
    else:
        assert path.name == "config" and "sip_listen" in text


def test_a_fault_is_seen(tmp_path):
    """These tests can fail: one wrong key, one wrong reference."""
    node, plan = tmp_path / "hq.yaml", tmp_path / "plan.yaml"
    node.write_text((CONFIGS / "two-branches" / "hq.yaml").read_text() + "htpp: x\n")
    shutil.copy(CONFIGS / "two-branches" / "plan.yaml", plan)
    plan.write_text(plan.read_text() + "  - { match: \"8\", to: trunk/nowhere }\n")
    assert check_node(node).returncode == 1
    assert check_plan(plan).returncode == 3
    cases = tmp_path / "accept.yaml"
    cases.write_text((CONFIGS / "two-branches" / "accept.yaml").read_text() + "  - { dial: \"1\", expct: 404 }\n")
    assert check_cases(cases).returncode == 1
