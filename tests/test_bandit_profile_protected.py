"""Protected fields: whatever stands in them, models and learned segments are the same, and nothing names them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from bandit.errors import UnusableEvents, UnusableLog
from bandit.profile.context_fields import protected_features
from bandit.profile.customer_models import NUMBERS, fit_customer_models, read_customer_models
from bandit.profile.customer_value import spending_at
from bandit.profile.events import typed
from bandit.profile.factors import explained
from bandit.profile.features import features_at
from bandit.profile.history import History
from bandit.profile.models_in_making import Making
from bandit.profile.models_spec import ModelsSpec
from bandit.profile.segment_search import learn_segments
from bandit.profile.segment_spec import LearnedSpec, SegmentSpec
from bandit.profile.spec import ProfileSpec
from bandit.schema import CategoricalField, NumericField
from service.commands.profile_models import ModelsAsked, with_models
from service.commands.profile_segments import SegmentsAsked, with_segments
from simulator.customer_histories import BEGIN, customer_histories

NOW = BEGIN + timedelta(days=200)
SPEC = ProfileSpec(models=ModelsSpec(churn=30, value=30, conversion_types=("never",)))
FIELDS = (CategoricalField("device", (), protected=True), CategoricalField("plan", ("free", "paid")))
PROTECTED = protected_features(FIELDS, SPEC)


@pytest.fixture(scope="module")
def events():
    """Customers who buy more the more they are on the phone, so that a model would gladly look at it."""
    found = customer_histories(300, days=200, seed=2, stays_for=150.0).events
    often = found["customer_id"].map(found["type"].eq("purchase").groupby(found["customer_id"], observed=True).sum())
    device = pd.Categorical(np.where(often.astype(float) > 3, "phone", "desktop"))
    return typed(found.assign(device=device))


def models_of(events, left_out):
    return fit_customer_models(History(events, SPEC, SPEC.models, left_out), NOW)


@pytest.fixture(scope="module")
def blind(events):
    return models_of(events, PROTECTED)


@pytest.fixture(scope="module")
def seeing(events):
    return models_of(events, frozenset())


def test_a_field_is_protected_together_with_the_feature_that_fills_it():
    spec = replace(SPEC, fields={"spend": "monetary"})
    personal = NumericField("spend", 0.0, 1.0, protected=True, personal=True)
    assert protected_features([personal, *FIELDS[1:]], spec) == {"spend", "monetary", "preferred_spend"}


def test_changing_a_protected_field_changes_no_model_number_and_explanation(events, blind):
    turned = events.assign(
        device=pd.Categorical(["desktop", "phone"] * (len(events) // 2) + ["tv"] * (len(events) % 2))
    )
    again = models_of(typed(turned), PROTECTED)
    assert again.text() == blind.text()
    history = History(events, SPEC, SPEC.models, PROTECTED)
    pd.testing.assert_frame_equal(again.numbers(history, NOW), blind.numbers(history, NOW))
    assert "preferred_device" not in blind.text()


def test_the_same_field_is_looked_at_and_named_where_it_is_not_protected(seeing):
    assert "preferred_device" in seeing.looks_at
    assert "preferred_device" in seeing.text()


def test_no_explanation_names_a_protected_field(events, blind):
    history = History(events, SPEC, SPEC.models, PROTECTED)
    features, spending = blind.features_at(history, NOW), spending_at(history.purchases, history.born, NOW)
    found = explained(blind, features, spending, features.index[0])
    assert not {factor.name for one in found.values() for factor in one.factors} & PROTECTED


def test_there_is_no_value_without_what_it_is_made_of(events):
    past = History(events, SPEC, SPEC.models, frozenset({"monetary"}))
    with pytest.raises(UnusableEvents, match="declares monetary as protected"):
        Making(past, NOW).value()
    assert "monetary" not in past.features_at(NOW).columns


def test_models_made_before_a_field_was_protected_are_refused_by_name(events, seeing, tmp_path):
    kept = tmp_path / "models.json"
    kept.write_text(seeing.text())
    table = features_at(events, NOW, SPEC)
    asked = ModelsAsked(str(kept), kept, None, None)
    with pytest.raises(UnusableEvents, match=r"look at preferred_device, which .* protected"):
        with_models(table, events, NOW, SPEC, asked, PROTECTED)
    assert set(NUMBERS) <= set(with_models(table, events, NOW, SPEC, asked).table.columns)


def test_features_of_models_hang_on_no_population_but_their_own(events, seeing):
    """Other customers move the population; those who were there before keep their numbers to the last bit."""
    history = History(events, SPEC, SPEC.models)
    ids = events["customer_id"].astype(str)
    few = History(typed(events[ids < "c000100"]), SPEC, SPEC.models)
    numbers, alone = (seeing.numbers(one, NOW)["purchase_propensity"] for one in (history, few))
    pd.testing.assert_series_equal(numbers[alone.index], alone, check_exact=True)
    assert not history.features_at(NOW).loc[alone.index].equals(few.features_at(NOW))
    assert read_customer_models(seeing.text()).population == seeing.population


LEARNED = SegmentSpec(
    groups={"mine": ("age", "visits", "orders")}, learned=LearnedSpec(groups=("mine",), methods=("kmeans",), most=2)
)


def customers():
    """Two groups in what they do; two others, across them, in age."""
    rng = np.random.default_rng(0)
    does, is_old = rng.random(200) < 0.5, rng.random(200) < 0.5
    table = pd.DataFrame({"visits": 9.0 * does + rng.normal(size=200), "orders": 9.0 * does + rng.normal(size=200)})
    table["age"] = 30.0 + 40.0 * is_old + rng.normal(size=200)
    return table.set_index(pd.Index([f"c{k}" for k in range(200)], name="customer_id"))


def test_changing_a_protected_field_changes_no_learned_segment_and_old_ones_that_look_at_it_are_refused(tmp_path):
    table, out = customers(), tmp_path / "segments.json"
    asked = SegmentsAsked("learned", out, None)
    found = with_segments(table, LEARNED, asked, {"age"})
    written = out.read_bytes()
    other = with_segments(table.assign(age=table["age"].to_numpy()[::-1]), LEARNED, asked, {"age"})
    assert out.read_bytes() == written
    assert b'"age"' not in written
    assert "age" not in found.text
    assert found.table["segment"].equals(other.table["segment"])
    out.write_bytes(learn_segments(table, LEARNED, n_references=1).segments.to_json())
    assert b'"age"' in out.read_bytes()
    with pytest.raises(UnusableLog, match=r"look at age, which .* protected"):
        with_segments(table, LEARNED, SegmentsAsked(str(out), out, None), {"age"})
