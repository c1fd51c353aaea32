"""State and plan on their way: registrations at other nodes, refreshes that cost nothing, owners that die and return, five
nodes at once, a plan of many routes, and nodes that come later."""
import errno
import os
import subprocess
import time

import pytest

from harness.federation import (Federation, Writer, call_inside, host, must_change, plan, register, registrations, route)
from harness.sip_client import Client
from harness.wait import until

BULK = 20000


@pytest.fixture
def fed(tmp_path):
    with Federation(tmp_path) as three:
        yield three


# ---- registrations ----

def state_of(node, account):
    return [r["state"] for r in registrations(node).get(account, [])]


def test_a_registration_is_known_everywhere(fed):
    a, b, c = fed.all()
    for user in ("3100", "3101", "3102"):
        register(c, user)
        for node in (a, b):
            until(lambda: state_of(node, user) == ["up"], f"{user} to be known at {node.name}")


def versions(fed, account):
    """What every node says of the account's registrations; two looks agree when nothing was sent in between."""
    return {n.name: [(r["node"], r["contact"], r["since"]) for r in registrations(n).get(account, [])] for n in fed.all()}


def test_a_refresh_that_changes_nothing_is_not_sent(fed):
    a, b, c = fed.all()
    register(c, "3100")
    until(lambda: state_of(a, "3100") == state_of(b, "3100") == ["up"], "the registration everywhere")
    fed.wait_same()
    known, before, begun = versions(fed, "3100"), sent(c), time.monotonic()
    for _ in range(20):
        register(c, "3100")
    after, seconds = sent(c), time.monotonic() - begun
    # Two peers, one heartbeat each a second, and some room; twenty pushes to two peers would be forty more.
    assert after - before < 2.4 * seconds + 12, f"{after - before} messages in {seconds:.1f} s"
    assert versions(fed, "3100") == known
    before = sent(c)
    register(c, "3101")  # and what is new is sent
    until(lambda: state_of(a, "3101") == ["up"], "a new registration at a", 2)
    assert sent(c) >= before + 2


def sent(node):
    return node.counters("mesh")["messages_sent"]


def test_removals_are_not_kept_for_ever(fed):
    """Many contacts come and go. b is away, and knows some that end meanwhile."""
    a, b, c = fed.all()
    # Not one user: its contacts would be damped. And so many that the last count, which may be 500 versions old, finds enough.
    users = [f"38{i:02d}" for i in range(34)]
    accounts = "".join(f'  "{user}": {{ password: secret, max_contacts: 32 }}\n' for user in users)
    must_change(c, f"plan: 1\naccounts:\n{accounts}", "many devices")
    register(c, "3100")
    for k, user in enumerate(users):
        with Client(user, "secret", c.sip, host(c, 20)) as device:
            device.contacts = [f"sip:{user}@{host(c, 20)}:{20_000 + i}" for i in range(32)]
            device.register()
            if k == 0:
                until(lambda: len(state_of(b, user)) == 32, "the first of them at b")
                assert b.stop() == 0
            device.register(0)
    gaps = []

    def forgotten():
        gaps.extend(n.name for n in (a, c) if "3100" not in registrations(n))
        return all(n.counter("store", "state_forgotten") > 500 for n in (a, c))

    until(forgotten, "the removals to be forgotten", 30)
    assert not gaps, "what holds was shown again too late"
    b.start()
    fed.wait_same()
    until(lambda: state_of(b, "3100") == ["up"] and state_of(b, users[0]) == [], "b to know what holds and nothing else")
    assert state_of(a, "3100") == ["up"]


def test_registrations_are_stale_while_their_owner_is_dead(fed):
    a, b, c = fed.all()
    register(c, "3100")
    for node in (a, b):
        until(lambda: state_of(node, "3100") == ["up"], f"the registration at {node.name}", 2)
    c.kill()
    for node in (a, b):
        until(lambda: state_of(node, "3100") == ["stale"], f"{node.name} to show it stale", 10)
    c.start()
    for node in fed.all():
        until(lambda: state_of(node, "3100") == ["up"], f"{node.name} to show it up again", 15)
    # An end that nobody else was there to hear of is heard of later.
    a.kill()
    register(c, "3100", expires=0)
    until(lambda: state_of(b, "3100") == [], "the end at b", 10)
    a.start()
    until(lambda: state_of(a, "3100") == [], "the end at a", 15)


# ---- many nodes ----

def test_five_nodes_start_at_once_with_one_seed(tmp_path):
    with Federation(tmp_path, 5, start=False) as five:
        five.start()
        five.first().apply(plan(five.names), "the plan", "--allow", "all")
        five.wait_same()
        for node in five.all():
            assert sorted(node.nodes()) == list(five.names)
            assert {r["site"] for r in node.nodes().values()} == set(five.names)
        messages = [must_change(n, route(f"={1 + i}777", f"trunk/{n.name}-pbx"), f"by-{n.name}", "5s")
                    for i, n in enumerate(five.all())]
        five.wait_same()
        five.check_log(messages)
        # The seed is no centre: without it the others go on, and one more comes by another.
        seed = five.first()
        seed.kill()
        five.wait_status(seed, ("suspect", "dead"))
        messages.append(must_change(five.nodes["e"], route("=5778", "trunk/e-pbx"), "without-the-seed"))
        late = five.add("f", "f", "127.0.11.1", seeds=[seed.mesh, five.nodes["d"].mesh])
        until(lambda: late.digest() == five.nodes["e"].digest(), "the plan at the new node", 20)
        seed.start()
        five.wait_same(20)
        five.check_log(messages)


def test_nodes_join_while_others_write(fed):
    a, b, c = fed.all()
    a.apply(plan("abcde"), "two more sites", "--allow", "all")
    with Writer(a) as at_a, Writer(b) as at_b:
        at_a.wait_more(3)
        d, e = (fed.make(name).start() for name in "de")
        until(lambda: len(d.nodes()) == len(e.nodes()) == 5, "the new nodes to know all others", 20)
        with Writer(d) as at_d, Writer(e) as at_e:
            writers = (at_a, at_b, at_d, at_e)
            for w in writers:
                w.wait_more(3)
    fed.wait_same(30)
    fed.check_log([m for w in writers for m in w.acknowledged])


def move(node, address):
    """Another address for everything of the node, from its next start on."""
    node.config.write_text(node.config.read_text().replace(node.address, address))
    node.address = address


def test_a_node_moves_to_another_address(fed):
    """And then to one that was another's, which has moved as well. Nobody else's configuration says where they are."""
    a, b, c = fed.all()
    assert c.stop() == 0
    move(c, "127.0.12.1")
    c.start()
    fed.wait_linked(30)
    assert b.nodes()["c"]["mesh"] == "127.0.12.1:7400"
    until(lambda: c.sip in b.nodes()["c"]["sip"].replace(":5061", ":5060"), "the new SIP address, which is a record of its own", 10)
    for node in (b, c):
        assert node.stop() == 0
    move(b, "127.0.13.1")
    move(c, "127.0.7.1")
    c.start()
    b.start()
    fed.wait_linked(40)
    fed.check_log([must_change(c, route("=3777", "trunk/c-pbx"), "moved", "10s")])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small file system")
def test_a_node_with_a_full_disk_catches_up_when_there_is_space(fed):
    a, b, c = fed.all()
    d = fed.folder / "d"
    d.mkdir(mode=0o700)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs", str(d)], capture_output=True).returncode != 0:
        pytest.skip("no right to mount here")
    try:
        node = fed.make("d")
        fed.start(node)
        ballast = d / "ballast"
        fill(ballast)
        must_change(a, many_routes("18"), "many", "1s")
        until(lambda: b.digest() == c.digest() == a.digest(), "the routes at the others", 30)
        until(lambda: "not accepted" in node.status()["verdict"] or "space" in node.status()["verdict"],
              "the full disk to be named", 15)
        assert node.digest() != a.digest()
        call_inside(a)
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(d)], check=True)
        fed.wait_same(30)
        fed.check_log(["many"])
        assert node.stop() == 0
    finally:
        subprocess.run(["umount", "-l", str(d)], check=False)


def fill(path):
    """Writes until the disk is full."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except OSError as problem:
        assert problem.errno == errno.ENOSPC
    finally:
        os.close(fd)


# ---- many routes ----

def many_routes(prefix):
    return "plan: 1\nroutes:\n" + "".join(f"  - {{ match: \"{prefix}{i:05d}\", to: trunk/a-pbx }}\n" for i in range(BULK))


def test_a_large_change_reaches_everybody_and_who_comes_later(fed):
    a, b, c = fed.all()
    assert c.stop() == 0
    fed.wait_status(c, ("suspect", "dead"))
    must_change(a, many_routes("19"), "bulk", "30s")
    until(lambda: b.digest() == a.digest(), "the routes at b", 30)
    assert b.status()["routes"] == BULK + 3
    fed.start()
    fed.wait_same(30)
    fed.start(fed.make("d"))
    fed.wait_same(30)
    for node in fed.all():
        assert node.status()["routes"] == BULK + 3
    fed.check_log(["bulk"])
    removed = "plan: 1\nremove:\n" + "".join(f"  - route//19{i:05d}/trunk/a-pbx\n" for i in range(0, BULK, 2))
    must_change(fed.nodes["d"], removed, "half-gone", "30s")
    fed.wait_same(30)
    assert {n.status()["routes"] for n in fed.all()} == {BULK // 2 + 3}
    call_inside(b)
