"""Segments by rule: the first that holds wins, says why, and what the campaign file says is read with all its faults."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.dimension import Range
from bandit.errors import UnusableLog
from bandit.fault import Reader
from bandit.profile.rule_segments import COLUMNS, explain_segment, rule_segments
from bandit.profile.segment_spec import TRAITS, RuleSegment, SegmentSpec, Traits, read_segments

USUAL = SegmentSpec()
PLAIN = {
    "engagement_score": 50.0,
    "recency_score": 3.0,
    "frequency_score": 3.0,
    "monetary_score": 3.0,
    "brand_loyalty": 0.2,
    "account_age_days": 400.0,
    "lifecycle_stage": "established",
    "price_sensitivity": 0.1,
    "engagement_social_activity": 10.0,
    "referrals_made": 0.0,
}
HOLDING = {
    "champion": {"engagement_score": 80.0},
    "loyal_customer": {"brand_loyalty": 0.5},
    "price_sensitive": {"price_sensitivity": 0.5},
    "social_influencer": {"referrals_made": 3.0},
    "at_risk": {"lifecycle_stage": "dormant"},
}


def read(text):
    faults = []
    spec = read_segments(Reader(tomllib.loads(text), "profile.segments", faults))
    return spec, [str(fault) for fault in faults]


def segment_of(**values):
    return rule_segments(pd.DataFrame([{**PLAIN, **values}]), USUAL)["segment"].iloc[0]


@pytest.mark.parametrize("name", HOLDING)
def test_every_usual_segment_has_somebody(name):
    assert segment_of(**HOLDING[name]) == name


def test_whoever_no_rule_holds_for_is_other():
    assert segment_of() == "other"


@given(names=st.sets(st.sampled_from(list(HOLDING)), min_size=1))
def test_the_first_rule_that_holds_wins(names):
    values = {feature: value for name in names for feature, value in HOLDING[name].items()}
    expected = next(rule.name for rule in USUAL.rules if rule.name in names)
    # Whoever is dormant is no loyal customer.
    if expected == "loyal_customer" and "at_risk" in names:
        expected = next(rule.name for rule in USUAL.rules if rule.name in names - {"loyal_customer"})
    assert segment_of(**values) == expected


def test_an_alternative_is_enough():
    best = {"recency_score": 4.0, "frequency_score": 5.0, "monetary_score": 4.0}
    assert segment_of(**best) == "champion"
    assert segment_of(**{**best, "recency_score": 3.9}) == "other"


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
def test_table_and_explanation_agree_and_missing_values_satisfy_nothing(seed):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(6):
        row = {name: value if isinstance(value, str) else float(rng.uniform(0, 100)) for name, value in PLAIN.items()}
        row["lifecycle_stage"] = str(rng.choice(["dormant", "growing"]))
        for name in rng.choice(list(PLAIN), rng.integers(0, 6), replace=False):
            row[str(name)] = None
        rows.append(row)
    table = pd.DataFrame(rows)
    found = rule_segments(table, USUAL)
    for row, segment in zip(rows, found["segment"], strict=True):
        reason = explain_segment(row, USUAL)
        assert reason.segment == segment
        assert bool(reason.because) == (segment != "other")
        assert list(reason.not_in) == [rule.name for rule in USUAL.rules][: USUAL.names.index(segment)]
        assert "None" not in " ".join(reason.because)


def test_everybody_has_the_traits_of_their_segment_and_keeps_their_place():
    table = pd.DataFrame([{**PLAIN, **HOLDING["at_risk"]}, PLAIN], index=pd.Index(["b", "a"], name="customer_id"))
    found = rule_segments(table, USUAL)
    assert tuple(found.columns) == COLUMNS
    assert found.index.tolist() == ["b", "a"]
    assert found.loc["b"].tolist() == ["at_risk", "reassurance", "caring", "win_back_offer", "monthly"]
    assert found.loc["a", "segment_tone"] == USUAL.other.tone


def test_a_reason_says_what_holds_and_what_did_not():
    words = explain_segment({**PLAIN, "price_sensitivity": 0.75}, USUAL).words
    assert words.startswith("price_sensitive: price_sensitivity is 0.75, at least 0.5 (not champion: ")
    assert "engagement_score is 50, not at least 80, and recency_score is 3, not at least 4" in words
    assert explain_segment(PLAIN, USUAL).words.startswith("other: no rule holds (not champion")


def test_a_rule_about_a_feature_that_is_not_there_is_refused():
    with pytest.raises(UnusableLog, match=r"ask for price_sensitivity.*leave them out with `order`"):
        rule_segments(pd.DataFrame([{name: v for name, v in PLAIN.items() if name != "price_sensitivity"}]), USUAL)


def test_a_rule_about_a_number_where_texts_stand_is_refused():
    with pytest.raises(UnusableLog, match="asks for a number of referrals_made"):
        rule_segments(pd.DataFrame([{**PLAIN, "referrals_made": "many"}]), USUAL)


def test_true_and_false_are_asked_of_columns_of_either_kind():
    spec = SegmentSpec((RuleSegment("member", ({"is_member": frozenset((True,))},), Traits("a", "b", "c", "d")),))
    for column in (pd.Series([True, False]), pd.Series([True, None], dtype=object), pd.Series(["true", "no"])):
        assert rule_segments(column.to_frame("is_member"), spec)["segment"].tolist() == ["member", "other"]


def test_nothing_said_means_the_usual_rules():
    spec, faults = read("")
    assert (spec, faults) == (USUAL, [])
    assert all(getattr(rule.traits, trait) for rule in spec.rules for trait in TRAITS)


def test_what_the_file_says_changes_only_that():
    spec, faults = read('[rules.champion]\ntone = "proud"\n[rules.other]\nfrequency = "seldom"')
    assert faults == []
    assert spec.rules[0] == replace(USUAL.rules[0], traits=replace(USUAL.rules[0].traits, tone="proud"))
    assert spec.rules[1:] == USUAL.rules[1:]
    assert spec.other == replace(USUAL.other, frequency="seldom")


def test_a_new_segment_and_an_order():
    spec, faults = read(
        """
        order = ["night_owl", "champion"]
        [rules.night_owl]
        when = [{ preferred_daypart = ["night"], sleeps = false }, { preferred_hour = [0, 4] }, { age = { at_most = 30 } }]
        motivation = "fun"
        tone = "cheeky"
        incentive = "night_sale"
        frequency = "weekly"
        """
    )
    assert faults == []
    assert spec.names == ("night_owl", "champion", "other")
    assert spec.rules[0].when == (
        {"preferred_daypart": frozenset(("night",)), "sleeps": frozenset((False,))},
        {"preferred_hour": Range(0.0, 4.0)},
        {"age": Range(-math.inf, 30.0)},
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[rules.a]\nwhen = { x = [1] }\nmotivation="a"\ntone="b"\nincentive="c"\nfrequency="d"', "rules.a.when.x"),
        ('[rules.a]\nwhen = { x = { at_least = "3" } }', "rules.a.when.x"),
        ("[rules.champion]\nwhen = {}", "rules.champion.when"),
        ("[rules.champion]\nwhen = [{ x = [2, 1] }, 3]", "rules.champion.when[1]"),
        ('[rules.a]\nwhen = { x = ["y"] }\ntone="b"\nincentive="c"\nfrequency="d"', "rules.a.motivation"),
        ("[rules.champion]\ntones = 3", "rules.champion.tones"),
        ('[rules."no name"]\ntone = "x"', "rules.no name"),
        ('[rules.other]\nwhen = { x = ["y"] }', "rules.other.when"),
        ('order = ["champion", "chmpion"]', "order"),
        ("order = []", "order"),
        ('[learned]\ngroups = ["value", "horoscope"]', "learned.groups"),
        ('[learned]\nmethods = ["kmedoids"]', "learned.methods"),
        ("[learned]\nmost = 1.5", "learned.most"),
        ("[learned]\nfewest = 5\nmost = 3", "learned.most"),
        ("[learned]\nleast_share = 0.9", "learned.least_share"),
        ('[groups]\nvalue = "monetary"', "groups.value"),
        ("[learnt]\nmost = 3", "learnt"),
    ],
)
def test_every_fault_of_the_table_is_named(text, where):
    faults = read(text)[1]
    assert any(fault.startswith(f"profile.segments.{where}: ") for fault in faults), faults


def test_all_faults_are_named_at_once():
    faults = read('order = ["nobody"]\n[learned]\nmost = 99\nmethods = ["magic"]\n[rules.champion]\nwhen = 7')[1]
    assert len(faults) == 4


def test_groups_of_features_can_be_new_and_are_joined_without_repeats():
    spec, faults = read(
        '[groups]\nmine = ["monetary", "visits"]\n[learned]\ngroups = ["value", "mine"]\nmethods = ["gaussian"]\nseed = 4'
    )
    assert faults == []
    assert spec.learned_from == ("frequency", "monetary", "referrals_made", "visits")
    assert spec.learned.methods == ("gaussian",)
    assert spec.learned.seed == 4
