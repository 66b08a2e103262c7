"""Numbers of one customer from models made ready: bit for bit those of a table of the same events with the same models."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.errors import UnusableLog
from bandit.profile.calibration import Calibration
from bandit.profile.checked_events import checked_events
from bandit.profile.compiled_score import compiled_score
from bandit.profile.customer_models import CustomerModels
from bandit.profile.customer_numbers import CustomerNumbers
from bandit.profile.customer_value import MOST_TICKED, CustomerValue, Spending, purchases_in, spending_at
from bandit.profile.events import Event, events_of
from bandit.profile.features import FEATURES, features_in
from bandit.profile.futures import Futures
from bandit.profile.history import History
from bandit.profile.judgement import Judgement
from bandit.profile.models_spec import ModelsSpec
from bandit.profile.next_purchase import NextPurchase
from bandit.profile.number_names import NUMBERS, OF_VALUE
from bandit.profile.order_value import OrderValue
from bandit.profile.outcome_model import OutcomeModel
from bandit.profile.past import Past, past_of
from bandit.profile.population import population_of
from bandit.profile.purchase_process import PurchaseProcess, Purchases
from bandit.profile.rhythm import RHYTHM
from bandit.profile.shapes import AdditiveModel, LevelShape, NumberShape
from bandit.profile.spec import Missing, ProfileSpec
from bandit.profile.state import state_after_all
from bandit.profile.state_sums import sums_of
from bandit.profile.summing import sums_at
from bandit.profile.sums import microseconds
from bandit.profile.survival import TimeModel

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MADE_AT = NOON - timedelta(days=30)
ZONES = ("UTC", "Asia/Kolkata", "America/Los_Angeles")
SPECS = [ProfileSpec(), ProfileSpec(missing=Missing(value=7.25))]
LEVELS = {
    "preferred_daypart": ["night", "morning", "evening"],
    "lifecycle_stage": ["new", "dormant"],
    "preferred_device": ["mobile", "", "1"],
}
luck = np.random.default_rng(7)


def shape_of(name):
    """A line, steps, or levels; heights are no round numbers."""
    if name in LEVELS:
        return LevelShape(name, dict(zip(LEVELS[name], luck.normal(size=9).tolist(), strict=False)), 0.017, "x")
    knots = np.unique(np.round(luck.gamma(1.0, 20.0, size=luck.integers(2, 30)), 1))
    heights = luck.normal(size=len(knots) + luck.integers(0, 2))
    return NumberShape(name, tuple(knots.tolist()), tuple(heights.tolist()), float(luck.normal()), 1.0)


def made_up_models():
    """Models of every kind; what they say is not what is tested here."""
    texts = {"engagement_level", "preferred_channel", "preferred_content", "preferred_weekday", *LEVELS}
    names = [*(name for name in FEATURES if name not in texts), *RHYTHM]
    judgement = Judgement(9, 0.5, 0.5, 0.6, 0.7, 0.2, 0.3, 0.6, ())
    knots = np.sort(luck.normal(size=300))
    calibrations = [
        Calibration("sigmoid", (), (0.1, 1.3)),
        Calibration("isotonic", tuple(knots.tolist()), tuple(np.sort(luck.normal(size=300)).tolist())),
        Calibration("beta", (), (-0.2, 1.4, 0.7)),
    ]
    outcomes = [
        OutcomeModel(
            "x",
            30,
            AdditiveModel(
                float(luck.normal()), tuple(shape_of(name) for name in [*luck.permutation(names)[:n], *LEVELS])
            ),
            calibration,
            "lines",
            {},
            judgement,
            9,
        )
        for n, calibration in zip((5, 20, len(names)), calibrations, strict=True)
    ]
    days = tuple(np.cumsum(luck.gamma(1.0, 0.4, size=250)).tolist())
    hazard = tuple(np.cumsum(luck.gamma(1.0, 0.02, size=250)).tolist())
    curves = TimeModel("t", AdditiveModel(0.0, outcomes[1].additive.shapes), days, hazard, 90.0, 99, 50)
    value = CustomerValue(PurchaseProcess(0.9, 20.3, 0.8, 3.1), OrderValue(31.7, 40.0, 90.0), (0.5, 1.0, 30.0))
    return CustomerModels(MADE_AT, ModelsSpec(value=90), *outcomes, NextPurchase(curves, 30, judgement), value)


MODELS = made_up_models()
READY = CustomerNumbers(MODELS, NUMBERS)
events = st.builds(
    Event,
    customer_id=st.sampled_from(["c1", "c10", "c2"]),
    at=st.one_of(
        st.integers(1, 90).map(lambda n: NOON - timedelta(hours=n)),
        st.datetimes(datetime(2024, 3, 1), datetime(2026, 11, 22)).map(lambda at: at.replace(tzinfo=UTC)),  # noqa: DTZ001
    ),
    type=st.sampled_from(["purchase", "purchase", "login", "share", "email_sent", "email_delivered", "something else"]),
    value=st.one_of(st.none(), st.floats(-10.0, 1e5), st.sampled_from([0.0, 0.1, 19.99])),
    device=st.sampled_from([None, "mobile", "1", "tv"]),
)


def alone(customer, stream, at, spec, population, wanted=tuple(NUMBERS)):
    """Numbers of one customer from their own events."""
    own = [event for event in stream if event.customer_id == customer]
    sums = sums_of(state_after_all(None, own, spec), at, spec)
    bought = [
        (microseconds(event.at), spec.missing.value if event.value is None else event.value)
        for event in own
        if event.type in spec.roles["purchase"]
    ]
    return READY.of(wanted, features_in(sums, spec, population, wanted=READY.looks_at), past_of(sums, bought))


def in_table(stream, at, spec):
    """Numbers of all customers."""
    return rows_of(MODELS.numbers(History(events_of(stream), spec, MODELS.spec), at))


def rows_of(found):
    """Each customer's numbers; None where they are not known."""
    return {
        customer: {n: None if np.isnan(one) else one for n, one in row.items()} for customer, row in found.T.items()
    }


@given(st.lists(events, min_size=1, max_size=40), st.sampled_from(SPECS), st.integers(0, 300))
@settings(max_examples=25)
def test_numbers_of_a_customer_alone_are_those_of_the_table_to_the_last_bit(stream, spec, hours):
    at = NOON + timedelta(hours=hours)
    population = population_of(sums_at(events_of(stream), at, spec), spec)
    for customer, row in in_table(stream, at, spec).items():
        assert alone(customer, stream, at, spec, population) == row


def test_amounts_that_a_table_lacks_are_filled_in_for_a_customer_alone_and_in_the_table_alike():
    stream = [Event("c1", NOON - timedelta(days=9 * n), "purchase", None if n % 2 else 40.0) for n in range(1, 9)]
    cells = [(one.customer_id, one.at.isoformat(), one.type, str(one.value or "")) for one in stream]
    raw = pa.table(dict(zip(("customer_id", "at", "type", "value"), map(list, zip(*cells, strict=True)), strict=True)))
    values = []
    for stand_in in (None, 0.0, 7.25, 400.0):
        spec = ProfileSpec(missing=Missing(value=stand_in))
        checked, _ = checked_events(raw, spec, until=NOON)
        population = population_of(sums_at(checked, NOON, spec), spec)
        table = rows_of(MODELS.numbers(History(checked, spec, MODELS.spec), NOON))
        assert alone("c1", stream, NOON, spec, population) == table["c1"]
        values.append(table["c1"]["customer_value"])
    unknown, *filled = values
    assert filled == sorted(filled)
    assert filled[0] < unknown < filled[-1]


def test_spending_is_the_same_whatever_the_zone_of_the_clock():
    history = History(events_of([Event("c1", NOON - timedelta(hours=1), "purchase", 9.0)]), SPECS[0], MODELS.spec)
    there = [spending_at(history.purchases, history.born, NOON.astimezone(ZoneInfo(zone))) for zone in ZONES]
    assert [one.seen.ages.tolist() for one in there] == [[1.0 / 24.0]] * len(ZONES)
    assert [one.n_orders.tolist() for one in there] == [[1.0]] * len(ZONES)


def test_numbers_of_a_heavy_customer_are_those_of_the_table_though_their_clock_outruns_what_is_remembered():
    rate = timedelta(hours=2)
    stream = [Event("c1", NOON - n * rate, "purchase", value=n % 90 / 7) for n in range(1, 4000)]
    stream += [Event("c2", NOON - timedelta(days=n), "login") for n in range(1, 400)]
    population = population_of(sums_at(events_of(stream), NOON, SPECS[0]), SPECS[0])
    table = in_table(stream, NOON, SPECS[0])
    assert alone("c1", stream, NOON, SPECS[0], population) == table["c1"]
    assert alone("c2", stream, NOON, SPECS[0], population) == table["c2"]
    assert table["c1"]["customer_value"] > 1000.0


def test_a_customer_who_bought_without_end_takes_bounded_memory_and_has_the_numbers_of_the_table():
    n, gap, day = 20_000, 129_600_000, 86_400_000_000
    past = Past(30 * day + 2, 0, n, 5, [(place * gap + 1, 9.5) for place in range(1, n + 1)])
    counts, ages = np.array([float(n)]), np.array([past.at / day])
    seen = Purchases(counts, np.array([past.purchases[-1][0] / day]), ages)
    spending = Spending(pd.Index(["c1"]), seen, counts, np.array([9.5]), counts * 9.5**2)
    ready = CustomerNumbers(MODELS, OF_VALUE)
    tracemalloc.start()
    try:
        found = ready.of(OF_VALUE, {}, past)
        ends = MODELS.value.intervals(spending, 90, MODELS.spec.seed)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 30e6
    assert [found[name] for name in OF_VALUE] == [MODELS.value.values(spending, 90)[0], *ends[0]]
    assert 0.0 < found["customer_value_lower"] < found["customer_value"] < found["customer_value_upper"]


@pytest.mark.parametrize("times", [0.5, 1.0, 1.001, 1.2, 5.0])
def test_counts_beyond_the_ticks_of_the_clock_have_the_mean_and_the_variance_of_a_poisson_count(times):
    mean = times * MOST_TICKED
    counts = np.concatenate([purchases_in(Futures.drawn(seed), np.full((256, 1), mean)) for seed in range(8)])
    n = counts.size
    assert abs(counts.mean() - mean) < 4.0 * (mean / n) ** 0.5
    assert abs(counts.var() / mean - 1.0) < 4.0 * (2.0 / n) ** 0.5


def test_more_purchases_expected_are_never_fewer_counted():
    expected = np.sort(np.append(np.linspace(3990.0, 4100.0, 300), [0.0, 10.0, 1e4, 1e7]))
    counts = purchases_in(Futures.drawn(0), np.tile(expected, (256, 1)))
    assert (np.diff(counts, axis=1) >= 0.0).all()
    apart = [purchases_in(Futures.drawn(0), np.full((256, 1), one))[:, 0] for one in expected[-3:]]
    assert (np.stack(apart, axis=1) == counts[:, -3:]).all(), "who else is in the table changes nothing"


def test_what_is_remembered_of_other_customers_changes_no_number():
    past = Past(90 * 86_400_000_000, 0, 3, 5, [(day * 86_400_000_000, 9.5) for day in range(1, 30)])
    fresh = CustomerNumbers(MODELS, OF_VALUE).of(OF_VALUE, {}, past)
    for n in range(40):
        READY.of(OF_VALUE, {}, replace(past, purchases=past.purchases[:n]))
    assert READY.of(OF_VALUE, {}, past) == fresh


@given(
    st.integers(0, 2**32 - 1),
    st.lists(
        st.one_of(st.none(), st.floats(allow_nan=True), st.sampled_from([0.0, 20.0, -0.0])), min_size=1, max_size=30
    ),
)
@settings(max_examples=60)
def test_a_score_of_many_shapes_has_the_bits_of_the_librarys_own(seed, values):
    rng = np.random.default_rng(seed)
    knots = np.unique([0.0, 20.0, *rng.normal(0.0, 30.0, size=rng.integers(1, 50))])
    shapes = tuple(
        NumberShape(
            f"f{n}",
            tuple(knots.tolist()),
            tuple(rng.normal(size=len(knots) + n % 2).tolist()),
            float(rng.normal()),
            0.0,
        )
        for n in range(40)
    )
    model = AdditiveModel(float(rng.normal()), shapes)
    known = [math.nan if value is None else value for value in values]
    table = pd.DataFrame({f"f{n}": np.roll(known, n) for n in range(40)})
    ready = compiled_score(model)
    alone = [float(ready.scores({f"f{n}": float(row[n]) for n in range(40)})[0]) for row in table.to_numpy()]
    assert alone == model.scores(table).tolist()


def test_levels_are_told_apart_as_texts_and_what_is_missing_is_the_empty_one():
    model = AdditiveModel(0.0, (LevelShape("device", {"1.0": 0.3, "": 0.2, "tv": 0.1}, 0.7, "tv"),))
    for value in ("tv", "radio", 1.0, None, math.nan):
        alone = compiled_score(model).scores({"device": value}).tolist()
        assert alone == model.scores(pd.DataFrame({"device": [value]})).tolist()


def test_texts_where_numbers_stood_are_refused():
    ready = compiled_score(AdditiveModel(0.0, (NumberShape("orders", (0.0,), (1.0,), 0.0, 0.0),)))
    with pytest.raises(UnusableLog, match="'orders' holds something that is no number"):
        ready.scores({"orders": "many"})


def test_a_model_that_looks_at_what_no_feature_is_called_is_refused_when_it_is_made_ready():
    wrong = AdditiveModel(0.0, (NumberShape("shoe_size", (0.0,), (1.0,), 0.0, 0.0),))
    models = replace(MODELS, churn=replace(MODELS.churn, additive=wrong))
    with pytest.raises(UnusableLog, match="look at shoe_size"):
        CustomerNumbers(models, ["churn_risk"])
    assert CustomerNumbers(models, ["customer_value"]).looks_at == frozenset()


def test_numbers_whose_model_was_not_made_are_missing_and_no_other_model_works():
    few = CustomerNumbers(replace(MODELS, churn=None), ["churn_risk", *OF_VALUE])
    found = few.of(["churn_risk", "customer_value"], {}, Past(86_400_000_000, 0, 0, 0, []))
    assert found["churn_risk"] is None
    assert found["customer_value"] > 0.0
