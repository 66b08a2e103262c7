"""Consent and opt-out: who said no is not decided for, and nothing is stored of them but a count."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from bandit import Context
from bandit.errors import InvalidCampaign
from bandit.privacy import Privacy
from service.app import create_app
from service.consent import Consent
from service.customer_keys import rotate_key
from service.deciding import Request
from service.serving import Serving
from service.store import Store

CONTROL = {"share": 0.2, "choice": {"subject": "plain", "cta": "invite"}}
YES = {"level": "high", "consent": True}


class Service:
    """A service over a campaign that asks for consent, on a clock that stands still."""

    def __init__(self, path, worlds):
        self.now = worlds.noon
        self.store = Store(path, salt=worlds.salt, secret=worlds.secret)
        context = worlds.document()["context"] | {"consent": {"kind": "boolean"}}
        campaign = worlds.campaign(context=context, groups={"control": CONTROL}, privacy={"consent": "consent"})
        self.log = self.store.open_log(campaign, self.now)
        ids = iter(f"n{i}" for i in range(100))
        self.serving = Serving(self.store, self.log, clock=lambda: self.now, new_id=lambda: next(ids))
        self.client = TestClient(create_app(self.serving), raise_server_exceptions=False)

    def decide(self, customer_id="ann", context=YES, **more):
        return self.client.post("/v1/decisions", json={"customer_id": customer_id, "context": context, **more})

    def opt_out(self, customer_id="ann", **body):
        return self.client.post(f"/v1/customers/{customer_id}/opt-out", json=body)

    def rows(self, query):
        return self.store.reader().execute(query).fetchall()

    @property
    def counts(self):
        return self.rows("SELECT campaign, day, reason, n FROM unstored ORDER BY reason")


@pytest.fixture
def http(tmp_path, worlds):
    """A running service."""
    made = Service(tmp_path / "manyarm.db", worlds)
    yield made
    made.store.close()


@pytest.mark.parametrize("said", [{"consent": False}, {}, {"consent": None}, {"level": "high", "consent": False}])
def test_who_does_not_consent_gets_business_as_usual_and_nothing_is_stored_but_a_count(http, said):
    body = http.decide(context=said).json()
    assert body["choice"] == CONTROL["choice"]
    assert (body["group"], body["propensity"], body["policy"]) == ("control", 1.0, "no-consent")
    assert http.rows("SELECT count(*) FROM decisions") == [(0,)]
    assert http.counts == [("contest", "2026-11-22", "no-consent", 1)]
    http.store.wipe()
    key = http.store.customer_keys.of("ann")[0]
    assert not any(key.encode() in path.read_bytes() for path in Path(http.store.path.parent).glob("manyarm.db*"))


def test_a_repetition_without_consent_gets_the_same_answer(http):
    first, second = (http.decide(context={"consent": False}, decision_id="d1").json() for _ in range(2))
    assert first == second
    assert http.client.get("/v1/decisions/d1").status_code == 404


def test_an_id_that_was_decided_with_consent_has_no_other_answer_when_it_is_withdrawn(http):
    """What is clicked would be credited to the stored choice, whatever was sent."""
    http.decide(decision_id="d1")
    assert http.decide(context={"consent": False}, decision_id="d1").status_code == 409
    batch = {"decisions": [{"customer_id": "ann", "context": {"consent": False}, "decision_id": "d1"}]}
    assert http.client.post("/v1/decisions/batch", json=batch).json()["decisions"][0]["status"] == 409
    assert http.counts == []


def test_who_consents_is_decided_for_as_always(http):
    body = http.decide().json()
    assert body["policy"] in {"uniform", "fixed"}
    assert http.rows("SELECT count(*) FROM decisions") == [(1,)]
    assert http.counts == []


def test_what_is_wrong_with_a_request_is_said_without_consent_too(http):
    assert http.decide(context={"consent": False, "level": "none of these"}).status_code == 422
    assert http.decide(customer_id="", context={"consent": False}).status_code == 422
    assert http.decide(context={"consent": "yes"}).status_code == 422
    half = b'{"customer_id": "\\ud800", "context": {"consent": false}}'
    assert http.client.post("/v1/decisions", content=half).status_code in {400, 422}
    assert http.counts == []


def test_who_opted_out_is_refused_until_they_say_otherwise(http):
    assert http.decide(decision_id="d1").status_code == 200
    assert http.opt_out().json() == {"opted_out": True, "at": "2026-11-22T12:00:00.000000+00:00"}
    for more in ({}, {"decision_id": "d1"}, {"decision_id": "d2"}):
        refused = http.decide(**more)
        assert (refused.status_code, refused.json()["title"]) == (409, "OptedOut")
        assert "do not send" in refused.json()["detail"]
        assert "ann" not in refused.json()["detail"]
    assert http.counts == [("contest", "2026-11-22", "opted-out", 3)]
    assert http.rows("SELECT decision_id FROM decisions") == [("d1",)]
    assert http.decide(customer_id="bob").status_code == 200
    assert http.opt_out(opted_out=False).json() == {"opted_out": False, "at": None}
    assert http.decide().status_code == 200


def test_the_latest_opt_out_stands_whatever_the_order(http):
    """So that a provider's late word of a subscription before it does not take it back."""
    http.opt_out(reason="phone")
    http.now += timedelta(days=3)
    assert http.opt_out(reason="again").json()["at"].startswith("2026-11-25")
    http.now -= timedelta(days=1)
    assert http.opt_out(reason="between").json()["at"].startswith("2026-11-25")
    assert http.rows("SELECT reason FROM opt_outs") == [("again",)]


def test_who_asked_to_be_mailed_again_meanwhile_stays_so_whatever_was_ruled_before(http):
    """A ruling is counted later than it is made, and then an opt-out is known under the newest key."""
    store, consent = http.store, Consent(http.store, http.log)
    store.write(lambda connection: rotate_key(connection, http.now))
    store.reload_keys()
    http.opt_out(reason="phone")
    ruling = consent.ruling(Request("ann", Context(YES), "d1"), http.now)
    store.write(lambda connection: consent.count(connection, [ruling], http.now))
    assert http.rows("SELECT reason FROM opt_outs") == [("phone",)]
    http.opt_out(opted_out=False)
    store.write(lambda connection: consent.count(connection, [ruling], http.now))
    assert http.rows("SELECT reason FROM opt_outs") == []


def test_an_unsubscribed_recipient_known_by_the_decision_alone_is_refused(http):
    http.decide(decision_id="d1")
    http.store.write(
        lambda c: c.execute(
            "INSERT INTO opt_outs (customer_key, at, reason) SELECT customer_key, '2026-11-22', 'one-click' FROM decisions"
        )
    )
    assert http.decide().status_code == 409


def test_a_batch_rules_upon_each_of_its_requests(http):
    http.opt_out("bob")
    asked = [
        {"customer_id": "ann", "context": YES, "decision_id": "b1"},
        {"customer_id": "bob", "context": YES, "decision_id": "b2"},
        {"customer_id": "cid", "context": {"consent": False}, "decision_id": "b3"},
        {"customer_id": "dan", "context": {"consent": False, "level": "?"}, "decision_id": "b4"},
    ]
    said = http.client.post("/v1/decisions/batch", json={"decisions": asked}).json()["decisions"]
    assert [one.get("policy") or one["title"] for one in said] == [
        said[0]["policy"],
        "OptedOut",
        "no-consent",
        "InvalidContext",
    ]
    assert said[0]["policy"] in {"uniform", "fixed"}
    assert http.rows("SELECT decision_id FROM decisions") == [("b1",)]
    assert [n for *_, n in http.counts] == [1, 1]


def test_who_does_not_consent_is_not_explained_to(http):
    assert http.decide(context={"consent": False}, explain=True).json()["policy"] == "no-consent"


@pytest.mark.parametrize(
    ("privacy", "groups", "where"),
    [
        ({"consent": "consent"}, {"random": 0.1}, "privacy.consent"),
        ({"consent": "level"}, {"control": CONTROL}, "privacy.consent"),
        ({"consent": "nothing"}, {"control": CONTROL}, "privacy.consent"),
        ({"consent": 3}, {"control": CONTROL}, "privacy.consent"),
        ({"retention": "forever"}, {}, "privacy.retention"),
        ({"retention": 400}, {}, "privacy.retention"),
        ({"consents": "consent"}, {}, "privacy.consents"),
    ],
)
def test_faults_of_the_privacy_table_are_named(worlds, privacy, groups, where):
    context = worlds.document()["context"] | {"consent": {"kind": "boolean"}}
    with pytest.raises(InvalidCampaign) as found:
        worlds.campaign(context=context, privacy=privacy, groups=groups)
    assert [fault.where for fault in found.value.faults] == [where]


def test_retention_begins_no_new_log_and_consent_does(worlds):
    context = worlds.document()["context"] | {"consent": {"kind": "boolean"}}
    plain, *others = (
        worlds.campaign(context=context, groups={"control": CONTROL}, privacy=privacy)
        for privacy in (None, {"retention": "400d"}, {"retention": "30d"}, {"consent": "consent"})
    )
    assert [other.content_hash == plain.content_hash for other in others] == [True, True, False]
    assert [one.privacy.retention for one in (plain, *others)] == [None, timedelta(400), timedelta(30), None]
    assert plain.privacy == Privacy()
