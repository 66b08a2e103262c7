"""Outcomes become one number: each type once, within the window, and never a time before the decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Outcome, RewardSpec
from bandit.errors import InvalidOutcome
from bandit.reward import CLOCK_SKEW, parse_window

LAW = settings(max_examples=100, deadline=None)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SPEC = RewardSpec(timedelta(hours=72), {"click": 0.2, "conversion": 1.0, "unsubscribe": -1.0})
TYPES = st.lists(st.sampled_from(SPEC.types), max_size=9)


def outcome(*, kind="click", at=NOON):
    return Outcome("e1", "d1", kind, at)


@pytest.mark.parametrize(
    ("types", "reward"),
    [
        ([], 0.0),
        (["click"], 0.2),
        (["click"] * 5, 0.2),
        (["conversion", "click"], 1.2),
        (["click", "conversion", "unsubscribe", "click"], 0.2),
    ],
)
def test_each_type_counts_once(types, reward):
    assert SPEC.reward_of(types) == pytest.approx(reward, abs=1e-12)


@LAW
@given(TYPES, st.randoms())
def test_neither_order_nor_repetition_changes_a_reward_or_a_label(types, random):
    shuffled = types * 2
    random.shuffle(shuffled)
    assert SPEC.reward_of(shuffled) == SPEC.reward_of(types)
    assert SPEC.labels_of(shuffled) == SPEC.labels_of(types)


@LAW
@given(TYPES)
def test_a_reward_is_the_worth_of_its_labels(types):
    worths = list(SPEC.events.values())
    assert SPEC.reward_of(types) == pytest.approx(float(np.dot(SPEC.labels_of(types), worths)), abs=1e-12)


def test_labels_stand_in_file_order():
    assert SPEC.types == ("click", "conversion", "unsubscribe")
    assert SPEC.labels_of(["unsubscribe", "click"]) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("90m", timedelta(minutes=90)),
        ("72h", timedelta(hours=72)),
        ("7d", timedelta(days=7)),
        ("1m", timedelta(minutes=1)),
        ("007d", timedelta(days=7)),
        ("999999m", timedelta(minutes=999_999)),
    ],
)
def test_a_window_is_a_whole_number_and_a_unit(text, window):
    assert parse_window(text) == window


@pytest.mark.parametrize(
    "text",
    [
        "",
        "72",
        "h",
        "0h",
        "00d",
        "-1h",
        "+1h",
        "1.5h",
        "72 h",
        " 72h",
        "72h\n",
        "72H",
        "3w",
        "1h30m",
        "soon",
        "9" * 7 + "d",
    ],
)
def test_anything_else_is_no_window(text):
    assert parse_window(text) is None


@pytest.mark.parametrize("text", ["999999m", "87600h", "3650d"])
def test_every_window_accepted_can_be_added_to_a_date_of_today(text):
    assert RewardSpec(parse_window(text), {"click": 1.0}).due_at(NOON, None) > NOON


def test_the_window_opens_when_the_message_was_sent_or_else_decided():
    assert SPEC.due_at(NOON, None) == NOON + timedelta(hours=72)
    assert SPEC.due_at(NOON, NOON + timedelta(hours=5)) == NOON + timedelta(hours=77)


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=400), -CLOCK_SKEW, -CLOCK_SKEW / 2])
def test_a_clock_that_is_a_little_slow_is_forgiven(late):
    SPEC.check(outcome(at=NOON + late), decided_at=NOON)


def test_five_minutes_are_forgiven_and_a_microsecond_more_is_not():
    assert timedelta(minutes=5) == CLOCK_SKEW
    with pytest.raises(InvalidOutcome, match=r"'e1' happened at .*, before its decision .*Check the clock"):
        SPEC.check(outcome(at=NOON - CLOCK_SKEW - timedelta(microseconds=1)), decided_at=NOON)


def test_times_are_compared_across_zones():
    madrid = timezone(timedelta(hours=1))
    SPEC.check(outcome(at=(NOON + timedelta(minutes=1)).astimezone(madrid)), decided_at=NOON)
    with pytest.raises(InvalidOutcome, match="before its decision"):
        SPEC.check(outcome(at=datetime(2026, 11, 22, 12, 30, tzinfo=madrid)), decided_at=NOON)


def test_a_time_without_a_zone_is_an_invalid_outcome_and_not_a_crash():
    with pytest.raises(InvalidOutcome, match="zone"):
        SPEC.check(outcome(at=NOON.replace(tzinfo=None)), decided_at=NOON)


@pytest.mark.parametrize("kind", ["open", "", "Click", "click "])
def test_an_unknown_type_is_refused_with_the_types_there_are_and_what_to_do(kind):
    with pytest.raises(InvalidOutcome) as caught:
        SPEC.check(outcome(kind=kind), decided_at=NOON)
    message = str(caught.value)
    assert repr(kind) in message
    assert "Known: click, conversion, unsubscribe" in message
    assert "add it with its worth (0 to only keep it)" in message


def test_a_type_worth_nothing_is_kept_and_earns_nothing():
    spec = RewardSpec(timedelta(hours=1), {"open": 0.0, "click": 1.0})
    spec.check(outcome(kind="open"), decided_at=NOON)
    assert spec.reward_of(["open"]) == 0.0
    assert dict(zip(spec.types, spec.labels_of(["open"]), strict=True)) == {"open": 1.0, "click": 0.0}
