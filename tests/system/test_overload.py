"""A source floods a node inside a dialog of its own: it is left to its part, and the others' calls go on."""
import contextlib
import os

import pytest

from harness.cluster import Node
from harness.raw import Call, Peer
from harness.wait import until

NODE, PBX, SINK, OTHER, FLOODER = "127.0.39.1", "127.0.39.10", "127.0.39.11", "127.0.39.12", "127.0.39.13"
PLAN = f"""plan: 1
sites:
  here: {{ blocks: ["6"] }}
trunks:
  pbx: {{ site: here, address: ["{PBX}:5060"], trust: ["{PBX}/32"] }}
  sink: {{ site: here, address: ["{SINK}:5060"], trust: ["{SINK}/32"] }}
  other: {{ site: here, address: ["{OTHER}:5060"], trust: ["{OTHER}/32"] }}
  flooder: {{ site: here, address: ["{FLOODER}:5060"], trust: ["{FLOODER}/32"] }}
routes:
  - {{ match: "61", to: trunk/pbx }}
  - {{ match: "62", to: trunk/sink }}
"""
AT_ONCE = 150  # as many as a socket holds


@pytest.fixture
def world(tmp_path):
    """The node has what this process leaves of its processor: it can be flooded from here."""
    own = os.sched_getaffinity(0)
    node = Node(tmp_path, "one", "here", NODE, mesh=False).start()
    node.apply(PLAN, "test", "--allow", "all")
    one = {min(own)}
    try:
        for thread in os.listdir(f"/proc/{node.process.pid}/task"):
            os.sched_setaffinity(int(thread), one)
            os.setpriority(os.PRIO_PROCESS, int(thread), 19)
        os.sched_setaffinity(0, one)
        with contextlib.ExitStack() as peers:
            yield node, *(peers.enter_context(Peer(at, node=NODE)) for at in (OTHER, FLOODER, PBX, SINK))
    finally:
        os.sched_setaffinity(0, own)
        node.kill()


class Flood:
    """Requests of one method inside a dialog, each a new one, until some are refused; nobody answers the others."""

    def __init__(self, call, method):
        self.call, self.method, self.cseq = call, method, 10
        self.refused = []
        # the node has hardly a pause to catch up in
        until(self.go_on, f"some {method} to be refused", 60, every=0.001)

    def go_on(self):
        for self.cseq in range(self.cseq + 1, self.cseq + 1 + AT_ONCE):
            self.call.caller.send(self.call.in_dialog(self.method, cseq=self.cseq))
        while answer := self.call.caller.receive(0):
            self.refused += [answer] if answer.code == 503 else []
        return self.refused


def passes(call, method, cseq):
    """It is sent until it comes through, as every agent does, and answered."""
    text = call.in_dialog(method, cseq=cseq)

    def came():
        call.caller.send(text)
        while message := call.callee.receive(0):
            if (message.get("Call-ID"), message.get("CSeq")) == (call.call_id, f"{cseq} {method}"):
                return message
    call.callee.reply(until(came, f"a {method} to come through", 60), 200)


@pytest.mark.parametrize("method", ("INFO", "INVITE", "BYE", "PRACK"))
def test_flood_inside_a_dialog(world, method):
    """Its other calls can be ended, and those of others go on."""
    node, other, flooder, pbx, sink = world
    own, live, call = Call(flooder, sink, "6200"), Call(flooder, pbx, "6100"), Call(other, pbx, "6100")
    flood = Flood(own, method)
    passes(live, "BYE", 8)
    passes(call, "INFO", 8)
    passes(call, "BYE", 9)
    assert {(m.get("Call-ID"), m.get("CSeq").split()[1]) for m in flood.refused} == {(own.call_id, method)}
    assert {m.get("Retry-After") for m in flood.refused} <= set("12345")
    assert node.counter("edge", "refused_overload_inside") >= len(flood.refused)
    assert node.counter("edge", "refused_overload") == 0
