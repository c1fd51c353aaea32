"""The operations page of real nodes: what it says of verdict, nodes, trunks and plan, and what it says to nobody."""
import base64
import hashlib
import html.parser
import http.client
import re
import xml.etree.ElementTree

import pytest

from harness.cluster import Cluster
from harness.peer import Caller, Peer, code_of
from harness.sipp import Sipp
from harness.wait import until

HQ, FACTORY = "127.0.85.1", "127.0.86.1"
CALLER, PBX, GONE = "127.0.85.10", "127.0.85.11", "127.0.86.12"
NUMBER, CALLER_NUMBER, CALL_ID = "6135791", "4915799001", "a-call-nobody-reads"
PLAN = f"""plan: 1
defaults: {{ domain: page.example, digest: [md5] }}
sites:
  hq:      {{ blocks: ["6"] }}
  factory: {{ blocks: ["7"] }}
trunks:
  caller: {{ site: hq, address: ["{CALLER}:5060"], trust: ["{CALLER}/32"] }}
  pbx:    {{ site: hq, address: ["{PBX}:5060"], trust: ["{PBX}/32"], probe: 1s, calls: 30 }}
accounts:
  "6077": {{ password: "secret", site: hq }}
routes:
  - {{ match: "6", to: trunk/pbx }}
"""
MISSING = f"""plan: 1
trunks:
  gone: {{ site: factory, address: ["{GONE}:5060"], probe: 1s }}
"""
VOID = {"meta"}


class Document(html.parser.HTMLParser):
    """Fails where an element is not closed; keeps the text of each, by tag and class."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.texts, self.rows = [], {}, []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "link", "img", "iframe", "form"), tag
        assert not [name for name, value in attrs if name in ("src", "href", "style") or name.startswith("on")], attrs
        if tag == "li":
            self.rows.append((dict(attrs).get("class"), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert "svg" in self.open, tag

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (self.open, tag)

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag] = self.texts.get(tag, "") + data
        if "li" in self.open:
            kind, text = self.rows[-1]
            self.rows[-1] = (kind, text + data)

    def row(self, name):
        """(class, text) of the row that begins with the name."""
        return [r for r in self.rows if re.match(rf"\W*{re.escape(name)} ", r[1])][0]


def get(node, path="/", host=None, method="GET"):
    connection = http.client.HTTPConnection(node.address, 8080, timeout=20)
    try:
        connection.request(method, path, headers={"Host": host or f"{node.address}:8080"})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def page(node):
    status, _, text = get(node)
    assert status == 200, text
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        xml.etree.ElementTree.fromstring(svg)
    return Document(text)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("page")) as two:
        hq = two.add("hq", "hq", HQ)
        two.add("factory", "factory", FACTORY, seeds=[hq.mesh])
        two.wait_linked()
        with Peer(PBX) as pbx:
            two.pbx = pbx
            hq.apply(PLAN, "test", "--allow", "all")
            two.wait_linked()
            yield two


def test_says_what_status_says(cluster):
    hq = cluster.nodes["hq"]
    until(lambda: page(hq).row("pbx")[0] == "well", "the trunk to be up")
    with Sipp("uac", CALLER, 5060, f"{HQ}:5060", dialled=NUMBER, caller=CALLER_NUMBER) as uac:
        uac.wait()
    with Caller(CALLER, HQ) as caller:
        assert code_of(caller.invite(NUMBER, CALL_ID)) == 200
        seen = until(lambda: (d := page(hq)) and "1 / 30 calls" in d.row("pbx")[1] and "in step" in d.row("factory")[1] and d,
                     "the call to be counted")
        caller.bye(CALL_ID)
    status = hq.status()
    assert seen.texts["h1"] == status["verdict"] == "ok"
    assert seen.texts["title"].startswith("ok \u00b7 hq")
    assert seen.row("hq")[0] == seen.row("factory")[0] == "well"
    assert "Nodes alive2 of 2" in seen.texts["dl"] and status["plan_digest"][:12] in seen.texts["dl"]
    _, _, text = get(hq)
    for secret in (NUMBER, CALLER_NUMBER, CALL_ID, "6077", "sip:"):
        assert secret not in text, secret
    work = {"requests", "responses", "forwarded", "calls_started", "calls_answered", "calls_written", "udp_received", "udp_sent",
            "messages_sent", "messages_received", "plan_commits", "state_commits", "state_applied", "probes", "answers", "turns"}
    counted = {r["name"] for r in hq.ctl("counters") if r["value"] > 0}
    assert work <= counted and not work & set(re.findall(r"</span> (\w+)</dd>", text)), "ordinary work is no trouble"


def test_a_trunk_that_is_down_and_what_is_refused(cluster):
    hq, factory = cluster.nodes["hq"], cluster.nodes["factory"]
    hq.apply(MISSING, "test", "--allow", "all")
    for node in (hq, factory):
        row = until(lambda: (r := page(node).row("gone"))[0] == "bad" and r[1], "the trunk to be down")
        assert re.search(r"down since \d\d:\d\d:\d\d: nothing listens there", row), row
    shown = until(lambda: (d := page(factory)).texts["h1"] != "ok" and d, "the verdict of its node")
    assert shown.texts["h1"] == factory.status()["verdict"] == "trunk gone is down (nothing listens there): see clusterctl trunks"
    with Caller(CALLER, HQ) as caller:
        assert code_of(caller.invite("9999", "nowhere")) == 404
    text = until(lambda: "refused_no_target" in (t := page(hq).texts["dl"]) and t, "the refusal to be shown")
    assert "9999" not in text
    hq.apply("plan: 1\nremove: [\"trunk/gone\"]\n", "test", "--allow", "all")


def test_who_may_see_it(cluster):
    hq = cluster.nodes["hq"]
    refused = hq.counter("http", "host_refused")
    for host in ("localhost", "localhost:8080", "hq-1", "127.0.0.1", "[::1]:8080"):
        assert get(hq, host=host)[0] == 200, host
    for host in ("page.attacker.example", "hq.example.org:8080", "127.0.0.1.nip.io", "localhost."):
        status, headers, text = get(hq, host=host)
        assert status == 403 and "Host" in text and "localhost" in text and "verdict" not in text, host
        assert headers["Content-Type"].startswith("text/plain")
        assert get(hq, "/metrics", host=host)[0] == get(hq, "/healthz", host=host)[0] == 200
    assert hq.counter("http", "host_refused") == refused + 4
    status, headers, body = get(hq, method="HEAD")
    assert status == 200 and not body and int(headers["Content-Length"]) > 1000
    status, _, text = get(hq, "/nothing")
    assert status == 404 and text == "There is no such page. There are /, /metrics and /healthz.\n"


def test_a_browser_may_do_nothing_with_it(cluster):
    _, headers, text = get(cluster.nodes["hq"])
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert headers["Content-Security-Policy"] == (f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
                                                  "form-action 'none'; frame-ancestors 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store" and headers["Content-Type"] == "text/html; charset=utf-8"
    assert re.search(r'<meta http-equiv="refresh" content="\d+">', text)


def test_a_node_that_is_gone(cluster):
    hq, factory = cluster.nodes["hq"], cluster.nodes["factory"]
    factory.kill()
    until(lambda: (r := page(hq).row("factory"))[0] in ("warn", "bad") and re.search(r"(suspect|dead) for ", r[1]),
          "factory to be missed")
    seen = until(lambda: (d := page(hq)) and "1 of 2 nodes cannot be reached (factory)" in d.texts["h1"] and d, "the verdict")
    assert "Nodes alive1 of 2" in seen.texts["dl"]
    until(lambda: 'class="link broken"' in get(hq)[2], "the link to be drawn broken")
    factory.start()
    until(lambda: page(hq).texts["h1"] == "ok", "all to be well again", 30)
