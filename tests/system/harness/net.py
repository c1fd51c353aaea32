"""The network namespace in which everything runs: links are cut by firewall rules that exist nowhere else."""
import os
import subprocess


def own_network():
    """True when this process has a network of its own (./run makes one with unshare)."""
    return os.readlink("/proc/self/ns/net") != _init_network()


def _init_network():
    try:
        return os.readlink("/proc/1/ns/net")
    except OSError:
        return None


def _nft(script):
    subprocess.run(["nft", "-f", "-"], input=script, text=True, check=True, capture_output=True)


class Cuts:
    """Cut links between two addresses (or networks), both ways or one way."""

    def __init__(self):
        _nft("add table ip tandem_test\n"
             "flush table ip tandem_test\n"
             "add chain ip tandem_test cuts { type filter hook input priority 0; }\n")

    def cut(self, a, b, both=True):
        _nft(f"add rule ip tandem_test cuts ip saddr {a} ip daddr {b} drop\n" +
             (f"add rule ip tandem_test cuts ip saddr {b} ip daddr {a} drop\n" if both else ""))

    def heal(self):
        _nft("flush chain ip tandem_test cuts\n")


class Walls:
    """Addresses that can open connections, and to which nobody can open one. A context."""

    def __enter__(self):
        _nft("add table ip tandem_test\n"
             "add chain ip tandem_test walls { type filter hook input priority 0; }\n"
             "flush chain ip tandem_test walls\n")
        return self

    def wall(self, address, port):
        _nft(f"add rule ip tandem_test walls ip daddr {address} tcp dport {port} ct state new drop\n")

    def __exit__(self, *_):
        _nft("flush chain ip tandem_test walls\n")
