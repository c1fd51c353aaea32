"""Two nodes of one site, and who registers there: devices that are called by an address of their own, sipp, and Kamailio as a
gateway through its uac module."""
import pathlib
import re
import subprocess

import pytest

from harness.cluster import Cluster
from harness.digest import Client, challenges, code, proof
from harness.raw import Call, Message, Peer
from harness.sipp import Sipp, listening
from harness.wait import end, until

ONE, TWO = "127.0.73.1", "127.0.73.2"
PBX, PHONE, GATEWAY, BEHIND, SIPP = "127.0.73.10", "127.0.73.20", "127.0.73.30", "127.0.73.31", "127.0.73.40"
HERE = pathlib.Path(__file__).resolve().parent
MANY = range(7000, 7050)
PLAN = f"""plan: 1
defaults: {{ domain: test.example, digest: [md5, sha-256] }}
sites:
  hq: {{ blocks: ["6"] }}
trunks:
  pbx: {{ site: hq, address: ["{PBX}:5060"], trust: ["{PBX}/32"] }}
accounts:
  "6001": {{ password: "right", max_contacts: 4 }}
  gateway: {{ password: "right", numbers: ["65"] }}
{chr(10).join(f'  "{name}": {{ password: "right", max_contacts: 2 }}' for name in MANY)}
routes:
  - {{ match: "6", to: trunk/pbx }}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("site")) as two:
        one = two.add("one", "hq", ONE)
        two.add("two", "hq", TWO, seeds=[one.mesh])
        two.wait_linked()
        one.apply(PLAN, "test", "--allow", "all")
        two.wait_linked()
        yield two


class Device(Client):
    """A telephone of account 6001; what calls it is told apart by its port."""

    def __init__(self, node, name, port):
        super().__init__(node, PHONE)
        self.name, self.own = name, port
        self.addresses = {}

    def enrol(self, expires=600):
        contact = (f'Contact: <sip:6001@{PHONE}:{self.own}>;+sip.instance="<urn:uuid:{self.name}>";expires={expires}\r\n'
                   "Supported: gruu\r\n")
        answer = self.register("6001", "right", contact=contact)
        assert code(answer) == 200, answer
        for line in re.findall(r"(?m)^Contact: .*", answer):
            if f"<urn:uuid:{self.name}>" in line:
                self.addresses = dict(re.findall(r'(pub-gruu|temp-gruu)="([^"]*)"', line))
        return self


def known(site, count):
    """Both nodes know of so many contacts."""
    def look():
        for node in site.nodes.values():
            rows = [r for r in node.ctl("registrations") if r["account"] == "6001"]
            assert len(rows) == count, rows
        return True
    until(look, f"{count} contacts to be known")


def code_of(pbx, uri):
    """What a call to it is answered when it does not get through."""
    text = pbx.request("INVITE", uri)
    pbx.send(text)
    answer = pbx.final(call_id=Message(text.encode()).get("Call-ID"))
    pbx.ack(text, answer)
    return answer.code


def test_an_address_of_one_device(site):
    with Device(ONE, "aaa", 5071) as a, Device(TWO, "bbb", 5072) as b, Peer(PHONE, 5071) as phone_a, \
            Peer(PHONE, 5072) as phone_b, Peer(PBX, node=ONE) as pbx:
        a.enrol()
        b.enrol()
        known(site, 2)
        assert b.addresses["pub-gruu"] == "sip:6001@test.example;gr=urn:uuid:bbb"
        calls = {phone_a: set(), phone_b: set()}
        for device, phone in ((a, phone_a), (b, phone_b)):
            for uri in device.addresses.values():
                text = pbx.request("INVITE", uri)
                call_id = Message(text.encode()).get("Call-ID")
                calls[phone].add(call_id)
                pbx.send(text)
                invite = phone.expect("INVITE", call_id=call_id)
                assert invite.uri == f"sip:6001@{PHONE}:{device.own}"
                phone.reply(invite, 486)
                pbx.ack(text, pbx.expect(486, call_id=call_id))
                phone.expect("ACK", call_id=call_id)
        for phone, own in calls.items():
            while (again := phone.receive(0.1)) is not None:
                assert again.get("Call-ID") in own, "the other device was called too"
        # a temporary one is good while the registration is the same
        was = b.addresses["temp-gruu"]
        b.enrol()
        assert b.addresses["temp-gruu"] != was
        b.call_id = "another"
        b.enrol()
        assert code_of(pbx, was) == 404
        now = b.addresses["temp-gruu"]
        for device in (a, b):
            device.enrol(expires=0)
        known(site, 0)
        assert [code_of(pbx, uri) for uri in (b.addresses["pub-gruu"], now)] == [480, 404]
        assert code_of(pbx, "sip:6099@test.example;gr=urn:uuid:bbb") == 404
        assert code_of(pbx, now.replace("tgruu.", "tgruu.A")) == 404


def test_a_call_follows_its_device(site):
    """Its address is the contact of a call; within that the device goes over to the other node."""
    with Device(TWO, "bbb", 5072) as b, Peer(PHONE, 5072) as phone, Peer(PHONE, 5073) as moved, Peer(PBX, node=ONE) as pbx:
        address = b.enrol().addresses["pub-gruu"]
        known(site, 1)
        text = pbx.request("INVITE", address)
        sent = Message(text.encode())
        call_id = sent.get("Call-ID")
        pbx.send(text)
        phone.reply(phone.expect("INVITE", call_id=call_id), 200, contact=address)
        answer = pbx.expect(200, call_id=call_id)
        inside = {"call_id": call_id, "from_": sent.get("From"), "to": answer.get("To")}
        routes = [f"Route: {value}" for value in reversed(answer.all("Record-Route"))]
        pbx.send(pbx.request("ACK", address, *routes, **inside))
        assert phone.expect("ACK", call_id=call_id).uri == f"sip:6001@{PHONE}:5072"
        with Device(ONE, "bbb", 5073) as again:
            again.enrol()
            known(site, 2)
            pbx.send(pbx.request("BYE", address, *routes, cseq=2, **inside))
            bye = moved.expect("BYE", call_id=call_id)
            assert bye.uri == f"sip:6001@{PHONE}:5073"
            moved.reply(bye, 200)
            pbx.expect(200, call_id=call_id)
            again.enrol(expires=0)
        b.enrol(expires=0)
        known(site, 0)


def test_who_moved_is_called_where_it_is_now(site):
    """The registration that it left at the first node holds for a while, and is tried last."""
    with Client(ONE, PHONE) as first, Client(TWO, PHONE) as second, Peer(PHONE, 5081) as old, Peer(PHONE, 5082) as new:
        for client, port in ((first, 5081), (second, 5082)):
            assert code(client.register("7000", "right", contact=f"Contact: <sip:7000@{PHONE}:{port}>\r\n")) == 200
        until(lambda: len(site.nodes["one"].ctl("registrations")) == 2, "both to be known")
        for node in (ONE, TWO):
            with Peer(PBX, node=node) as pbx:
                text = pbx.request("INVITE", "sip:7000@test.example")
                pbx.send(text)
                new.reply(new.expect("INVITE", call_id=Message(text.encode()).get("Call-ID")), 486)
                pbx.ack(text, pbx.expect(486))
        assert old.receive(0.1) is None
        for client, port in ((first, 5081), (second, 5082)):
            client.register("7000", "right", contact=f"Contact: <sip:7000@{PHONE}:{port}>;expires=0\r\n")


def proof_for(client, node, count=1):
    """Once more with what the client knows, at that node."""
    client.node = node
    contact = f"Contact: <sip:6001@{client.source}:{client.port}>\r\n"
    return client.ask("6001", proof(client.challenge, "6001", "right", "REGISTER", "sip:test.example", count, client.cnonce),
                      contact)


def test_a_proof_is_good_once(site):
    """At the node that made the nonce by its count; at the other one, and after a restart, the first one alone."""
    one, two = site.nodes["one"], site.nodes["two"]
    with Client(ONE, PHONE) as c:
        assert c.learn("6001")
        assert [code(proof_for(c, ONE, count)) for count in (1, 1, 2)] == [200, 401, 200]
        before = two.counter("edge", "auth_elsewhere")
        for count in (2, 3):  # read off the wire
            answer = proof_for(c, TWO, count)
            assert code(answer) == 401 and "stale=true" in answer
        assert two.counter("edge", "auth_elsewhere") == before + 2
        # a client whose answer is led to the other node, by a name with two addresses or by what stands before them
        for first, second in ((ONE, TWO), (TWO, ONE)):
            c.node = first
            assert c.learn("6001")
            assert [code(proof_for(c, second)) for _ in range(2)] == [200, 401]
        # challenged once more, it goes on with a nonce of that node
        c.node = ONE
        assert c.learn("6001")
        answer = proof_for(c, TWO, 7)
        c.challenge = challenges(answer)[0]
        assert [code(proof_for(c, TWO, count)) for count in (1, 2)] == [200, 200]
        c.node = ONE
        assert c.learn("6001")
        assert code(proof_for(c, ONE)) == 200
        one.kill()
        one.start()
        site.wait_linked()
        assert code(proof_for(c, ONE, 2)) == 401
        contact = f"Contact: <sip:6001@{c.source}:{c.port}>;expires=0\r\n"
        for c.node in (ONE, TWO):
            assert code(c.register("6001", "right", contact=contact)) == 200
    known(site, 0)


def test_registrations_by_sipp(site, tmp_path):
    """Fifty accounts at once, each from its first contact to the last: 423, two contacts, a query, the wildcard."""
    one = site.nodes["one"]
    before = one.counters("registrar")
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("SEQUENTIAL\n" + "".join(
        f"{name};[authentication username={name} password=right];\n" for name in MANY))
    with Sipp("registrar", SIPP, 5060, one.sip, calls=len(MANY), args=["-r", "20", "-inf", accounts]) as run:
        run.wait()
    after = one.counters("registrar")
    for name, times in (("registered", 2), ("removed", 1), ("queries", 1), ("refused_too_brief", 1)):
        assert after[name] - before[name] == times * len(MANY), name
    assert one.ctl("registrations") == []


@pytest.fixture
def gateway(tmp_path):
    """Kamailio, which registers by itself."""
    tables = tmp_path / "tables"
    tables.mkdir()
    shipped = pathlib.Path("/usr/share/kamailio/dbtext/kamailio")
    (tables / "version").write_text((shipped / "version").read_text())
    columns = (shipped / "uacreg").read_text().splitlines()[0].replace("(string)", "(string,null)")
    values = {"id": "1", "l_uuid": "one", "l_username": "gateway", "l_domain": "test.example", "r_username": "gateway",
              "r_domain": "test.example", "realm": "test.example", "auth_username": "gateway", "auth_password": "right",
              "auth_ha1": "", "auth_proxy": f"sip\\:{ONE}\\:5060", "expires": "60", "flags": "0", "reg_delay": "0",
              "contact_addr": "", "socket": ""}
    (tables / "uacreg").write_text(columns + "\n" + ":".join(values[name] for name in re.findall(r"(\w+)\(", columns)) + "\n")
    text = (HERE / "uac.cfg").read_text()
    for word, value in (("OWN", GATEWAY), ("NODE", ONE), ("PHONE", BEHIND), ("USER", "gateway"), ("PASSWORD", "right"),
                        ("DOMAIN", "test.example"), ("TABLES", str(tables))):
        text = re.sub(rf"\b{word}\b", value, text)
    (tmp_path / "kamailio.cfg").write_text(text)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["kamailio", "-f", tmp_path / "kamailio.cfg", "-DD", "-E", "-w", tmp_path, "-Y", tmp_path,
                                    "-P", tmp_path / "pid", "-m", "64"], start_new_session=True, stdout=log, stderr=log)
    try:
        until(lambda: listening(GATEWAY, 5060) or process.poll() is not None, "kamailio to listen", 20)
        assert process.poll() is None, (tmp_path / "log").read_text(errors="replace")[-2000:]
        yield process
    finally:
        end(process)


def test_kamailio_registers(site, gateway):
    """Its numbers are called by way of either node, and it calls with its own credentials."""
    one, two = site.nodes["one"], site.nodes["two"]
    until(lambda: [r["account"] for r in two.ctl("registrations")] == ["gateway"], "kamailio to be registered", 20)
    with Peer(BEHIND, node=GATEWAY) as phone:
        for node in (ONE, TWO):
            with Peer(PBX, node=node) as pbx:
                call = Call(pbx, phone, "6512")
                assert call.invite.uri.startswith("sip:6512@"), call.invite.uri
                call.end()
        with Peer(PBX, node=ONE) as pbx:
            call = Call(phone, pbx, "6100")
            assert call.invite.get("P-Asserted-Identity") == "<sip:gateway@test.example>"
            call.end()
        # a call of an earlier test may stand before it: it goes on where its end was not on disk when the node was killed
        until(lambda: [r for r in one.ctl("calls") if r["call_id"] == call.call_id][0]["source"] == "account/gateway",
              "the record of its call")
