#!/usr/bin/python3
"""Everything that CI runs, with one closing line: N passed, N failed.

  ./run test              all of it
  ./run test unit lint    only these phases: unit, asan, tsan, lint, system, sanitized
"""
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
REPORTS = ROOT / "build" / "reports"
WORKERS = 3  # of the system tests, which wait more than they work; each has a network of its own
# They are begun first, so that no worker is left alone with a long one at the end.
LONGEST = [f"test_{name}.py" for name in ("federation_failures", "federation", "federation_cuts", "federation_growth",
                                          "federation_members")]


# Nothing in these has a second thread, so that no two can race (tests/lint/arrows.py holds them to it).
ONE_THREAD = "^(unit/(plan|repl|sip|proto)/|fuzz/|sim/|model/)"

# NNG keeps what a hanging reaper thread holds; see node/mesh/mesh.c at stop_all.
LEAKS = {"LSAN_OPTIONS": f"suppressions={ROOT}/tests/lsan.supp:print_suppressions=0"}


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def add(self, report):
        """Counts a JUnit report; a report without a test is a failure of its own."""
        seen = 0
        for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
            seen += 1
            name = f"{case.get('classname') or ''} {case.get('name')}".strip()
            if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
                self.failed += 1
                self.failures.append(name)
            elif case.find("skipped") is not None or case.get("status") in ("disabled", "notrun"):
                self.skipped += 1
                print(f"skipped: {name}")
            else:
                self.passed += 1
        if seen == 0:
            self.failed += 1
            self.failures.append(f"{report.name}: no test was run")


def build(preset):
    """Warnings are errors here. The log is shown when it fails, and then nothing else makes sense."""
    begun = time.monotonic()
    log = REPORTS / f"build-{preset}.log"
    with log.open("w") as out:
        for command in (["cmake", "--preset", preset, "-DTANDEM_WERROR=ON"], ["cmake", "--build", "--preset", preset]):
            if subprocess.run(command, cwd=ROOT, stdout=out, stderr=out).returncode != 0:
                print("\n".join(log.read_text().splitlines()[-60:]))
                print(f"the {preset} build failed\n0 passed, 1 failed")
                sys.exit(1)
    print(f"-- built {preset} in {time.monotonic() - begun:.0f} s", flush=True)


def ctest(tally, preset, folder, *options, environment=None):
    report = REPORTS / f"ctest-{preset}.xml"
    report.unlink(missing_ok=True)
    subprocess.run(["ctest", "--test-dir", str(ROOT / folder), "-j3", "--output-on-failure", "--output-junit", str(report),
                    *options, *(["--progress"] if sys.stdout.isatty() else [])], env={**os.environ, **(environment or {})})
    tally.add(report)


def pytest(tally, name, *arguments, environment=None):
    report = REPORTS / f"pytest-{name}.xml"
    report.unlink(missing_ok=True)
    subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", f"--junitxml={report}",
                    *arguments], cwd=ROOT, env={**os.environ, **(environment or {})})
    if report.exists():
        tally.add(report)
    else:
        tally.failed += 1
        tally.failures.append(f"pytest {name} did not run")


def in_own_network(command):
    """What ./run did for all of us, once more for one worker: addresses and cuts that the other does not see."""
    return ["unshare", "--net", "--", "bash", "-c", 'ip link set lo up && exec "$@"', "bash", *command]


class Queue:
    """Files of system tests, taken by the workers one after the other. A file's output is shown when it is through."""

    def __init__(self, tally, name, files, environment):
        self.tally, self.name, self.files = tally, name, list(files)
        self.environment = {**os.environ, **environment}
        self.lock = threading.Lock()

    def next(self):
        with self.lock:
            return self.files.pop(0) if self.files else None

    def work(self):
        while (path := self.next()) is not None:
            report, log = (REPORTS / f"pytest-{self.name}-{path.stem}.{kind}" for kind in ("xml", "log"))
            report.unlink(missing_ok=True)
            begun = time.monotonic()
            with log.open("w") as out:
                subprocess.run(in_own_network(["/usr/bin/python3", "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider",
                                               f"--junitxml={report}", str(path)]),
                               cwd=ROOT, env=self.environment, stdout=out, stderr=out)
            with self.lock:
                print(f"-- {path.name}, {time.monotonic() - begun:.0f} s\n{log.read_text().rstrip()}", flush=True)
                if report.exists():
                    self.tally.add(report)
                else:
                    self.tally.failed += 1
                    self.tally.failures.append(f"{self.name} {path.name} did not run")


def system_tests(tally, name, without=(), environment=None):
    found = sorted((ROOT / "tests" / "system").glob("test_*.py"),
                   key=lambda p: (LONGEST.index(p.name) if p.name in LONGEST else len(LONGEST), p.name))
    queue = Queue(tally, name, [p for p in found if p.name not in without], environment or {})
    workers = [threading.Thread(target=queue.work) for _ in range(WORKERS)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()


def unit(tally):
    build("release")
    ctest(tally, "release", "build")


def asan(tally):
    build("asan")
    ctest(tally, "asan", "build-asan", environment=LEAKS)


def tsan(tally):
    build("tsan")
    ctest(tally, "tsan", "build-tsan", "-E", ONE_THREAD, environment={"TSAN_OPTIONS": "halt_on_error=1"})


def lint(tally):
    build("release")
    pytest(tally, "lint", "tests/lint")


def system(tally):
    build("release")
    system_tests(tally, "system")


def sanitized(tally):
    """The system tests once more, with every node under address and undefined behaviour sanitizers; without the long ones, whose
    clusters of many nodes take minutes under them."""
    build("asan")
    long = [f"test_federation_{name}.py" for name in ("failures", "growth", "members", "snapshot")]
    system_tests(tally, "sanitized", long, {"TANDEM_BUILD": str(ROOT / "build-asan"), **LEAKS})


PHASES = {f.__name__: f for f in (lint, unit, asan, tsan, system, sanitized)}


def main():
    wanted = sys.argv[1:] or list(PHASES)
    unknown = [w for w in wanted if w not in PHASES]
    if unknown:
        print(f"run test: no phase {unknown[0]!r}; there are {', '.join(PHASES)}", file=sys.stderr)
        return 2
    REPORTS.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may have had it ignored
    tally = Tally()
    for name in wanted:
        begun = time.monotonic()
        print(f"== {name}", flush=True)
        PHASES[name](tally)
        print(f"-- {name} took {time.monotonic() - begun:.0f} s", flush=True)
    for failure in tally.failures:
        print(f"failed: {failure}")
    print(f"{tally.passed} passed, {tally.failed} failed" + (f", {tally.skipped} skipped" if tally.skipped else ""))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
