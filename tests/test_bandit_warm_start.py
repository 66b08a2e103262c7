"""What one campaign learned is where another begins: same names, same beliefs; new arms stand where their like stand."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from bandit import Context, LoggedDecision, Matured
from bandit.errors import BrokenSnapshot, InvalidOutcome
from bandit.training import training_row
from bandit.warm_start import HistoricalSend, carry_over, learn_log

CLICKS = {"window": "72h", "events": {"click": 1.0}}
CONTEXT = {"level": {"kind": "categorical", "values": ["low", "high"]}, "days": {"kind": "numeric", "range": [0, 30]}}
CALM = [{"id": f"calm{k}", "features": {"tone": "calm"}} for k in range(3)]
LOUD = [{"id": f"loud{k}", "features": {"tone": "loud"}} for k in range(3)]
NEW = [{"id": "calm-new", "features": {"tone": "calm"}}, {"id": "loud-new", "features": {"tone": "loud"}}]


def loud_wins(_, choice):
    return {"click": 0.3 if choice["subject"].startswith("loud") else 0.1}


def campaigns(worlds, **changes):
    sections = {"context": CONTEXT, "reward": CLICKS} | changes
    before = worlds.campaign(dimension=[worlds.dimension("subject", *CALM, *LOUD)], **sections)
    after = worlds.campaign(dimension=[worlds.dimension("subject", *CALM, *LOUD, *NEW)], **sections)
    return before, after


def scores(worlds, campaign, snapshot, **context):
    scorer = worlds.kind(campaign).serve(campaign, snapshot)
    found = scorer.estimates(scorer.start(campaign.schema.encode(Context(context))), 0, range(campaign.sizes[0]))
    return dict(zip(campaign.dimensions[0].ids, found.scores, strict=True))


@pytest.fixture(scope="module")
def carried(worlds):
    before, after = campaigns(worlds)
    snapshot = worlds.train(before, worlds.rows(before, 3000, loud_wins))
    return before, snapshot, after, carry_over(before, snapshot, after, worlds.kind(after))


def test_arms_that_were_there_before_are_told_apart_as_before(worlds, carried):
    before, snapshot, after, moved = carried
    for context in ({"level": "high", "days": 3.0}, {"level": "low"}, {}):
        old, new = scores(worlds, before, snapshot, **context), scores(worlds, after, moved, **context)
        assert [new[arm] for arm in old] == pytest.approx(list(old.values()), abs=1e-9)


def test_a_new_arm_begins_where_the_arms_like_it_stand(worlds, carried):
    _, _, after, moved = carried
    found = scores(worlds, after, moved, level="high", days=3.0)
    assert found["loud-new"] > found["calm-new"] + 0.05
    assert found["loud-new"] < max(found[f"loud{k}"] for k in range(3))
    assert found["calm-new"] > min(found[f"calm{k}"] for k in range(3))


def test_words_of_its_text_say_what_a_new_arm_is_like_where_no_features_are_declared(worlds):
    arms = [
        {"id": f"a{k}", "text": text}
        for k, text in enumerate(["Win big today", "Win it now", "Our terms", "New terms"])
    ]
    before = worlds.campaign(dimension=[worlds.dimension("subject", *arms)], context=CONTEXT, reward=CLICKS)
    both = [*arms, {"id": "b0", "text": "Win!"}, {"id": "b1", "text": "Terms"}]
    after = worlds.campaign(dimension=[worlds.dimension("subject", *both)], context=CONTEXT, reward=CLICKS)
    rows = worlds.rows(before, 3000, lambda _, choice: {"click": 0.3 if choice["subject"] in ("a0", "a1") else 0.1})
    found = scores(
        worlds, after, carry_over(before, worlds.train(before, rows), after, worlds.kind(after)), level="low"
    )
    assert found["b0"] > found["b1"] + 0.03


def test_learning_goes_on_from_the_first_row_of_the_new_campaign(worlds, carried):
    _, snapshot, after, moved = carried
    assert (moved.watermark, moved.n_learned, moved.campaign_hash) == (0, snapshot.n_learned, after.content_hash)
    turned = worlds.rows(after, 3000, lambda _, choice: {"click": 0.5 if choice["subject"] == "calm-new" else 0.05})
    found = scores(worlds, after, worlds.train(after, turned, moved), level="high", days=3.0)
    assert max(found, key=found.get) == "calm-new"


def test_a_new_context_field_and_a_new_dimension_change_no_belief_about_the_rest(worlds, carried):
    before, snapshot, _, _ = carried
    wider = worlds.campaign(
        context=CONTEXT | {"member": {"kind": "boolean"}, "age": {"kind": "numeric", "range": [0, 100]}},
        reward=CLICKS,
        dimension=[worlds.dimension("subject", *CALM, *LOUD), worlds.dimension("cta", "join", "invite")],
    )
    moved = carry_over(before, snapshot, wider, worlds.kind(wider))
    old = scores(worlds, before, snapshot, level="high", days=3.0)
    new = scores(worlds, wider, moved, level="high", days=3.0, member=True, age=50.0)
    assert list(new.values()) == pytest.approx(list(old.values()), abs=1e-6)
    assert worlds.train(wider, worlds.rows(wider, 50, loud_wins), moved).n_learned == snapshot.n_learned + 50


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"reward": {"window": "72h", "events": {"click": 1.0, "conversion": 2.0}}}, "outcome types differ"),
        ({"learner": {"target": "reward"}}, "target differs"),
        ({"learner": {"learning_rate": 0.5}}, "learning_rate or members differ"),
        ({"dimension": [("cta", "join"), ("subject", "calm0")]}, "dimensions stand elsewhere: cta|subject"),
    ],
)
def test_what_would_mean_something_else_is_refused_by_name(worlds, carried, changes, found):
    before, snapshot, _, _ = carried
    if "dimension" in changes:
        changes = {"dimension": [worlds.dimension(*one) for one in changes["dimension"]]}
    other = worlds.campaign(
        **{"context": CONTEXT, "reward": CLICKS, "dimension": [worlds.dimension("subject", *CALM)]} | changes
    )
    with pytest.raises(BrokenSnapshot, match=f"(?s)cannot be carried over.*({found}).*--from-log"):
        carry_over(before, snapshot, other, worlds.kind(other))


@pytest.fixture(scope="module")
def timed(worlds):
    """Makes a campaign that knows the time, on a clock and with fields to be named."""

    def made(zone="UTC", context=CONTEXT, begins=date(2026, 11, 20), **fields):
        return worlds.campaign(
            campaign={"id": "contest", "timezone": zone},
            time={"begins": begins, "ends": date(2026, 12, 20), "fields": {"left": "days_until_end"} | fields},
            context=context,
            dimension=[worlds.dimension("subject", *CALM, *LOUD)],
            reward=CLICKS,
        )

    return made


@pytest.fixture(scope="module")
def on_the_clock(worlds, timed):
    before = timed(block="hour_block", weekday="weekday")
    engine, rows = worlds.engine(before), []
    for i in range(400):
        at = worlds.noon + timedelta(hours=i)
        made = engine.decide(f"c{i}", Context.of(level=("low", "high")[i % 2]), decision_id=f"d{i}", at=at)
        rows.append(Matured(i + 1, LoggedDecision.of(made, i + 1), frozenset(["click"] * (i % 3 == 0))))
    return before, worlds.train(before, rows)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"zone": "Asia/Tokyo", "block": "hour_block", "weekday": "weekday"}, "block, weekday"),
        ({"block": "season"}, "block"),
        ({"level": "phase", "context": None}, "level"),
    ],
)
def test_what_was_learned_of_one_clock_is_not_carried_to_another(worlds, timed, on_the_clock, changes, named):
    before, snapshot = on_the_clock
    after = timed(**changes)
    with pytest.raises(BrokenSnapshot, match=rf"(?s)another clock, or means something else by: {named}\..*--from-log"):
        carry_over(before, snapshot, after, worlds.kind(after))


@pytest.mark.parametrize(
    "changes",
    [
        {"block": "hour_block", "weekday": "weekday", "season": "season"},
        # The days of a campaign are its own; what counts them means the same on every clock.
        {"zone": "Asia/Tokyo", "begins": date(2026, 12, 1)},
    ],
)
def test_fields_of_the_time_that_mean_the_same_are_carried_over(worlds, timed, on_the_clock, changes):
    before, snapshot = on_the_clock
    after = timed(**changes)
    moved = carry_over(before, snapshot, after, worlds.kind(after))
    assert (moved.watermark, moved.campaign_hash) == (0, after.content_hash)


def test_a_snapshot_is_never_carried_into_a_campaign_with_another_learner(worlds, carried):
    before, snapshot, _, _ = carried
    arms = [worlds.dimension("subject", *CALM, *LOUD)]
    for policy, learner in (("native", "native"), ("thompson", "bootstrap")):
        other = worlds.campaign(context=CONTEXT, reward=CLICKS, dimension=arms, policy={"name": policy})
        with pytest.raises(
            BrokenSnapshot, match=f"(?s)of learner 'regression', the campaign's is '{learner}'.*--from-log"
        ):
            carry_over(before, snapshot, other, worlds.kind(other))


def test_a_bootstrap_hands_on_its_members_and_learns_on(worlds):
    before, after = campaigns(worlds, policy={"name": "thompson"}, learner={"members": 3})
    snapshot = worlds.train(before, worlds.rows(before, 1500, loud_wins))
    moved = carry_over(before, snapshot, after, worlds.kind(after))
    old, new = scores(worlds, before, snapshot, level="high"), scores(worlds, after, moved, level="high")
    assert [new[arm] for arm in old] == pytest.approx(list(old.values()), abs=1e-9)
    assert worlds.train(after, worlds.rows(after, 50, loud_wins), moved).n_learned == 1550
    fewer = worlds.campaign(
        context=CONTEXT,
        reward=CLICKS,
        dimension=[worlds.dimension("subject", *CALM, *LOUD)],
        policy={"name": "thompson"},
        learner={"members": 4},
    )
    with pytest.raises(BrokenSnapshot, match="members differ"):
        carry_over(before, snapshot, fewer, worlds.kind(fewer))


def test_a_model_of_the_reward_itself_is_not_carried_to_other_worths(worlds):
    before, _ = campaigns(worlds, learner={"target": "reward"})
    snapshot = worlds.train(before, worlds.rows(before, 600, loud_wins))
    dearer = {"window": "72h", "events": {"click": 2.0}}
    after, _ = campaigns(worlds, learner={"target": "reward"}, reward=dearer)
    with pytest.raises(BrokenSnapshot, match="the worths of outcomes differ"):
        carry_over(before, snapshot, after, worlds.kind(after))
    # Models of outcomes do not know what an outcome is worth.
    by_outcome, _ = campaigns(worlds)
    snapshot = worlds.train(by_outcome, worlds.rows(by_outcome, 600, loud_wins))
    dear, _ = campaigns(worlds, reward=dearer)
    found = scores(worlds, dear, carry_over(by_outcome, snapshot, dear, worlds.kind(dear)), level="high")
    assert found == {arm: pytest.approx(2 * s) for arm, s in scores(worlds, by_outcome, snapshot, level="high").items()}


@pytest.mark.parametrize("days", [0.0, 7.0, 30.0])
@pytest.mark.parametrize("declared", [[0, 60], [-10, 30], [0, 365]])
def test_a_number_means_the_same_in_another_declared_range(worlds, carried, days, declared):
    before, snapshot, _, _ = carried
    after, _ = campaigns(worlds, context=CONTEXT | {"days": {"kind": "numeric", "range": declared}})
    moved = carry_over(before, snapshot, after, worlds.kind(after))
    old, new = scores(worlds, before, snapshot, days=days), scores(worlds, after, moved, days=days)
    assert list(new.values()) == pytest.approx(list(old.values()), abs=1e-9)


def test_a_new_arm_with_another_number_does_not_move_the_old_ones(worlds):
    arms = [{"id": f"a{k}", "features": {"length": 0.1 * k, "tone": "calm"}} for k in range(4)]
    both = [*arms, {"id": "b", "features": {"length": 9.0, "price": 3.0}}]
    before, after = (
        worlds.campaign(context=CONTEXT, reward=CLICKS, dimension=[worlds.dimension("subject", *some)])
        for some in (arms, both)
    )
    rows = worlds.rows(before, 3000, lambda _, choice: {"click": 0.1 + 0.1 * int(choice["subject"][1])})
    snapshot = worlds.train(before, rows)
    moved = carry_over(before, snapshot, after, worlds.kind(after))
    old, new = scores(worlds, before, snapshot, level="low"), scores(worlds, after, moved, level="low")
    assert [new[arm] for arm in old] == pytest.approx(list(old.values()), abs=1e-9)
    # And not either when learning has gone on and the snapshot was read back.
    later = worlds.train(after, worlds.rows(after, 1, loud_wins, seed=5), moved)
    assert [scores(worlds, after, later, level="low")[arm] for arm in old] == pytest.approx(
        list(old.values()), abs=0.01
    )
    again = worlds.kind(after).resume(after, later).snapshot(watermark=0)
    assert scores(worlds, after, again, level="low") == scores(worlds, after, later, level="low")


def test_a_snapshot_that_hardly_began_is_refused(worlds):
    before, after = campaigns(worlds)
    snapshot = worlds.train(before, worlds.rows(before, 20, loud_wins))
    with pytest.raises(BrokenSnapshot, match="seen 20 decisions, too few"):
        carry_over(before, snapshot, after, worlds.kind(after))


def historical(campaign, rows, *, known=True):
    names = [dimension.name for dimension in campaign.dimensions]
    for row in rows:
        made = row.decision
        yield HistoricalSend(
            made.context,
            dict(zip(names, made.arms, strict=True)),
            dict(zip(names, made.propensities, strict=True)),
            campaign.reward.reward_of(row.outcome_types),
            row.outcome_types if known else None,
        )


@pytest.mark.parametrize("known", [True, False])
def test_a_log_of_the_same_arms_teaches_what_its_rows_taught(worlds, known):
    before, after = campaigns(worlds)
    rows = worlds.rows(before, 1500, loud_wins)
    learned = learn_log(after, worlds.kind(after), historical(before, rows, known=known))
    assert (learned.n_learned, learned.snapshot.watermark, dict(learned.skipped)) == (1500, 0, {})
    direct = worlds.kind(after).fresh(after)
    for row in rows:
        direct.learn(training_row(after, row))
    expected = scores(worlds, after, direct.snapshot(watermark=0), level="high", days=1.0)
    assert scores(worlds, after, learned.snapshot, level="high", days=1.0) == pytest.approx(expected, abs=1e-9)


def test_rows_that_do_not_fit_are_skipped_and_counted(worlds):
    campaign, _ = campaigns(worlds)
    fits = HistoricalSend({"level": "high", "unknown": 3.0}, {"subject": "calm0"}, {"subject": 0.5}, 1.0)
    sends = [
        fits,
        HistoricalSend({"level": "no such"}, {"subject": "loud1"}, {}, 0.0),
        HistoricalSend({}, {"subject": "retired"}, {}, 0.0),
        HistoricalSend({}, {"cta": "join"}, {}, 0.0),
        HistoricalSend({}, {"subject": "calm0"}, {"subject": 0.0}, 0.0),
    ]
    sends += [HistoricalSend({}, {"subject": "calm0"}, {}, 1.5, frozenset()), "a cell that cannot be read"]
    learned = learn_log(campaign, worlds.kind(campaign), sends)
    assert learned.n_learned == 2
    assert sum(learned.skipped.values()) == 5
    assert any("'subject' does not have" in reason for reason in learned.skipped)
    assert any("a reward outside [0, 1]" in reason for reason in learned.skipped)
    assert learned.skipped["a cell that cannot be read"] == 1
    assert learned.unfit == {"level": 1}
    assert learn_log(campaign, worlds.kind(campaign), []).snapshot is None


def test_what_a_log_does_not_know_may_be_missing_even_where_a_decision_needs_it(worlds):
    context = {"level": CONTEXT["level"] | {"required": True}, "days": CONTEXT["days"]}
    campaign, _ = campaigns(worlds, context=context)
    sends = [HistoricalSend({"days": 3.0}, {"subject": "calm0"}, {}, 0.0)] * 2
    learned = learn_log(campaign, worlds.kind(campaign), sends)
    assert (learned.n_learned, dict(learned.skipped), dict(learned.unfit)) == (2, {}, {})


def test_a_reward_that_does_not_say_what_happened_is_refused(worlds):
    campaign = worlds.campaign(
        dimension=[worlds.dimension("subject", *CALM)],
        reward={"window": "1h", "events": {"click": 0.2, "conversion": 1.0}},
    )
    sends = [HistoricalSend({}, {"subject": "calm0"}, {}, 1.2)]
    with pytest.raises(InvalidOutcome, match="does not say which of click, conversion"):
        learn_log(campaign, worlds.kind(campaign), sends)


def test_an_explorer_learns_a_log_by_its_propensities(worlds):
    campaign = worlds.campaign(
        dimension=[worlds.dimension("subject", *CALM, *LOUD)],
        context=None,
        reward=CLICKS,
        policy={"name": "native"},
        learner={"name": "native", "explorer": "softmax"},
    )
    rows = worlds.rows(campaign, 2000, lambda _, choice: {"click": 0.9 * choice["subject"].startswith("loud")})
    learned = learn_log(campaign, worlds.kind(campaign), historical(campaign, rows))
    scorer = worlds.kind(campaign).serve(campaign, learned.snapshot)
    nobody = campaign.schema.encode(Context({}))
    pmf = scorer.estimates(scorer.start(nobody), 0, range(6)).native
    assert np.sum(pmf[3:]) > 0.9
