"""What the random policy of a campaign does: each dimension in turn, every arm alike that the rules leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import Context, ContextValue
from bandit.eligibility import Eligibility
from bandit.exclusion import Excluded
from simulator.world import Arrival, ImpossibleWorld

_MOST_KEPT = 64
"""Distributions remembered; customers for whom the same rules hold share one."""


@dataclass(frozen=True, slots=True, eq=False)
class RandomPolicy:
    """Probability of every choice under the random policy, which is 0 where a choice may not be sent.

    Args:
        campaign: whose rules hold.

    >>> from bandit.dimension import Arm, Dimension
    >>> from bandit.reward import RewardSpec
    >>> from bandit.schema import Schema
    >>> from datetime import timedelta
    >>> subjects = Dimension("subject", (Arm("plain"), Arm("champion")))
    >>> ctas = Dimension("cta", (Arm("join"), Arm("win", requires={"subject": frozenset(["champion"])})))
    >>> campaign = Campaign("c", Schema(()), (subjects, ctas), RewardSpec(timedelta(hours=72), {"click": 1.0}))
    >>> RandomPolicy(campaign).pmf([{}]).tolist()
    [[0.5, 0.0, 0.25, 0.25]]
    """

    campaign: Campaign
    _at_any_time: Eligibility = field(init=False, repr=False)
    _conditions: tuple[tuple[str, object], ...] = field(init=False, repr=False)
    _kept: dict[tuple[tuple[bool, ...], tuple[Excluded, ...]], FloatArray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        conditions: list[tuple[str, object]] = []
        for dimension in self.campaign.dimensions:
            for arm in dimension.arms:
                conditions += [pair for pair in arm.when.items() if pair not in conditions]
        object.__setattr__(self, "_at_any_time", _without_time(self.campaign))
        object.__setattr__(self, "_conditions", tuple(conditions))
        object.__setattr__(self, "_kept", {})

    def pmf(
        self, contexts: Sequence[Mapping[str, ContextValue]], excluded: Sequence[tuple[Excluded, ...]] = ()
    ) -> FloatArray:
        """Shape (n_contexts, n_choices), each row a distribution.

        Rules that look at the time of the decision hold for contexts that say what the engine makes of it; for others they
        are as if they were not there.

        Raises:
            ImpossibleWorld: if the rules leave somebody without an arm.
        """
        out = excluded or [()] * len(contexts)
        keys = [(self.rules_met(context), one) for context, one in zip(contexts, out, strict=True)]
        rows = {key: self.pmf_under(key[0], context, key[1]) for key, context in zip(keys, contexts, strict=True)}
        order = {key: place for place, key in enumerate(rows)}
        return np.stack(list(rows.values()))[[order[key] for key in keys]]

    def pmf_at(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """The same at each arrival's own moment: rules on the time hold, and hours that are out then have probability 0.

        Returns:
            Shape (n_arrivals, n_choices).

        Raises:
            ImpossibleWorld: as `pmf`.
        """
        campaign, slots = self.campaign, self.campaign.send_slots
        contexts: list[Mapping[str, ContextValue]] = [came.context for came in arrivals]
        if campaign.time is not None:
            known = [Context(campaign.given_of(context)) for context in contexts]
            contexts = [campaign.completed(one, came.at).values for one, came in zip(known, arrivals, strict=True)]
        pairs = zip(contexts, arrivals, strict=True)
        return self.pmf(contexts, [slots.times(one, came.at).excluded for one, came in pairs] if slots else ())

    def rules_met(self, context: Mapping[str, ContextValue]) -> tuple[bool, ...]:
        """Which of the campaign's conditions a context meets: whoever meets the same ones may get the same."""
        if not self._conditions:
            return ()
        values = self.campaign.schema.encode(Context(context)).values
        met = [values[name] in allowed for name, allowed in self._conditions]  # type: ignore[operator]
        return (self._is_timed(context), *met)

    def pmf_under(
        self, met: tuple[bool, ...], context: Mapping[str, ContextValue], excluded: tuple[Excluded, ...] = ()
    ) -> FloatArray:
        """The distribution of everybody who meets the same conditions as this context, shape (n_choices,).

        Arms that are out of the decision besides, as hours may be, have probability 0.

        Raises:
            ImpossibleWorld: if the rules leave them without an arm.
        """
        key = met, excluded
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            rules = self.campaign.eligibility if self._is_timed(context) else self._at_any_time
            self._kept[key] = self._worked_out(rules, self.campaign.schema.encode(Context(context)).values, excluded)
        return self._kept[key]

    def _is_timed(self, context: Mapping[str, ContextValue]) -> bool:
        time = self.campaign.time
        return time is None or not time.kinds.keys().isdisjoint(context)

    def _worked_out(
        self, rules: Eligibility, values: Mapping[str, ContextValue], excluded: tuple[Excluded, ...]
    ) -> FloatArray:
        pmf = np.ones(1)
        for place, dimension in enumerate(self.campaign.dimensions):
            mask = rules.masks(place, values, excluded)
            count = mask.sum(axis=1, keepdims=True)
            if not count[pmf > 0.0].all():
                raise ImpossibleWorld(
                    f"rules leave no whole choice for {dict(values)!r}: no arm of dimension {dimension.name!r} can be "
                    "completed, so that such a send cannot be decided. Give each dimension an arm without rules, or widen them."
                )
            pmf = (pmf[:, None] * mask / np.maximum(count, 1)).ravel()
        return pmf


def _without_time(campaign: Campaign) -> Eligibility:
    """The campaign's rules without those that look at the time."""
    time = campaign.time
    if time is None:
        return campaign.eligibility
    timeless = [
        replace(d, arms=tuple(replace(arm, when=time.without(arm.when)) for arm in d.arms)) for d in campaign.dimensions
    ]
    return Eligibility(timeless)
