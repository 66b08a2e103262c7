"""The live stream of what customers did: counted once, under a key, and known to the next decision exactly as a table says it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from bandit.profile.events import Event, events_of
from bandit.profile.features import features_at, features_of
from bandit.profile.population import population_of
from bandit.profile.spec import ProfileSpec
from bandit.profile.summing import sums_at
from service.app import create_app
from service.customer_events import amounts_of, find_population, has_events, keep_population
from service.customer_keys import read_customer_keys, retire_keys, rotate_key
from service.erasing import Order, erase_customer, erase_expired
from service.erasure import Reason
from service.live_profile import LiveProfile
from service.serving import Serving
from service.store import Store

CONTEXT = {
    "engagement_level": {"kind": "categorical", "values": ["low_engagement", "inactive_user", "moderate_user"]},
    "days_since_login": {"kind": "numeric", "range": [0, 365]},
    "spent": {"kind": "numeric", "range": [0, 1000]},
    "plan": {"kind": "categorical", "values": ["free", "paid"]},
}


class Service:
    def __init__(self, store, campaign, noon):
        self.store, self.log, self.now = store, store.open_log(campaign, noon), noon
        self.serving = Serving(store, self.log, clock=lambda: self.now)
        self.client = TestClient(create_app(self.serving), raise_server_exceptions=False)

    def tell(self, *events, customer="ann", code=200):
        answer = self.client.post(f"/v1/customers/{customer}/events", json={"events": list(events)})
        assert answer.status_code == code, answer.text
        return answer.json()

    def decide(self, decision_id, customer="ann", **context):
        body = {"customer_id": customer, "decision_id": decision_id, "context": context}
        answer = self.client.post("/v1/decisions", json=body)
        assert answer.status_code == 200, answer.text
        return self.client.get(f"/v1/decisions/{decision_id}").json()

    def count(self, table):
        return self.store.reader().execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture
def live(tmp_path, worlds):
    campaign = worlds.campaign(context=CONTEXT, profile={"fields": {"spent": "monetary"}})
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        yield Service(store, campaign, worlds.noon)


def login(event_id, at):
    return {"event_id": event_id, "type": "login", "at": at.isoformat()}


def buys(event_id, at, value):
    return {"event_id": event_id, "type": "purchase", "at": at.isoformat(), "value": value}


def test_the_next_decision_knows_what_was_reported_and_the_row_keeps_it(live):
    before = live.decide("d0")["context"]
    assert before["days_since_login"] is None
    assert live.tell(login("e1", live.now - timedelta(days=3)), buys("e2", live.now - timedelta(days=1), 40)) == {
        "accepted": 2, "duplicate": 0, "conflict": 0, "unknown_type": 0,
    }  # fmt: skip
    live.now += timedelta(days=1)
    known = live.decide("d1")["context"]
    assert (known["days_since_login"], known["spent"], known["plan"]) == (4.0, 40.0, None)
    assert known["engagement_level"] in CONTEXT["engagement_level"]["values"]


def test_features_from_the_stream_are_bit_for_bit_those_of_the_same_events_as_a_table(live):
    spec, at = ProfileSpec().at_home(live.log.campaign.timezone), live.now + timedelta(hours=1)
    did = ((9, "login", None), (4, "purchase", 12.34), (2, "share", None), (1, "purchase", 0.1))
    table = [Event("ann", live.now - timedelta(days=n, hours=n), kind, value=value) for n, kind, value in did]
    told = [
        {"event_id": str(i), "type": one.type, "at": one.at.isoformat(), "value": one.value}
        for i, one in enumerate(table)
    ]
    for one in reversed(told):
        live.tell(one)
    profile = LiveProfile(live.store, live.log)
    state = profile._state("ann", at)
    population = profile.population(at)
    row = features_at(events_of(table), at, spec, population=population).loc["ann"]
    streamed = features_of(state, at, spec, population)
    assert {name: None if row[name] != row[name] else row[name] for name in row.index} == streamed


def test_events_of_some_types_are_told_from_those_whose_texts_look_like_them(live):
    odd, at = 'köp "av" \\', live.now - timedelta(days=2)
    live.tell(
        buys("e1", at, 12.5),
        {**buys("e2", at, None), "type": odd},
        {**login('"type":"purchase"', at), "device": '"type":"purchase"', "content": f'"type":{odd}'},
        {**login("e4", at), "type": "purchases"},
    )
    reader, keys = live.store.reader(), live.store.customer_keys.of("ann")
    assert sorted(amounts_of(reader, keys, ["purchase", odd]), key=str) == [(at, 12.5), (at, None)]
    assert amounts_of(reader, keys, ["login"]) == [(at, None)]
    assert amounts_of(reader, keys, []) == []
    assert (has_events(reader, keys), has_events(reader, live.store.customer_keys.of("bob"))) == (True, False)


@pytest.mark.parametrize("n_types", [50, 51, 1500, 40_000])
def test_events_of_very_many_types_are_found_as_well(live, n_types):
    at, types = live.now - timedelta(days=2), [f"p{n}" for n in range(n_types)]
    live.tell({**buys("e1", at, 12.5), "type": "p7"}, {**buys("e2", at, 3.0), "type": "p"}, login("e3", at))
    assert amounts_of(live.store.reader(), live.store.customer_keys.of("ann"), types) == [(at, 12.5)]


def test_what_the_caller_knows_is_not_overruled_and_a_retry_gets_the_stored_decision(live):
    live.tell(login("e1", live.now - timedelta(days=3)))
    live.now += timedelta(days=1)
    assert live.decide("d1", days_since_login=100)["context"]["days_since_login"] == 100.0
    first = live.decide("d2", plan="free")
    live.tell(login("e2", live.now))
    live.now += timedelta(days=2)
    assert live.decide("d2", plan="free")["context"] == first["context"]
    other = {"customer_id": "ann", "decision_id": "d2", "context": {"plan": "paid"}}
    assert live.client.post("/v1/decisions", json=other).status_code == 409


def test_batches_know_the_same(live):
    live.tell(login("e1", live.now - timedelta(days=3)))
    live.now += timedelta(days=1)
    body = {"decisions": [{"customer_id": "ann", "decision_id": "b1"}]}
    assert live.client.post("/v1/decisions/batch", json=body).status_code == 200
    assert live.client.get("/v1/decisions/b1").json()["context"] == live.decide("b2")["context"]


def test_an_event_reported_twice_counts_once_even_across_a_change_of_the_key(live):
    live.tell(buys("e1", live.now - timedelta(days=3), 10))
    told = live.tell(buys("e1", live.now - timedelta(days=3), 10), buys("e1", live.now, 99))
    assert (told["duplicate"], told["conflict"]) == (1, 1)
    live.store.write(lambda connection: rotate_key(connection, live.now))
    live.store.reload_keys()
    told = live.tell(buys("e1", live.now - timedelta(days=3), 10), buys("e2", live.now, 5))
    assert (told["accepted"], told["duplicate"], told["conflict"]) == (1, 1, 0)
    live.now += timedelta(days=1)
    assert live.decide("d1")["context"]["spent"] == 15.0


def test_events_of_the_future_are_refused_whole_and_those_just_ahead_wait(live):
    said = live.tell(login("e1", live.now), login("e2", live.now + timedelta(hours=1)), code=422)
    assert "none of the events was counted" in said["detail"]
    assert live.count("customer_events") == 0
    live.tell(login("e0", live.now - timedelta(days=2)), login("e3", live.now + timedelta(minutes=2)))
    assert live.decide("d1")["context"]["days_since_login"] == 2.0
    live.now += timedelta(minutes=3)
    assert live.decide("d2")["context"]["days_since_login"] < 0.01


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"events": []}, 422, "need 1 to 1000"),
        ({"events": [{"event_id": "", "type": "login"}]}, 422, "event_id has 0 characters"),
        ({"events": [{"event_id": "e", "type": "login", "at": "2026-11-01T10:00:00"}]}, 422, "zone"),
        ({"events": [{"event_id": "e", "type": "login", "zone": "Mars/Base"}]}, 422, "IANA zone"),
        ({"events": [{"event_id": "e", "type": "purchase", "value": 1e300}]}, 422, "value"),
        ({"events": [{"event_id": "e", "type": "login", "colour": "red"}]}, 422, "colour"),
    ],
)
def test_a_wrong_event_is_refused_with_advice_and_nothing_is_counted(live, body, code, said):
    answer = live.client.post("/v1/customers/ann/events", json=body)
    assert answer.status_code == code, answer.text
    assert said in answer.json()["detail"]
    assert live.count("customer_events") == live.count("customer_states") == 0


def test_a_campaign_without_a_profile_says_that_events_would_be_lost(tmp_path, worlds):
    with Store(tmp_path / "manyarm.db") as store:
        service = Service(store, worlds.campaign(), worlds.noon)
        assert "has no [profile] table" in service.tell(login("e1", worlds.noon), code=422)["detail"]


def test_erasing_a_person_takes_their_events_and_showing_one_lists_them(live, worlds):
    live.tell(login("e1", live.now - timedelta(days=1)))
    shown = live.client.get("/v1/customers/ann").json()["events"]
    assert [(one["event_id"], one["type"]) for one in shown] == [("e1", "login")]
    erase_customer(live.store, "ann", Order("r1", live.now, Reason.REQUEST))
    assert live.count("customer_events") == live.count("customer_states") == 0
    assert live.client.get("/v1/customers/ann").json()["events"] == []


def test_old_events_go_with_the_retention_and_sums_are_made_again_of_the_rest(live):
    live.tell(buys("e1", live.now - timedelta(days=1), 10))
    live.now += timedelta(days=40)
    live.tell(buys("e2", live.now, 5))
    erase_expired(live.store, live.log, timedelta(days=30), at=live.now, new_id=lambda: "r1")
    assert live.count("customer_events") == 1
    live.now += timedelta(hours=1)
    assert live.decide("d1")["context"]["spent"] == 5.0


def test_erased_events_leave_no_sums_under_a_newer_key(live):
    """Of somebody whose report was repeated under it, and of somebody who did something more."""
    for customer in ("ann", "bob"):
        live.tell(buys("e1", live.now - timedelta(days=1), 10), customer=customer)
    live.store.write(lambda connection: rotate_key(connection, live.now))
    live.store.reload_keys()
    assert live.tell(buys("e1", live.now - timedelta(days=1), 10))["duplicate"] == 1
    assert live.count("customer_states") == 2
    live.now += timedelta(days=40)
    live.tell(buys("e2", live.now, 5), customer="bob")
    erase_expired(live.store, live.log, timedelta(days=30), at=live.now, new_id=lambda: "r1")
    assert live.count("customer_events") == 1
    live.now += timedelta(hours=1)
    assert live.decide("d1")["context"]["spent"] is None
    assert live.decide("d2", customer="bob")["context"]["spent"] == 5.0


def test_erasing_events_of_the_newest_key_leaves_the_sums_of_others(live):
    live.tell(buys("e1", live.now, 10))
    live.now += timedelta(days=40)
    live.tell(buys("e1", live.now, 5), customer="bob")
    erase_expired(live.store, live.log, timedelta(days=30), at=live.now, new_id=lambda: "r1")
    assert live.count("customer_states") == 1


def test_retiring_a_key_takes_what_was_kept_under_it(live):
    live.tell(login("e1", live.now))
    live.store.write(lambda connection: rotate_key(connection, live.now))
    later = live.now + timedelta(days=3)
    live.store.write(lambda connection: retire_keys(connection, later, later, dropping=False))
    assert live.count("customer_events") == live.count("customer_states") == 0
    assert len(read_customer_keys(live.store.reader()).secrets) == 1


def test_a_kept_population_is_what_customers_are_drawn_towards(live):
    profile = LiveProfile(live.store, live.log)
    nobody = profile.population(live.now)
    assert find_population(live.store.reader(), profile._made_by) is None
    told = [Event(f"c{i}", live.now - timedelta(days=i + 1), "purchase", value=float(i)) for i in range(20)]
    sums = sums_at(events_of(told), live.now, ProfileSpec())
    fitted = population_of(sums, ProfileSpec())
    live.store.write(lambda c: keep_population(c, profile._made_by, fitted.to_json(), live.now))
    assert profile.population(live.now) == fitted != nobody


def test_a_change_of_the_profile_and_back_loses_no_event(tmp_path, worlds):
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        usual = worlds.campaign(context=CONTEXT, profile={"fields": {"spent": "monetary"}})
        other = worlds.campaign(context=CONTEXT, profile={"fields": {"spent": "monetary"}, "session_gap": "10m"})
        Service(store, usual, worlds.noon).tell(buys("e1", worlds.noon - timedelta(days=9), 10))
        Service(store, other, worlds.noon).tell(buys("e2", worlds.noon - timedelta(days=2), 5))
        back = Service(store, usual, worlds.noon)
        assert back.decide("d1")["context"]["spent"] == 15.0
        assert back.tell(buys("e3", worlds.noon - timedelta(days=1), 1))["accepted"] == 1
        assert back.decide("d2")["context"]["spent"] == 16.0


def test_one_bad_request_of_a_batch_takes_nobody_elses_features(live):
    live.tell(login("e1", live.now - timedelta(days=3)))
    live.now += timedelta(days=1)
    every = ["plain", "champion", "dominate"]
    body = {
        "decisions": [
            {"customer_id": "ann", "decision_id": "b1"},
            {"customer_id": "bob", "decision_id": "b2", "exclude": {"subject": every}},
        ]
    }
    made = live.client.post("/v1/decisions/batch", json=body).json()["decisions"]
    assert made[1]["title"] == "NoEligibleArm"
    assert live.client.get("/v1/decisions/b1").json()["context"]["days_since_login"] == 4.0


def test_a_retired_key_takes_its_events_out_of_newer_sums(live):
    live.tell(buys("e1", live.now - timedelta(days=3), 10))
    live.store.write(lambda connection: rotate_key(connection, live.now))
    live.store.reload_keys()
    live.tell(buys("e2", live.now - timedelta(days=2), 5))
    assert live.decide("d1")["context"]["spent"] == 15.0
    later = live.now + timedelta(days=3)
    live.store.write(lambda connection: retire_keys(connection, later, later, dropping=False))
    live.store.reload_keys()
    live.now = later
    assert live.decide("d2")["context"]["spent"] == 5.0


def test_an_id_with_other_contents_is_a_conflict_that_is_named_and_changes_nothing(live):
    first = buys("e1", live.now - timedelta(days=1), 40)
    told = live.tell(first, buys("e1", live.now - timedelta(days=1), 41), first)
    assert (told["accepted"], told["duplicate"], told["conflict"]) == (1, 1, 1)
    assert "e1" in told["notes"][0]
    assert live.tell(buys("e1", live.now - timedelta(days=2), 40))["conflict"] == 1
    assert live.decide("d1")["context"]["spent"] == 40.0
    assert live.count("customer_events") == 1


def test_a_repetition_without_a_time_is_no_conflict_but_one_of_another_type_is(live):
    live.tell({"event_id": "e1", "type": "login"})
    live.now += timedelta(minutes=3)
    assert live.tell({"event_id": "e1", "type": "login"})["duplicate"] == 1
    assert live.tell({"event_id": "e1", "type": "share"})["conflict"] == 1
    zoned = {"event_id": "e2", "type": "login", "at": "2026-11-20T09:00:00+01:00"}
    assert live.tell(zoned)["accepted"] == 1
    assert live.tell({**zoned, "at": "2026-11-20T08:00:00Z"})["duplicate"] == 1


def test_an_unknown_type_is_kept_named_and_answered_with_the_known_ones(live):
    told = live.tell(*({"event_id": f"e{k}", "type": f"odd{k}"} for k in range(40)), login("e99", live.now))
    assert (told["accepted"], told["unknown_type"]) == (41, 40)
    assert "odd0" in told["notes"][0]
    assert "and 10 more" in told["notes"][0]
    assert "email_click" in told["notes"][0]
    assert live.count("customer_events") == 41
