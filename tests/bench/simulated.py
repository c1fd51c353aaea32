"""Federation rows from the simulator: the replication core itself, under a virtual clock (tests/sim/bench.c)."""
import concurrent.futures
import math
import time

from rows import program, row, run_program, rows_of

BENCH = program("sim", "sim_bench")
SPREAD = {3: (5000, 0.1), 50: (100, 0.2), 500: (20, 0.3), 5000: (3, 0.5)}  # nodes: rounds, seconds that p99 holds
REPAIR_S = 5
DETECT = {3: 300, 50: 30, 500: 10, 2000: 4, 5000: 2}  # nodes: deaths
IDLE = {3: 30, 8: 30, 20: 30, 50: 30, 64: 30, 500: 3, 2000: 1}  # nodes: times 10 s
HEAL = {3: 10_000, 50: 10_000}  # nodes: changes
LOSS = {3: 30_000, 7: 4000, 50: 100, 500: 3}  # nodes: minutes

MIX = ((3, 0.90), (7, 0.05), (50, 0.03), (500, 0.02))  # nodes, share of the node-hours of a long run
CHUNK = 10_000  # node-hours of one line of progress


def bench(mode, nodes, rounds, holds):
    rows_of({f"{mode}_{part}_{nodes}": hold for part, hold in holds.items()}, BENCH, mode, "--nodes", nodes, "--rounds",
            rounds)


def spread():
    for nodes, (rounds, p99) in SPREAD.items():
        bench("spread", nodes, rounds, {"p99": (p99, True), "whole_p99": (p99, True), "max": (REPAIR_S, True),
                                        "missing": (0, True)})


def detect():
    for nodes, deaths in DETECT.items():
        bench("detect", nodes, deaths, {"mean": (2.5, True), "max": (3.5, True), "missing": (0, True)})


def idle():
    for nodes, rounds in IDLE.items():
        bench("idle", nodes, rounds, {"bytes": (2048, True)})


def heal():
    for nodes, changes in HEAL.items():
        bench("heal", nodes, changes, {"same": (15, True)})


def loss():
    for nodes, minutes in LOSS.items():
        bench("loss", nodes, minutes, {"false_deaths": (0, True)})


# ---- node-hours by hand ----

def one_loss(nodes, hours, seed):
    """Node-hours done, false deaths."""
    values = {name: value for _, name, value, _ in run_program(BENCH, "loss", "--nodes", nodes, "--rounds",
                                                               max(1, round(hours * 60 / nodes)), "--seed", seed)}
    return values[f"loss_node_hours_{nodes}"], int(values[f"loss_false_deaths_{nodes}"])


def one_chunk(seed):
    """Most of it in the smallest clusters, where the fewest observers decide."""
    hours, deaths = 0.0, 0
    for nodes, share in MIX:
        done, dead = one_loss(nodes, CHUNK * share, seed)
        hours += done
        deaths += dead
        if dead:
            print(f"# {dead} false deaths: {nodes} nodes, seed {seed}", flush=True)
    return hours, deaths


def node_hours(wanted, seed, jobs):
    """Every seed is another run; jobs of them at a time."""
    begin = time.monotonic()
    hours, deaths = 0.0, 0
    seeds = range(seed, seed + math.ceil(wanted / CHUNK))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done, dead in pool.map(one_chunk, seeds):
            hours += done
            deaths += dead
            print(f"# {hours:.0f} node-hours, {deaths} false deaths, {time.monotonic() - begin:.0f} s", flush=True)
    row("hours", "false deaths at 10 % loss", deaths, "views", 0)
    row("hours", "simulated node-hours", hours, "h", wanted, at_most=False)
