"""Models of customers: laws of their parts, and one small history from events to numbers."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaln, expit, hyp2f1

from bandit.errors import BrokenSnapshot, UnusableEvents
from bandit.fault import Reader
from bandit.profile.additive_fitting import FORMS
from bandit.profile.calibration import Calibration, fit_calibration, read_calibration
from bandit.profile.customer_models import NUMBERS, VALUE, VERSION, fit_customer_models, read_customer_models
from bandit.profile.customer_value import spending_at
from bandit.profile.factors import explained
from bandit.profile.history import History
from bandit.profile.judgement import judge, read_judgement
from bandit.profile.layout import layout_of
from bandit.profile.models_spec import ModelsSpec, read_models
from bandit.profile.occurrences import DAY, origins_before
from bandit.profile.order_value import OrderValue, fit_order_value
from bandit.profile.outcome_model import OutcomeModel
from bandit.profile.purchase_process import PurchaseProcess, Purchases
from bandit.profile.shapes import AdditiveModel, NumberShape, read_additive
from bandit.profile.spec import ProfileSpec
from bandit.profile.suggested_actions import RULES, suggested_actions
from bandit.profile.survival import population_curve
from simulator.customer_histories import BEGIN, customer_histories

NOW = BEGIN + timedelta(days=250)


@pytest.fixture(scope="module")
def histories():
    return customer_histories(900, days=300, seed=5, stays_for=200.0)


@pytest.fixture(scope="module")
def history(histories):
    return History(histories.events, ProfileSpec(), ModelsSpec(churn=30, value=30, conversion=30))


@pytest.fixture(scope="module")
def models(history):
    return fit_customer_models(history, NOW)


@pytest.fixture(scope="module")
def told(history, models):
    past = history.before(NOW)
    features = models.features_at(past, NOW)
    spending = spending_at(past.purchases, past.born, NOW)
    return features, spending, models.numbers_of(features, spending)


def test_every_number_is_told_of_every_customer(models, told):
    _, _, numbers = told
    assert models.refusals == {}
    assert list(numbers.columns) == list(NUMBERS)
    chances = numbers[["churn_risk", "purchase_propensity", "conversion_probability"]]
    assert ((chances > 0) & (chances < 1)).all(axis=None)
    assert (numbers[f"{VALUE}_lower"] <= numbers[f"{VALUE}_upper"]).all()
    lower, median = numbers["days_to_next_purchase_lower"], numbers["days_to_next_purchase"]
    assert (lower[median.notna()] <= median[median.notna()]).all()
    assert median.notna().any()


def test_chances_lean_towards_what_then_happens(histories, history, models, told):
    _, _, numbers = told
    assert all(judgement.is_better_than_base for judgement in models.judgements.values())
    places = pd.Index(histories.ids).get_indexer(numbers.index)
    true = histories.chances(NOW, 30.0)[places]
    assert np.corrcoef(numbers["purchase_propensity"], true)[0, 1] > 0.6
    assert numbers["purchase_propensity"].mean() == pytest.approx(true.mean(), abs=0.05)
    assert np.corrcoef(numbers[VALUE], histories.spends(NOW, 30.0)[places])[0, 1] > 0.5
    silent = ~history.activity.within(pd.Index(numbers.index, dtype=object), NOW, 30.0)
    assert judge(numbers["churn_risk"].to_numpy(), silent, float(silent.mean())).is_better_than_base


def test_later_events_change_no_model_and_no_number(history, models, told):
    cut = History(history.events[history.events["at"] < NOW], history.profile, history.models)
    assert fit_customer_models(cut, NOW).text() == models.text()
    pd.testing.assert_frame_equal(models.numbers(history, NOW), told[2])


def test_models_are_the_same_after_json_and_a_pickle_is_never_needed(models, told):
    features, spending, numbers = told
    again = read_customer_models(models.text())
    assert json.loads(models.text())["version"] == VERSION
    assert again.text() == models.text()
    pd.testing.assert_frame_equal(again.numbers_of(features, spending), numbers)


def test_who_else_is_in_the_table_changes_nobodys_number(models, told):
    features, spending, numbers = told
    few = features.iloc[10:40]
    is_one = spending.customers.isin(few.index)
    own = spending._replace(
        customers=spending.customers[is_one],
        seen=Purchases(*(one[is_one] for one in spending.seen)),
        n_orders=spending.n_orders[is_one],
        own_means=spending.own_means[is_one],
        squares=spending.squares[is_one],
    )
    pd.testing.assert_frame_equal(models.numbers_of(few, own), numbers.iloc[10:40], check_exact=False, rtol=1e-9)


def test_factors_add_up_to_the_number_exactly(models, told):
    features, spending, numbers = told
    for customer in features.index[:25]:
        for name, one in explained(models, features, spending, customer).items():
            if one.scale == "log-odds":
                assert expit(one.score) == pytest.approx(numbers.loc[customer, name], rel=1e-9)
            elif name == VALUE:
                assert np.exp(one.score) == pytest.approx(numbers.loc[customer, name], rel=1e-9)
            else:
                assert np.exp(one.score) == pytest.approx(one.value, rel=1e-9)


def test_an_unknown_customer_and_a_time_before_the_models_are_refused(history, models, told):
    with pytest.raises(UnusableEvents, match="no customer 'nobody'"):
        explained(models, told[0], told[1], "nobody")
    with pytest.raises(UnusableEvents, match="Make models as of that time"):
        models.numbers(history, NOW - timedelta(days=1))


def test_too_few_events_give_no_models_but_reasons():
    few = customer_histories(30, days=300, seed=1)
    made = fit_customer_models(History(few.events, ProfileSpec(), ModelsSpec()), NOW)
    assert made.outcomes == {}
    assert set(made.refusals) == {
        "churn_risk", "purchase_propensity", "conversion_probability", "days_to_next_purchase", "customer_value",
    }  # fmt: skip
    assert "needed" in made.refusals["purchase_propensity"]
    short = fit_customer_models(History(few.events, ProfileSpec(), ModelsSpec()), BEGIN + timedelta(days=60))
    assert "Give older events" in short.refusals["purchase_propensity"]


@given(horizon=st.integers(1, 200), past=st.integers(1, 1500))
def test_the_horizon_of_an_origin_ends_before_the_next_begins(horizon, past):
    try:
        origins = origins_before(NOW, horizon, NOW - past * DAY)
    except UnusableEvents:
        assert past < 5 * horizon + 90
        return
    ends = [NOW, *origins]
    assert all(origin + horizon * DAY <= end for origin, end in zip(origins, ends, strict=False))
    assert len(origins) >= 3


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_centred_and_finds_what_a_feature_does(form):
    luck = np.random.default_rng(2)
    features = pd.DataFrame({"orders": luck.poisson(3.0, 3000).astype(float), "plan": luck.choice(["a", "b"], 3000)})
    features.loc[::10, "orders"] = np.nan
    truth = 0.8 * features["orders"].fillna(3.0) - 2.5 + (features["plan"] == "a")
    happened = luck.random(3000) < expit(truth.to_numpy())
    model = FORMS[form](features, happened, layout_of(features, happened), 0)
    assert model.contributions(features).mean(axis=0) == pytest.approx([0.0, 0.0], abs=0.02)
    chances = expit(model.scores(features))
    assert np.corrcoef(chances, expit(truth))[0, 1] > 0.97
    assert chances.mean() == pytest.approx(happened.mean(), abs=0.01)
    assert read_additive(json.loads(json.dumps(model.document()))) == model


def test_calibration_undoes_a_stretch_and_keeps_the_order():
    luck = np.random.default_rng(3)
    truth = luck.normal(size=20_000)
    happened, folds = luck.random(20_000) < expit(truth), luck.random(20_000)
    bent = fit_calibration(np.where(truth > 0, 3.0 * truth, 0.3 * truth), happened, folds)
    assert bent.method == "isotonic"
    assert fit_calibration(3.0 * truth - 1.0, happened, folds).method == "sigmoid"
    raw = np.linspace(-5.0, 5.0, 50)
    assert (np.diff(bent.chances(raw)) >= 0).all()
    assert read_calibration(json.loads(json.dumps(bent.document()))) == bent


def test_a_judgement_survives_json_and_tells_a_flat_model():
    happened = np.arange(1000) % 4 == 0
    found = judge(np.full(1000, 0.25), happened, 0.25)
    assert not found.is_better_than_base
    assert found.auc == 0.5
    assert read_judgement(json.loads(json.dumps(found.document()))) == found


def test_expected_purchases_agree_with_the_closed_form():
    process = PurchaseProcess(0.8, 45.0, 1.7, 3.2)
    x, last, age, days = np.array([0.0, 1.0, 7.0]), np.array([0.0, 20.0, 90.0]), np.array([50.0, 60.0, 100.0]), 60.0
    r, alpha, a, b = process.shape, process.rate, process.leave, process.stay
    there = process.purchases_if_there(Purchases(x, last, age), days)
    ratio = ((alpha + age) / (alpha + age + days)) ** (r + x)
    z = days / (alpha + age + days)
    closed = (a + b + x) / (a - 1) * (1 - ratio * hyp2f1(r + x, b + x + 1, a + b + x, z))
    assert there == pytest.approx(closed, rel=2e-3)
    first = betaln(a, b + x + 1) - (r + x) * np.log(alpha + age)
    gone = betaln(a + 1, b + x) - (r + x) * np.log(alpha + last)
    assert process.is_there(Purchases(x, last, age)) == pytest.approx(1 / (1 + np.exp(gone - first)))


@given(age=st.floats(10.0, 500.0), count=st.integers(1, 20), share=st.floats(0.05, 0.9))
def test_longer_silence_never_makes_it_likelier_that_somebody_is_still_there(age, count, share):
    process = PurchaseProcess(1.2, 50.0, 0.8, 2.5)
    seen = Purchases(np.full(2, float(count)), np.array([age * share, age * (share + 0.1)]), np.full(2, age))
    early, late = process.is_there(seen)
    assert early <= late + 1e-12


def test_mean_orders_lie_between_the_customers_own_and_everybodys():
    luck = np.random.default_rng(1)
    true = luck.gamma(4.0, 10.0, 400)
    orders = [one * luck.gamma(9.0, 1 / 9.0, 3) for one in true]
    found = fit_order_value(
        np.full(400, 3.0), np.array([o.mean() for o in orders]), np.array([(o**2).sum() for o in orders])
    )
    assert found.mean == pytest.approx(40.0, rel=0.1)
    assert found.between == pytest.approx(400.0, rel=0.35)
    assert OrderValue(40.0, 100.0, 100.0).means(np.array([1.0]), np.array([60.0]))[0] == 50.0


def test_the_curve_of_everybody_uses_the_censored_for_as_long_as_they_were_seen():
    luck = np.random.default_rng(4)
    times, ends = luck.exponential(50.0, 4000), luck.uniform(10.0, 120.0, 4000)
    days, waiting = population_curve(np.minimum(times, ends), times <= ends)
    assert waiting[np.searchsorted(days, 50.0)] == pytest.approx(np.exp(-1.0), abs=0.03)


def test_every_rule_names_a_feature_or_a_part_that_exists(models):
    named = {"is_still_there", "purchases_if_there", "mean_order", "login_frequency"}
    features = {name for model in models.outcomes.values() for name in model.additive.names}
    assert features & {name for rule in RULES for name in rule.features}
    assert named & {name for rule in RULES for name in rule.features}
    assert all(rule.number in NUMBERS for rule in RULES)


def test_suggestions_are_said_once_and_no_more_than_asked(models, told):
    found = suggested_actions(explained(models, told[0], told[1], told[0].index[0]), most=1)
    assert len({one.sentence for one in found}) == len(found) <= 5


def test_the_table_of_the_campaign_file_notes_every_fault():
    faults = []
    spec = read_models(Reader({"churn": "90d", "purchase": "90m", "conversion_types": [], "x": 1}, "models", faults))
    assert spec.churn == 90
    assert [fault.where for fault in faults] == ["models.purchase", "models.conversion_types", "models.x"]


def test_a_changed_file_is_refused(models):
    with pytest.raises(BrokenSnapshot, match="Make them anew"):
        read_customer_models(models.text().replace(f'"version": {VERSION}', '"version": 9'))
    with pytest.raises(BrokenSnapshot, match="anew"):
        read_customer_models("{}")
    with pytest.raises(BrokenSnapshot, match="rising knots"):
        NumberShape("orders", (2.0, 1.0), (0.0, 0.0), 0.0, 0.0)


def test_a_missing_column_says_which():
    model = AdditiveModel(0.0, (NumberShape("orders", (0.0, 1.0), (0.0, 1.0), 0.0, 0.0),))
    kept = OutcomeModel("x", 1, model, Calibration("sigmoid", (), (0.0, 1.0)), "line", {}, judged(), 1)
    with pytest.raises(Exception, match="no column orders"):
        kept.chances(pd.DataFrame({"other": [1.0]}))


def judged():
    found = judge(np.array([0.2, 0.8]), np.array([False, True]), 0.5)
    return dataclasses.replace(found, n=2)
