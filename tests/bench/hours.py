#!/usr/bin/python3
"""./run bench hours: simulated node-hours at 10 % loss until so many are reached, and how often a living node was called dead.

Most of them are of the smallest clusters, where the fewest observers decide; every seed is another run."""
import argparse
import pathlib
import subprocess
import sys
import time

MIX = ((3, 0.90), (7, 0.05), (50, 0.03), (500, 0.02))  # nodes, share of the node-hours
CHUNK = 10_000  # node-hours of one line of progress


def loss(program, nodes, hours, seed):
    """Node-hours done, false deaths."""
    rounds = max(1, round(hours * 60 / nodes))
    out = subprocess.run([str(program.resolve()), "loss", "--nodes", str(nodes), "--rounds", str(rounds), "--seed", str(seed)],
                         capture_output=True, text=True, check=True).stdout
    values = {line.split()[1]: float(line.split()[2]) for line in out.splitlines()}
    return values[f"loss_node_hours_{nodes}"], int(values[f"loss_false_deaths_{nodes}"])


def run(program, wanted, seed, chunk=CHUNK):
    """Yields (node-hours, false deaths, seconds) as they add up."""
    begin = time.monotonic()
    hours, deaths = 0.0, 0
    while hours < wanted:
        for nodes, share in MIX:
            done, dead = loss(program, nodes, chunk * share, seed)
            hours += done
            deaths += dead
            if dead:
                print(f"# {dead} false deaths: {nodes} nodes, seed {seed}", flush=True)
        seed += 1
        yield hours, deaths, time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path, help="sim_bench")
    parser.add_argument("--node-hours", type=float, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    arguments = parser.parse_args()
    deaths = 0
    for hours, deaths, seconds in run(arguments.program, arguments.node_hours, arguments.seed):
        print(f"{hours:.0f} node-hours, {deaths} false deaths, {seconds:.0f} s", flush=True)
    return 1 if deaths else 0


if __name__ == "__main__":
    sys.exit(main())
