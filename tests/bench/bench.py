#!/usr/bin/python3
"""./run bench [GROUP ...]: one line for each row: group, name, value, unit, hold, and ok or short.

Ratios are of medians over interleaved rounds in one run on one machine; absolute times are for orientation. Each group is
a file: edge.py with edge_rows.py, registration.py, federation.py with simulated.py and real.py, plan.py; store and sip are
programs of their own."""
import argparse
import os
import pathlib
import platform
import sys

import rows
import edge
import federation
import plan
import registration

STORE_HOLDS = {  # name: (hold, at most)
    "lookup_decided_p50": (2000, True),
    "lookup_decided_p99": (5000, True),
    "bulk_apply": (100_000, False),
}
SIP_HOLDS = {
    "worst_message_accepted": (1_000_000, True),
    "worst_message_refused": (50_000, True),
}


def program(name, holds):
    return lambda _: rows.rows_of(holds, rows.program("bench", f"bench_{name}"))


GROUPS = {"edge": edge.edge, "store": program("store", STORE_HOLDS), "sip": program("sip", SIP_HOLDS),
          "registration": registration.registration, "plan": plan.plan, "federation": federation.federation}


def arguments_of(argv):
    parser = argparse.ArgumentParser(prog="./run bench", description="Groups: " + ", ".join(GROUPS) + ", and hours: "
                                     "simulated node-hours at 10 % loss, which takes hours itself.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="all of them but hours when none is named")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds of the edge and registration groups")
    parser.add_argument("--calls", type=int, default=3000, help="calls in each of its runs")
    parser.add_argument("--rate", type=int, default=2500, help="calls per second")
    parser.add_argument("--only", default="", metavar="NAME,...",
                        help="of the federation group: " + ", ".join(federation.MEASUREMENTS))
    parser.add_argument("--node-hours", type=float, default=1_000_000, help="of the hours group")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="of the hours group: runs at a time")
    parser.add_argument("--seed", type=int, default=1, help="of its first run")
    arguments = parser.parse_args(argv)
    arguments.only = [n for n in arguments.only.split(",") if n]
    for kind, names, known in (("group", arguments.groups, [*GROUPS, "hours"]),
                               ("measurement", arguments.only, federation.MEASUREMENTS)):
        for name in names:
            if name not in known:
                parser.error(f"no {kind} {name!r}; there are {', '.join(known)}")
    return arguments


def machine():
    """Where the rows come from: how dear the kernel is next to a program differs much from one kind of processor to another."""
    info = dict(map(str.strip, line.split(":", 1)) for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    kind = " ".join(f"{name} {info[name]}" for name in ("cpu family", "model", "stepping") if name in info)
    return f"{info.get('model name', platform.machine())} ({kind}), {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.release()}"


def main(argv):
    arguments = arguments_of(argv)
    print(f"# {machine()}", flush=True)
    for group in arguments.groups or GROUPS:
        {**GROUPS, "hours": federation.hours}[group](arguments)
    if rows.SHORT:
        print(f"{len(rows.SHORT)} rows are short of what they should hold: {', '.join(rows.SHORT)}")
    return 1 if rows.SHORT else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
