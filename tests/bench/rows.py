"""Rows of the benchmark: one line each, with what it should hold, and ok or short."""
import contextlib
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

from harness.cluster import BUILD  # noqa: E402

SHORT = []  # the names of rows that are short of what they should hold


def row(group, name, value, unit, hold=None, at_most=True):
    verdict = "" if hold is None else "ok" if (value <= hold if at_most else value >= hold) else "short"
    if verdict == "short":
        SHORT.append(name)
    limit = "" if hold is None else ("<= " if at_most else ">= ") + f"{hold:g} {unit}"
    print(f"{group:<12} {name:<58} {value:>12.2f} {unit:<8} {limit:<18} {verdict}", flush=True)


@contextlib.contextmanager
def measuring(group, name):
    """A measurement that fails is a row that is short, not the end of the run."""
    try:
        yield
    except (AssertionError, OSError, SystemExit, subprocess.SubprocessError) as e:
        SHORT.append(name)
        print(f"{group:<12} {name:<58} not measured: {e}", flush=True)


def run_program(*command):
    """What a program printed as "group name value unit" lines: (group, name, value, unit)."""
    out = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True).stdout
    return [(g, n, float(v), u) for g, n, v, u in (line.split() for line in out.splitlines())]


def rows_of(holds, *command):
    """A row for each; holds: name -> (hold, whether it is the most)."""
    for group, name, value, unit in run_program(*command):
        row(group, name, value, unit, *holds.get(name, (None, True)))


def program(folder, name):
    return BUILD / "tests" / folder / name
