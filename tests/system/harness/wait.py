"""Waiting for events. Nothing here sleeps for a fixed time: each look is short, and the first success ends the wait."""
import os
import signal
import subprocess
import time


class Timeout(AssertionError):
    pass


def until(look, what, timeout=10.0, every=0.02):
    """The first true value of look(); after timeout a failure that says what was waited for and what was last seen."""
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = look()
            if value:
                return value
            last = value
        except Exception as problem:  # not there yet: a socket that is not open, a file that is not written
            last = problem
        if time.monotonic() > end:
            raise Timeout(f"waited {timeout:.0f} s for {what}; last seen: {last!r}")
        time.sleep(every)


def end(process, timeout=20):
    """Ends a program that was started, if it still runs: asked first, then killed, with its children where it leads a
    session: those of a Kamailio that hangs would keep its sockets."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=timeout)
    except subprocess.TimeoutExpired:
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
