"""The federation group: rows of the simulator, then the same questions put to real nodes."""
import real
import simulated

MEASUREMENTS = {
    "spread": simulated.spread,
    "detect": simulated.detect,
    "idle": simulated.idle,
    "heal": simulated.heal,
    "loss": simulated.loss,
    "real-changes": real.changes,
    "real-registrations": real.registrations,
    "real-idle": real.idle,
    "real-heal": real.heal,
    "real-behind": real.behind,
    "real-snapshot": real.snapshot,
}


def federation(arguments):
    for name in arguments.only or MEASUREMENTS:
        MEASUREMENTS[name]()


def hours(arguments):
    simulated.node_hours(arguments.node_hours, arguments.seed, arguments.jobs)
