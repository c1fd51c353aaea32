"""One plan on several nodes while nodes die, stand still and come back, also with an old disk: nothing that was acknowledged is
lost, nothing deleted returns, and all agree in the end."""
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from harness.federation import (SECOND, Federation, Writer, call_inside, change, many, must_change, note_of, register,
                                registrations, remove_route, route, routes)
from harness.wait import until

LONG = os.environ.get("TANDEM_LONG") == "1"


@pytest.fixture
def fed(tmp_path):
    with Federation(tmp_path) as three:
        yield three


@pytest.fixture(scope="module", autouse=True)
def sleeper(tmp_path_factory):
    """Three nodes beside those of the tests. One of them stands still from here on, so that the last test of this file, which
    wants it to have done so for a minute, need not wait for it."""
    with Federation(tmp_path_factory.mktemp("sleeper"), net=SECOND) as fed:
        c = fed.nodes["c"]
        register(c, "3100")
        until(lambda: "3100" in registrations(fed.nodes["a"]), "the registration at a")
        c.signal(signal.SIGSTOP)
        yield fed, time.monotonic()


# ---- kill ----

def test_every_node_is_killed_while_changes_are_made(fed):
    a, b, c = fed.all()
    with Writer(a) as at_a, Writer(b) as at_b, Writer(c) as at_c:
        writers = {"a": at_a, "b": at_b, "c": at_c}
        for turn in range(3 if LONG else 1):
            for victim in fed.all():
                rest = [w for w in writers.values() if w.node is not victim]
                for w in writers.values():
                    w.wait_more(3)
                victim.kill()
                for w in rest:
                    w.wait_more(3)
                victim.start()
                writers[victim.name].wait_more(1)
    fed.wait_same()
    fed.check_log([m for w in writers.values() for m in w.acknowledged])


def test_all_nodes_lose_power_at_once(fed):
    with Writer(fed.nodes["a"]) as at_a, Writer(fed.nodes["b"]) as at_b, Writer(fed.nodes["c"]) as at_c:
        writers = (at_a, at_b, at_c)
        for w in writers:
            w.wait_more(3)
        for node in fed.all():
            node.signal(signal.SIGKILL)
        for node in fed.all():
            node.process.wait()
        fed.start(linked=False)
        for w in writers:
            w.wait_more(1)
    fed.wait_same()
    fed.check_log([m for w in writers for m in w.acknowledged])


def test_nodes_die_in_the_middle_of_a_large_change(fed):
    """As soon as it is durable at its origin, on its way to the others, one of them dies: in the end all have all of it."""
    a = fed.first()
    before = a.status()["routes"]
    for turn, victim in enumerate(fed.all() * (3 if LONG else 1)):
        commits = a.counter("store", "plan_commits")
        applying = threading.Thread(target=change, args=(a, many(f"1{turn}", 4000), f"many-{turn}", "2s"))
        applying.start()
        until(lambda: a.counter("store", "plan_commits") > commits, "the change to be stored at its origin")
        victim.kill()
        applying.join(70)
        victim.start()
        fed.wait_same(30)
        assert {n.status()["routes"] for n in fed.all()} == {before + 4000 * (turn + 1)}
    fed.check_log([f"many-{k}" for k in range(turn + 1)])


# ---- standing still ----

def stand_still(fed, node, seconds):
    """node does nothing for so long, while the others write; their acknowledged changes."""
    others = fed.others(node)
    with Writer(others[0]) as one, Writer(others[1]) as other:
        node.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            if seconds > 5:
                fed.wait_status(node, ("suspect", "dead"), at=others)
            until(lambda: time.monotonic() - stopped >= seconds and min(len(one.acknowledged), len(other.acknowledged)) > 1,
                  "the time to pass, and both to have written", seconds + 20)
        finally:
            node.signal(signal.SIGCONT)
        fed.wait_status(node, ("alive",))
    return one.acknowledged + other.acknowledged


def test_a_node_stands_still(fed):
    c = fed.nodes["c"]
    messages = [must_change(c, route("=3001", "trunk/c-pbx"), "before")]
    messages += stand_still(fed, fed.nodes["a"], 1)
    messages += stand_still(fed, c, 10)
    messages.append(must_change(c, route("=3002", "trunk/c-pbx"), "after"))
    fed.wait_same()
    fed.check_log(messages)
    call_inside(c)


def test_a_node_is_stopped_while_changes_wait(fed):
    """Receipts of a node that stands still are waited for, and the local node is told to end: it does so at once, the
    client is told, and the change, which is durable, is there afterwards."""
    a, b, c = fed.all()
    c.signal(signal.SIGSTOP)
    try:
        status = []
        waiting = threading.Thread(target=lambda: status.append(change(a, route("=1779", "trunk/a-pbx"), "waits", "30s")))
        waiting.start()
        until(lambda: note_of(b, "=1779") is None and "=1779" in routes(b), "the change at b")
        begun = time.monotonic()
        assert a.stop() == 0
        assert time.monotonic() - begun < 10
        waiting.join(30)
        assert status and status[0] != 0, status
    finally:
        c.signal(signal.SIGCONT)
    a.start()
    fed.wait_same()
    fed.check_log(["waits"])


# ---- deletions ----

def test_what_was_deleted_stays_deleted(fed):
    """c made the objects, and is away while they are deleted. Another one it edited later than the deletion."""
    a, b, c = fed.all()
    numbers = [f"={number}" for number in range(1801, 1806)]
    for number in numbers:
        must_change(c, route(number, "trunk/a-pbx"), f"made-{number[1:]}")
    fed.wait_same()
    c.kill()
    fed.wait_status(c, ("suspect", "dead"))
    for number in numbers:
        must_change(a, remove_route(number, "trunk/a-pbx"), f"gone-{number[1:]}")
    b.kill()  # nobody's memory may be needed for a deletion
    fed.start()
    fed.wait_same()
    for node in fed.all():
        assert not set(numbers) & set(routes(node)), f"{node.name} shows what was deleted"
    for node in fed.all():
        node.kill()
    fed.start()
    late = fed.make("d")
    fed.start(late)
    fed.wait_same()
    for node in fed.all():
        assert not set(numbers) & set(routes(node)), f"{node.name} shows what was deleted"


# ---- an old disk ----

def restore(node, copy):
    shutil.rmtree(node.data)
    subprocess.run(["cp", "-a", str(copy), str(node.data)], check=True)


def grow_old(fed, node, tag):
    """A copy of node's disk, after which it made more changes and registrations that all the others know:
    (copy, messages)."""
    copy = fed.folder / f"copy-{tag}"
    other = fed.others(node)[0]
    messages = [must_change(node, route(f"=3{tag}1", "trunk/c-pbx"), f"in-the-copy-{tag}")]
    register(node, "3100")
    until(lambda: "3100" in registrations(other), "the registration at another node")
    assert node.stop() == 0
    subprocess.run(["cp", "-a", str(node.data), str(copy)], check=True)
    node.start()
    messages += [must_change(node, route(f"=3{tag}{k}", "trunk/c-pbx"), f"lost-{tag}-{k}") for k in range(2, 5)]
    register(node, "3101")
    until(lambda: "3101" in registrations(other), "the registration at another node")
    fed.wait_same()
    assert node.stop() == 0
    shutil.rmtree(node.data)
    subprocess.run(["cp", "-a", str(copy), str(node.data)], check=True)
    return messages


def test_a_restored_disk_uses_no_number_twice(fed):
    """The first change after the restore comes at once, when the others are linked, or while they are away."""
    a, b, c = fed.all()
    messages = []
    for tag, when in enumerate(("at once", "linked", "alone")):
        messages += grow_old(fed, c, tag)
        epochs = c.log_text().count("new-epoch")
        if when == "alone":
            fed.cut_all()
        c.start()
        if when == "linked":
            fed.wait_linked()
        messages.append(must_change(c, route(f"=3{tag}6", "trunk/c-pbx"), f"after-{tag}"))
        fed.cuts.heal()
        fed.wait_same()
        messages.append(must_change(c, route(f"=3{tag}7", "trunk/c-pbx"), f"after-that-{tag}"))
        fed.wait_same()
        fed.check_log(messages)
        assert c.log_text().count("new-epoch") > epochs, c.log_text()[-2000:]
        if when != "alone":
            assert "older than it was" in c.status()["verdict"], c.status()
        # What c observes is what the others know of c: the registration that it forgot is gone.
        until(lambda: all(sorted(registrations(n)) == ["3100"] for n in fed.all()), "the registrations of the restored node",
              20)
    assert c.stop() == 0
    fed.start()
    messages.append(must_change(c, route("=3999", "trunk/c-pbx"), "in-the-end"))
    fed.wait_same()
    fed.check_log(messages)


def test_a_lost_disk_comes_back_from_the_others(fed):
    a, b, c = fed.all()
    messages = [must_change(c, route(f"=320{k}", "trunk/c-pbx"), f"lost-{k}") for k in range(3)]
    fed.wait_same()
    c.kill()
    tls = fed.folder / "tls"
    subprocess.run(["cp", "-a", str(c.data / "tls"), str(tls)], check=True)
    shutil.rmtree(c.data)
    c.data.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", str(tls), str(c.data / "tls")], check=True)
    fed.start()
    messages.append(must_change(c, route("=3209", "trunk/c-pbx"), "after"))
    fed.wait_same()
    fed.check_log(messages)


# ---- the last one, see sleeper ----

def test_a_node_stands_still_for_a_minute(sleeper):
    """Dead for the others, which go on; then it is back, has what was done meanwhile, and what it had is still there."""
    fed, stopped = sleeper
    a, b, c = fed.all()
    fed.wait_status(c, ("dead",), at=[a, b])
    assert [r["state"] for r in registrations(a)["3100"]] == ["stale"]
    messages = [must_change(n, route(f"={1 + i}777", f"trunk/{n.name}-pbx"), f"while-it-slept-{n.name}")
                for i, n in enumerate((a, b))]
    until(lambda: time.monotonic() - stopped >= 60, "the minute to pass", 61)
    c.signal(signal.SIGCONT)
    fed.wait_same(20)
    fed.check_log([*messages, must_change(c, route("=3777", "trunk/c-pbx"), "awake", "5s")])
    for node in fed.all():
        until(lambda: [r["state"] for r in registrations(node)["3100"]] == ["up"], f"{node.name} to show it up")
    call_inside(c)
