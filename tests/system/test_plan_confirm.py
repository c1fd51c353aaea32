"""Changes that are undone unless somebody confirms them: across real nodes that die and lines that are cut."""
import pytest

from harness.federation import Federation, block, note_of, route
from harness.wait import until


@pytest.fixture
def fed(tmp_path):
    with Federation(tmp_path) as federation:
        yield federation


def try_route(node, number, note, within, *options):
    """A route that has to be confirmed; its change."""
    path = node.folder / "try.yaml"
    path.write_text(route(number, "reject/404", note=note))
    node.run("plan", "apply", path, "-m", note, "--allow", "all", "--confirm-within", within, *options)
    return next(c["id"] for c in node.ctl("plan", "log", "-n", "5") if c["message"] == note)


def state(node, change):
    return next((c["state"] or "" for c in node.ctl("plan", "log", "-n", "0") if c["id"] == change), "not here")


def test_the_origin_is_killed(fed):
    a, b, c = fed.all()
    digest = b.digest()
    number = block(a) + "77"
    change = try_route(a, number, "risky", "3s", "--wait", "all")
    assert all(note_of(n, number) == "risky" and "unconfirmed, undone in" in state(n, change) for n in (b, c))
    a.kill()
    until(lambda: b.digest() == digest == c.digest(), "the survivors to undo it", 60)
    a.start()
    fed.wait_same(60)
    assert a.digest() == digest
    assert all(state(n, change).startswith("undone by ") for n in (a, b, c))


def test_each_side_of_a_cut_undoes_it(fed):
    a, b, c = fed.all()
    digest = b.digest()
    number = block(a) + "77"
    change = try_route(a, number, "risky", "6s", "--wait", "all")
    fed.cut_all()
    until(lambda: all(note_of(n, number) is None for n in (a, b, c)), "each of them to undo it", 90)
    assert len([x for n in (a, b, c) for x in n.changes() if x["message"].endswith(": risky")]) == 3
    fed.cuts.heal()
    fed.wait_same(60)
    assert a.digest() == digest
    assert all(state(n, change).startswith("undone by ") for n in (a, b, c))
    assert note_of(c, number) is None


def test_a_confirmation_wins_over_an_undo(fed):
    """Confirmed on one side of a cut, undone on the other."""
    a, b, c = fed.all()
    number = block(a) + "77"
    change = try_route(a, number, "risky", "8s", "--wait", "all")
    fed.cut_all()
    b.run("plan", "confirm", change, "-m", "it works", "--timeout", "300ms", check=False)
    until(lambda: note_of(a, number) is None and note_of(c, number) is None, "a and c to undo it", 90)
    assert note_of(b, number) == "risky"
    fed.cuts.heal()
    fed.wait_same(60)
    assert all(note_of(n, number) == "risky" for n in (a, b, c))
    assert all(state(n, change).startswith("confirmed by b/") for n in (a, b, c))
    assert a.run("plan", "confirm", change, check=False).returncode == 1


def test_a_confirmation_takes_no_edit_back(fed):
    """Confirmed on one side of a cut, after somebody on the other has changed the same object."""
    a, b, c = fed.all()
    number = block(a) + "77"
    change = try_route(a, number, "risky", "10m", "--wait", "all")
    fed.cut_all()
    b.run("route", "set", number, "--note", "better", "--timeout", "300ms", check=False)
    c.run("plan", "confirm", "--timeout", "300ms", check=False)
    assert (note_of(b, number), note_of(c, number)) == ("better", "risky")
    fed.cuts.heal()
    fed.wait_same(60)
    assert all(note_of(n, number) == "better" and state(n, change).startswith("confirmed by c/") for n in (a, b, c))
