"""The network namespace in which everything runs: links are cut by firewall rules that exist nowhere else."""
import json
import os
import subprocess
import time


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


class Meter:
    """Counts what each node sends over its mesh links: bytes of IP packets. A context."""

    def __init__(self, nodes):
        self.nodes = {n.name: n for n in nodes}

    def __enter__(self):
        rules = "".join(f"add rule ip tandem_meter sent ip saddr {n.address} tcp {port} 7400 counter comment \"{name}\"\n"
                        for name, n in self.nodes.items() for port in ("sport", "dport"))
        _nft("add table ip tandem_meter\nflush table ip tandem_meter\n"
             "add chain ip tandem_meter sent { type filter hook output priority 0; }\n" + rules)
        return self

    def __exit__(self, *_):
        _nft("delete table ip tandem_meter\n")

    def bytes(self):
        """name -> bytes sent so far."""
        out = subprocess.run(["nft", "-j", "list", "table", "ip", "tandem_meter"], capture_output=True, text=True, check=True)
        sent = {name: 0 for name in self.nodes}
        for item in json.loads(out.stdout)["nftables"]:
            if "rule" in item:
                counter = next(e["counter"] for e in item["rule"]["expr"] if "counter" in e)
                sent[item["rule"]["comment"]] += counter["bytes"]
        return sent

    def over(self, seconds):
        """name -> bytes sent per second, in so many seconds from now on."""
        before, begin = self.bytes(), time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - begin
        return {name: (sent - before[name]) / passed for name, sent in self.bytes().items()}
