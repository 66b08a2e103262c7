"""The training step: matured rows in, snapshot out. Pure, so that simulator and service share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from bandit.campaign import Campaign
from bandit.group import Group
from bandit.learner import LearnerKind, TrainingRow
from bandit.log import LoggedDecision, encoded_context
from bandit.snapshot import Snapshot

AT_ONCE = 1024
"""Rows that are held in memory before they are learned."""


@dataclass(frozen=True, slots=True)
class Matured:
    """A decision whose window has closed, with what happened in it.

    Attributes:
        number: its place in the order of maturing; the watermark counts these.
        decision: its row.
        outcome_types: what happened within the window.
    """

    number: int
    decision: LoggedDecision
    outcome_types: frozenset[str]


def teaches(group: str) -> bool:
    """Whether decisions of a group teach the learner: control's do not, they are kept for comparison."""
    return group != Group.CONTROL


def is_trained_on(decision: LoggedDecision) -> bool:
    """Whether a decision teaches the learner."""
    return teaches(decision.group)


def training_row(campaign: Campaign, matured: Matured) -> TrainingRow:
    """One matured decision as the learner sees it."""
    row = matured.decision
    return TrainingRow(
        encoded_context(row, campaign),
        tuple(d.index_of(arm) for d, arm in zip(campaign.dimensions, row.arms, strict=True)),
        campaign.reward.worth_of(matured.outcome_types),
        campaign.reward.labels_of(matured.outcome_types),
        row.propensities,
        row.pmfs,
    )


def train(campaign: Campaign, kind: LearnerKind, parent: Snapshot | None, rows: Iterable[Matured]) -> Snapshot | None:
    """Learn from matured decisions in order, and freeze the result.

    Args:
        campaign: whose decisions they are.
        kind: the learner.
        parent: where learning stopped; None begins afresh.
        rows: in the order of their numbers, all after the parent's watermark.

    Returns:
        A snapshot whose watermark is the last row's number; None if there was no row.
    """
    learner = kind.resume(campaign, parent) if parent else kind.fresh(campaign)
    watermark, left = None, iter(rows)
    while some := list(islice(left, AT_ONCE)):
        learner.learn_many([training_row(campaign, row) for row in some if is_trained_on(row.decision)])
        watermark = some[-1].number
    return None if watermark is None else learner.snapshot(watermark=watermark)
