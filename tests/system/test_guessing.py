"""A password guesser and an enumerator against a cluster: they find nothing, are seen, and are shut out everywhere, while
those who belong there get in."""
import re

import pytest

from harness.cluster import Cluster
from harness.digest import Client, code
from harness.phone import Phone
from harness.wait import until

HERE, THERE = "127.0.55.1", "127.0.55.2"
PLAN = """plan: 1
defaults: { domain: test.example, digest: [md5] }
sites:
  here: { blocks: ["6"] }
  there: { blocks: ["8"] }
trunks:
  pbx: { site: here, address: ["127.0.55.90:5060"], trust: ["127.0.55.90/32"], probe: "0" }
accounts:
  "6001": { password: "right", max_contacts: 8 }
  "6002": { password: "right", disabled: true }
  "6003": { password: "right", site: there }
  "6004": { password: "right", max_contacts: 8 }
"""


LISTS = ("bans", "registrations --failed")


def table(node, words):
    return node.run("-o", "csv", *words.split()).stdout.splitlines()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("guessing")) as made:
        made.add("here", "here", HERE).apply(PLAN, "test", "--allow", "all")
        made.add("there", "there", THERE, seeds=[f"{HERE}:7400"])
        made.wait_linked()
        made.empty = {words: table(made.nodes["here"], words) for words in LISTS}
        yield made


@pytest.fixture
def here(cluster):
    return cluster.nodes["here"]


def bare(answer):
    """What of an answer does not repeat the request."""
    return re.sub(r"(?m)^(Via|From|To|Call-ID|CSeq): .*\r\n", lambda m: m.group(1) + "\r\n", answer)


def failed(node, source):
    return {(r["account"], r["reason"]): r for r in node.ctl("registrations", "--failed") if r["source"] == source}


def banned(node):
    return {r["source"]: r for r in node.ctl("bans")}


def test_an_enumerator_finds_nothing(here):
    cases = [("6001", "wrong", "wrong password"), ("nobody", "wrong", "unknown account"),
             ("6002", "wrong", "wrong password"), ("6002", "right", "disabled account"),
             ("6003", "wrong", "wrong password"), ("6003", "right", "account of another site")]
    with Client(HERE, "127.0.55.61") as thief:
        first = {bare(thief.ask(user)).replace(" ", "") for user, _, _ in cases}
        assert len({re.sub(r'nonce="[^"]*"', "", a) for a in first}) == 1, first
        answers = {bare(thief.register(user, password)) for user, password, _ in cases}
        assert len(answers) == 1 and answers.pop().startswith("SIP/2.0 403 "), answers
    rows = failed(here, "127.0.55.61")
    assert {(user, why) for user, _, why in cases} == set(rows)
    assert all(r["count"] == 1 and r["first"] == r["last"] and r["state"] == "" for r in rows.values()), rows
    # What an old nonce, or one of another client, is answered with says nothing of the password either.
    with Client(HERE, "127.0.55.61") as thief, Client(HERE, "127.0.55.62") as other:
        other.learn("6001")
        thief.challenge = other.challenge
        stale = [thief.register(user, password, fresh=False) for user, password in (("6001", "right"), ("nobody", "x"))]
        assert all(code(a) == 401 and "stale=true" in a for a in stale), stale


def test_a_guesser_is_locked_out_even_when_he_hits_it(here):
    with Client(HERE, "127.0.55.63") as owner, Client(HERE, "127.0.55.64") as thief:
        assert code(owner.register("6001", "right")) == 200
        for guess in ("a", "b", "c", "d", "e"):
            assert code(thief.register("6001", guess)) == 403
        assert code(thief.register("6001", "right")) == 403
        assert failed(here, "127.0.55.64")["6001", "locked out, with the right password"]["state"] == "locked"
        assert failed(here, "127.0.55.64")["6001", "wrong password"]["count"] == 5
        # Invented names and more guesses from elsewhere do not free him.
        for n in range(20):
            with Client(HERE, f"127.0.56.{n + 1}") as helper:
                for k in range(3):
                    helper.register(f"made-up-{n}-{k}", "x")
        assert code(thief.register("6001", "right")) == 403
        # He who is registered still gets in, from any port of his address, and is forgiven what he mistyped.
        with Client(HERE, "127.0.55.63") as again:
            for _ in range(6):
                assert code(again.register("6001", "typo")) == 403
            assert code(again.register("6001", "right")) == 200
        # So does another account where he is.
        with Client(HERE, "127.0.55.64") as neighbour:
            assert code(neighbour.register("6004", "right")) == 200
    here.run("ban", "remove", "127.0.55.64")
    with Client(HERE, "127.0.55.64") as forgiven:
        assert code(forgiven.register("6001", "right")) == 200


def guess_until_banned(node, source, most=60):
    with Client(node.address, source) as thief:
        for n in range(most):
            answer = thief.register(f"{n:04d}", "1234", patience=1.0)
            if answer == "":
                return n
            assert code(answer) == 403, answer
    raise AssertionError(f"{source} was not banned after {most} guesses")


def answers(node, source):
    with Client(node.address, source) as stranger:
        return stranger.ask("6001", patience=0.3)


def test_a_source_is_banned_on_every_node(cluster, here, tmp_path):
    there = cluster.nodes["there"]
    with Phone(tmp_path / "phone", "6004", "right", f"{HERE}:5060", "127.0.55.70", 440) as phone:
        assert guess_until_banned(here, "127.0.55.70") in range(30, 34)
        until(lambda: "127.0.55.70" in banned(there) and not answers(there, "127.0.55.70"), "the other node to know", 5)
        ban = banned(there)["127.0.55.70"]
        assert ban["node"] == "here" and 500 < ban["left_s"] <= 600 and "the last for account 00" in ban["reason"], ban
        assert any(r["state"] == "banned" for r in failed(here, "127.0.55.70").values())
        assert all(cluster.empty[words] == table(here, words)[:1] for words in LISTS)
        for node in (here, there):
            before = node.counter("guard", "dropped_banned")
            with Client(node.address, "127.0.55.70") as stranger:
                assert stranger.ask("6001", patience=0.3) == ""
                assert stranger.ask("6001", method="OPTIONS", patience=0.3) == ""
            assert node.counter("guard", "dropped_banned") == before + 2
        # The phone at that address is served by both, and calls to it arrive.
        for node in (here, there):
            with Client(node.address, "127.0.55.70") as second:
                assert code(second.register("6004", "right")) == 200, node.log_text()[-1000:]
        del phone
    # A restart forgets no ban.
    assert here.stop() == 0
    here.start()
    until(lambda: "127.0.55.70" in banned(here), "the ban to be there again")
    with Client(HERE, "127.0.55.70") as stranger:
        assert stranger.ask("6001", patience=0.3) == ""
    cluster.wait_linked()
    # The operator takes it back, at the node that did not make it.
    said = there.run("ban", "remove", "127.0.55.70").stdout
    assert "here: 127.0.55.70 is listened to again" in said, said
    until(lambda: not banned(here) and not banned(there), "the ban to be gone", 5)
    for node in (here, there):
        with Client(node.address, "127.0.55.70") as stranger:
            until(lambda: code(stranger.ask("6001", patience=1.0)) == 401, "to be listened to again", 5)


def test_the_second_ban_is_longer(here):
    source = "127.0.55.71"
    guess_until_banned(here, source)
    first = banned(here)[source]["left_s"]
    # It runs out by itself in ten minutes; an operator's word forgets it altogether.
    assert here.run("ban", "remove", source).returncode == 0
    guess_until_banned(here, source)
    assert abs(banned(here)[source]["left_s"] - first) < 30
    here.run("ban", "remove", source)


def test_a_trunk_is_never_banned(here):
    with Client(HERE, "127.0.55.90") as pbx:
        for n in range(40):
            assert code(pbx.register(f"{n:04d}", "x")) == 403
        assert code(pbx.ask("6001", method="OPTIONS")) == 200
    assert "127.0.55.90" not in banned(here)


def test_what_is_no_address_is_refused(here):
    result = here.run("ban", "remove", "6001", check=False)
    assert result.returncode == 2 and '"6001" is no address' in result.stderr, result.stderr
