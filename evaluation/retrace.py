"""A decision made again along the picks that were logged: each dimension's pmf, with what was eligible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bandit.arrays import BoolArray, FloatArray
from bandit.context import ContextValue, EncodedContext
from bandit.eligibility import Eligibility
from bandit.estimates import NO_ESTIMATES
from bandit.learner import Scorer
from bandit.policy import Policy


def retraced(
    eligibility: Eligibility,
    policy: Policy,
    scorer: Scorer[Any] | None,
    context: Mapping[str, ContextValue],
    encoded: EncodedContext,
    picks: Sequence[int],
) -> Iterator[tuple[FloatArray, BoolArray]]:
    """For each dimension its pmf and its eligible arms, both of shape (n_arms,), given the earlier picks.

    Args:
        eligibility: the campaign's rules.
        policy: turns estimates into probabilities.
        scorer: serves a snapshot; None for a policy that needs no estimates.
        context: what the rules look at.
        encoded: what the scorer looks at, and what the caller had excluded.
        picks: position of the logged arm in each dimension.

    Raises:
        EngineError: if it cannot be decided again.
    """
    state = scorer.start(encoded) if scorer else None
    for d, pick in enumerate(picks):
        offered = eligibility.offered(d, context, picks[:d], encoded.excluded)
        eligible = eligibility.mask_of(d, offered)
        estimates = scorer.estimates(state, d, offered) if scorer else NO_ESTIMATES
        yield policy.pmf(estimates, eligible, dimension=d), eligible
        state = scorer.after(state, d, pick) if scorer else None
