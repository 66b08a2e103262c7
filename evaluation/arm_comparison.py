"""The arms of one dimension against each other, on traffic that a learner steered by known probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bandit.errors import UnusableLog
from evaluation.arm_contrasts import ArmContrast, arm_contrast
from evaluation.arm_scores import ArmRows, arm_scores
from evaluation.arm_values import ArmValue, arm_values
from evaluation.contrast_scores import ContrastScores, Rest, Weighting, pair_scores
from evaluation.contrast_sequence import contrast_sequence
from evaluation.finding import Finding, Word, cannot_say, find
from evaluation.group_comparison import UNKNOWN_RANGE, Rule
from evaluation.multiplicity import holm

N_THREADS = 2
"""Contrasts at a time. Each needs some ten numbers a send, and numpy works on two at once; answers are the same with one."""

REST = "the rest"
"""What every arm is held against: the mean of the other eligible arms."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """One difference of arms.

    Attributes:
        arm: the arm asked about.
        other: what it is held against: another arm, or the rest.
        once: estimate, interval and p-value for one look; None where it cannot be said.
        p_adjusted: its p-value, adjusted for the whole family; None where there is none.
        bounds: lower and upper, valid at every look and for the whole family; None where it cannot be said.
        finding: the word, by the bounds.
    """

    arm: str
    other: str
    once: ArmContrast | None
    p_adjusted: float | None
    bounds: tuple[float, float] | None
    finding: Finding


@dataclass(frozen=True, slots=True)
class ArmLine:
    """One arm: what it is worth, and against the rest."""

    arm: str
    value: ArmValue
    rest: Contrast


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """One dimension.

    Attributes:
        dimension: its name.
        n: sends whose arm was drawn by chance.
        weighting: which sends count how much.
        lines: one an arm, in the campaign's order.
        leader: the arm whose shrunk value is largest; None where none has a value.
        pairs: the leader against each other arm.
        finding: the word for the dimension.
    """

    dimension: str
    n: int
    weighting: Weighting
    lines: tuple[ArmLine, ...]
    leader: str | None
    pairs: tuple[Contrast, ...]
    finding: Finding


def compare_arms(
    dimension: str, arms: tuple[str, ...], rows: ArmRows, rule: Rule, weighting: Weighting = Weighting.OVERLAP
) -> ArmComparison:
    """Compare the arms of one dimension.

    Args:
        dimension: its name.
        arms: their ids, in the order of the pmfs.
        rows: of learner and random group.
        rule: by what they are judged; `planned` counts these rows.
        weighting: which sends count how much.

    Returns:
        Every arm's value; every arm against the mean of the others (p-values by Holm, bounds by Bonferroni over the
        arms); and the leading arm against each other one, adjusted for all pairs, because the same log chose the leader.
        The dimension has a *winner* only if the leader's lower bound against each other arm is above 0.

    >>> rows = ArmRows.of([[0.5, 0.5]] * 4000, drawn=[0, 1] * 2000, rewards=[1, 0, 0, 0] * 1000)
    >>> found = compare_arms("subject", ("plain", "bold"), rows, Rule((0.0, 1.0), 4000, 0.01))
    >>> found.leader, found.finding.text
    ('plain', 'winner')
    """
    scores = arm_scores(rows)
    values, rest = arm_values(scores, rule.confidence_level), Rest.of(scores)
    of_all = [_Question(arm, REST, _scored(rest.against, at)) for at, arm in enumerate(arms)]
    lines = _judged(of_all, rule, weighting, len(arms), holm)
    leader = _leader(values)
    pairs: tuple[Contrast, ...] = ()
    if leader is not None:
        n_pairs = len(arms) * (len(arms) - 1) // 2
        asked = [
            _Question(arms[leader], arm, _scored(pair_scores, scores, leader, at))
            for at, arm in enumerate(arms)
            if at != leader
        ]
        pairs = _judged(asked, rule, weighting, n_pairs, lambda found: _times(found, n_pairs))
    return ArmComparison(
        dimension, len(rows.drawn), weighting, tuple(map(ArmLine, arms, values, lines)),
        None if leader is None else arms[leader], pairs, _of_dimension(lines, pairs),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Question:
    """A contrast, and its scores or why there are none."""

    arm: str
    other: str
    scores: Callable[[], ContrastScores | str]


def _scored(make: Callable[..., ContrastScores], *arguments: object) -> Callable[[], ContrastScores | str]:
    """Scores when they are asked for, so that few contrasts' million rows are in memory at a time."""

    def scores() -> ContrastScores | str:
        try:
            return make(*arguments)
        except UnusableLog as error:
            return str(error)

    return scores


def _judged(
    questions: Sequence[_Question],
    rule: Rule,
    weighting: Weighting,
    n_family: int,
    adjust: Callable[[Sequence[float | None]], Sequence[float | None]],
) -> tuple[Contrast, ...]:
    with ThreadPoolExecutor(N_THREADS) as threads:
        found = list(threads.map(lambda question: _measured(question, rule, weighting, n_family), questions))
    adjusted = adjust([None if once is None else once.p_value for once, _, _ in found])
    return tuple(
        Contrast(question.arm, question.other, once, p_value, bounds, finding)
        for question, (once, bounds, finding), p_value in zip(questions, found, adjusted, strict=True)
    )


def _measured(
    question: _Question, rule: Rule, weighting: Weighting, n_family: int
) -> tuple[ArmContrast | None, tuple[float, float] | None, Finding]:
    scores = question.scores()
    if isinstance(scores, str):
        return None, None, cannot_say(scores)
    try:
        once = arm_contrast(scores, weighting, rule.confidence_level)
    except UnusableLog as error:
        return None, None, cannot_say(str(error))
    if rule.reward_range is None:
        return once, None, cannot_say(UNKNOWN_RANGE)
    try:
        each = 1 - (1 - rule.confidence_level) / n_family
        bounds = contrast_sequence(scores, weighting, each, planned=rule.planned)
    except UnusableLog as error:
        return once, None, cannot_say(str(error))
    ends = bounds.ci_lower, bounds.ci_upper
    estimate, n = once.difference.estimate, len(scores.scores)
    return once, ends, find(estimate, ends, n, rule.margin, one=question.arm, other=question.other)


def _times(p_values: Sequence[float | None], n_pairs: int) -> tuple[float | None, ...]:
    return tuple(None if p_value is None else min(1.0, p_value * n_pairs) for p_value in p_values)


def _leader(values: Sequence[ArmValue]) -> int | None:
    """Whose value is largest after drawing in, which a lucky arm with few sends is not."""
    known = {at: one.shrunk.value for at, one in enumerate(values) if one.shrunk is not None}
    return max(known, key=known.__getitem__) if len(known) > 1 else None


def _of_dimension(lines: Sequence[Contrast], pairs: Sequence[Contrast]) -> Finding:
    """Winner if the leader beats each other arm; no difference if no arm differs from the rest; else how long to wait."""
    if not pairs:
        return cannot_say("fewer than two arms have been drawn and rewarded differently, so nothing can be compared.")
    leader = pairs[0].arm
    words = [pair.finding.word for pair in pairs]
    if all(word is Word.WINNER for word in words):
        return Finding(Word.WINNER, f"{leader} earns more than each of the other {len(pairs)} arms, at every look.")
    if all(line.finding.word is Word.SAME for line in lines):
        margin = lines[0].finding.margin
        return Finding(Word.SAME, "every arm lies within the margin of the rest, at every look.", margin)
    unsaid = [pair for pair in pairs if pair.finding.word is Word.CANNOT_SAY]
    if len(unsaid) == len(pairs):
        return cannot_say(unsaid[0].finding.rule)
    beaten = words.count(Word.WINNER)
    more = [pair.finding.more for pair in pairs if pair.finding.word is Word.GO_ON]
    needed = None if not more or None in more or unsaid else int(np.max([one for one in more if one is not None]))
    return Finding(
        Word.GO_ON,
        f"{leader} leads and earns more than {beaten} of {len(pairs)} other arms, at every look.",
        more=needed,
    )
