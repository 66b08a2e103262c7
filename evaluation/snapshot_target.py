"""A learner's snapshot and a policy as a target: the probabilities with which they would have chosen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.errors import UnusableLog
from bandit.learner import LearnerKind, Scorer
from bandit.policy import Policy
from evaluation.log_batch import LogBatch
from evaluation.retrace import retraced
from evaluation.reward_model import trained


@dataclass(frozen=True, slots=True)
class SnapshotTarget:
    """Decides each row again, along the picks that were logged.

    Args:
        campaign: whose rules say what is eligible, in the log's order of dimensions and arms.
        policy: turns estimates into probabilities, floor included.
        scorer: serves the snapshot; None for a policy that needs no estimates.
        name: in reports.
    """

    campaign: Campaign
    policy: Policy
    scorer: Scorer[Any] | None
    name: str

    def pmfs(self, batch: LogBatch) -> tuple[FloatArray, ...]:
        """For each dimension shape (n, n_arms).

        Raises:
            UnusableLog: if the log was made with other arms, or the campaign asks what customers got before and the log
                does not say.
        """
        self._require_fitting(batch)
        found = [np.empty((len(batch), size)) for size in batch.layout.sizes]
        rows = zip(batch.encoded(self.campaign.schema), batch.picks.tolist(), strict=True)
        for at, (encoded, picks) in enumerate(rows):
            again = retraced(self.campaign.eligibility, self.policy, self.scorer, encoded.values, encoded, picks)
            for d, (pmf, _) in enumerate(again):
                found[d][at] = pmf
        return tuple(found)

    def _require_fitting(self, batch: LogBatch) -> None:
        names = tuple(dimension.name for dimension in self.campaign.dimensions)
        arms = tuple(dimension.ids for dimension in self.campaign.dimensions)
        if (names, arms) != (batch.layout.dimensions, batch.layout.arms):
            raise UnusableLog(
                f"the log has dimensions {', '.join(batch.layout.dimensions)} and its own arms, the campaign of "
                f"{self.name!r} has others. A snapshot can only be judged by a log of its campaign: use that export."
            )
        if not batch.tells_past(self.campaign):
            raise UnusableLog(
                "the campaign has a [wear_out] table or [reward].recent_send, and this log does not say what customers got "
                "before. Evaluate from the database itself: leave the log out and name --db."
            )


@dataclass(frozen=True, slots=True)
class LearnPolicy:
    """A lesson: trains the campaign's learner on the rows it is given, and lets a policy decide on it.

    Args:
        campaign: of the log.
        kind: its learner.
        policy: turns estimates into probabilities.
        name: in reports.
        scale: least reward and width, from rewards to what the learner learns.
    """

    campaign: Campaign
    kind: LearnerKind
    policy: Policy
    name: str
    scale: tuple[float, float] = (0.0, 1.0)

    def __call__(self, batches: Iterable[LogBatch]) -> SnapshotTarget:
        """The policy on what was learned."""
        scorer = trained(batches, self.campaign, self.kind, self.scale)
        return SnapshotTarget(self.campaign, self.policy, scorer, self.name)
