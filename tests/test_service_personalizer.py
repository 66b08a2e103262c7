"""The Rank, Reward and Activate calls: a client of Azure Personalizer changes its endpoint and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from bandit.errors import InvalidSettings
from service.app import create_app
from service.rankings.rows import READ, kept_of
from service.serving import Serving
from service.settings import Settings
from service.store import Store
from service.verification import verify_store

BASE = "/personalizer/v1.0"
HEADERS = {"Content-Type": "application/json; charset=utf-8", "Ocp-Apim-Subscription-Key": "key"}
ACTIONS = [
    {"id": "pasta", "features": [{"taste": "salty", "spice_level": "medium"}, {"nutrition": 5}]},
    {"id": "ice cream", "features": [{"taste": "sweet"}, {"nutrition": 2}]},
    {"id": "juice", "features": [{"taste": "sweet"}, {"nutrition": 9, "drink": True}]},
    {"id": "salad", "features": [{"taste": "salty"}, {"nutrition": 8}]},
]
RANK = {"contextFeatures": [{"time_of_day": "morning"}, {"user": {"age": 30}}], "actions": ACTIONS}


@dataclass
class Client:
    """The requests that the official Python client sends, to a service whose clock stands still."""

    store: Store
    log: object
    now: object
    settings: dict = field(default_factory=dict)
    n: int = 0

    def __post_init__(self):
        self.serving = Serving(
            self.store, self.log, clock=lambda: self.now, new_id=self.new_id, settings=Settings(self.settings)
        )
        self.http = TestClient(create_app(self.serving), raise_server_exceptions=False)

    def new_id(self):
        self.n += 1
        return f"n{self.n}"

    def post(self, path, body=None, **content):
        if body is not None:
            content["content"] = json.dumps(body)
        return self.http.post(BASE + path, headers=HEADERS, **content)

    def rank(self, **changes):
        return self.post("/rank", RANK | changes)

    def reward(self, event_id, value=1.0):
        return self.post(f"/events/{event_id}/reward", {"value": value})

    def activate(self, event_id):
        return self.post(f"/events/{event_id}/activate")

    def row(self, event_id):
        query = f"SELECT {READ} FROM rankings WHERE event_id = ?"
        return kept_of(self.store.reader().execute(query, (event_id,)).fetchone())

    def train_after(self, **time):
        self.now += timedelta(**time)
        self.serving.train()

    def failed(self):
        return [failure for check in verify_store(self.store).checks for failure in check.failures]


@pytest.fixture
def client(tmp_path, worlds):
    """A running service with a new database."""
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        yield Client(store, store.open_log(worlds.campaign(), worlds.noon), worlds.noon)


def error(response, status, code):
    """Check that a response is an error of this shape; returns its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error"}
    assert response.json()["error"]["code"] == code
    return response.json()["error"]["message"]


def test_rank_answers_every_action_with_its_probability_and_the_one_to_show(client):
    response = client.rank(eventId="75269AD0")
    assert (response.status_code, response.headers["content-type"]) == (201, "application/json")
    body = response.json()
    assert body.keys() == {"ranking", "eventId", "rewardActionId"}
    assert body["eventId"] == "75269AD0"
    assert body["ranking"][0] == {"id": body["rewardActionId"], "probability": 0.25}
    assert {one["id"] for one in body["ranking"]} == {action["id"] for action in ACTIONS}


def test_reward_and_activate_answer_with_nothing(client):
    client.rank(eventId="e1", deferActivation=True)
    for response in (client.activate("e1"), client.reward("e1", 0.5), client.activate("e1")):
        assert (response.status_code, response.content) == (204, b"")


def test_excluded_actions_keep_their_place_with_probability_nought(client):
    body = client.rank(eventId="e1", excludedActions=["pasta", "juice", "never seen"]).json()
    assert [body["ranking"][place] for place in (0, 2)] == [
        {"id": "pasta", "probability": 0.0},
        {"id": "juice", "probability": 0.0},
    ]
    assert body["ranking"][1] == {"id": body["rewardActionId"], "probability": 0.5}


def test_what_is_not_given_may_be_null_and_what_is_not_known_is_ignored(client):
    nothing = dict.fromkeys(("contextFeatures", "excludedActions", "eventId", "deferActivation"))
    response = client.rank(**nothing, actions=[{"id": "a", "features": None}, {"id": "b"}], unknown=1)
    assert (response.status_code, response.json()["eventId"]) == (201, "n1")


def test_the_same_event_gets_the_same_ranking_whatever_was_learned_since(client):
    first = client.rank(eventId="e1")
    client.reward("e1")
    client.train_after(minutes=11)
    assert client.serving.rankings.engine.served is not None
    assert client.rank(eventId="e1").content == first.content
    assert client.store.reader().execute("SELECT count(*) FROM rankings").fetchone() == (1,)


@pytest.mark.parametrize(
    "changes",
    [{"contextFeatures": []}, {"actions": ACTIONS[:2]}, {"excludedActions": ["salad"]}, {"deferActivation": True}],
)
def test_an_event_id_used_for_another_request_is_a_conflict(client, changes):
    client.rank(eventId="e1")
    assert "give a new event an eventId of its own" in error(client.rank(eventId="e1", **changes), 409, "BadRequest")


def test_the_slower_of_two_equal_requests_gets_the_answer_of_the_faster(client, monkeypatch):
    first = client.rank(eventId="e1")
    monkeypatch.setattr("service.personalizer.routes.find_ranking", lambda *_: None)
    client.now += timedelta(seconds=1)
    assert client.rank(eventId="e1").content == first.content
    error(client.rank(eventId="e1", actions=ACTIONS[:1]), 409, "BadRequest")
    assert client.store.reader().execute("SELECT count(*) FROM rankings").fetchone() == (1,)


def test_a_damaged_row_is_not_the_callers_fault(client):
    client.rank(eventId="e1")
    client.store.write(lambda connection: connection.execute("UPDATE rankings SET actions = '[' WHERE seq = 1"))
    assert "row 1, event e1: cannot be read" in error(client.rank(eventId="e1"), 503, "InternalServerError")


def test_an_event_of_another_campaign_is_a_conflict(client, worlds):
    client.rank(eventId="e1")
    other = client.store.open_log(worlds.campaign(campaign={"id": "another"}), worlds.noon)
    found = Client(client.store, other, worlds.noon).rank(eventId="e1")
    assert "or another campaign" in error(found, 409, "BadRequest")


def test_actions_may_differ_from_call_to_call(client):
    for i in range(6):
        offered = [{"id": f"article {i}-{k}", "features": [{"topic": k}]} for k in range(1 + i % 5)]
        client.rank(actions=offered, eventId=f"e{i}")
        client.reward(f"e{i}", i % 2)
        client.train_after(minutes=6)
    assert client.failed() == []


def test_an_event_nobody_ranked_is_not_found(client):
    for response in (client.reward("nobody"), client.activate("nobody")):
        assert "no event 'nobody' was ranked here" in error(response, 404, "ResourceNotFound")


def test_an_id_with_slashes_is_an_id(client):
    client.rank(eventId="a/b c/reward")
    assert client.reward("a/b%20c/reward", 1).status_code == 204
    client.train_after(minutes=11)
    assert client.row("a/b c/reward").reward == 1.0


def test_the_earliest_reward_counts_and_the_default_where_none_came(client):
    for event in ("two", "none"):
        client.rank(eventId=event)
    client.reward("two", 0.25)
    client.reward("two", 1)
    client.train_after(minutes=10)
    assert [(client.row(event).state, client.row(event).reward) for event in ("two", "none")] == [
        ("matured", 0.25),
        ("matured", 0.0),
    ]
    assert client.serving.rankings.engine.served.scorer.n_learned == 2


def test_a_reward_after_the_wait_is_kept_and_never_counts(client):
    client.rank(eventId="e1")
    client.now += timedelta(minutes=10, microseconds=1)
    assert client.reward("e1").status_code == 204
    client.serving.train()
    assert client.row("e1").reward == 0.0
    client.reward("e1")
    assert client.store.reader().execute("SELECT value, late FROM ranking_rewards").fetchall() == [(1.0, 1)] * 2
    assert client.failed() == []


def test_what_is_deferred_counts_only_if_it_is_activated_in_time(client):
    for event in ("shown", "never", "late"):
        client.rank(eventId=event, deferActivation=True)
        client.reward(event)
    client.activate("shown")
    assert [client.row(event).state for event in ("shown", "never")] == ["pending", "deferred"]
    client.train_after(minutes=11)
    assert client.activate("late").status_code == 204
    client.train_after(minutes=11)
    assert {event: client.row(event).state for event in ("shown", "never", "late")} == {
        "shown": "matured",
        "never": "expired",
        "late": "expired",
    }
    assert client.serving.rankings.engine.served.scorer.n_learned == 1
    assert client.failed() == []


def test_settings_say_how_long_and_how_it_is_explored(client, worlds):
    rules = {
        "personalizer_wait": "2h",
        "personalizer_floor": "0.5",
        "personalizer_policy": "epsilon-greedy",
        "personalizer_aggregation": "sum",
        "personalizer_default_reward": "0.5",
    }
    other = Client(client.store, client.log, worlds.noon, rules)
    for event in ("e1", "e2"):
        other.rank(eventId=event)
    other.reward("e1", 0.25)
    other.reward("e1", -1)
    other.train_after(minutes=119)
    assert other.row("e1").state == "pending"
    other.train_after(minutes=1)
    assert [other.row(event).reward for event in ("e1", "e2")] == [-0.75, 0.5]
    pmf = {one["probability"] for one in other.rank(eventId="e3").json()["ranking"]}
    assert min(pmf) == pytest.approx(0.5 / 4 + 0.5 * 0.1 / 4)
    assert other.row("e3").ranking.policy == "epsilon-greedy"
    assert other.failed() == []


def test_settings_that_cannot_be_stop_the_start(client, worlds):
    with pytest.raises(InvalidSettings, match="must be shares"):
        Client(client.store, client.log, worlds.noon, {"personalizer_floor": "1.5"})


def test_groups_are_randomised_by_event_and_control_gets_the_first_action(client, worlds):
    other = Client(client.store, client.log, worlds.noon, {"personalizer_control": "1"})
    body = other.rank(eventId="e1", excludedActions=["pasta"]).json()
    assert body["rewardActionId"] == "ice cream"
    assert [one["probability"] for one in body["ranking"]] == [0.0, 1.0, 0.0, 0.0]
    assert other.failed() == []


def test_a_restart_keeps_everything(client, worlds):
    first = client.rank(eventId="e1").content
    client.rank(eventId="e2", deferActivation=True)
    client.reward("e1")
    client.train_after(minutes=11)
    served = client.serving.rankings.engine.served.snapshot
    path = client.store.path
    client.store.close()
    with Store(path) as store:
        again = Client(store, store.open_log(worlds.campaign(), worlds.noon), client.now)
        assert again.serving.rankings.engine.served.snapshot == served
        assert again.rank(eventId="e1").content == first
        assert again.row("e2").state == "expired"
        assert again.rank(eventId="e3").status_code == 201
        assert again.row("e3").ranking.snapshot == served
        assert again.failed() == []


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/rank", {"actions": []}, "there are 0 actions, need 1 to 50"),
        ("/rank", {}, "missing required field `actions`"),
        ("/rank", [1], "Expected `object`"),
        ("/rank", {"actions": [{"id": 1}]}, "Expected `str`"),
        ("/rank", RANK | {"eventId": ""}, "eventId is ''"),
        ("/rank", RANK | {"eventId": "x" * 257}, "need a text of 1 to 256 characters"),
        ("/rank", RANK | {"contextFeatures": [{"a": ["b"]}]}, "A list of words is an object with true for each word"),
        ("/rank", RANK | {"excludedActions": [one["id"] for one in ACTIONS]}, "all 4 actions are excluded"),
        ("/events/e1/reward", {"value": 2}, "need a number in [-1, 1]"),
        ("/events/e1/reward", {"value": "much"}, "Expected `float`"),
        ("/events/e1/reward", {}, "missing required field `value`"),
        (f"/events/{'x' * 257}/activate", None, "need a text of 1 to 256 characters"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(client, path, body, said):
    client.rank(eventId="e1")
    assert said in error(client.post(path, body), 400, "BadRequest")
    assert client.store.reader().execute("SELECT count(*) FROM ranking_rewards").fetchone() == (0,)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 5000,
        b'{"actions":[{"id":"a","features":[' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"]}]}",
    ],
    ids=["empty", "cut", "not text", "lists", "objects"],
)
def test_a_body_that_cannot_be_read_is_a_bad_request(client, body):
    error(client.post("/rank", content=body), 400, "BadRequest")
    error(client.post("/events/e1/reward", content=body), 400, "BadRequest")


def test_a_store_that_cannot_be_written_is_said_in_the_same_shape(client):
    client.store.close()
    assert "the store is closed" in error(client.rank(eventId="e1"), 503, "InternalServerError")


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
feature_lists = st.lists(st.dictionaries(st.text(max_size=5), anything, max_size=3), max_size=2)
ids = st.text(max_size=6)
action_lists = st.lists(st.fixed_dictionaries({"id": ids, "features": feature_lists}), max_size=4)
bodies = st.fixed_dictionaries(
    {"actions": action_lists | anything},
    optional={
        "contextFeatures": feature_lists | anything,
        "excludedActions": st.lists(ids, max_size=2) | anything,
        "eventId": ids | anything,
        "deferActivation": st.booleans() | anything,
    },
)


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(body=bodies, value=leaves)
def test_whatever_is_sent_is_answered_and_what_was_ranked_is_ranked_alike_again(client, body, value):
    response = client.post("/rank", body)
    assert response.status_code in {201, 400, 409}, response.text
    if response.status_code == 201:
        event_id = response.json()["eventId"]
        assert client.post("/rank", body | {"eventId": event_id}).content == response.content
    assert client.reward("e1", value).status_code in {400, 404}


def test_a_service_that_serves_what_another_process_replaced_takes_up_the_new_one(client):
    for event in ("e1", "e2"):
        client.rank(eventId=event)
        client.train_after(minutes=11)
    assert client.serving.rankings.engine.served.snapshot == "r00002"
    columns = "campaign, n_learned, watermark, sha256, body, created_at"
    client.store.write(
        lambda c: c.execute(
            f"INSERT INTO ranking_snapshots (number, snapshot, {columns}) SELECT 9, 'r00009', {columns} FROM ranking_snapshots"
            " WHERE number = 2"
        )
    )
    client.store.write(lambda c: c.execute("DELETE FROM ranking_snapshots WHERE number < 9"))
    assert client.rank(eventId="e3").status_code == 201
    assert client.row("e3").ranking.snapshot == "r00009"


def test_rewards_of_one_event_are_bounded_and_those_beyond_are_without_effect(client, monkeypatch):
    monkeypatch.setattr("service.rankings.table.MOST_REWARDS", 3)
    client.rank(eventId="e1")
    assert [client.reward("e1", 0.25).status_code for _ in range(5)] == [204] * 5
    assert client.store.reader().execute("SELECT count(*) FROM ranking_rewards").fetchone() == (3,)
    client.train_after(minutes=11)
    assert client.failed() == []


def test_too_many_interactions_are_refused_and_nothing_is_stored(client):
    actions = [{"id": f"a{i}", "features": [{"x": [1] * 100}]} for i in range(50)]
    context = [{"c": [1] * 20}]
    assert "products, need at most" in error(client.rank(actions=actions, contextFeatures=context), 400, "BadRequest")
    assert client.store.reader().execute("SELECT count(*) FROM rankings").fetchone() == (0,)
