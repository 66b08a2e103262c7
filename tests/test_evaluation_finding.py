"""Five words, each with its rule: none contradicts its bounds, and a projection is no promise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.errors import EngineError, InvalidSettings
from evaluation.finding import Finding, Word, cannot_say, find

MARGIN = 0.005
numbers = st.floats(-1.0, 1.0)


@given(first=numbers, second=numbers, estimate=numbers, n=st.integers(1, 10**7))
def test_the_word_follows_from_the_bounds_alone(first, second, estimate, n):
    lower, upper = sorted((first, second))
    word = find(estimate, (lower, upper), n, MARGIN).word
    assert (word is Word.WINNER) == (lower > 0)
    assert (word is Word.HARM) == (upper < 0)
    assert (word is Word.SAME) == (lower <= 0 <= upper and lower >= -MARGIN and upper <= MARGIN)
    assert word is not Word.CANNOT_SAY


@given(first=numbers, second=numbers, estimate=numbers)
def test_a_projection_is_at_least_one_send_and_only_with_keep_going(first, second, estimate):
    found = find(estimate, tuple(sorted((first, second))), 1000, MARGIN)
    assert found.more is None or (found.word is Word.GO_ON and found.more >= 1)


def test_half_the_width_takes_four_times_the_sends():
    # 0 lies two estimates below the estimate: the bound must come half as near, so three times as many more.
    assert find(0.01, (-0.01, 0.03), 10_000, 0.001).more == 30_000


def test_the_nearer_answer_is_projected():
    # To tell 0.001 from 0 would take 99 times as many; to lie within .005 on both sides, (.01 / .004)^2 - 1 times.
    assert find(0.001, (-0.009, 0.011), 10_000, MARGIN).more == pytest.approx(52_500, rel=0.001)


def test_no_difference_at_all_is_projected_by_the_margin():
    assert find(0.0, (-0.01, 0.01), 10_000, MARGIN).more == 30_000


def test_what_would_take_for_ever_is_not_projected():
    found = find(0.0, (-0.5, 0.5), 1000, MARGIN)
    assert (found.word, found.more) == (Word.GO_ON, None)
    assert "more than 100 times" in found.rule
    assert found.text == "keep going"


def test_the_rule_names_both_sides_and_both_bounds():
    rule = find(0.01, (0.002, 0.018), 1000, MARGIN, one="learner", other="control").rule
    for part in ("learner minus control", "+0.00200", "+0.01800", "at every look"):
        assert part in rule


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan"), float("inf")])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(InvalidSettings, match="margin"):
        find(0.0, (-1.0, 1.0), 10, margin)


def test_a_word_without_its_rule_is_refused():
    with pytest.raises(EngineError):
        Finding(Word.WINNER, "")
    with pytest.raises(EngineError):
        Finding(Word.SAME, "within")
    assert cannot_say("no control group").text == "cannot say"
