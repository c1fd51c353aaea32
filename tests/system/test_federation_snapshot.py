"""Histories that are cut short and deletions that are forgotten: nodes that are new, that were away for too long, or that come
back with an old disk get the plan as it is, keep what only they have, and bring nothing deleted back."""
import shutil
import subprocess

import pytest

from harness.federation import Federation, must_change, note_of, remove_route, route, routes, site_net
from harness.wait import until

KEEP = 100


@pytest.fixture
def short(tmp_path):
    """Three nodes that keep few change-sets."""
    with Federation(tmp_path, start=False) as three:
        for node in three.all():
            node.config.write_text(f"{node.config.read_text()}history: {KEEP}\n")
        three.open()
        yield three


def copy(source, target):
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def restore(node, saved):
    shutil.rmtree(node.data)
    copy(saved, node.data)


def cut_off(fed, node):
    """Its links end as well: what waits in one would still arrive when the line is healed soon, as if nothing had been cut."""
    for other in fed.others(node):
        fed.cuts.cut(site_net(node), site_net(other), True)
    fed.wait_status(node, ("dead",))
    for other in fed.others(node):
        for one, peer in (pair for pair in ((node, other), (other, node)) if pair[0].running()):
            until(lambda: not one.nodes()[peer.name]["linked"], f"the link of {one.name} to {peer.name} to end")


def forgotten(node):
    """Every deletion of this node's plan; there has been one."""
    return "tombstones" not in node.status() and metric(node, "tandem_floor_seconds") > 0


def metric(node, name):
    for line in node.metrics().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def wait_forgotten(fed):
    until(lambda: all(forgotten(n) for n in fed.all()), "all to have forgotten the deletions", 30)


# ---- a new node ----

def test_a_new_node_takes_a_snapshot_of_a_long_history(tmp_path):
    with Federation(tmp_path, 2) as fed:
        a, b = fed.all()
        for k in range(5):
            text = "plan: 1\nroutes:\n" + "".join(f"  - {{ match: \"1{k}{i:03d}\", to: trunk/a-pbx, note: \"{i:01000d}\" }}\n"
                                                  for i in range(850))
            must_change(a, text, f"bulk-{k}", "10s")
        must_change(a, remove_route("10007", "trunk/a-pbx"), "one-goes")
        must_change(b, route("=2777", "trunk/b-pbx", note="last"), "the-last-one")
        fed.wait_same(30)
        c = fed.make("c")
        fed.start(c)
        fed.wait_same(30)
        assert c.counter("store", "snapshots_taken") >= 1
        assert "snapshot_from" not in c.status()
        assert note_of(c, "=2777") == "last" and "10007" not in routes(c)
        assert len(routes(c)) == len(routes(a)) == 5 * 850 + 2
        # Its history begins there, and goes on.
        assert len(c.changes()) < len(a.changes()) == 8
        must_change(c, route("=1778", "trunk/a-pbx", note="by-c"), "by-c")
        fed.wait_same()
        assert {note_of(n, "=1778") for n in fed.all()} == {"by-c"}
        c.kill()
        fed.start()
        fed.wait_same()
        assert c.counter("store", "snapshots_taken") == 0, "it has what it needs"
        assert c.changes()[0]["message"] == "by-c"


# ---- one that was away ----

def test_a_node_that_was_away_for_too_long(short):
    """c is cut off while what it made is deleted, and the others' histories go on until they do not reach back any more."""
    fed = short
    a, b, c = fed.all()
    for number in ("=1801", "=1802"):
        must_change(c, route(number, "trunk/a-pbx"), f"made-{number[1:]}")
    fed.wait_same()
    cut_off(fed, c)
    own = [must_change(c, route("=3801", "trunk/c-pbx", note="alone"), "alone-1", "1ms"),
           must_change(c, route("=3802", "trunk/c-pbx", note="alone"), "alone-2", "1ms")]
    for number in ("=1801", "=1802"):
        must_change(a, remove_route(number, "trunk/a-pbx"), f"gone-{number[1:]}")
    for k in range(KEEP + 5):
        must_change(a, route("=1803", "trunk/a-pbx", note=f"turn-{k}"), f"turn-{k}", "1ms")
    until(lambda: a.digest() == b.digest(), "b to have them too, or c gets from its log what is gone from a's")
    for node in (a, b):
        assert len(node.changes()) <= KEEP
        assert node.status()["tombstones"] == 2, "c must not have to guess"
    assert metric(a, "tandem_tombstones") == 2
    fed.cuts.heal()
    fed.wait_same(30)
    assert c.counter("store", "snapshots_taken") == 1
    assert c.counter("store", "changes_lost") == 0
    for node in fed.all():
        found = routes(node)
        assert "=1801" not in found and "=1802" not in found, f"{node.name} shows what was deleted"
        assert found["=1803"]["note"] == f"turn-{KEEP + 4}"
        assert found["=3801"]["note"] == found["=3802"]["note"] == "alone"
    assert set(own) <= {m["message"] for m in c.changes()}, "at the others they are older than what is kept"
    wait_forgotten(fed)
    for node in fed.all():
        assert node.status()["verdict"] == "ok"
        assert not {"=1801", "=1802"} & set(routes(node))


# ---- an old disk ----

def test_what_comes_too_late_is_put_aside(short):
    """A disk of c with a change that nobody else has heard of comes back after deletions of later times were forgotten."""
    fed = short
    a, b, c = fed.all()
    must_change(a, route("=1811", "trunk/a-pbx"), "made")
    fed.wait_same()
    assert c.stop() == 0
    before, late = fed.folder / "before", fed.folder / "late"
    copy(c.data, before)
    cut_off(fed, c)
    c.start()
    must_change(c, route("=3811", "trunk/c-pbx"), "too-late", "1ms")
    assert c.stop() == 0
    copy(c.data, late)
    restore(c, before)
    fed.cuts.heal()
    fed.start()
    must_change(a, remove_route("=1811", "trunk/a-pbx"), "gone")
    must_change(c, route("=3812", "trunk/c-pbx"), "good")
    fed.wait_same()
    wait_forgotten(fed)
    assert c.stop() == 0
    restore(c, late)
    c.start()
    until(lambda: "are put aside" in c.status()["verdict"], "the alarm", 30)
    fed.wait_same(30)
    assert c.counter("store", "changes_lost") == 1
    for node in fed.all():
        found = routes(node)
        assert "=3811" not in found and "=1811" not in found and "=3812" in found, f"{node.name}: {sorted(found)}"
    # It goes on as a member like any other.
    must_change(c, route("=3813", "trunk/c-pbx"), "after")
    fed.wait_same()
    assert all("=3813" in routes(n) for n in fed.all())
    must_change(c, remove_route("=3813", "trunk/c-pbx"), "and-gone")
    fed.wait_same()
    wait_forgotten(fed)
