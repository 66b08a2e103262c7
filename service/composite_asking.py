"""Evaluating our own log of several dimensions: everything that decided is made again from the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bandit.campaign import Campaign, LearnerSpec
from bandit.group import Group
from bandit.learner import Scorer
from bandit.regression import REGRESSION
from evaluation.columns import Staged
from evaluation.composite import CompositeWeigher
from evaluation.evaluate import Tally, tally
from evaluation.joint_pmf import Joint, JointPolicy, JointRules
from evaluation.log_batch import LogBatch
from evaluation.methods import Method
from evaluation.reward_model import N_FOLDS, others, trained
from evaluation.stage_models import StageFit
from policies.fixed import Fixed
from policies.registry import group_policies
from policies.uniform import Uniform
from service.deciders import Deciders
from service.log_source import layout_of, with_one_reward
from service.store import Log, Store
from service.target_text import FIXED, RULES, SNAPSHOT, choice_in, resolved, rules_in, served

MOST_ROWS = 20_000
"""Rows that are weighed; of a longer log a random part."""
Read = Callable[[str], Iterable[LogBatch]]


def can_be_asked(text: str) -> bool:
    """Whether a target is known for whole choices."""
    return text == "uniform" or text.startswith((FIXED, RULES, SNAPSHOT))


@dataclass(frozen=True, slots=True)
class CompositeAsking:
    """Weighs one log for some targets.

    Attributes:
        store: with the log.
        log: the campaign's.
        scale: least reward and width.
        share: of the rows that are weighed.
    """

    store: Store
    log: Log
    scale: tuple[float, float]
    share: float = 1.0

    def tally(self, read: Read, methods: tuple[Method, ...], texts: list[str]) -> Tally:
        """The sums of all methods for one target or two.

        Args:
            read: begins a pass over the log, with a label.
            methods: those for several dimensions.
            texts: of the targets.
        """
        campaign, deciders = modelled(self.log.campaign), Deciders(self._decider)
        last = [self._scorer(read, campaign, fold) for fold in range(N_FOLDS)]
        models = tuple(JointPolicy(campaign, Uniform(), scorer) for scorer in last)
        weighers = [
            CompositeWeigher(self.log.campaign, self._target(text), deciders, text, models, self.scale)
            for text in texts
        ]
        columns = {column for method in methods for column in method.columns}
        if Staged() in columns:
            # What earlier stages learn are a model's values, free of a reward's noise: the rows that are weighed will do.
            rows, by_pinv = list(self._sampled(read("stages"))), columns != {Staged()}
            fits = [StageFit(campaign, weigher.target) for weigher in weighers]
            pairs = zip(weighers, fits, strict=True)
            weighers = [replace(weigher, stages=fit(rows, last), by_pinv=by_pinv) for weigher, fit in pairs]
        batches = self._sampled(read("weighing"))
        return tally(batches, methods, weighers[0], weighers[1] if len(weighers) > 1 else None)

    def _sampled(self, batches: Iterable[LogBatch]) -> Iterator[LogBatch]:
        """A part of the rows that is the same each time, in small batches so that a bar moves."""
        generator = np.random.default_rng(0)
        for batch in batches:
            kept = generator.random(len(batch)) < self.share
            for start in range(0, len(batch), 500):
                some = np.zeros(len(batch), dtype=np.bool_)
                some[start : start + 500] = kept[start : start + 500]
                if some.any():
                    yield batch.only(some)

    def _scorer(self, read: Read, campaign: Campaign, fold: int) -> Scorer[Any]:
        rows = others(read(f"reward model {fold + 1}"), fold, N_FOLDS)
        return trained(rows, campaign, REGRESSION, self.scale)

    def _decider(self, snapshot: str) -> JointPolicy:
        campaign = self.log.campaign
        if not snapshot:
            return JointPolicy(campaign, group_policies(campaign)[Group.RANDOM])
        return self._on_snapshot(snapshot)

    def _on_snapshot(self, name: str) -> JointPolicy:
        return JointPolicy(self.log.campaign, *served(self.store, self.log, name))

    def _target(self, text: str) -> Joint:
        campaign, layout = self.log.campaign, layout_of(self.log.campaign)
        if text == "uniform":
            return JointPolicy(campaign, Uniform())
        if text.startswith(FIXED):
            return self._of_choice(layout.picks_of(choice_in(text.removeprefix(FIXED), layout)))
        if text.startswith(RULES):
            return JointRules(rules_in(Path(text.removeprefix(RULES)), layout), self._of_choice)
        return self._on_snapshot(resolved(self.store, self.log, text.removeprefix(SNAPSHOT)))

    def _of_choice(self, picks: tuple[int, ...]) -> Joint:
        return JointPolicy(self.log.campaign, Fixed(picks))


def modelled(campaign: Campaign) -> Campaign:
    """The campaign for a model of whole choices: what they are worth hangs on every pick, whatever the policy looks at."""
    single = with_one_reward(campaign)
    options = single.learner.options or {"target": "reward"}
    return replace(
        single, learner=LearnerSpec(REGRESSION.name, options), policy=replace(single.policy, interactions=True)
    )


def share_of(n_rows: int) -> float:
    """Share of a log's rows that are weighed."""
    return min(1.0, MOST_ROWS / max(n_rows, 1))
