"""What was confirmed is kept: a node that is killed in the middle of a storm, and one whose state is lost with its disk."""
import os
import shutil
import threading

import pytest

from harness.federation import Federation
from harness.storm import Storm
from harness.wait import until

PHONES = int(os.environ.get("TANDEM_STORM", "600"))
PLAN = "plan: 1\naccounts:\n" + "".join(f"  \"5{i:05d}\": {{ password: secret }}\n" for i in range(PHONES))


@pytest.fixture(scope="module")
def fed(tmp_path_factory):
    with Federation(tmp_path_factory.mktemp("durability"), 3) as f:
        f.first().apply(PLAN, "phones", "--allow", "all")
        f.wait_same()
        yield f


def users():
    return [f"5{i:05d}" for i in range(PHONES)]


def registered(node, at=None):
    """The accounts that the node knows to be registered, at one node or anywhere."""
    return {r["account"] for r in node.ctl("registrations") if at is None or r["node"] == at.name}


def test_a_node_killed_in_a_storm_loses_nothing_that_was_confirmed(fed):
    node = fed.all()[0]
    with Storm(node.sip, "127.0.6.20") as storm:
        thread = threading.Thread(target=storm.register, args=(users(),), kwargs={"window": 100})
        thread.start()
        until(lambda: len(storm.confirmed) > PHONES // 3, "a third of the phones to be registered", 60)
        node.kill()
        storm.stopping = True
        thread.join()
        kept = set(storm.confirmed)
        assert PHONES // 3 < len(kept) < PHONES, "it was killed before or after the storm"
        assert not storm.refused
        fed.start(node)
        lost = kept - registered(node, node)
        assert not lost, f"{len(lost)} of {len(kept)} that were confirmed are lost: {sorted(lost)[:5]}"
        storm.stopping = False
        assert storm.register(users())  # and the rest of them
        assert set(storm.confirmed) == set(users()), storm.refused
    until(lambda: all(registered(n, node) == set(users()) for n in fed.all()), "every node to know them", 20)


def test_lost_state_comes_back_from_the_others(fed):
    """The whole state environment is gone. What the others know of this node's phones comes back; who has gone since, stays
    gone."""
    node, other = fed.all()[:2]
    with Storm(node.sip, "127.0.6.21") as storm:
        assert storm.register(users())
        gone = users()[:5]
        assert storm.register(gone, expires=0)
    until(lambda: registered(other, node) == set(users()) - set(gone), "the others to know them", 20)
    before = {r["contact"] for r in other.ctl("registrations")}
    node.kill()
    fed.wait_status(node, ("dead",))
    shutil.rmtree(node.data / "state")
    fed.start(node)
    wanted = set(users()) - set(gone)
    until(lambda: registered(node, node) == wanted, "the phones to be back", 30)
    assert node.counter("repl", "own_records_found") >= len(wanted)
    for n in fed.all():
        until(lambda: registered(n, node) == wanted and {r["contact"] for r in n.ctl("registrations")} == before,
              f"{n.name} to know them as they were", 20)
    assert all(r["state"] == "up" for r in node.ctl("registrations"))
    fed.wait_same()
    # A phone that is there goes on as if nothing had happened.
    with Storm(node.sip, "127.0.6.21", contact=next(iter(before)).split("@")[1]) as storm:
        assert storm.register(users()[5:25]) and not storm.refused
    assert registered(node, node) == wanted
