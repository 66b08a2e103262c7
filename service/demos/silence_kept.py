"""Silence in a demo: how often nothing was sent, and what that was worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from bandit.group import Group
from service.demos.demo import Played
from simulator.campaign_world import CampaignWorld
from simulator.silence_worth import message_worths


@dataclass(frozen=True, slots=True)
class SilenceKept:
    """Shares of decisions, and exact expected rewards a decision of the learner's in the later half.

    Attributes:
        shares: of each group's decisions in the whole campaign, by name: those that sent nothing.
        late_share: the same of the learner's in the later half.
        best_message: what somebody would earn who knows every customer and has to write to each.
        worth: what silence adds to that for somebody who may also send nothing.
        where_silent: what a message at random would have earned where the learner sent nothing; None where it always wrote.
        where_written: the same where it sent something; None where it never did.
    """

    shares: Mapping[str, float]
    late_share: float
    best_message: float
    worth: float
    where_silent: float | None
    where_written: float | None

    @classmethod
    def of(cls, played: Played, world: CampaignWorld) -> SilenceKept:
        """Of what was chosen, whatever a fault made of it.

        Args:
            played: the demo.
            world: its world.
        """
        silent = np.array([played.campaign.sends_nothing(send.decision.choice) for send in played.sends])
        worths = message_worths(world, [send.arrival for send in compress(played.sends, played.late)])
        chosen = silent[played.late]
        best = float(worths.best.mean())
        return cls(
            _shares(played, silent),
            float(chosen.mean()),
            best,
            float(worths.best_choice.mean()) - best,
            _mean(worths.random, chosen),
            _mean(worths.random, ~chosen),
        )

    @property
    def truth(self) -> tuple[str, ...]:
        """Beside the other values of the truth."""
        return (
            f"  {self.best_message:.5f}  chosen by the same, who has to write to everybody: silence is worth {self.worth:.5f}",
        )

    @property
    def lines(self) -> tuple[str, ...]:
        """For people."""
        shares = ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items())
        where = (("there", self.where_silent), ("where it wrote", self.where_written))
        worths = " and ".join(f"{value:+.5f} {words}" for words, value in where if value is not None)
        return (
            f"Decisions that sent nothing: {shares}.",
            f"In the later half the learner sent nothing in {self.late_share:.0%}; a message at random would have been worth",
            f"{worths}.",
        )


def _shares(played: Played, silent: BoolArray) -> dict[str, float]:
    every = Counter(send.decision.group for send in played.sends)
    kept = Counter(send.decision.group for send in compress(played.sends, silent))
    return {group.value: kept[group] / every[group] for group in Group if every[group]}


def _mean(values: FloatArray, those: BoolArray) -> float | None:
    return float(values[those].mean()) if those.any() else None
