"""Segments and numbers of live decisions: those that a table of the same events has, for the same models."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from threading import Barrier
from time import sleep

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from bandit.campaign_file import read_campaign
from bandit.context import Context
from bandit.profile.calibration import Calibration
from bandit.profile.customer_models import NUMBERS, CustomerModels
from bandit.profile.customer_value import CustomerValue
from bandit.profile.events import Event
from bandit.profile.judgement import Judgement
from bandit.profile.models_spec import ModelsSpec
from bandit.profile.next_purchase import NextPurchase
from bandit.profile.number_names import OF_VALUE
from bandit.profile.order_value import OrderValue
from bandit.profile.outcome_model import OutcomeModel
from bandit.profile.population import population_of
from bandit.profile.purchase_process import PurchaseProcess
from bandit.profile.rule_segments import rule_segments, segment_of
from bandit.profile.segment_search import learn_segments
from bandit.profile.segment_spec import LearnedSpec, SegmentSpec
from bandit.profile.shapes import AdditiveModel, LevelShape, NumberShape
from bandit.profile.spec import ProfileSpec
from bandit.profile.summing import sums_at
from bandit.profile.survival import TimeModel
from service.app import create_app
from service.kept_models import KEPT, SEGMENTS, UNASKED, Kept
from service.kept_models import MODELS as LOADED_MODELS
from service.live_columns import live_columns
from service.live_profile import LiveProfile, ReportedEvent
from service.serving import Serving
from service.store import Store
from simulator.customer_histories import BEGIN, customer_histories

MADE_AT = BEGIN + timedelta(days=200)
AT = BEGIN + timedelta(days=212, hours=7)
MODELS = ModelsSpec(churn=30, value=30, conversion=30)
SHAPE = {"kind": "numeric", "range": [-1e6, 1e6]}
NAMES = ["champion", "loyal_customer", "price_sensitive", "social_influencer", "at_risk", "other"]
RULE_FIELDS = {
    "segment": {"kind": "categorical", "values": NAMES},
    "segment_tone": {
        "kind": "categorical",
        "values": ["exclusive", "warm", "direct", "enthusiastic", "caring", "friendly"],
    },
    "engagement_score": SHAPE,
}


@pytest.fixture(scope="module")
def events():
    found = customer_histories(40, days=240, seed=2, stays_for=150.0).events
    return found[found["at"] < AT]


@pytest.fixture(scope="module")
def models(events):
    """Made up, but for the earlier population: what a model says is not what is tested here."""
    earlier = population_of(sums_at(events, MADE_AT - timedelta(days=90), ProfileSpec()), ProfileSpec())
    judgement = Judgement(9, 0.5, 0.5, 0.6, 0.7, 0.2, 0.3, 0.6, ())
    shapes = (
        NumberShape("days_since_active", (0.0, 7.3, 50.1), (0.31, -0.17, -0.9), 0.03, 5.0),
        NumberShape("activity_missed", (0.0, 1.7), (0.4, -1.1), 0.0, 1.0),
        NumberShape("purchase_rate", (0.01, 0.2), (-0.5, 0.1, 0.7), 0.0, 0.1),
        LevelShape("preferred_daypart", {"morning": 0.13, "night": -0.21}, 0.01, "morning"),
        NumberShape("email_open_rate", (0.0, 1.0), (-0.7, 0.9), 0.2, 0.3),
        NumberShape("weekend_share", (0.0, 1.0), (0.4, -0.9), 0.2, 0.3),
    )
    chance = OutcomeModel(
        "x", 30, AdditiveModel(-0.3, shapes), Calibration("sigmoid", (), (0.1, 1.3)), "lines", {}, judgement, 9
    )
    days = tuple(float(day) for day in range(1, 90))
    curves = TimeModel(
        "next_purchase", AdditiveModel(0.0, shapes), days, tuple(0.03 * day for day in days), 90.0, 99, 50
    )
    value = CustomerValue(PurchaseProcess(0.9, 20.3, 0.8, 3.1), OrderValue(31.7, 40.0, 90.0), (0.5, 1.0, 30.0))
    return CustomerModels(
        MADE_AT, MODELS, chance, chance, chance, NextPurchase(curves, 30, judgement), value, population=earlier
    )


@pytest.fixture(scope="module")
def segments():
    """Of made-up customers, some of whom come often."""
    rng, often = np.random.default_rng(1), np.arange(80) % 2 == 0
    table = pd.DataFrame({"days_since_active": np.where(often, 3.0, 60.0), "active_events": np.where(often, 30.0, 4.0)})
    table += rng.normal(size=table.shape)
    spec = SegmentSpec(groups={"mine": tuple(table.columns)}, learned=LearnedSpec(("mine",), ("kmeans",), most=2))
    found = learn_segments(table, spec).segments
    assert found is not None
    return found


class Shop:
    """A folder in which `manyarm profile --load` was run, and decisions over HTTP from its database."""

    def __init__(self, folder, worlds, events, context, profile=None):
        self.folder, self.worlds = folder, worlds
        toml = worlds.toml(worlds.document(context=context, profile=profile or {}))
        (folder / "campaign.toml").write_text(toml, encoding="utf-8")
        self.campaign = read_campaign(toml)
        events.to_parquet(folder / "events.parquet")

    def load(self, cli, *options):
        found = cli.run(
            "profile",
            "events.parquet",
            "--at",
            AT.isoformat(),
            "--load",
            "m.db",
            "--out",
            "contexts.parquet",
            "--json",
            *options,
        )
        return json.loads(found)

    @property
    def table(self):
        return {row.pop("customer_id"): row for row in pq.read_table(self.folder / "contexts.parquet").to_pylist()}

    def decided(self, customers, at=AT, context=None):
        with Store(self.folder / "m.db") as store:
            serving = Serving(store, store.open_log(self.campaign, at), clock=lambda: at)
            client = TestClient(create_app(serving))
            found = {}
            for place, customer in enumerate(customers):
                body = {"customer_id": customer, "decision_id": f"d{place}-{at.timestamp()}", "context": context or {}}
                answer = client.post("/v1/decisions", json=body)
                assert answer.status_code == 200, answer.text
                found[customer] = client.get(f"/v1/decisions/{body['decision_id']}").json()["context"]
            return found


@pytest.fixture
def shop(tmp_path, monkeypatch, worlds, events):
    monkeypatch.chdir(tmp_path)
    return lambda context, **profile: Shop(tmp_path, worlds, events, context, profile)


def agree(table, decided):
    for customer, context in decided.items():
        known = {name: None if pd.isna(value) else value for name, value in table[customer].items()}
        assert context == known


def test_rule_segments_of_live_decisions_are_those_of_the_table(shop, cli):
    here = shop(RULE_FIELDS)
    assert here.load(cli)["loaded"]["kept"]["segments"]["how"] == "rules"
    table = here.table
    some = [
        next(name for name, row in table.items() if row["segment"] == one)
        for one in {r["segment"] for r in table.values()}
    ]
    assert len(some) >= 3
    agree(table, here.decided([*some, *list(table)[:15]]))


def test_learned_segments_and_numbers_of_live_decisions_are_those_of_the_table(shop, cli, models, segments):
    numbers = dict.fromkeys(NUMBERS, SHAPE)
    names = {"segment": {"kind": "categorical", "values": list(segments.names)}, "segment_confidence": SHAPE}
    here = shop({**names, **numbers})
    (here.folder / "segments.json").write_bytes(segments.to_json())
    (here.folder / "models.json").write_text(models.text())
    kept = here.load(cli, "--segments", "segments.json", "--models", "models.json")["loaded"]["kept"]
    assert kept["models"] == {"how": "kept", "model_id": kept["models"]["model_id"], "made_at": MADE_AT.isoformat()}
    table = here.table
    assert {row["segment"] for row in table.values()} == set(segments.names)
    assert all(row["churn_risk"] is not None for row in table.values())
    agree(table, here.decided(list(table)[:12]))


def test_what_was_loaded_last_holds_at_once_and_what_was_replaced_leaves_its_id_and_no_body(shop, cli, models):
    here = shop({**RULE_FIELDS, "churn_risk": SHAPE})
    (here.folder / "models.json").write_text(models.text())
    assert "churn_risk" in here.load(cli, "--models", "models.json")["fields"]["made"]
    someone = next(iter(here.table))
    before = here.decided([someone])[someone]
    assert before["churn_risk"] is not None
    assert before["segment"] in NAMES
    here.load(cli, "--models", "models.json")
    here.load(cli, "--segments", "none")
    after = here.decided([someone], at=AT + timedelta(seconds=1))[someone]
    assert (after["churn_risk"], after["segment"]) == (None, None)
    with Store(here.folder / "m.db") as store:
        rows = (
            store.reader()
            .execute("SELECT kind, how, model_id, body IS NULL FROM profile_models ORDER BY number")
            .fetchall()
        )
    assert [row[:2] for row in rows] == [
        ("segments", "rules"), ("models", "kept"), ("segments", "none"), ("models", "none"),
    ]  # fmt: skip
    assert rows[1][2] is not None
    assert all(row[3] for row in rows)


def test_what_the_caller_knows_decides_the_segment_too(shop, cli):
    here = shop({**RULE_FIELDS, "plan": {"kind": "categorical", "values": ["free", "paid"]}}, segments=_paying())
    (here.folder / "customers.csv").write_text("customer_id,plan\n" + "".join(f"{c},paid\n" for c in _ids(here)))
    here.load(cli, "--customers", "customers.csv")
    someone = next(iter(here.table))
    assert here.table[someone]["segment"] == "champion"
    assert here.decided([someone], context={"plan": "paid"})[someone]["segment"] == "champion"
    assert here.decided([someone], at=AT + timedelta(seconds=1))[someone]["segment"] == "other"


def _paying():
    return {"order": ["champion"], "rules": {"champion": {"when": {"plan": ["paid"]}}}}


def _ids(here):
    return pd.read_parquet(here.folder / "events.parquet", columns=["customer_id"])["customer_id"].unique()


@pytest.mark.parametrize(
    ("plan", "when", "said"),
    [
        ({"kind": "categorical", "values": ["paid"]}, {"tarif": ["paid"]}, "tarif, which is neither"),
        ({"kind": "categorical", "values": ["paid"], "protected": True}, {"plan": ["paid"]}, "protected"),
        ({"kind": "categorical", "values": ["paid"]}, {"preferred_device": {"at_least": 3}}, "where texts stand"),
    ],
)
def test_segments_that_live_contexts_cannot_have_are_left_out_and_the_log_says_why(
    shop, caplog, worlds, plan, when, said
):
    here = shop({**RULE_FIELDS, "plan": plan}, segments={"order": ["at_risk"], "rules": {"at_risk": {"when": when}}})
    with Store(here.folder / "m.db") as store:
        serving = Serving(store, store.open_log(here.campaign, AT), clock=lambda: AT)
        client = TestClient(create_app(serving))
        event = {"event_id": "e1", "type": "login", "at": (AT - timedelta(days=1)).isoformat()}
        assert client.post("/v1/customers/ann/events", json={"events": [event]}).status_code == 200
        with caplog.at_level(logging.WARNING, logger="manyarm"):
            context = here.decided(["ann", "ann"])["ann"]
    assert context["segment"] is None
    assert context["engagement_score"] > 0
    assert [said in record.getMessage() for record in caplog.records] == [True]


def test_sums_without_events_behind_them_leave_numbers_out(shop, cli, models):
    here = shop({"churn_risk": SHAPE, "engagement_score": SHAPE})
    (here.folder / "models.json").write_text(models.text())
    here.load(cli, "--models", "models.json")
    someone = next(iter(here.table))
    with Store(here.folder / "m.db") as store:
        store.write(lambda connection: connection.execute("DELETE FROM customer_events"))
    context = here.decided([someone])[someone]
    assert context["churn_risk"] is None
    assert context["engagement_score"] is not None


def test_amounts_that_events_lack_are_those_of_the_campaign_file_live_and_in_the_table(shop, cli, models):
    here = shop(dict.fromkeys(OF_VALUE, SHAPE), missing={"value": 0})
    table = pd.read_parquet(here.folder / "events.parquet")
    table.loc[table.index % 3 > 0, "value"] = np.nan
    table.to_parquet(here.folder / "events.parquet")
    (here.folder / "models.json").write_text(models.text())
    here.load(cli, "--models", "models.json")
    buyers = table.loc[table["type"] == "purchase", "customer_id"].unique()[:8].tolist()
    agree(here.table, here.decided(buyers))


@dataclass(frozen=True)
class Live:
    """Ann, who logged in once, and models that are kept of a campaign."""

    store: Store
    profile: LiveProfile

    @classmethod
    def of(cls, store, worlds):
        context = dict.fromkeys(("churn_risk", "customer_value", "days_to_next_purchase", "active_events"), SHAPE)
        profile = LiveProfile(store, store.open_log(worlds.campaign(context=context, profile={}), AT))
        login = [ReportedEvent("e1", Event("ann", AT - timedelta(days=1), "login"))]
        store.write(lambda connection: profile.record(connection, "ann", login, AT))
        return cls(store, profile)

    def keep(self, body):
        kept = Kept(KEPT, body, MADE_AT)
        self.store.write(lambda connection: self.profile.keep(connection, LOADED_MODELS, kept, AT))

    def known(self):
        return {
            name for name, value in self.profile.completed("ann", Context({}), AT).values.items() if value is not None
        }


@pytest.fixture
def live(tmp_path, worlds):
    with Store(tmp_path / "m.db", salt=worlds.salt, secret=worlds.secret) as store:
        yield Live.of(store, worlds)


def changed(*path_and_value):
    """Makes another body of one: something else stands where a path of names leads."""
    *path, name, value = path_and_value

    def change(body):
        document = json.loads(body)
        inner = document
        for one in path:
            inner = inner[one]
        inner[name] = value
        return json.dumps(document).encode()

    return change


DAMAGE = {
    "no UTF-8": lambda _: b"\xff",
    "no JSON": lambda body: body[:-9],
    "deep JSON": lambda _: b"[" * 100_000,
    "a list": lambda _: b"[]",
    "a list of models": changed("models", []),
    "a model that is null": changed("models", "churn", None),
    "a text for a number": changed("models", "value", "process", "shape", "x"),
    "a number in a text": changed("models", "value", "process", "rate", "-1.5"),
    "nothing for a number": changed("models", "value", "orders", "between", None),
    "no part": changed("models", "value", "process", None),
    "a negative seed": changed("spec", "seed", -1),
    "a broken seed": changed("spec", "seed", 0.5),
    "a horizon of text": changed("spec", "value", "1"),
    "a time without its zone": changed("made_at", "2020-01-01T00:00:00"),
    "a curve of other length": changed("models", "next_purchase", "curves", "days", [1.0]),
    "a calibration without knots": changed(
        "models", "churn", "calibration", {"method": "isotonic", "knots": [], "heights": [0.5]}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_models_leave_numbers_out_with_a_warning_and_the_service_starts(live, models, caplog, damage):
    live.keep(models.text().encode())
    assert live.known() == {"churn_risk", "customer_value", "days_to_next_purchase", "active_events"}
    live.keep(damage(models.text().encode()))
    with caplog.at_level(logging.WARNING, logger="manyarm"):
        live.profile.prepare()
    assert live.known() == {"active_events"}
    assert ["Load it again" in record.getMessage() for record in caplog.records] == [True]


def test_damaged_segments_are_left_out_with_a_warning_as_well(worlds, caplog):
    kept = {**UNASKED, SEGMENTS: Kept(KEPT, b'{"method":"\xff"}')}
    with caplog.at_level(logging.WARNING, logger="manyarm"):
        assert live_columns(worlds.campaign(profile={}), ProfileSpec(), kept).names == ()
    assert "Load it again" in caplog.text


def test_many_decisions_at_once_after_a_load_make_models_ready_once(live, models, monkeypatch):
    made, everybody = [], Barrier(12)

    def slowly(*args):
        made.append(args)
        sleep(0.1)
        return live_columns(*args)

    monkeypatch.setattr("service.live_profile.live_columns", slowly)
    assert live.known() == {"active_events"}

    def decide(_):
        everybody.wait()
        return "churn_risk" in live.known()

    with ThreadPoolExecutor(12) as threads:
        for n_loads in (1, 2):
            live.keep(models.text().encode() + b" " * n_loads)
            made.clear()
            assert all(threads.map(decide, range(12)))
            assert len(made) == 1


def test_models_that_this_version_cannot_read_leave_numbers_out_and_say_so(shop, cli, models, caplog):
    here = shop({"churn_risk": SHAPE, "engagement_score": SHAPE})
    (here.folder / "models.json").write_text(models.text())
    here.load(cli, "--models", "models.json")
    with Store(here.folder / "m.db") as store:
        store.write(
            lambda connection: connection.execute("UPDATE profile_models SET body = x'7b7d' WHERE kind = 'models'")
        )
    someone = next(iter(here.table))
    with caplog.at_level(logging.WARNING, logger="manyarm"):
        context = here.decided([someone])[someone]
    assert context["churn_risk"] is None
    assert context["engagement_score"] is not None
    assert "Load it again" in caplog.text


VALUES = st.one_of(st.none(), st.floats(0, 100), st.sampled_from([0.2, 0.5, 3.0, 4.0, 80.0, 180.0]))
STAGES = st.one_of(st.none(), st.sampled_from(["new", "growing", "established", "at_risk", "dormant"]))


@given(
    rows=st.lists(
        st.fixed_dictionaries({name: STAGES if name == "lifecycle_stage" else VALUES for name in SegmentSpec().asked}),
        min_size=1,
        max_size=8,
    )
)
def test_the_segment_of_one_customer_is_the_one_of_the_table(rows):
    table = pd.DataFrame(rows)
    numbers = [name for name in table.columns if name != "lifecycle_stage"]
    table[numbers] = table[numbers].astype("float64")
    assert rule_segments(table, SegmentSpec())["segment"].tolist() == [segment_of(row, SegmentSpec()) for row in rows]
