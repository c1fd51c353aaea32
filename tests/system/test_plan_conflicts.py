"""Two sides of a cut edit one object: the edit that a merge overrides is shown until somebody has looked at it."""
import json

import pytest

from harness.federation import Federation, block, note_of, remove_route, route
from harness.wait import until


@pytest.fixture
def fed(tmp_path):
    with Federation(tmp_path) as federation:
        yield federation


def conflicts(node, *what):
    return node.ctl("plan", "conflicts", *what)


def count(node):
    return node.ctl("status")[0]["conflicts"]


def edit(node, number, note):
    node.run("route", "set", number, "--note", note, "-m", note, "--timeout", "300ms", check=False)


def split(fed, number):
    """A route that a and b have edited, each without the other; b's edit is the newer one."""
    a, b, c = fed.all()
    a.apply(route(number, "reject/404", note="first"), "first", "--allow", "all", "--wait", "all")
    fed.cut_all()
    edit(a, number, "from a")
    edit(b, number, "from b")
    edit(b, number, "from b again")
    assert [count(n) for n in (a, b, c)] == [0, 0, 0]
    fed.cuts.heal()
    fed.wait_same(60)
    until(lambda: [count(n) for n in (a, b, c)] == [1, 1, 1], "each node to know of the conflict")
    return a, b, c


def test_an_overridden_edit_is_shown_and_ended_by_the_next(fed):
    a = fed.first()
    number = block(a) + "77"
    a, b, c = split(fed, number)
    assert all(note_of(n, number) == "from b again" for n in (a, b, c))
    found = conflicts(c)
    assert len(found) == 1 and found == conflicts(a) == conflicts(c, "route/") and conflicts(c, "trunk/") == []
    one = found[0]
    assert (one["object"], one["loser_message"], one["winner_message"]) == (
        f"route//{number}/reject/404", "from a", "from b again")
    assert one["loser"].startswith("a/") and one["loser_author"].endswith("@a") and one["winner"].startswith("b/")
    assert "from a" in one["value"]
    shown = c.run("plan", "conflicts").stdout
    assert "overridden" in shown and "from a" in shown
    assert "overridden by " + one["winner"] in c.run("plan", "show", one["loser"]).stdout
    (c.folder / "again.yaml").write_text(one["value"])  # what is shown can be applied
    c.run("plan", "apply", c.folder / "again.yaml", "-m", "a was right", "--allow", "all", "--wait", "all")
    assert all(note_of(n, number) == "from a" and count(n) == 0 for n in (a, b, c))


def test_what_stands_is_accepted_on_every_node(fed):
    number = block(fed.first()) + "77"
    a, b, c = split(fed, number)
    digest = c.digest()
    out = c.run("plan", "conflicts", "--accept", "route/", "-m", "b is right", "--wait", "all").stdout
    assert "accepted for 1 object" in out
    assert [count(n) for n in (a, b, c)] == [0, 0, 0] and c.digest() == digest
    assert note_of(a, number) == "from b again"
    assert a.run("plan", "conflicts", "--accept", check=False).returncode == 1
    assert c.ctl("plan", "log", "-n", "1")[0]["summary"] == f"accept route//{number}/reject/404"


def test_an_edit_and_a_deletion(fed):
    number = block(fed.first()) + "77"
    a, b, c = fed.all()
    a.apply(route(number, "reject/404", note="first"), "first", "--allow", "all", "--wait", "all")
    fed.cut_all()
    edit(a, number, "from a")
    b.apply_unchecked(remove_route(number, "reject/404"))
    fed.cuts.heal()
    fed.wait_same(60)
    until(lambda: [count(n) for n in (a, b, c)] == [1, 1, 1], "each node to know of the conflict")
    assert note_of(a, number) is None and "from a" in conflicts(b)[0]["value"]
    json.loads(b.run("plan", "conflicts", "-o", "json").stdout)
