"""Segments: where arms or groups differ, to explore and not to claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import BoolArray
from bandit.errors import UnusableLog
from evaluation.arm_contrasts import ArmContrast, arm_contrast
from evaluation.arm_scores import ArmRows, arm_scores
from evaluation.arm_values import ArmValue, arm_values
from evaluation.contrast_scores import Rest, Weighting
from evaluation.group_comparison import GroupRows
from evaluation.lift import Lift
from evaluation.multiplicity import benjamini_hochberg

MOST_SEGMENTS = 50
"""More are names or numbers, not segments."""


@dataclass(frozen=True, slots=True)
class SegmentArm:
    """One arm in one segment.

    Attributes:
        segment: the value of the context name.
        n: sends to the segment whose arm was drawn by chance.
        arm: its id.
        value: what it is worth there, drawn in towards the segment's other arms.
        rest: against the rest, for one look; None where it cannot be said.
        q_value: its p-value, adjusted by Benjamini-Hochberg over all arms and segments of the dimension; None without one.
    """

    segment: str
    n: int
    arm: str
    value: ArmValue
    rest: ArmContrast | None
    q_value: float | None


@dataclass(frozen=True, slots=True)
class SegmentLift:
    """One group against another in one segment.

    Attributes:
        segment: the value of the context name.
        lift: for one look; None where it cannot be said.
        reason: why it cannot.
        q_value: its p-value, adjusted by Benjamini-Hochberg over the segments; None without one.
    """

    segment: str
    lift: Lift | None
    reason: str
    q_value: float | None


def segment_arms(
    arms: tuple[str, ...],
    rows: ArmRows,
    segments: NDArray[np.object_],
    weighting: Weighting = Weighting.OVERLAP,
    confidence_level: float = 0.95,
) -> tuple[SegmentArm, ...]:
    """Every arm of one dimension in every segment.

    Args:
        arms: their ids, in the order of the pmfs.
        rows: of learner and random group.
        segments: shape (n,), of each row, known before the draw.
        weighting: which sends count how much.
        confidence_level: in (0, 1).

    Returns:
        Segments in alphabetic order, arms in their own. Of those with q_value at most .05, one in twenty is chance on average.

    Raises:
        UnusableLog: for more than 50 segments.

    Caution: for exploration. What is found here is a question to the next campaign, not an answer of this one.

    >>> rows = ArmRows.of([[0.5, 0.5]] * 800, drawn=[0, 1] * 400, rewards=[1, 0, 0, 0, 1, 0, 0, 1] * 100)
    >>> found = segment_arms(("plain", "bold"), rows, np.array(["new", "new", "old", "old"] * 200, dtype=object))
    >>> [(one.segment, one.arm, round(one.rest.difference.estimate, 1)) for one in found if one.arm == "plain"]
    [('new', 'plain', 1.0), ('old', 'plain', -0.5)]
    """
    scores = arm_scores(rows)
    found: list[tuple[str, int, str, ArmValue, ArmContrast | None]] = []
    for segment, mask in _masks(segments).items():
        own = scores.where(mask)
        rest = Rest.of(own)
        for at, (arm, value) in enumerate(zip(arms, arm_values(own, confidence_level), strict=True)):
            found.append((segment, int(mask.sum()), arm, value, _contrast(rest, at, weighting, confidence_level)))
    q_values = benjamini_hochberg([None if one[4] is None else one[4].p_value for one in found])
    return tuple(SegmentArm(*one, q_value) for one, q_value in zip(found, q_values, strict=True))


def segment_lifts(
    rows: GroupRows, segments: NDArray[np.object_], confidence_level: float = 0.95
) -> tuple[SegmentLift, ...]:
    """One fixed group against another in every segment.

    Args:
        rows: of both groups.
        segments: shape (n,), of each row, known before the draw.
        confidence_level: in (0, 1).

    Returns:
        Segments in alphabetic order.

    Raises:
        UnusableLog: for more than 50 segments.

    Caution: for exploration, and for one look.

    >>> half, rewards = np.array([True, False] * 400), np.array([1.0, 0, 0, 1] * 200)
    >>> answer = segment_lifts(GroupRows(half, np.arange(800), rewards, 0.5), np.array(["a", "a", "b", "b"] * 200))
    >>> [(one.segment, one.lift.difference.estimate) for one in answer]
    [('a', 1.0), ('b', -1.0)]
    """
    found = [(name, *rows.lift(confidence_level, mask)) for name, mask in _masks(segments).items()]
    q_values = benjamini_hochberg([None if one is None else one.p_value for _, one, _ in found])
    return tuple(
        SegmentLift(name, one, reason, q_value) for (name, one, reason), q_value in zip(found, q_values, strict=True)
    )


def _masks(segments: NDArray[np.object_]) -> Mapping[str, BoolArray]:
    names, codes = np.unique(segments.astype(str), return_inverse=True)
    if len(names) > MOST_SEGMENTS:
        raise UnusableLog(
            f"the rows have {len(names)} different values ({', '.join(names[:3])}, ...), at most {MOST_SEGMENTS} are segments. "
            "Each would hold too few sends to say anything: name a context with few values, or group its values."
        )
    return {str(name): codes == at for at, name in enumerate(names)}


def _contrast(rest: Rest, arm: int, weighting: Weighting, confidence_level: float) -> ArmContrast | None:
    try:
        return arm_contrast(rest.against(arm), weighting, confidence_level)
    except UnusableLog:
        # Never eligible there, or never rewarded differently: the arm's value says as much as there is.
        return None
