"""The probability of every whole choice for one customer: each dimension's pmf for each pick of the earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.charged_scorer import ChargedScorer
from bandit.compiled import CompiledScorer
from bandit.context import EncodedContext
from bandit.eligibility import Eligibility
from bandit.estimates import NO_ESTIMATES, Estimates
from bandit.learner import Scorer
from bandit.plain_scorer import PlainScorer
from bandit.policy import Policy
from evaluation.exact_ties import ExactTies, Ties, under
from evaluation.target import RulesTarget


class Joint(Protocol):
    """Says how likely each whole choice is for a customer."""

    def pmf(self, encoded: EncodedContext, /) -> FloatArray:
        """Shape (n_arms of each dimension)."""


class JointRules:
    """A table of rules over whole choices: the first that holds decides."""

    def __init__(self, rules: RulesTarget, of_choice: Callable[[tuple[int, ...]], Joint]) -> None:
        self._rules = [(rule, of_choice(rule.choice)) for rule in rules.rules]

    def pmf(self, encoded: EncodedContext) -> FloatArray:
        """That of the rule's choice."""
        return next(joint for rule, joint in self._rules if rule.holds(encoded.values)).pmf(encoded)


class JointPolicy:
    """A policy, on a snapshot or on none, over whole choices.

    Args:
        campaign: dimensions and rules.
        policy: of single dimensions, floor included.
        scorer: serves the snapshot; None for a policy that needs no estimates.
    """

    def __init__(self, campaign: Campaign, policy: Policy, scorer: Scorer[Any] | None = None) -> None:
        self._campaign = campaign
        self._policy, self._scorer = policy, scorer
        self._branching = None if scorer is None else _branching(scorer, campaign)
        looks_ahead = any(campaign.eligibility.looks_ahead)
        self._blind = Eligibility(campaign.dimensions, looks_ahead=False) if looks_ahead else campaign.eligibility

    def pmf(self, encoded: EncodedContext) -> FloatArray:
        """Shape (n_arms of each dimension): the probability of each whole choice, 0 where rules forbid it."""
        return self._pmf(encoded, self._campaign.eligibility, self._branching)

    def pmf_under(self, ties: Ties, encoded: EncodedContext, *, is_blind: bool) -> FloatArray:
        """The same by the rules of another time.

        Args:
            ties: which scores tied with the best.
            encoded: what is known of the customer.
            is_blind: whether dead ends are among the arms, as before they were out; what it lacks to 1 led nowhere.
        """
        branching = self._scorer and _branching(under(ties, self._scorer), self._campaign)
        return self._pmf(encoded, self._blind if is_blind else self._campaign.eligibility, branching)

    def _pmf(self, encoded: EncodedContext, eligibility: Eligibility, branching: Any) -> FloatArray:  # noqa: ANN401
        sizes = self._campaign.sizes
        joint, states = np.ones(1), branching and branching.start(encoded)
        for d, size in enumerate(sizes):
            eligible = eligibility.masks(d, encoded.values, encoded.excluded)
            # A choice that is impossible already has no eligible arms, and no say in what follows.
            possible = eligible | ~np.asarray(eligible.any(axis=1))[:, None]
            estimates = NO_ESTIMATES if branching is None else branching.estimates(states, d)
            pmf = self._policy.pmf(estimates, possible, dimension=d)
            joint = (joint[:, None] * np.broadcast_to(pmf, (len(joint), size)) * eligible).ravel()
            if branching and d + 1 < len(sizes):
                states = branching.after(states, d)
        return joint.reshape(sizes)

    def values(self, encoded: EncodedContext) -> FloatArray:
        """Shape (n_arms of each dimension): what the snapshot expects of each whole choice."""
        sizes, branching = self._campaign.sizes, self._branching
        if branching is None:
            return np.zeros(sizes)
        states = branching.start(encoded)
        for d in range(len(sizes) - 1):
            states = branching.after(states, d)
        scores = branching.estimates(states, len(sizes) - 1).scores
        return np.zeros(sizes) if scores is None else scores.reshape(sizes)


class _Arrays:
    """Compiled tables: all branches at once."""

    def __init__(self, scorer: CompiledScorer) -> None:
        self._scorer = scorer

    def start(self, encoded: EncodedContext) -> FloatArray:
        """One state."""
        return self._scorer.start(encoded)[None]

    def estimates(self, states: FloatArray, d: int) -> Estimates:
        """Scores of shape (n_states, n_arms); members, where the scorer has some, of shape (n_members, n_states, n_arms)."""
        return self._scorer.estimates_in(states, d)

    def after(self, states: FloatArray, d: int) -> FloatArray:
        """Every state's branches."""
        return self._scorer.branches(states, d)


class _OneByOne:
    """Any other scorer: one branch after another."""

    def __init__(self, scorer: Scorer[Any], sizes: tuple[int, ...]) -> None:
        self._scorer, self._sizes = scorer, sizes

    def start(self, encoded: EncodedContext) -> list[Any]:
        """One state."""
        return [self._scorer.start(encoded)]

    def estimates(self, states: list[Any], d: int) -> Estimates:
        """Every state's, stacked."""
        found = [self._scorer.estimates(state, d, range(self._sizes[d])) for state in states]
        first = found[0]
        scores, native = ([getattr(one, name) for one in found] for name in ("scores", "native"))
        return first._replace(
            scores=None if first.scores is None else np.stack(scores),
            native=None if first.native is None else np.stack(native),
            members=None
            if first.members is None
            else np.stack([one.members for one in found if one.members is not None], axis=1),
        )

    def after(self, states: list[Any], d: int) -> list[Any]:
        """Every state's branches."""
        return [self._scorer.after(state, d, arm) for state in states for arm in range(self._sizes[d])]


class _Charged:
    """Another's branches, less what recent messages cost."""

    def __init__(self, scorer: ChargedScorer, inner: Any) -> None:  # noqa: ANN401 - states differ in kind
        self._charges, self._inner = scorer.charges, inner

    def start(self, encoded: EncodedContext) -> tuple[Any, float]:
        """One state, and what sending costs."""
        return self._inner.start(encoded), self._charges.of(encoded.recent_sends)

    def estimates(self, states: tuple[Any, float], d: int) -> Estimates:
        """Every state's, stacked."""
        return self._charges.off(self._inner.estimates(states[0], d), states[1], d)

    def after(self, states: tuple[Any, float], d: int) -> tuple[Any, float]:
        """Every state's branches."""
        return self._inner.after(states[0], d), states[1]


class _Exact:
    """Another's branches, of which scores tie only if they are equal to the last bit."""

    def __init__(self, inner: Any) -> None:  # noqa: ANN401 - states differ in kind
        self._inner = inner
        self.start, self.after = inner.start, inner.after

    def estimates(self, states: Any, d: int) -> Estimates:  # noqa: ANN401
        """Every state's, stacked."""
        found: Estimates = self._inner.estimates(states, d)
        return found._replace(tie=0.0)


def _branching(scorer: Scorer[Any], campaign: Campaign) -> Any:  # noqa: ANN401 - states differ in kind
    if isinstance(scorer, ExactTies) and not scorer.alone:
        return _Exact(_branching(scorer.inner, campaign))
    if isinstance(scorer, ChargedScorer):
        return _Charged(scorer, _branching(scorer.inner, campaign))
    arrays = scorer.arrays if isinstance(scorer, PlainScorer) else scorer
    return _Arrays(arrays) if isinstance(arrays, CompiledScorer) else _OneByOne(scorer, campaign.sizes)
