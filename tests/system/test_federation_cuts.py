"""One plan on several nodes while links are cut and heal: nothing that was acknowledged is lost, of two edits one wins
everywhere, and all agree in the end."""
import os
import threading

import pytest

from harness.federation import HEAL_S, Federation, call_inside, host, many, must_change, note_of, remove_route, route, site_net
from harness.raw import Call, Peer
from harness.wait import until

LONG = os.environ.get("TANDEM_LONG") == "1"


@pytest.fixture
def fed(tmp_path):
    with Federation(tmp_path) as three:
        yield three


def edit_apart(fed, tag):
    """The same object changed at every node, one after another, and an object of each: (messages, the note that must win)."""
    messages = []
    for node in fed.all():
        messages.append(must_change(node, route("=1777", "trunk/a-pbx", note=f"{tag}-by-{node.name}"), f"{tag}-{node.name}-one"))
        messages.append(must_change(node, route(f"=2777{len(messages)}", "trunk/b-pbx", note=tag), f"{tag}-{node.name}-own"))
    return messages, f"{tag}-by-{fed.all()[-1].name}"


def heal_and_compare(fed, messages):
    fed.cuts.heal()
    fed.wait_same(HEAL_S)
    fed.check_log(messages)


def at_once(*works):
    """Runs all of them in the same moment; their results."""
    gate = threading.Barrier(len(works))
    results = [None] * len(works)

    def run(i):
        gate.wait()
        results[i] = works[i]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(works))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def test_one_object_is_edited_on_both_sides_of_a_cut_at_once(fed):
    """One of the two wins, the same everywhere; both stay in the history."""
    fed.cut_all()
    for node in fed.all():
        fed.wait_status(node, ("suspect", "dead"))
    messages = []
    for turn in range(4):
        messages += at_once(*(lambda n=n: must_change(n, route(f"=177{turn}", "trunk/a-pbx", note=f"{turn}-by-{n.name}"),
                                                      f"{turn}-by-{n.name}") for n in fed.all()))
    assert None not in messages, "a change was refused"
    heal_and_compare(fed, messages)
    for turn in range(4):
        notes = {note_of(n, f"=177{turn}") for n in fed.all()}
        assert len(notes) == 1 and notes <= set(messages), notes


WAYS = [(True, "both-ways"), (False, "one-way")]


def test_all_three_are_cut_off_from_each_other(fed):
    for both, tag in WAYS:
        fed.cut_all(both)
        for node in fed.all():
            fed.wait_status(node, ("suspect", "dead"))
        messages, winner = edit_apart(fed, tag)
        for node in fed.all():
            call_inside(node)
            assert note_of(node, "=1777") == f"{tag}-by-{node.name}"
        heal_and_compare(fed, messages)
        for node in fed.all():
            assert note_of(node, "=1777") == winner


def test_calls_cross_as_soon_as_the_line_is_back(fed):
    """What was on its way when the line was cut is not waited for: TCP would try it again later and later."""
    a, b, _ = fed.all()
    with Peer(host(a, 11), node=a.address) as caller, Peer(host(b, 10), node=b.address) as callee:
        call = Call(caller, callee, "2600")
        lost = a.counter("transport", "stream_lost")
        fed.cut_all()
        caller.send(call.in_dialog("BYE"))
        until(lambda: a.counter("transport", "stream_lost") > lost, "the connection to be given up", 20)
        fed.cuts.heal()
        fed.wait_linked()
        Call(caller, callee, "2601").end()


def test_two_of_three_are_cut(fed):
    """The third carries the changes around the cut."""
    a, b, c = fed.all()
    for both, tag in WAYS:
        fed.cuts.cut(site_net(a), site_net(b), both)
        until(lambda: not a.nodes()["b"]["linked"] and not b.nodes()["a"]["linked"], "a and b to lose their links", 20)
        messages, winner = edit_apart(fed, tag)
        until(lambda: {note_of(n, "=1777") for n in fed.all()} == {winner}, "the third node to carry the changes", HEAL_S)
        for node in (a, b):
            call_inside(node)
        messages.append(must_change(a, remove_route("=1777", "trunk/a-pbx"), f"{tag}-gone"))
        until(lambda: note_of(b, "=1777") is None, "the removal to come around the cut", HEAL_S)
        heal_and_compare(fed, messages)
        assert note_of(c, "=1777") is None


def test_cuts_that_come_and_go(fed):
    messages = []
    for turn in range(40 if LONG else 8):
        one, other = fed.all()[turn % 3], fed.all()[(turn + 1) % 3]
        if turn % 4 == 0:
            fed.cut_all()
        else:
            fed.cuts.cut(site_net(one), site_net(other), both=turn % 2 == 0)
        for node in fed.all():
            messages.append(must_change(node, route("=1777", "trunk/a-pbx", note=f"flap-{turn}-{node.name}"),
                                        f"flap-{turn}-{node.name}", "100ms"))
        if turn % 3 == 1:
            fed.wait_status(other, ("suspect", "dead"), at=[one])
        fed.cuts.heal()
        if turn % 3 == 2:
            until(lambda: one.nodes()[other.name]["linked"], f"{one.name} to be linked with {other.name}", HEAL_S)
    heal_and_compare(fed, messages)
    assert {note_of(n, "=1777") for n in fed.all()} == {messages[-1]}


def test_ten_thousand_differences_heal(fed):
    """Large changes and small ones on every side of a cut."""
    before = fed.first().status()["routes"]
    fed.cut_all()
    for node in fed.all():
        fed.wait_status(node, ("suspect", "dead"))
    messages = [must_change(node, many(f"1{i}", 3400), f"many-{node.name}") for i, node in enumerate(fed.all())]
    for k in range(200 if LONG else 10):
        messages += [must_change(node, route(f"=1{i}9{k}", "trunk/a-pbx"), f"one-{node.name}-{k}", "1ms")
                     for i, node in enumerate(fed.all())]
    heal_and_compare(fed, messages)
    assert fed.first().status()["routes"] == before + 3 * 3400 + len(messages) - 3


def test_an_edit_and_a_deletion_meet(fed):
    """The newer one wins everywhere, whichever it is."""
    a, b, c = fed.all()
    must_change(a, route("=1811", "trunk/a-pbx", note="old"), "one")
    must_change(a, route("=1812", "trunk/a-pbx", note="old"), "two")
    fed.wait_same()
    fed.cut_all()
    fed.wait_status(b, ("suspect", "dead"), at=[a])
    messages = [must_change(a, remove_route("=1811", "trunk/a-pbx"), "delete-first"),
                must_change(b, route("=1811", "trunk/a-pbx", note="edited"), "edit-last"),
                must_change(b, route("=1812", "trunk/a-pbx", note="edited"), "edit-first"),
                must_change(a, remove_route("=1812", "trunk/a-pbx"), "delete-last")]
    heal_and_compare(fed, messages)
    for node in fed.all():
        assert note_of(node, "=1811") == "edited" and note_of(node, "=1812") is None
