"""Who is in, how far behind, and since when; nodes that take no new calls, leave, are evicted and come back under their name;
what a dead node once registered."""
import shutil
import signal
import socket
import time

import pytest

from harness import sipp
from harness.cluster import clusterctl
from harness.federation import (Federation, change, host, must_change, register, registrations, remove, route)
from harness.sipp import Sipp
from harness.wait import until


@pytest.fixture
def fed(tmp_path):
    with Federation(tmp_path) as three:
        yield three


def seen(at, of):
    return at.nodes()[of.name]


def explain(node, number):
    """(targets in their order, "MATCH TARGET" -> why, of each candidate)"""
    records = [r for r in node.ctl("route", "explain", number) if r["kind"] == "candidate"]
    placed = sorted((r for r in records if r["place"] is not None), key=lambda r: r["place"])
    return [r["target"] for r in placed], {f"{r['match']} {r['target']}": r["why"] for r in records}


# ---- the view ----

def test_nodes_tells_who_is_behind_and_since_when(fed):
    a, b, c = fed.all()
    since = seen(a, b)["since"]
    until(lambda: all(r["changes"] == "in step" and r["states_in_step"] and r["joined"] and r["version"]
                      for r in a.nodes().values()), "all to be in step")
    c.kill()
    fed.wait_status(c, ("dead",), at=[a])
    for k in range(3):
        must_change(a, route(f"=170{k}", "trunk/a-pbx"), f"without-c-{k}")
    until(lambda: seen(a, b)["changes"] == "in step", "b to be in step")
    first = seen(a, c)
    assert (first["changes_behind"], first["changes_ahead"], first["changes"]) == (3, 0, "3 behind"), first
    until(lambda: seen(a, c)["data_age_ms"] > first["data_age_ms"], "the data of c to grow older")
    assert seen(a, c)["data_age_ms"] >= seen(a, c)["heard_ms"] - 100 > seen(a, c)["status_ms"]
    assert "refused" in seen(a, c)["link"]
    dead_since = seen(a, c)["since"]
    # A restart forgets neither since when the others are what they are, nor who is away.
    assert a.stop() == 0
    a.start()
    until(lambda: seen(a, b)["status"] == "alive", "b to be heard again")
    assert seen(a, b)["since"] == since and seen(a, c)["since"] == dead_since
    until(lambda: seen(a, c)["status"] == "dead", "c to be known dead", 15)
    c.start()
    fed.wait_same()
    for node in fed.all():
        assert {r["changes"] for r in node.nodes().values()} == {"in step"}
    assert len(a.ctl("nodes", "c")) == 1
    assert a.run("nodes", "nobody", check=False).returncode == 1
    assert max(len(line) for line in a.run("nodes").stdout.splitlines()) <= 120


def test_both_sides_of_a_cut_are_behind(fed):
    a, b, c = fed.all()
    fed.cut_all()
    for node in fed.all():
        fed.wait_status(node, ("suspect", "dead"))
    for k in range(2):
        must_change(c, route(f"=370{k}", "trunk/c-pbx"), f"by-c-{k}")
    must_change(a, route("=1700", "trunk/a-pbx"), "by-a")
    assert seen(c, a)["changes"] == "2 behind" and seen(a, c)["changes"] == "1 behind"
    fed.cuts.heal()
    fed.wait_same()


# ---- drain ----

def asked(node, method, address):
    """The answer to a request outside a dialog, without credentials."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((address, 0))
        s.settimeout(10)
        at = f"{address}:{s.getsockname()[1]}"
        s.sendto(f"{method} sip:{node.address} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{method}\r\n"
                 f"From: <sip:3100@{node.address}>;tag=1\r\nTo: <sip:3100@{node.address}>\r\nCall-ID: {method}@{at}\r\n"
                 f"CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n".encode(), (node.address, 5060))
        return s.recv(65536).decode()


def test_a_drained_node_takes_no_new_calls_and_keeps_those_in_progress(fed):
    """Another node of its site takes them. It holds across a restart."""
    a, b, c = fed.all()
    c2 = fed.add("c2", "c", "127.0.12.1", seeds=[a.mesh])
    fed.wait_same()
    must_change(a, route("=2555", "trunk/b-other"), "beside")
    caller = ("uac", host(a, 11), 5060, a.sip, {"caller": "1500"})
    with Sipp("uas", host(c, 10), 5060).wait_ready() as callee, \
            Sipp("uac_hold", host(c, 11), 5060, c.sip, caller="3500", dialled="3600", hold=4000) as held:
        until(lambda: [x["state"] for x in c.ctl("calls")] == ["answered"], "the call at c")
        said = c.run("node", "drain").stdout
        assert "1 call is in progress" in said, said
        for node in (a, b, c2):
            until(lambda: seen(node, c)["drained"] and seen(node, c)["state"] == "drained", f"{node.name} to know it")
        assert c.status()["verdict"].startswith("drained")
        with Sipp("uac_refused", host(c, 11), 5062, c.sip, caller="3501", dialled="3600", code=503) as refused:
            refused.wait()
        assert asked(c, "REGISTER", host(c, 20)).startswith("SIP/2.0 503 ")
        assert asked(c, "OPTIONS", host(c, 11)).startswith("SIP/2.0 503 "), "a PBX that looks whether we are there"
        held.wait()
        callee.wait()
    sipp.call(caller, ("uas", host(c, 10), 5060, {}), "3600")
    assert a.ctl("calls")[0]["node"] == "c2"
    c.kill()
    c.start()
    until(lambda: c.status()["drained"], "c to remember it")
    assert c2.stop() == 0
    for node in (a, b):
        until(lambda: explain(node, "3600") == ([], {"3 trunk/c-pbx": "drained"}), "nobody to serve c", 15)
    until(lambda: c.nodes()["a"]["linked"], "c to be linked")
    c.run("node", "drain", "--off")
    until(lambda: explain(a, "3600")[0] == ["trunk/c-pbx"], "c to be used again")
    sipp.call(caller, ("uas", host(c, 10), 5060, {}), "3600")
    a.run("--node", "b", "node", "drain")  # from afar
    until(lambda: explain(a, "2555")[1]["=2555 trunk/b-other"] == "drained", "b to be drained")


# ---- leave, evict, return ----

def return_with(fed, node, *options, fresh=True):
    """A new invitation under its name, from a member; fresh: for a machine with an empty disk. What invite says."""
    out = fed.folder / f"{node.name}-again.join"
    member = fed.others(node)[0]
    said = clusterctl("-s", member.socket, "node", "invite", node.name, "--site", node.site, "--ca", fed.ca, "--out", out)
    if fresh:
        shutil.rmtree(node.data)
    clusterctl("node", "join", out, "--data", node.data, *options)
    return said.stderr


def test_a_node_leaves_for_good_and_is_invited_again(fed):
    a, b, c = fed.all()
    register(c, "3100")
    until(lambda: "3100" in registrations(a), "the registration at a")
    refused = c.run("node", "leave", check=False)
    assert refused.returncode == 2 and "--yes" in refused.stderr
    fed.cut_all()
    for node in (a, b):
        fed.wait_status(node, ("suspect", "dead"), at=[c])
    must_change(c, route("=3777", "trunk/c-pbx"), "known-to-c-only")
    refused = c.run("node", "leave", "--yes", check=False)
    assert refused.returncode == 1 and "no other node can be reached" in refused.stderr
    fed.cuts.heal()
    fed.wait_same()
    for node in (a, b):  # they stand still, and nobody has noticed yet
        node.signal(signal.SIGSTOP)
    try:
        change(c, route("=3778", "trunk/c-pbx"), "known-to-c-only-2", "1ms")
        refused = c.run("node", "leave", "--yes", check=False)
        assert refused.returncode == 1, refused.stdout
    finally:
        for node in (a, b):
            node.signal(signal.SIGCONT)
    fed.wait_same()
    c.run("node", "leave", "--yes")
    for node in (a, b):
        until(lambda: seen(node, c)["status"] == "left" and "3100" not in registrations(node), f"{node.name} to know it")
    assert "has left the cluster" in c.status()["verdict"]
    assert change(a, route("=1777", "trunk/a-pbx"), "without-c", "10s") == 0, "a node that has left is waited for"
    assert change(c, route("=3779", "trunk/c-pbx"), "by-nobody") == 1
    for node in fed.all():  # all of it is remembered
        assert node.stop() == 0
    for node in fed.all():
        node.start()
    until(lambda: seen(a, b)["linked"] and seen(b, a)["linked"], "a and b to be linked", 20)
    assert "has left the cluster" in c.status()["verdict"] and seen(a, c)["status"] == "left"
    assert c.stop() == 0
    old = fed.folder / "old-tls"
    shutil.copytree(c.data / "tls", old)
    assert "takes its name up again" in return_with(fed, c)
    c.start()
    fed.wait_same()
    fed.check_log(["known-to-c-only", "known-to-c-only-2", "without-c", must_change(c, route("=3780", "trunk/c-pbx"), "back", "5s")])
    # The certificate of before is still refused.
    assert c.stop() == 0
    shutil.rmtree(c.data)
    c.data.mkdir(mode=0o700)
    shutil.copytree(old, c.data / "tls")
    refusals = a.counter("mesh", "hello_refused")
    c.start()
    until(lambda: a.counter("mesh", "hello_refused") > refusals, "the old certificate to be refused", 15)
    assert not seen(a, c)["linked"]


def test_an_evicted_name_is_taken_up_again(fed):
    """The machine comes back with its own disk, which also remembers the eviction; one node learns of all of it later."""
    a, b, c = fed.all()
    b.kill()
    fed.wait_status(b, ("suspect", "dead"), at=[a])
    a.run("node", "evict", "c", "--yes")
    until(lambda: "evicted" in seen(c, a)["link"], "c to be told why", 15)
    assert c.stop() == 0
    assert "was evicted" in return_with(fed, c, "--force", fresh=False)
    c.start()
    until(lambda: seen(a, c)["status"] == "alive" and seen(a, c)["linked"] and seen(c, a)["linked"], "c to be back", 20)
    b.start()
    fed.wait_same(30)
    until(lambda: {r["status"] for n in fed.all() for r in n.nodes().values()} == {"alive"}, "all to see all", 20)
    until(lambda: c.status()["verdict"] == "ok", "c to find nothing wrong")
    messages = [must_change(n, route(f"={1 + i}777", f"trunk/{n.name}-pbx"), f"after-{n.name}", "5s")
                for i, n in enumerate(fed.all())]
    fed.wait_same()
    fed.check_log(messages)
    a.run("node", "evict", "c", "--yes")  # and once more
    for node in (a, b):
        until(lambda: seen(node, c)["status"] == "evicted", f"{node.name} to know of it", 15)


# ---- a dead owner ----

def test_what_a_dead_node_registered_is_tried_last(fed):
    a, b, c = fed.all()
    must_change(a, route("=3100", "trunk/c-pbx") + "  - { match: \"=3100\", to: trunk/a-pbx, priority: 20 }\n", "other ways")
    register(c, "3100")
    until(lambda: explain(a, "3100")[0] == ["account/3100"], "the registration at a")
    c.kill()
    fed.wait_status(c, ("dead",))
    for node in (a, b):
        until(lambda: explain(node, "3100") == (
            ["trunk/a-pbx", "account/3100"],
            {"3100 account/3100": "stale", "=3100 trunk/a-pbx": "chosen", "=3100 trunk/c-pbx": "node-gone",
             "3 trunk/c-pbx": "shorter"}), f"{node.name} to try it last")
        assert [r["state"] for r in registrations(node)["3100"]] == ["stale"]
    assert "stale at c: tried last" in a.run("route", "explain", "3100").stdout
    caller = ("uac", host(a, 11), 5060, a.sip, {"caller": "1500"})
    sipp.call(caller, ("uas", host(a, 10), 5060, {}), "3100")
    # With no second way the dead one is tried, since it may be back sooner than we know.
    must_change(a, remove("route//=3100/trunk/a-pbx", "route//=3100/trunk/c-pbx"), "no other way")
    assert explain(a, "3100") == (["account/3100"], {"3100 account/3100": "stale", "3 trunk/c-pbx": "shorter"})
    begun = time.monotonic()
    with Sipp("uac_refused", host(a, 11), 5060, a.sip, caller="1500", dialled="3100", code=503) as refused:
        refused.wait()
    assert time.monotonic() - begun < 10
    # Its return reconciles: the phone that is still there, and the one that went meanwhile.
    c.start()
    for node in fed.all():
        until(lambda: [r["state"] for r in registrations(node)["3100"]] == ["up"], f"{node.name} to show it up", 15)
    until(lambda: explain(a, "3100")[1]["3100 account/3100"] == "chosen", "it to be first again")
    sipp.call(caller, ("uas", host(c, 20), 5070, {}), "3100")
