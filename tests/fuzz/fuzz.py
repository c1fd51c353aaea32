#!/usr/bin/python3
"""./run fuzz [SECONDS]: every fuzz target for so long. New inputs that reach new code are kept in build-fuzz/corpus; a crash is
written to build-fuzz/crashes and belongs, once mended, into tests/fuzz/corpus/NAME, where every test run replays it."""
import argparse
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build-fuzz"


def main():
    parser = argparse.ArgumentParser(prog="./run fuzz", description="Every fuzz target for so long.")
    parser.add_argument("seconds", nargs="?", type=int, default=60, help="for each target (default 60)")
    seconds = parser.parse_args().seconds
    targets = sorted((BUILD / "tests" / "fuzz").glob("fuzz_*"))
    targets = [t for t in targets if t.is_file() and t.stat().st_mode & 0o100]
    if not targets:
        print("run fuzz: no target was built", file=sys.stderr)
        return 1
    crashed = []
    for target in targets:
        name = target.name.removeprefix("fuzz_")
        corpus, crashes = BUILD / "corpus" / name, BUILD / "crashes" / name
        corpus.mkdir(parents=True, exist_ok=True)
        crashes.mkdir(parents=True, exist_ok=True)
        result = subprocess.run([str(target), f"-max_total_time={seconds}", "-rss_limit_mb=2048", "-timeout=10",
                                 "-print_final_stats=1", f"-artifact_prefix={crashes}/", str(corpus),
                                 str(ROOT / "tests" / "fuzz" / "corpus" / name)], capture_output=True, text=True)
        runs = [line.split()[-1] for line in result.stderr.splitlines() if "number_of_executed_units" in line]
        print(f"{name:<20} {runs[0] if runs else '?':>12} runs  {'ok' if result.returncode == 0 else 'CRASHED'}", flush=True)
        if result.returncode != 0:
            crashed.append(name)
            print(result.stderr[-3000:])
    print(f"{len(targets) - len(crashed)} passed, {len(crashed)} failed")
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
