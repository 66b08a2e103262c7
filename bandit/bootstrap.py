"""The `bootstrap` learner: many regressors that saw the same rows in different numbers, as draws from a posterior.

Each member is the `regression` learner's model with the same steps, and counts each row as often as a Poisson draw of its
own says. Where the rows leave an arm's reward uncertain, members disagree; the policy `thompson` turns that into a pmf.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy  # its parts are loaded when first used: `special` alone takes as long as all else of a command

from bandit.arrays import FloatArray
from bandit.campaign import Campaign, Option
from bandit.candidates import LEAST_VARIANCE, Candidate
from bandit.charged_scorer import charged
from bandit.compiled import CompiledScorer, Tables
from bandit.estimates import Estimates, Need
from bandit.fault import Fault
from bandit.learner import LearnerKind, Scorer
from bandit.options import check_options, option, option_faults, with_options
from bandit.readout import readout
from bandit.regression import RegressionLearner, RegressionOptions, task_from, whole_bank
from bandit.snapshot import Snapshot
from bandit.trial import Task
from bandit.wear_out import WearOut

NAME = "bootstrap"


@dataclass(frozen=True, slots=True)
class BootstrapOptions:
    """What `[learner]` may set for this learner."""

    members: int = option(10, "regressors kept; each costs as much time and memory as one", low=2, high=100)
    learning_rate: float = option(
        0.1, "how far the first send moves a weight, later ones less", low=1e-6, high=100.0, searched=(0.01, 1.0)
    )
    bits: int = option(0, "Vowpal Wabbit's -b; 0 chooses from the campaign", high=28)

    def __post_init__(self) -> None:
        check_options(self)


def task_of(campaign: Campaign) -> Task:
    """What the members have to learn: each outcome type's rate, by as many regressors as there are members."""
    options = with_options(BootstrapOptions, campaign.learner.options, "learner")
    single = task_from(campaign, RegressionOptions(learning_rate=options.learning_rate, bits=options.bits))
    members = (Candidate("", options.learning_rate),) * options.members
    return replace(single, candidates=members, learner=NAME, resampled=True)


class MemberScorer(CompiledScorer):
    """Serves all members at once; `scores` is their mean.

    Args:
        tables: read out of the models, outcome type after outcome type and within each member after member.
        worths: what each outcome type is worth, in reward units.
        n_members: how many members.
        n_learned: decisions they had learned from.
        bounds: least and largest reward.
        sequential: whether later dimensions look at earlier picks.
        wear_out: the campaign's, if it asks for one.
    """

    __slots__ = ("_n_members", "_outcome_worths")

    def __init__(
        self,
        tables: Tables,
        worths: Sequence[float],
        n_members: int,
        n_learned: int,
        *,
        bounds: tuple[float, float],
        sequential: bool,
        wear_out: WearOut | None = None,
    ) -> None:
        self._n_members = n_members
        self._outcome_worths = np.asarray(worths, dtype=np.float64)
        shares = np.repeat(self._outcome_worths / n_members, n_members)
        super().__init__(
            tables,
            shares.tolist(),
            n_learned,
            logistic=True,
            bounds=bounds,
            sequential=sequential,
            wear_out=wear_out,
        )

    def estimates(self, state: FloatArray, dimension: int, offered: Sequence[int]) -> Estimates:
        """What each member expects of a dimension's arms given the picks so far, and the mean of that."""
        del offered
        rates = scipy.special.expit(self.linear(state, dimension))
        members = np.tensordot(self._outcome_worths, rates.reshape(-1, self._n_members, rates.shape[-1]), axes=1)
        return Estimates(members.mean(axis=0), self.n_learned, None, self.spread, members)

    def estimates_of(self, linear: FloatArray) -> Estimates:
        """The same for many customers at once; see `CompiledScorer.estimates_of`."""
        rates = scipy.special.expit(linear).reshape(len(linear), -1, self._n_members, linear.shape[-1])
        terms = (worth * rates[:, kind] for kind, worth in enumerate(self._outcome_worths.tolist()))
        members = np.asarray(sum(terms)).transpose(1, 0, 2)
        return Estimates(members.mean(axis=0), self.n_learned, None, self.spread, members)

    def _reward_spread(self) -> float:
        """As in one model, at the members' mean rates."""
        rates = scipy.special.expit(self.level).reshape(-1, self._n_members).mean(axis=1)
        variance = float(np.dot(self._outcome_worths**2, rates * (1.0 - rates)))
        return math.sqrt(max(variance, LEAST_VARIANCE))


def serve(campaign: Campaign, snapshot: Snapshot) -> MemberScorer:
    """Compile all members of a snapshot into tables.

    Raises:
        BrokenSnapshot: if it belongs to another campaign or learner, or does not load.
    """
    task = task_of(campaign)
    space, bank, scaling = whole_bank(campaign, task, snapshot)
    return _scorer(campaign, task, readout(space, scaling, bank.probe), snapshot.n_learned)


def _serve(campaign: Campaign, snapshot: Snapshot) -> Scorer[Any]:
    return charged(campaign, serve(campaign, snapshot))


def _live(campaign: Campaign, learner: RegressionLearner) -> Scorer[Any]:
    task = task_of(campaign)
    tables = learner.trial.tables(range(len(task.candidates)))
    return charged(campaign, _scorer(campaign, task, tables, learner.n_learned))


def _scorer(campaign: Campaign, task: Task, tables: Tables, n_learned: int) -> MemberScorer:
    return MemberScorer(
        tables,
        task.worths,
        len(task.candidates),
        n_learned,
        bounds=task.bounds,
        sequential=campaign.policy.interactions,
        wear_out=campaign.wear_out,
    )


def _fresh(campaign: Campaign) -> RegressionLearner:
    return RegressionLearner(campaign, None, task_of(campaign))


def _resumed(campaign: Campaign, snapshot: Snapshot) -> RegressionLearner:
    return RegressionLearner(campaign, snapshot, task_of(campaign))


def _faults(options: Mapping[str, Option]) -> list[Fault]:
    return option_faults(BootstrapOptions, options, "learner")


BOOTSTRAP = LearnerKind(
    NAME,
    frozenset({Need.SCORES, Need.MEMBERS}),
    wears=True,
    fresh=_fresh,
    resume=_resumed,
    serve=_serve,
    live=_live,
    faults=_faults,
)
