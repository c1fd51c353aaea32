"""A home router: a network namespace that masquerades another one, in which phones are. The node sees the router's address."""
import ctypes
import os
import socket
import subprocess
import threading

CLONE_NEWNET = 0x40000000
NODE, OUTER, INNER, PHONE = "10.77.0.1", "10.77.0.2", "192.168.77.1", "192.168.77.10"


def _run(*command, script=None):
    subprocess.run([str(c) for c in command], input=script, text=True, check=True, capture_output=True)


class _Space:
    """A network namespace, held by a process of ours."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 3600"], stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"
        self.run("ip", "link", "set", "lo", "up")

    @property
    def path(self):
        return f"/proc/{self.holder.pid}/ns/net"

    def run(self, *command, script=None):
        _run("nsenter", f"--net={self.path}", *command, script=script)

    def socket(self, kind):
        """A socket in it: a thread goes there for as long as it takes."""
        made = []

        def there():
            libc = ctypes.CDLL(None, use_errno=True)
            with open(self.path) as space, open("/proc/thread-self/ns/net") as home:
                if libc.setns(space.fileno(), CLONE_NEWNET) == 0:
                    made.append(socket.socket(socket.AF_INET, kind))
                    libc.setns(home.fileno(), CLONE_NEWNET)
        thread = threading.Thread(target=there)
        thread.start()
        thread.join()
        assert made, "the namespace cannot be entered"
        return made[0]

    def close(self):
        self.holder.kill()
        self.holder.wait()


class Nat:
    """The router and the network behind it. ports: what it gives to the phones' packets. A context."""

    def __enter__(self):
        self.router, self.home = _Space(), _Space()
        _run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "outer", "netns", str(self.router.holder.pid))
        _run("ip", "address", "add", f"{NODE}/24", "dev", "up0")
        _run("ip", "link", "set", "up0", "up")
        self.router.run("ip", "link", "add", "inner", "type", "veth", "peer", "name", "eth0", "netns", str(self.home.holder.pid))
        for name, address in (("outer", OUTER), ("inner", INNER)):
            self.router.run("ip", "address", "add", f"{address}/24", "dev", name)
            self.router.run("ip", "link", "set", name, "up")
        self.home.run("ip", "address", "add", f"{PHONE}/24", "dev", "eth0")
        self.home.run("ip", "link", "set", "eth0", "up")
        self.home.run("ip", "route", "add", "default", "via", INNER)
        self.router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.masquerade("20000-20099")
        return self

    def __exit__(self, *_):
        self.home.close()
        self.router.close()
        subprocess.run(["ip", "link", "del", "up0"], capture_output=True)  # it may have gone with its other end

    def masquerade(self, ports):
        self.router.run("nft", "-f", "-", script=(
            "add table ip home\nflush table ip home\n"
            "add chain ip home out { type nat hook postrouting priority 100; }\n"
            "add chain ip home in { type filter hook forward priority 0; }\n"
            f"add rule ip home out oifname outer ip protocol udp masquerade to :{ports}\n"
            "add rule ip home out oifname outer masquerade\n"
            "add rule ip home in iifname outer ct state new drop\n"))

    def expire_after(self, seconds):
        """UDP mappings are forgotten so long after the last packet."""
        for name in ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"):
            self.router.run("sh", "-c", f"echo {seconds} > /proc/sys/net/netfilter/{name}")

    def forget(self):
        """All mappings are forgotten now: what masquerading does when its line goes down."""
        self.router.run("ip", "link", "set", "outer", "down")
        self.router.run("ip", "link", "set", "outer", "up")

    def phone(self, port=5060, kind=socket.SOCK_DGRAM):
        """A socket of a phone."""
        s = self.home.socket(kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((PHONE, port))
        return s
