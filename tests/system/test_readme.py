"""The walk of README.md, command by command, as a new user types it: what is printed must be what the page says.

After a wanted change of some output:
    unshare --net -- bash -c 'ip link set lo up; PYTHONPATH=tests/system /usr/bin/python3 tests/system/test_readme.py write'"""
import difflib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from harness.cluster import BUILD, ROOT
from harness.sipp import listening
from harness.wait import until

README = ROOT / "README.md"
SECTION = "## Two branches, step by step\n"
# Commands that only look: what they show may take a moment to be so.
LOOKS = re.compile(r"clusterctl( -s \S+)? (status|nodes|registrations|calls|route explain|plan log|plan conflicts$|plan diff|trace|accept run)")
NODE = "(hq|factory|harbour)"
CHANGES = ((rf"\b[a-z]+@{NODE}\b", r"USER@\1"), (r"example-[0-9a-f]{8}", "CLUSTER"),
           (r"\b\d{4}-\d\d-\d\d( \d\d:\d\d:\d\dZ)?", "TIME"), (rf"{NODE}/[0-9a-f]{{6,}}/", r"\1/EPOCH/"),
           (r"\b[0-9a-f]{32}\b", "SESSION"), (r"\b[0-9a-f]{16}\b", "CALLID"),
           (r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{12}\b", "DIGEST"), (r"-0x[0-9a-f]+@", "-PHONE@"),
           (r"(tls:127[\d.]+|udp:127\.0\.\d\.60):(?!506[01])\d+", r"\1:PORT"),
           (r"\b[\d.]+ (ms|s|min)\b", "SPAN"), (rf"{NODE} +yes +\d+ ", r"\1 yes MS "), (r"[ \t]+", " "), (r"-{2,}", "-"))


def plain(text):
    """Without what differs from one run to the next; receipts come in any order."""
    for pattern, word in CHANGES:
        text = re.sub(pattern, word, text)
    lines = [line.strip() for line in text.splitlines()]
    receipts = [i for i, line in enumerate(lines) if re.fullmatch(rf"{NODE} yes MS .*", line)]
    for i, line in zip(receipts, sorted(lines[i] for i in receipts)):
        lines[i] = line
    return lines


def walk(text):
    """The console blocks of the section: (position of the output, its end, command, output)."""
    start = text.index(SECTION)
    end = text.index("\n## ", start + len(SECTION))
    for block in re.finditer(r"```console\n(.*?)```\n", text[start:end], re.S):
        at = start + block.start(1)
        lines = block.group(1).splitlines(keepends=True)
        while lines:
            command = lines.pop(0)
            assert command.startswith("$ "), f"a block begins with output: {command}"
            at += len(command)
            while lines and lines[0].startswith("> "):
                at += len(lines[0])
                command += lines.pop(0)[2:]
            output = ""
            while lines and not lines[0].startswith("$ "):
                output += lines.pop(0)
            yield at, at + len(output), command[2:].rstrip("\n"), output
            at += len(output)


class Shell:
    """One bash for the whole walk, in a session of its own, so that nothing that it started outlives it."""

    def __init__(self, home):
        self.process = subprocess.Popen(["bash", "--norc"], cwd=ROOT, env={**os.environ, "HOME": str(home)}, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True)

    def run(self, command):
        if command == "./run build":
            return "== building (release)\n== build/tandemd and build/clusterctl are ready\n"
        self.process.stdin.write(command.replace("$PWD/build", str(BUILD)) + "\necho '@@@'\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "@@@\n":
                break
            lines.append(line)
        if command.startswith("sipp"):
            until(lambda: listening("127.0.2.10", 5060), "sipp to listen")
        return "".join(lines)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.communicate()


def difference(expected, seen):
    return "\n".join(difflib.unified_diff(plain(expected), plain(seen), "README.md", "printed", lineterm="", n=50))


def test_the_walk(tmp_path):
    steps = list(walk(README.read_text()))
    assert len(steps) > 30, "the walk is not found"
    with Shell(tmp_path) as shell:
        for _, _, command, expected in steps:
            end = time.monotonic() + 15
            seen = shell.run(command)
            while plain(seen) != plain(expected) and LOOKS.match(command) and time.monotonic() < end:
                seen = shell.run(command)
            assert plain(seen) == plain(expected), f"$ {command}\n{difference(expected, seen)}"


def test_the_tour_names_files_that_exist():
    text = README.read_text()
    tour = text[text.index("## The source, in reading order"):].split("```")[1]
    named = re.findall(r"\b[\w/]+\.(?:h|c|proto|py)\b", tour)
    assert len(named) > 20, "the tour is not found"
    assert not [name for name in named if not any(ROOT.rglob(name))]


def test_a_difference_is_seen():
    assert plain("hq  yes  12  -\n") == plain("hq yes 3 -\n")
    assert plain("factory  alive\n") != plain("factory  dead\n")
    assert plain("answer without one  404\n") != plain("answer without one  480\n")


def write(home):
    """Puts what is printed now into the page."""
    text = README.read_text()
    with Shell(home) as shell:
        printed = []
        for at, end, command, _ in walk(text):
            if LOOKS.match(command):
                time.sleep(6)
            printed.append((at, end, shell.run(command)))
    for at, end, output in reversed(printed):
        text = text[:at] + output + text[end:]
    README.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit(__doc__)
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        write(pathlib.Path(folder))
