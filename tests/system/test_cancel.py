"""Why a phone stops ringing: it is told with the CANCEL (RFC 3326), also across the mesh, and shows no missed call for one
that was answered at another phone."""
import pytest

from harness.digest import challenges, proof
from harness.federation import Federation, host, registrations
from harness.raw import Message, Peer
from harness.wait import until

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
USER = "2100"  # of site b


@pytest.fixture(scope="module")
def fed(tmp_path_factory):
    with Federation(tmp_path_factory.mktemp("cancel"), count=2) as two:
        two.nodes["a"].apply(f'plan: 1\naccounts: {{ "{USER}": {{ password: "secret", site: b, max_contacts: 2 }} }}\n'
                             f'routes: [ {{ match: "={USER}", to: account/{USER} }} ]\n', "two phones")
        two.wait_same()
        yield two


def registered(node, last):
    """A phone of the account; there are several."""
    phone, uri, us = Peer(host(node, last), node=node.address), "sip:test.example", f"<sip:{USER}@test.example>"
    challenge = phone.ask("REGISTER", uri, from_=us + ";tag=r", to=us)
    credentials = proof(challenges(challenge.data.decode())[0], USER, "secret", "REGISTER", uri).strip()
    assert phone.ask("REGISTER", uri, credentials, from_=us + ";tag=r", to=us).code == 200
    return phone


@pytest.fixture(scope="module")
def phones(fed):
    with registered(fed.nodes["b"], 20) as one, registered(fed.nodes["b"], 21) as other:
        until(lambda: len(registrations(fed.nodes["a"]).get(USER, [])) == 2, "the caller's node to know both phones")
        yield one, other


@pytest.fixture(scope="module")
def caller(fed):
    a = fed.nodes["a"]
    with Peer(host(a, 11), node=a.address) as trunk:
        yield trunk


def ring(caller, phones):
    """The text of an INVITE from the other site, and what of it came to the phones, which ring."""
    text = caller.request("INVITE", f"sip:{USER}@test.example")
    call_id = Message(text.encode()).get("Call-ID")
    caller.send(text)
    came = [phone.expect("INVITE", call_id=call_id) for phone in phones]
    for phone, invite in zip(phones, came):
        phone.reply(invite, 180, tag=phone.address)
        caller.expect(180, call_id=call_id)
    return text, came


def cancelled(phone, invite):
    """The Reason lines of the CANCEL that it gets."""
    cancel = phone.expect("CANCEL", call_id=invite.get("Call-ID"))
    phone.reply(cancel, 200)
    phone.reply(invite, 487, tag=phone.address)
    phone.expect("ACK", call_id=invite.get("Call-ID"))
    return cancel.all("Reason")


@pytest.mark.parametrize("code, why", [(200, ELSEWHERE), (603, 'SIP;cause=603;text="Decline"')])
def test_one_phone_decides_for_the_other(caller, phones, code, why):
    text, (first, second) = ring(caller, phones)
    phones[0].reply(first, code, tag=phones[0].address)
    assert cancelled(phones[1], second) == [why]
    caller.expect(code, call_id=first.get("Call-ID"))


def test_what_the_caller_says_reaches_the_phones(caller, phones):
    text, came = ring(caller, phones)
    said = ['Q.850;cause=16;text="Normal call clearing"', "SIP;cause=487"]
    cancel = text.replace("INVITE sip", "CANCEL sip", 1).replace("1 INVITE", "1 CANCEL")
    caller.send(cancel.replace("Content-Length", "".join(f"Reason: {why}\r\n" for why in said) + "Content-Length"))
    assert [cancelled(phone, invite) for phone, invite in zip(phones, came)] == [said, said]
    caller.ack(text, caller.expect(487, call_id=came[0].get("Call-ID")))
