"""baresip through a node by UDP, TCP and TLS: two phones hear each other, in the clear, and with SRTP and video."""
import pytest

from harness import tone
from harness.cluster import Cluster
from harness.phone import Phone
from harness.wait import until

NODE = "127.0.4.1"
PLAN = """plan: 1
defaults: { domain: phones.example, digest: [md5] }
sites:
  here: { blocks: ["6"] }
accounts:
  "6001": { password: "one" }
  "6002": { password: "two" }
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("phones")) as one:
        one.add("one", "here", NODE).apply(PLAN, "test")
        yield one


@pytest.mark.parametrize("transport, port, secure", [("udp", 5060, False), ("tcp", 5060, False), ("tls", 5061, False),
                                                     ("udp", 5060, True), ("tls", 5061, True)],
                         ids=["udp", "tcp", "tls", "udp-srtp-video", "tls-srtp-video"])
def test_two_phones_hear_each_other(cluster, tmp_path, transport, port, secure):
    node = cluster.nodes["one"]
    keys = {"transport": transport, "srtp": secure, "video": secure, "ca": cluster.ca / "ca.pem"}
    with Phone(tmp_path / "one", "6001", "one", f"{NODE}:{port}", "127.0.4.61", 440, **keys) as one, \
            Phone(tmp_path / "two", "6002", "two", f"{NODE}:{port}", "127.0.4.62", 1000, **keys) as two:
        assert all(r["received"].startswith(f"{transport}:") for r in node.ctl("registrations"))
        one.dial("6002", f"{NODE}:{port};transport={transport}")
        until(lambda: one.in_call() and two.in_call(), f"the call to be established\n{one.text()[-1500:]}", 20)
        until(lambda: all(len(p.heard()[1]) > 2 * tone.RATE for p in (one, two)), "two seconds of sound", 30)
        one.hang_up()
        until(lambda: node.ctl("status")[0]["calls"] == 0, "the call to end", 10)
    for phone, other in ((one, two), (two, one)):
        rate, samples = phone.heard()
        assert tone.share(samples, rate, other.hertz) > 0.5, phone.text()[-2000:]
        if secure:
            assert "SRTP" in phone.text() or "srtp" in phone.text(), phone.text()[-3000:]
            assert "VP8" in phone.text(), phone.text()[-3000:]
