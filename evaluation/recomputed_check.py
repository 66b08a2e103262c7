"""Does each pmf equal the one that is made again? Rows of before a rule changed are told from wrong ones by what they equal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from bandit.campaign import Campaign
from bandit.context import EncodedContext
from bandit.eligibility import Eligibility
from bandit.learner import Scorer
from bandit.log import LoggedDecision, encoded_context
from bandit.policy import Policy
from evaluation.dead_end_check import DeadEndRows
from evaluation.exact_ties import ExactTieRows, Ties, under
from evaluation.retrace import retraced

RECOMPUTED_TOLERANCE = 1e-6

Problem = tuple[str, str]
"""The check that failed, and what was found."""


class RecomputedRows:
    """Makes the pmfs of rows again, under the rules of today and, where they differ, under those of before.

    Args:
        campaign: whose rules hold.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.dead_ends, self.exact_ties = DeadEndRows(campaign), ExactTieRows()
        self._campaign = campaign

    def problems(self, row: LoggedDecision, policy: Policy, scorer: Scorer[Any] | None) -> list[Problem]:
        """What the pmfs made again say against a row; nothing against one of before a rule changed.

        Args:
            row: of the log.
            policy: that decided.
            scorer: serves the snapshot that it decided from; None without one.

        Raises:
            EngineError: if it cannot be decided again.
        """
        encoded, rows = encoded_context(row, self._campaign), self.dead_ends
        picks = [d.index_of(arm) for d, arm in zip(self._campaign.dimensions, row.arms, strict=True)]
        again = partial(self._compared, row, encoded, picks, policy)
        has_dead_ends, now = rows.possible and rows.has_some(encoded, picks), list[Problem]()
        for ties in Ties if scorer else (Ties.WITHIN_ROUNDING,):
            by = under(ties, scorer) if scorer else None
            ahead = again(by, rows.ahead)
            blind = again(by, rows.blind) if has_dead_ends else ahead
            if not (ahead and blind):
                self._note(row.seq, ties, is_ahead=bool(blind), is_blind=bool(ahead))
                return []
            now = now or ahead
        return now

    def _note(self, seq: int, ties: Ties, *, is_ahead: bool, is_blind: bool) -> None:
        """Remember by which rules a row was drawn, where that can be told."""
        if ties is not Ties.WITHIN_ROUNDING:
            self.exact_ties.note_row(seq)
        if is_ahead:
            self.dead_ends.note_ahead(seq)
        if is_blind:
            self.dead_ends.note_blind(seq)

    def _compared(
        self,
        row: LoggedDecision,
        encoded: EncodedContext,
        picks: Sequence[int],
        policy: Policy,
        scorer: Scorer[Any] | None,
        eligibility: Eligibility,
    ) -> list[Problem]:
        """Each dimension's pmf beside the one made again along the logged picks."""
        found: list[Problem] = []
        again = retraced(eligibility, policy, scorer, row.context, encoded, picks)
        for dimension, pmf, (expected, eligible) in zip(self._campaign.dimensions, row.pmfs, again, strict=True):
            stored = np.asarray(pmf)
            if stored[~eligible].any():
                found.append(("eligibility", f"pmf of {dimension.name!r} has probability on an arm that rules removed"))
            gap = float(np.max(np.abs(stored - expected)))
            if not gap <= RECOMPUTED_TOLERANCE:
                found.append(("recomputed", f"pmf of {dimension.name!r} differs by {gap:.3g} from the recomputed one"))
        return found
