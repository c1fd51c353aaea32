"""Nodes that nobody can dial, behind a filter that drops every connection to their mesh port: they dial out, and changes and
registrations go both ways, also between two of them, which have no link."""
import time

import pytest

from harness.federation import Federation, call_inside, must_change, note_of, register, registrations, remove_route, route, site_net
from harness.net import Walls
from harness.wait import until


class Walled(Federation):
    """a and b can be dialled; c and d cannot."""

    def __init__(self, folder, walls):
        super().__init__(folder, 4, start=False)
        a, b, c, d = self.all()
        for node in (c, d):
            text = node.config.read_text().replace(f"advertise: \"{node.mesh}\"", "reachable: no")
            assert "reachable: no" in text
            node.config.write_text(text)
            walls.wall(node.address, 7400)
        self.open()

    def start(self, *nodes, linked=False):
        super().start(*nodes, linked=False)
        if linked or not nodes:
            self.wait_joined()

    def wait_joined(self, timeout=30):
        """Every running node sees every other alive, and is linked with all but those that it cannot be linked with."""
        def look():
            running = self.alive()
            for node in running:
                seen = node.nodes()
                for other in running:
                    if other is node:
                        continue
                    row = seen.get(other.name)
                    apart = {node.name, other.name} == {"c", "d"}
                    if row is None or row["status"] != "alive" or row["linked"] == apart:
                        return False
            return True
        until(look, "the nodes to be linked", timeout)

    def wait_same(self, timeout=15):
        until(lambda: len({n.digest() for n in self.alive()}) == 1, "one plan on every node", timeout)


@pytest.fixture
def walled(tmp_path):
    with Walls() as walls, Walled(tmp_path, walls) as fed:
        yield fed


def test_nodes_behind_a_wall(walled):
    a, b, c, d = walled.all()

    # What the operator sees.
    assert a.nodes()["c"]["link"] == "linked (it dials us)"
    assert c.nodes()["a"]["link"] == "linked"
    assert c.nodes()["d"]["link"] == "none: neither can be dialled; others pass on its changes"
    assert c.nodes()["d"]["status"] == "alive"
    assert all("dial" not in line for line in c.log_text().splitlines() if "peer=d" in line), "c dials d"

    # Changes, from each of them to all, with a receipt of every node.
    messages = []
    for node, other in ((a, c), (c, a), (d, c), (b, d)):
        message = f"from-{node.name}"
        path = walled.folder / f"{message}.yaml"
        path.write_text(route("=1777", "trunk/a-pbx", note=message))
        told = node.run("plan", "apply", path, "-m", message, "--allow", "all", "--timeout", "10s").stdout
        assert told.count(" yes ") == 4, told
        assert note_of(other, "=1777") == message
        messages.append(message)
    messages.append(must_change(d, remove_route("=1777", "trunk/a-pbx"), "gone"))
    until(lambda: all(note_of(n, "=1777") is None for n in walled.all()), "the removal on every node")

    # Registrations, and what is asked through the mesh.
    register(c, "3100")
    register(d, "4100")
    register(a, "1100")
    until(lambda: all(sorted(registrations(n)) == ["1100", "3100", "4100"] for n in walled.all()),
          "the registrations on every node", 10)
    assert a.run("--node", "c", "status").stdout.count("c") > 0
    assert "node" in c.run("--node", "a", "status").stdout

    # A neighbour dies: everybody sees it, and the rest goes on through the other one.
    b.kill()
    walled.wait_status(b, ("dead",))
    messages.append(must_change(c, route("=2778", "trunk/b-pbx", note="without-b"), "without-b"))
    until(lambda: note_of(d, "=2778") == "without-b", "the change at d")
    assert {d.nodes()[n]["status"] for n in "ac"} == {"alive"}

    # Both neighbours are gone: c and d are on their own, and say so.
    a.kill()
    walled.wait_status(a, ("dead", "suspect"))
    until(lambda: c.nodes()["d"]["status"] == "suspect", "c to know that it hears nothing of d")
    messages.append(must_change(c, route("=3778", "trunk/c-pbx", note="alone"), "alone"))
    call_inside(c)

    # They come back, and one of them behind the wall restarts.
    a.start(wait=False)
    b.start(wait=False)
    walled.start()
    until(lambda: note_of(d, "=3778") == "alone", "what c changed alone")
    c.kill()
    walled.wait_status(c, ("dead",), at=[a, b, d])
    messages.append(must_change(d, route("=4778", "trunk/d-pbx", note="away"), "away"))
    c.start(wait=False)
    walled.start()
    until(lambda: note_of(c, "=4778") == "away", "what c missed")
    walled.wait_same()
    walled.check_log(messages)


def test_a_line_that_dies_without_a_word(walled):
    """Nothing passes between c and the others, and nobody is told. Both sides notice in the time of every other dead link,
    and the node behind the wall dials anew when the line is back."""
    a, b, c, d = walled.all()
    before = {n.name: n.counters("mesh")["links_up"] for n in (a, c)}
    for other in (a, b):
        walled.cuts.cut(site_net(c), site_net(other))
    cut = time.monotonic()
    until(lambda: a.nodes()["c"]["link"].startswith("waiting for it to dial us"), "a to notice", 20)
    until(lambda: not c.nodes()["a"]["linked"], "c to notice", 20)
    assert time.monotonic() - cut < 10
    walled.wait_status(c, ("dead",), at=[a, b, d])
    must_change(c, route("=3777", "trunk/c-pbx", note="behind"), "behind")
    must_change(b, route("=2777", "trunk/b-pbx", note="before"), "before")
    walled.cuts.heal()
    walled.wait_joined()
    assert a.counters("mesh")["links_up"] > before["a"] and c.counters("mesh")["links_up"] > before["c"]
    walled.wait_same()
    assert {note_of(n, "=2777") for n in walled.all()} == {"before"}
    assert {note_of(n, "=3777") for n in walled.all()} == {"behind"}
    assert a.counters("mesh")["polls_refused"] == 0
