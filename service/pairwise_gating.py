"""The gate for several dimensions: both snapshots weighed by pairs of dimensions, from what decided each row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bandit.campaign import Campaign
from bandit.errors import BrokenSnapshot, UnusableLog
from bandit.group import Group
from evaluation.gate import Gate, Ruling
from evaluation.joint_pmf import JointPolicy
from evaluation.log_batch import LogBatch
from evaluation.pairwise_gain import PairwiseGain, gain_in
from policies.registry import group_policies
from service.deciders import Deciders
from service.log_source import StoreSource
from service.target_text import SNAPSHOT, served

MOST_ROWS = 100_000
"""Rows that are weighed; of a longer log a random part. Where no two customers are alike, thousands of choices take minutes."""


def rule_by_pairs(unseen: StoreSource, name: str, serving: str, gate: Gate) -> Ruling:
    """Whether a snapshot of a campaign with several dimensions may go live.

    Args:
        unseen: rows that neither snapshot has learned from; of very many a random part is weighed.
        name: of the snapshot.
        serving: of the one that serves.
        gate: by how much it must be better.
    """
    log, names = unseen.log, (SNAPSHOT + name, SNAPSHOT + serving)
    deciders = Deciders(lambda decider: _decider(unseen, decider))
    weighing = PairwiseGain(log.campaign, deciders[name], deciders[serving], deciders)
    try:
        found = weighing.tally(_some(unseen))
    except (UnusableLog, BrokenSnapshot) as error:
        return Ruling(False, (f"{names[0]} against {names[1]}: the log cannot tell. {error}",), None)
    return gate.rule(gain_in(found, log.campaign.reward.bounds, *names))


def _some(unseen: StoreSource) -> Iterator[LogBatch]:
    """All rows, or of very many a random part that is the same each time."""
    n_rows, generator = sum(map(len, unseen.batches())), np.random.default_rng(0)
    for batch in unseen.batches():
        yield batch.only(generator.random(len(batch)) < MOST_ROWS / n_rows)


def _decider(unseen: StoreSource, name: str) -> JointPolicy:
    campaign: Campaign = unseen.log.campaign
    if not name:
        return JointPolicy(campaign, group_policies(campaign)[Group.RANDOM])
    return JointPolicy(campaign, *served(unseen.store, unseen.log, name))
