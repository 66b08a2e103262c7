"""Replays of a randomised log that others wrote: by rejection, or doubly robust with every row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import scipy

from bandit.arrays import FloatArray
from bandit.campaign import Campaign, LearnerSpec, PolicySpec
from bandit.errors import InvalidSettings
from bandit.group import Group
from bandit.learners import learner_for
from bandit.policy import Policy
from evaluation.intervals import Interval, mean_interval
from policies.fixed import Fixed
from policies.floor import Floor
from policies.registry import policy_of
from policies.uniform import Uniform
from service.contenders import contender_of
from service.fitting import fit_rows_of
from service.foreign_log import ForeignLog
from service.log_source import ForeignSource
from simulator.doubly_robust_replay import DoublyRobustReplay, DoublyRobustReplayed
from simulator.fitted_world import FittedWorld
from simulator.fitting import fit_world
from simulator.rejection import RandomisedRow, Rejection, Replayed
from simulator.replayed import DAY

FIXED = "fixed:"
AT_ONCE = 10_000
"""Rows that the reward model is asked about at a time."""

Watch = Callable[[Iterable[RandomisedRow], str, int], AbstractContextManager[Iterable[RandomisedRow]]]
"""Passes rows through, so that a progress bar can watch them."""


@dataclass(frozen=True, slots=True)
class LogReplay:
    """How a log is replayed.

    Attributes:
        floor: share of the learner's pmf that is spread evenly.
        holdout: last share of the rows, never learned from; if above 0 only they count.
        update_every: kept rows between two updates of what decides.
        seed: of the draws.
    """

    floor: float
    holdout: float
    update_every: int
    seed: int

    def learn_rows(self, n_rows: int) -> int | None:
        """Rows to learn from, of so many; None for all, which then all count."""
        return n_rows - round(self.holdout * n_rows) if self.holdout else None


@dataclass(frozen=True, slots=True)
class RejectionAnswer:
    """What one policy would have earned on the rows that it would have seen."""

    name: str
    replayed: Replayed
    interval: Interval
    holdout: float

    @property
    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "n_rows": self.replayed.n_rows,
            "n_kept": len(self.replayed.rewards),
            "logged_mean": self.replayed.logged_mean,
            "policy_mean": self.interval.estimate,
            "ci_lower": self.interval.ci_lower,
            "ci_upper": self.interval.ci_upper,
            "last_half_mean": self.replayed.last_half_mean,
        }

    @property
    def text(self) -> str:
        """For people."""
        replayed, interval = self.replayed, self.interval
        between = f"95 % {interval.ci_lower:.4f} to {interval.ci_upper:.4f}"
        n_counted = round(self.holdout * replayed.n_rows) if self.holdout else replayed.n_rows
        counted = f"held-out rows (the last {self.holdout:.0%})" if self.holdout else "rows"
        return "\n".join(
            [
                f"{self.name}: kept {len(replayed.rewards)} of {n_counted} {counted}",
                f"  logged mean      {replayed.logged_mean:.4f}",
                f"  policy mean      {interval.estimate:.4f}  ({between}, {interval.method})",
                f"  last half mean   {replayed.last_half_mean:.4f}",
            ]
        )


def replay_by_rejection(log: ForeignLog, name: str, how: LogReplay, watch: Watch) -> RejectionAnswer:
    """Live through a log by rejection.

    Raises:
        InvalidSettings: if there is no such policy.
        UnusableLog: if no row is kept.
    """
    campaign, policy = campaign_and_policy(log, name, how.floor)
    rejection = Rejection(
        campaign,
        groups_of(policy),
        learner_for(campaign.learner, policy.needs),
        log.least_propensity,
        how.seed,
        how.update_every,
        how.learn_rows(log.n_rows),
    )
    with watch(log.rows(), f"replaying {name}", log.n_rows) as rows:
        replayed = rejection.replay(rows)
    return RejectionAnswer(name, replayed, mean_interval(np.array(replayed.rewards)), how.holdout)


@dataclass(frozen=True, slots=True)
class DoublyRobustAnswer:
    """What one policy would have earned, by every row."""

    name: str
    replayed: DoublyRobustReplayed

    @property
    def ends(self) -> tuple[float, float]:
        """Of the normal 95 % interval."""
        reach = float(scipy.stats.norm.ppf(0.975)) * self.replayed.se
        return self.replayed.value - reach, self.replayed.value + reach

    @property
    def document(self) -> dict[str, object]:
        """As JSON; names that rejection has too mean the same."""
        lower, upper = self.ends
        return {
            "n_rows": self.replayed.n_rows,
            "n_kept": self.replayed.n_accepted,
            "logged_mean": self.replayed.logged_mean,
            "policy_mean": self.replayed.value,
            "se": self.replayed.se,
            "ci_lower": lower,
            "ci_upper": upper,
            "curve": [point._asdict() for point in self.replayed.curve()],
        }

    @property
    def text(self) -> str:
        """For people."""
        lower, upper = self.ends
        last = self.replayed.curve(2)[-1]
        return "\n".join(
            [
                f"{self.name}: {self.replayed.n_rows} rows used, {self.replayed.n_accepted} of them lived through",
                f"  logged mean      {self.replayed.logged_mean:.4f}",
                f"  policy mean      {self.replayed.value:.4f}  (95 % {lower:.4f} to {upper:.4f}, doubly robust)",
                f"  last half mean   {last.value:.4f}",
            ]
        )


def replay_doubly_robust(log: ForeignLog, name: str, how: LogReplay, watch: Watch) -> DoublyRobustAnswer:
    """Live through a log with every row, by a model of rewards that has not seen the row it is asked about.

    Raises:
        InvalidSettings: if there is no such policy.
        UnusableLog: if no row is left to be counted, or there are too few to fit a model.
    """
    campaign, policy = campaign_and_policy(log, name, how.floor)
    fitted = fit_world(*fit_rows_of(ForeignSource(log)), seed=how.seed)
    replay = DoublyRobustReplay(
        campaign,
        groups_of(policy),
        learner_for(campaign.learner, policy.needs),
        how.seed,
        log.least_propensity,
        update_every=how.update_every,
        learn_rows=how.learn_rows(log.n_rows),
    )
    with watch(log.rows(), f"replaying {name}", log.n_rows) as rows:
        return DoublyRobustAnswer(name, replay.replay(rows, _predicted(fitted, log.n_rows)))


def _predicted(fitted: FittedWorld, n_rows: int) -> Iterator[FloatArray]:
    """What each row's arms would bring, row after row."""
    for first in range(0, n_rows, AT_ONCE):
        yield from fitted.out_of_fold_rewards(np.arange(first, min(first + AT_ONCE, n_rows)))


def groups_of(policy: Policy) -> dict[Group, Policy]:
    """Everybody's policy where only the learner's matters."""
    return {Group.LEARNER: policy, Group.RANDOM: Uniform(), Group.CONTROL: Uniform()}


def campaign_and_policy(log: ForeignLog, name: str, floor: float) -> tuple[Campaign, Policy]:
    """A policy by its name, or fixed:ARM, in a campaign of the log's arms.

    Raises:
        InvalidSettings: if there is no such policy, or the log has no such arm.
    """
    if not name.startswith(FIXED):
        usual = log.campaign(PolicySpec(floor=floor), LearnerSpec())
        asked = contender_of(name, usual, DAY).campaign
        return log.campaign(asked.policy, asked.learner), policy_of(asked.policy)
    campaign = log.campaign(PolicySpec("uniform", 0.0), LearnerSpec())
    wanted = name.removeprefix(FIXED)
    if wanted not in campaign.dimensions[0]:
        raise InvalidSettings(f"policy {name!r}: the log has no arm {wanted!r}. It has: {', '.join(log.arms[:20])}.")
    return campaign, Floor(Fixed(campaign.picks_of({log.columns.arm: wanted})), 0.0)
