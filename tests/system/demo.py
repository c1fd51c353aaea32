#!/usr/bin/python3
"""./run demo: three branches on loopback addresses, in a network of their own. See steps.py for what is shown."""
import os
import pathlib
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness.cluster import BUILD  # noqa: E402
from steps import STEPS, World  # noqa: E402

FOLDER = BUILD / "demo"
PID_FILE = FOLDER / "demo.pid"


def running_pid():
    try:
        pid = int(PID_FILE.read_text())
        if "demo.py" in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
            return pid
    except (OSError, ValueError):
        pass
    return None


def stop():
    pid = running_pid()
    if pid is None:
        print("no demo is running")
        return 0
    os.kill(pid, signal.SIGTERM)
    while running_pid() is not None:
        time.sleep(0.05)
    print("the demo is stopped")
    return 0


def show(world):
    """Every step with its time; whether all were seen to work."""
    for letter, step in STEPS.items():
        begun = time.monotonic()
        print(f"{letter}. {step.title} ... ", end="", flush=True)
        try:
            sentence = world.run(letter) if letter not in world.done else ""
        except Exception as problem:
            print(f"FAILED after {time.monotonic() - begun:.1f} s\n{problem}")
            return False
        print(f"ok ({time.monotonic() - begun:.1f} s)\n     {sentence}", flush=True)
    return True


def own_users():
    """Whether this network came with a user namespace: somebody who is not root started it."""
    return pathlib.Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]


def leave_running(world):
    PID_FILE.write_text(str(os.getpid()))
    ctl = os.path.relpath(BUILD / "clusterctl")
    folder = os.path.relpath(FOLDER)
    print(f"""
The cluster goes on. Look at it from another terminal:
  {ctl} -s {folder}/hq.sock nodes
  {ctl} -s {folder}/hq.sock registrations
  {ctl} -s {folder}/harbour.sock route explain 8123
  {ctl} -s {folder}/hq.sock plan show
  {ctl} -s {folder}/factory.sock plan log
Its network is its own; a shell inside, for a phone or curl http://127.0.1.1:8080/metrics:
  {'nsenter --user --preserve-credentials --net' if own_users() else 'nsenter --net'} -t {os.getpid()}
Stop it with Ctrl-C here, or: ./run demo stop""", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    print("stopping")


def main():
    if sys.argv[1:] == ["stop"]:
        return stop()
    if sys.argv[1:] not in ([], ["--once"]):
        print("usage: ./run demo [--once | stop]", file=sys.stderr)
        return 2
    if running_pid() is not None:
        print("a demo is running already; stop it with: ./run demo stop", file=sys.stderr)
        return 1
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    shutil.rmtree(FOLDER, ignore_errors=True)
    begun = time.monotonic()
    with World(FOLDER) as world:
        worked = show(world)
        if worked:
            print(f"every step was seen to work, in {time.monotonic() - begun:.0f} s", flush=True)
        if worked and sys.argv[1:] == []:
            leave_running(world)
    PID_FILE.unlink(missing_ok=True)
    return 0 if worked else 1


if __name__ == "__main__":
    sys.exit(main())
