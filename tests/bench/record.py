"""record.py TANDEMD: the load by whose counts "./run build --profiled" compiles: calls by UDP and TCP through a plan of 100,000
routes, and registrations with their challenges. A node built to record keeps its counts when it ends."""
import pathlib
import sys
import tempfile

import edge
import registration
import rivals

CALLS, CALLS_TCP, CALL_RATE = 3000, 500, 200
ACCOUNTS, REGISTRATION_RATE = 1000, 200


def calls(binary, folder):
    edge.write_numbers(folder)
    tandem = rivals.Tandem(folder)
    tandem.node.binary = binary
    with edge.up(tandem, folder):
        edge.load(folder, CALLS, CALL_RATE)
        edge.load(folder, CALLS_TCP, CALL_RATE, transport="t1")


def registrations(binary, folder):
    tandem = registration.Tandem(folder, ACCOUNTS)
    tandem.node.binary = binary
    tandem.start()
    try:
        with registration.storm() as storm:
            for _ in range(3):
                assert storm.register([registration.user(i) for i in range(ACCOUNTS)], timeout=120, rate=REGISTRATION_RATE)
    finally:
        tandem.stop()


def main(binary):
    for part in (calls, registrations):
        with tempfile.TemporaryDirectory(prefix="record-") as folder:
            part(binary, pathlib.Path(folder))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
