"""Wear-out: what a customer got lately is counted from the past alone, and a worn arm scores less until it has recovered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Context, Matured, Snapshot
from bandit.errors import BrokenSnapshot, InvalidCampaign, InvalidContext, InvalidSettings, MismatchedPolicy
from bandit.learners import LEARNERS, learner_faults
from bandit.log import LoggedDecision, cells_of, columns_of
from bandit.regression import reference_score
from bandit.training import training_row
from bandit.warm_start import HistoricalSend, carry_over, learn_log
from bandit.wear_out import DAY, Exposure, PastSend, WearOut, Worn, exposures_of, latest, moved_exposures

ARMS = ("plain", "champion", "dominate")
DIMENSIONS = ("subject", "cta")
HALF_LIFE = 5.0


def sends(worlds, *pairs):
    """Past sends from (days before noon, choice)."""
    return [PastSend(worlds.noon - days * DAY, choice) for days, choice in pairs]


@pytest.fixture(scope="module")
def campaign(worlds):
    return worlds.campaign(wear_out={"window": "30d"})


past_sends = st.lists(
    st.tuples(st.floats(-40.0, 80.0), st.sampled_from((*ARMS, "retired")), st.sampled_from(("join", "invite"))),
    max_size=20,
)


@given(past=past_sends)
def test_recency_is_the_youngest_age_and_frequency_the_count_within_the_window(worlds, campaign, past):
    found = sends(worlds, *((days, {"subject": subject, "cta": cta}) for days, subject, cta in past))
    exposures = {(e.dimension, e.arm): e for e in exposures_of(campaign.dimensions, WearOut(), found, worlds.noon)}
    for d, dimension in enumerate(campaign.dimensions):
        for k, arm in enumerate(dimension.ids):
            ages = [(worlds.noon - s.at) / DAY for s in found if s.choice[dimension.name] == arm]
            counted = [age for age in ages if 0.0 < age < 30.0]
            if counted:
                assert exposures.pop((d, k)) == Exposure(d, k, min(counted), len(counted))
    assert exposures == {}


@given(past=past_sends, later=past_sends)
def test_what_is_sent_at_the_same_time_or_later_changes_nothing(worlds, campaign, past, later):
    def found(pairs):
        listed = sends(worlds, *((days, {"subject": subject, "cta": cta}) for days, subject, cta in pairs))
        return exposures_of(campaign.dimensions, WearOut(), listed, worlds.noon)

    assert found([*past, *((-abs(days), subject, cta) for days, subject, cta in later)]) == found(past)


@given(recency=st.floats(1e-6, 400.0), frequency=st.integers(1, 60), window=st.integers(1, 366))
def test_features_are_finite_never_negative_and_fade_to_nothing_at_the_windows_end(recency, frequency, window):
    spec = WearOut(timedelta(days=window))
    values = spec.values(recency, frequency)
    assert len(values) == len(spec.features)
    assert min(values) >= 0.0
    assert max(values[:-1]) <= 1.0
    assert values[:-1] == sorted(values[:-1], reverse=True)  # the first ramp ends last
    assert spec.values(float(window), frequency) == pytest.approx([0.0] * len(values), abs=1e-9)


@given(recency=st.floats(1e-3, 29.0), step=st.floats(0.0, 1e-6))
def test_a_moment_more_changes_the_features_by_next_to_nothing(recency, step):
    spec = WearOut()
    assert spec.values(recency + step, 3) == pytest.approx(spec.values(recency, 3), abs=1e-3)


@pytest.mark.parametrize("days", [0.5, 367, 1e5])
def test_a_window_that_nobody_would_want_is_refused(days):
    with pytest.raises(InvalidSettings, match="need 1 to 366 days"):
        WearOut(timedelta(days=days))


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({"window": "12h"}, r"wear_out\.window.*12h.*1 to 366 days"),
        ({"window": "soon"}, r"wear_out\.window.*soon"),
        ({"half_life": "7d"}, r"wear_out\.half_life"),
    ],
)
def test_faults_of_the_table_are_named(worlds, table, found):
    with pytest.raises(InvalidCampaign, match=found):
        worlds.campaign(wear_out=table)


def test_an_empty_table_asks_for_thirty_days_and_no_table_for_nothing(worlds):
    assert worlds.campaign(wear_out={}).wear_out == WearOut(timedelta(days=30))
    assert worlds.campaign().wear_out is None


@pytest.mark.parametrize(("sooner", "n_counted"), [(timedelta(0), 0), (timedelta(microseconds=1), 1)])
def test_a_send_that_is_exactly_as_old_as_the_window_counts_no_more(worlds, campaign, sooner, n_counted):
    send = PastSend(worlds.noon - 30 * DAY + sooner, {"subject": "plain", "cta": "join"})
    assert len(exposures_of(campaign.dimensions, WearOut(), [send], worlds.noon)) == 2 * n_counted


def test_the_latest_send_is_that_of_any_arm_and_every_send_counts(worlds, campaign):
    found = exposures_of(
        campaign.dimensions,
        WearOut(),
        sends(
            worlds,
            *((days, {"subject": arm, "cta": "join"}) for days, arm in ((9, "plain"), (2, "dominate"), (4, "plain"))),
        ),
        worlds.noon,
    )
    assert latest(found) == (2.0, 3)
    assert latest(()) is None


def test_exposures_move_with_their_arms_to_another_campaigns_positions(worlds, campaign):
    other = worlds.campaign(
        dimension=[worlds.dimension("cta", "invite"), worlds.dimension("subject", "new", "dominate", "plain")]
    )
    found = [Exposure(0, 0, 3.0, 2), Exposure(0, 1, 5.0, 1), Exposure(0, 2, 1.0, 4), Exposure(1, 1, 1.0, 7)]
    moved = moved_exposures(found, campaign.dimensions, other.dimensions)
    assert moved == (Exposure(0, 0, 1.0, 7), Exposure(1, 1, 1.0, 4), Exposure(1, 2, 3.0, 2))


def test_a_decision_without_the_past_is_refused_where_the_campaign_asks_for_it(worlds, campaign):
    engine = worlds.engine(campaign)
    with pytest.raises(InvalidContext, match=r"(?s)\[wear_out\].*past=\[\]"):
        engine.decide("ann", Context({}), decision_id="d", at=worlds.noon)
    made = engine.decide("ann", Context({}), decision_id="d", at=worlds.noon, past=[])
    assert made.exposures == ()
    plain = worlds.engine(worlds.campaign()).decide("ann", Context({}), decision_id="d", at=worlds.noon)
    assert plain.exposures == ()


def test_an_explorer_that_cannot_learn_from_it_is_refused_by_name(worlds, campaign):
    for name, kind in LEARNERS.items():
        faults = learner_faults(replace(campaign.learner, name=name), next(iter(kind.provides)), wears=True)
        assert [fault.where for fault in faults] == ([] if kind.wears else ["wear_out or reward.recent_send"])
    native = worlds.campaign(wear_out={}, policy={"name": "native"}, learner={"name": "native"})
    with pytest.raises(MismatchedPolicy, match=r"wear_out.*one of regression, bootstrap"):
        worlds.engine(native)


def worn_rows(worlds, campaign, n, *, seed=0, depth=1.5):
    """Rows of random traffic whose customers tire of an arm they got, and come back with a half-life of five days."""
    rng, engine = np.random.default_rng(seed), worlds.engine(campaign)
    rows = []
    for number, context in enumerate(worlds.contexts(campaign, n, seed=seed), start=1):
        got = [(float(rng.uniform(0.2, 29.0)), {"subject": str(rng.choice(ARMS)), "cta": "join"})] * int(
            rng.random() < 0.8
        )
        past = sends(worlds, *got)
        made = engine.decide(f"c{number}", context, decision_id=f"w{seed}-{number}", at=worlds.noon, past=past)
        worn = sum(2.0 ** (-days / HALF_LIFE) for days, choice in got if choice["subject"] == made.choice["subject"])
        click = 1.0 / (1.0 + np.exp(1.0 + depth * worn))
        types = frozenset({"click"} if rng.random() < click else ())
        rows.append(Matured(number, LoggedDecision.of(made, number), types))
    return rows


def score(worlds, campaign, snapshot, exposures, arm="champion"):
    """Expected reward of one subject line."""
    scorer = worlds.kind(campaign).serve(campaign, snapshot)
    encoded = campaign.schema.encode(Context({"level": "high"}))._replace(exposures=tuple(exposures))
    place = campaign.dimensions[0].index_of(arm)
    return scorer.offer(scorer.start(encoded), 0, range(3)).scores[place]


@pytest.fixture(scope="module")
def trained(worlds):
    campaign = worlds.campaign(wear_out={}, reward={"window": "72h", "events": {"click": 1.0}})
    return campaign, worlds.train(campaign, worn_rows(worlds, campaign, 6000))


def test_a_worn_arm_scores_less_and_recovers_as_days_go_by(worlds, trained):
    campaign, snapshot = trained
    by_day = [score(worlds, campaign, snapshot, [Exposure(0, 1, days, 1)]) for days in (0.5, 3.0, 8.0, 20.0, 30.0)]
    fresh = score(worlds, campaign, snapshot, [])
    assert by_day == sorted(by_day)
    assert by_day[0] < 0.6 * fresh
    assert by_day[-1] == pytest.approx(fresh, rel=0.02)


def test_what_is_learned_of_one_arm_holds_for_all_and_for_no_other_arm_of_the_same_send(worlds, trained):
    campaign, snapshot = trained

    def lost(arm, sent):
        """Logits that an arm loses by what was sent half a day ago."""
        chances = (score(worlds, campaign, snapshot, e, arm) for e in ([], [Exposure(0, sent, 0.5, 1)]))
        fresh, worn = (np.log(chance / (1.0 - chance)) for chance in chances)
        return fresh - worn

    own = [lost(arm, sent) for sent, arm in enumerate(ARMS)]
    assert own == pytest.approx([own[0]] * 3, abs=1e-6)
    assert lost("plain", 1) < 0.4 * own[0]


@pytest.mark.parametrize("target", ["outcomes", "reward"])
@pytest.mark.parametrize("interactions", [True, False])
def test_the_served_tables_say_of_worn_arms_what_vowpal_wabbit_says(worlds, target, interactions):
    campaign = worlds.campaign(
        wear_out={"window": "14d"},
        reward={"window": "72h", "events": {"click": 1.0}},
        policy={"interactions": interactions},
        learner={"target": target, "learning_rate": 0.4},
    )
    rows = worn_rows(worlds, campaign, 900)
    snapshot = worlds.train(campaign, rows)
    scorer = worlds.kind(campaign).serve(campaign, snapshot)
    for row in [training_row(campaign, row) for row in rows[:60] if row.decision.exposures]:
        (linear,) = reference_score(campaign, snapshot, row)
        expected = 1.0 / (1.0 + np.exp(-linear)) if target == "outcomes" else min(max(linear, 0.0), 1.0)
        state = scorer.after(scorer.start(row.context), 0, row.picks[0])
        assert scorer.whole(state, 1, row.picks[1]) == pytest.approx(expected, abs=1e-5)


def test_rows_kept_back_keep_their_exposures_through_a_snapshot(worlds, campaign):
    rows = [training_row(campaign, row) for row in worn_rows(worlds, campaign, 700)]
    kind = worlds.kind(campaign)
    straight, stopped = kind.fresh(campaign), kind.fresh(campaign)
    for row in rows:
        straight.learn(row)
    for row in rows[:15]:  # fewer than any learner begins with
        stopped.learn(row)
    resumed = kind.resume(campaign, Snapshot.from_bytes(stopped.snapshot(watermark=15).to_bytes()))
    for row in rows[15:]:
        resumed.learn(row)
    exposures = [Exposure(0, 1, 0.5, 1)]
    first, second = (score(worlds, campaign, one.snapshot(watermark=700), exposures) for one in (straight, resumed))
    assert first == pytest.approx(second, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(recency=st.floats(0.01, 29.0), frequency=st.integers(1, 30), arm=st.integers(0, 2))
def test_learners_of_all_kinds_serve_finite_scores_for_any_exposure(worlds, trained, recency, frequency, arm):
    campaign, snapshot = trained
    assert 0.0 < score(worlds, campaign, snapshot, [Exposure(0, arm, recency, frequency)], ARMS[arm]) < 1.0


def test_the_log_shows_recency_and_frequency_in_arm_order_where_the_campaign_asks(worlds, campaign):
    past = sends(worlds, (2, {"subject": "champion", "cta": "join"}), (5, {"subject": "champion", "cta": "invite"}))
    made = worlds.engine(campaign).decide("ann", Context({}), decision_id="d", at=worlds.noon, past=past)
    cells = cells_of(LoggedDecision.of(made, 1), campaign)
    assert set(columns_of(campaign)) == set(cells)
    assert (cells["recency.subject"], cells["frequency.subject"]) == ([None, 2.0, None], [0, 2, 0])
    assert (cells["recency.cta"], cells["frequency.cta"]) == ([2.0, 5.0], [1, 1])
    assert not any(name.startswith(("recency", "frequency")) for name in columns_of(worlds.campaign()))


def test_a_warm_start_keeps_what_was_learned_of_wear_and_refuses_another_window(worlds, trained):
    campaign, snapshot = trained
    sections = {"wear_out": {}, "reward": {"window": "72h", "events": {"click": 1.0}}}
    more = worlds.campaign(
        **sections, dimension=[worlds.dimension("subject", *ARMS, "new"), worlds.dimension("cta", "join", "invite")]
    )
    moved = carry_over(campaign, snapshot, more, worlds.kind(more))
    for exposures in ([], [Exposure(0, 1, 0.5, 2)]):
        scorer = worlds.kind(more).serve(more, moved)
        encoded = more.schema.encode(Context({"level": "high"}))._replace(exposures=tuple(exposures))
        found = scorer.offer(scorer.start(encoded), 0, range(4)).scores[1]
        assert found == pytest.approx(score(worlds, campaign, snapshot, exposures), abs=1e-6)
    other = worlds.campaign(**sections | {"wear_out": {"window": "7d"}})
    with pytest.raises(BrokenSnapshot, match=r"\[wear_out\] window differs"):
        carry_over(campaign, snapshot, other, worlds.kind(other))


def test_a_log_teaches_what_wears_out_where_it_says_what_customers_got(worlds, trained):
    campaign, snapshot = trained
    rows = worn_rows(worlds, campaign, 6000)
    known = [
        HistoricalSend(
            made.context, dict(zip(DIMENSIONS, made.arms, strict=True)), {}, None, row.outcome_types, made.exposures
        )
        for row in rows
        for made in [row.decision]
    ]
    learned = learn_log(campaign, worlds.kind(campaign), known).snapshot
    for exposures in ([], [Exposure(0, 1, 0.5, 2)]):
        found = score(worlds, campaign, learned, exposures)
        assert found == pytest.approx(score(worlds, campaign, snapshot, exposures), abs=1e-9)


def test_having_been_sent_is_never_to_an_arms_advantage_and_only_unwanted_outcomes_may_rise(worlds):
    """Arms are sent again to those whom they suit; a log of that looks as if sending again were good."""
    weights = [[[0.0] * 6] * 3, [[0.5] * 6, [0.5] * 6, [-0.5] * 6]]
    worn = Worn(WearOut(), weights, [1], [1.0, -1.0, -1.0])
    added = dict(worn.added([Exposure(0, 1, 1.0, 2)]))
    assert added[2][0] == 0.0
    assert added[2][1] > 0.0
    assert added[2][2] == 0.0
    campaign = worlds.campaign(wear_out={}, reward={"window": "72h", "events": {"click": 1.0}})
    snapshot = worlds.train(campaign, worn_rows(worlds, campaign, 3000, depth=-1.5))
    for arm in range(3):
        latest_only = score(worlds, campaign, snapshot, [Exposure(0, (arm + 1) % 3, 0.5, 3)], ARMS[arm])
        assert score(worlds, campaign, snapshot, [Exposure(0, arm, 0.5, 3)], ARMS[arm]) <= latest_only + 1e-12


def test_an_arm_of_a_later_dimension_counts_though_that_of_the_first_was_retired():
    weights = [[[-1.0] * len(WearOut().features)] for _ in range(3)]
    worn, alone, many = Worn(WearOut(), weights, [1, 3], [1.0]), np.zeros((1, 5)), np.zeros((2, 1, 5))
    exposures = (Exposure(1, 0, 2.0, 1),)
    for column, sums in worn.added(exposures):
        alone[:, column] += sums
    worn.add_to_many(many, [exposures, ()])
    assert alone.any()
    assert many[0] == pytest.approx(alone)
    assert not many[1].any()
