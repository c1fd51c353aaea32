"""Nodes of other protocol versions: the next one speaks with ours, and what it says that we do not know passes through our
nodes unharmed; one that is further away is refused, and `nodes` says why."""

from harness.cluster import VARIANTS
from harness.federation import Federation, must_change, note_of, register, registrations, remove_route, route, site_net
from harness.wait import until

NEXT, FAR = VARIANTS / "tandemd-next", VARIANTS / "tandemd-far"
UNKNOWN = b"from-newer!"  # in every message of the nodes of other versions


def bytes_on_disk(node, folder):
    return b"".join(p.read_bytes() for p in sorted((node.data / folder).rglob("*")) if p.is_file())


def test_the_next_version(tmp_path):
    """a and c are ours, b is of the next version, and reaches c through a only: by flood, and by sync after c was away."""
    with Federation(tmp_path, 3, start=False) as fed:
        a, b, c = fed.all()
        b.binary = NEXT
        fed.cuts.cut(site_net(b), site_net(c))
        fed.start(linked=False)
        fed.first().apply("plan: 1\ndefaults: { domain: test.example, digest: [md5] }\nsites: { a: { blocks: [\"1\"] } }\n"
                          "trunks: { t: { site: a, address: [\"127.0.6.10:5060\"] } }\n"
                          "accounts: { \"1100\": { password: secret }, \"2100\": { password: secret } }\n", "the plan",
                          "--allow", "all")
        until(lambda: a.nodes()["b"]["linked"] and b.nodes()["a"]["linked"] and a.nodes()["c"]["linked"], "the links", 30)
        until(lambda: len({n.digest() for n in fed.all()}) == 1, "one plan on every node", 15)
        messages = []
        for node in (b, a):
            told = must_receipt(node, route("=1777", "trunk/t", note=f"by-{node.name}"), f"by-{node.name}")
            assert told.count(" yes ") >= 2, told
            until(lambda: {note_of(n, "=1777") for n in fed.all()} == {f"by-{node.name}"}, f"the change of {node.name}", 15)
            messages.append(f"by-{node.name}")
        c.kill()
        messages.append(must_change(b, route("=1778", "trunk/t", note="while c is away"), "away"))
        register(b, "2100")
        c.start()
        until(lambda: note_of(c, "=1778") == "while c is away", "what c missed", 15)
        messages.append(must_change(a, remove_route("=1777", "trunk/t"), "gone"))
        register(a, "1100")
        until(lambda: all(sorted(registrations(n)) == ["1100", "2100"] for n in fed.all()), "the registrations everywhere", 15)
        until(lambda: len({n.digest() for n in fed.all()}) == 1, "one plan on every node", 15)
        fed.check_log(messages)
        # c, which has it from a, has it as b wrote it.
        assert UNKNOWN in bytes_on_disk(c, "."), "what the newer node wrote was lost on the way"
        for node in (a, b, c):
            counters = node.counters("mesh")
            assert (counters["frames_bad"], counters["frames_unknown"]) == (0, 0), counters
            assert counters["hello_refused"] + counters["peer_refused"] + counters["refused_by_peer"] == 0, counters


def must_receipt(node, text, message):
    path = node.folder / f"{message}.yaml"
    path.write_text(text)
    return node.run("plan", "apply", path, "-m", message, "--allow", "all", "--timeout", "2s", check=False).stdout


def test_a_version_that_is_too_far_away(tmp_path):
    """b was a member, and is brought to a version three further on before the others: both say what each of them speaks."""
    with Federation(tmp_path, 2) as fed:
        a, b = fed.all()
        assert b.stop() == 0
        b.binary = FAR
        b.start()
        until(lambda: a.nodes()["b"]["link"] == "refused: it speaks mesh versions 3 to 4, this node 1 to 1: update the older one",
              "the reason at a", 20)
        until(lambda: b.nodes()["a"]["link"] == "refused: it speaks mesh versions 1 to 1, this node 3 to 4: update the older one",
              "the reason at b", 20)
        fed.wait_status(b, ("dead",), at=[a])
        must_change(a, route("=1777", "trunk/a-pbx", note="without-b"), "without-b")
        # A node that has never been linked shows the reason at its seed.
        c = fed.make("c")
        c.binary = FAR
        c.start()
        until(lambda: c.nodes()["(seed)"]["link"].startswith(f"{a.mesh}: refused: it speaks mesh versions 1 to 1"),
              "the reason at the seed", 20)
        assert c.stop() == 0
        b.binary = c.binary = NEXT  # the last step of the way is the first that works
        for node in (b, c):
            if node.running():
                assert node.stop() == 0
        fed.start(b, c)
        until(lambda: note_of(b, "=1777") == "without-b", "what b missed", 15)
        fed.wait_same()
