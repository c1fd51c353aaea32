#!/usr/bin/python3
"""Runs Spin over replica.pml: the right protocol must hold in every setting, and each broken rule must be caught.

  check.py BUILD_DIRECTORY            what CI runs: about a minute of one core
  check.py BUILD_DIRECTORY --deep     larger bounds as well: about ten minutes, 4 GB
  check.py BUILD_DIRECTORY NAME ...   only these cases; the story of a counterexample is printed

Everything generated goes to BUILD_DIRECTORY. Exit status 0: all is as it must be.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import time

MODEL = pathlib.Path(__file__).resolve().parent / "replica.pml"

NO_DELETES = "DELETES=0"  # bit sets of the changes that are deletes
DELETES_2 = "DELETES=4"
DELETES_2_3 = "DELETES=12"
DELETES_2_4 = "DELETES=20"

# name -> what is set. The names 0, 1, 2 of the nodes decide ties, so roles are cast in more than one way.
RIGHT = {
    "restored-0": ["OLD_DISK=0"],
    "restored-2": ["OLD_DISK=2"],
    "empty-disk": ["WIPED", "OLD_DISK=0"],
    "eviction": ["EVICTIONS=1", "EVICTED=0", DELETES_2],
    "eviction-long": ["EVICTIONS=1", "RESTORES=0", "CHANGES=4"],
    "join": ["JOINER=2", "RESTORES=0"],
    "fast-clock": ["FAST=0", DELETES_2],
    "whole-log-kept": ["KEEP_LOG", "OLD_DISK=0"],
    "snapshot-at-any-time": ["ANY_TIME", "OLD_DISK=0", DELETES_2],
}
# No setting makes two nodes go round in circles. Searched for cycles, which is slower.
RESTS = {"comes-to-rest": ["OLD_DISK=1", DELETES_2]}
DEEP = {
    "deep-restored-deletes": ["CHANGES=4", DELETES_2_3],
    "deep-eviction": ["EVICTIONS=1", "EVICTED=0"],
    "deep-fast-clock": ["FAST=0"],
    "deep-restored-twice": ["RESTORES=2", "EPOCHS=5"],
    "deep-eviction-of-restored": ["EVICTIONS=1", "EVICTED=2"],
    "deep-two-objects": ["OBJECTS=2"],
    "deep-restored-long": ["CHANGES=4", "OLD_DISK=0"],
    "deep-two-floors": ["CHANGES=4", DELETES_2_4, "OLD_DISK=0"],
    "deep-empty-disk-long": ["CHANGES=4", "WIPED"],
    "deep-join-long": ["CHANGES=4", "JOINER=2", "RESTORES=0"],
    "deep-snapshot-at-any-time": ["ANY_TIME", "OLD_DISK=0"],
    "deep-snapshot-at-any-time-eviction": ["ANY_TIME", "EVICTIONS=1", "EVICTED=0", DELETES_2],
    "deep-eviction-log-kept": ["EVICTIONS=1", "KEEP_LOG"],
}
# What must happen in some run of the right protocol, in the setting of "eviction": else the verdicts above are empty.
USED = ["RAISES", "ADOPTS", "REPLACES", "KEEPS", "LOSES", "GIVES_UP", "ADDS_TAIL", "MEETS_OWN", "LEARNS", "IS_SURE",
        "RESTS"]

# The broken rule -> the property that must fail, and the smallest setting in which it does.
BREAKS = {
    "FLOOR_CHECK": ("p1_deleted_returns", ["OLD_DISK=0", DELETES_2]),
    "MERGE": ("p1_deleted_returns", []),
    "EARLY_DROP": ("p3_change_lost", []),
    "ONLY_TOMBSTONE": ("p3_change_lost", []),
    "EVICTION": ("p3_change_lost", ["EVICTIONS=1"]),
    "JOIN": ("p3_change_lost", ["JOINER=2", "RESTORES=0"]),
    "WHOLE": ("p3_change_lost", []),
    "CLOCK": ("p3_change_lost", ["FAST=0", "RESTORES=0"]),
    "DEAF": ("p3_change_lost", []),
    "STRAY": ("p5_not_one", []),
    "REPLACE": ("p5_not_one", []),
    "REST": ("non-progress cycle", []),
    "FLOOR_MOVED": ("p1_deleted_returns", ["CHANGES=4", DELETES_2_4]),
    "VECTOR_FIRST": ("p1_deleted_returns", []),
    "TAIL": ("p2_not_of_its_vector", []),
    "NEW_EPOCH": ("p4_number_reused", [NO_DELETES]),
    "SPOKEN": ("p4_number_reused", ["EVICTIONS=1", NO_DELETES]),
    "EPOCH_COUNTED": ("p4_number_reused", ["RESTORES=2", "EPOCHS=5", NO_DELETES]),
    "LOST_OWN": ("p4_number_reused", ["CHANGES=4", DELETES_2]),
    "LATE": ("p4_number_reused", [NO_DELETES]),
    "STAMP": ("p2_not_of_its_vector", [NO_DELETES]),
}


class Failed(Exception):
    pass


def tool(directory, *command):
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if result.returncode != 0:
        raise Failed(f"{' '.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout


def search(directory, settings, cycles, memory_mb, flags):
    """Returns pan's report, after making sure that it searched all there is, or found something."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    shutil.copy(MODEL, directory)
    tool(directory, "spin", *(f"-D{s}" for s in settings), "-a", MODEL.name)
    kind = "-DNP" if cycles else "-DSAFETY"
    tool(directory, "gcc", *flags, "-w", kind, f"-DMEMLIM={memory_mb}", "-o", "pan", "pan.c")
    report = tool(directory, "./pan", "-m20000", "-w22", *(["-l"] if cycles else []))
    for trouble in ("too small", "out of memory", "aborted", "truncated"):
        if trouble in report:
            raise Failed(f"the search was cut short: {trouble}\n{report}")
    errors = re.search(r"errors: (\d+)", report)
    if errors is None or (errors[1] == "0" and "Search not completed" in report):
        raise Failed(f"no verdict\n{report}")
    return report


def story(directory, settings):
    text = tool(directory, "spin", *(f"-D{s}" for s in settings), "-t", MODEL.name)
    lines = [line.strip() for line in text.splitlines()]
    return "\n".join(f"    {line}" for line in lines if re.match(r"(node|backup|spin: text)", line))


def verdict(report):
    """None: the protocol holds. Otherwise the first property that failed."""
    if re.search(r"errors: 0\b", report):
        return None
    found = re.search(r"pan:1: (?:assertion violated \W*(p\d_\w+)|(non-progress cycle)|(.*))", report)
    return next(g for g in found.groups() if g) if found else "unknown"


def check_right(name, settings, build, cycles=False, memory_mb=2000):
    report = search(build / name, settings, cycles, memory_mb, ["-O1"])
    failed = verdict(report)
    if failed is not None:
        raise Failed(f"{failed} fails\n{story(build / name, settings)}")
    return report


def check_found(name, expected, settings, build, tell):
    """The search must find a run in which expected fails."""
    # Optimizing takes longer than finding, and with the processes in reverse order most are found sooner.
    report = search(build / name, settings, expected == "non-progress cycle", 2000, ["-O0", "-DREVERSE"])
    failed = verdict(report)
    if failed is None:
        raise Failed("no such run was found")
    if failed != expected:
        raise Failed(f"{failed} failed, and {expected} was to\n{story(build / name, settings)}")
    if tell:
        print(story(build / name, settings))
    return report


def cases(options, build):
    """(name, function) in the order in which they run."""
    for name, settings in RIGHT.items():
        yield name, lambda s=settings, n=name: check_right(n, s, build)
    for name, settings in RESTS.items():
        yield name, lambda s=settings, n=name: check_right(n, s, build, cycles=True)
    for name, settings in DEEP.items():
        if options.deep or name in options.names:
            yield name, lambda s=settings, n=name: check_right(n, s, build, memory_mb=6000)
    tell = bool(options.names)
    for rule in USED:
        settings = [f"WITNESS={rule}", *RIGHT["eviction"]]
        yield f"used-{rule}", lambda s=settings, r=rule: check_found(f"used-{r}", "p0_rule_is_used", s, build, tell)
    for rule, (expected, extra) in BREAKS.items():
        settings = [f"BREAK_{rule}", *extra]
        yield f"break-{rule}", lambda s=settings, r=rule, e=expected: check_found(f"break-{r}", e, s, build, tell)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--deep", action="store_true")
    options = parser.parse_args()
    missing = [program for program in ("spin", "gcc") if shutil.which(program) is None]
    if missing:
        print(f"not installed: {' '.join(missing)}; ./run test installs what the tests need", file=sys.stderr)
        return 2
    build = options.build.resolve() / "spin"
    todo = dict(cases(options, build))
    unknown = [name for name in options.names if name not in todo]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; there are {' '.join(todo)}")
    failures = 0
    for name in options.names or todo:
        begun = time.monotonic()
        try:
            report = todo[name]()
            states = re.search(r"(\d+) states, stored", report)
            print(f"{name}: {'found' if name.startswith(('break-', 'used-')) else 'holds'}, "
                  f"{states[1] if states else '?'} states, {time.monotonic() - begun:.1f} s", flush=True)
        except Failed as failure:
            failures += 1
            print(f"{name}: FAILED: {failure}", flush=True)
        shutil.rmtree(build / name, ignore_errors=True)
    print(f"{len(options.names or todo) - failures} as they must be, {failures} not")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
