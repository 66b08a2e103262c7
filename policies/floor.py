"""The floor: a least probability for every eligible arm, mixed in."""

from __future__ import annotations

from dataclasses import dataclass

from bandit.arrays import BoolArray, FloatArray, count_true
from bandit.errors import InvalidSettings
from bandit.estimates import Estimates, Need, Offer
from bandit.policy import Policy


@dataclass(frozen=True, slots=True)
class Floor:
    """(1 - share) of a policy's pmf plus share spread evenly over the eligible arms.

    Mixing keeps the pmf a distribution that was really drawn from, and bounds every importance weight by K / share.
    Clipping and renormalising would do neither.

    >>> import numpy as np
    >>> from policies.fixed import Fixed
    >>> Floor(Fixed((0,)), 0.1).pmf(Estimates(), np.array([True, True]), dimension=0).round(3).tolist()
    [0.95, 0.05]
    """

    policy: Policy
    share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise InvalidSettings(f"floor is {self.share!r}, need a share of the pmf in [0, 1], such as 0.05.")

    @property
    def name(self) -> str:
        """The name of the policy inside: the floor is a setting of it."""
        return self.policy.name

    @property
    def needs(self) -> Need:
        """What the policy inside needs."""
        return self.policy.needs

    def shares(self, offer: Offer) -> list[float]:
        """At least share / K each."""
        inner = self.policy.shares(offer)
        kept, spread = 1.0 - self.share, self.share / len(inner)
        return [kept * probability + spread for probability in inner]

    def pmf(self, estimates: Estimates, eligible: BoolArray, *, dimension: int) -> FloatArray:
        """Shape (..., n_arms): at least share / K on each eligible arm."""
        inner = self.policy.pmf(estimates, eligible, dimension=dimension)
        if self.share == 0.0:
            return inner
        mixed = inner * (1.0 - self.share)
        mixed += eligible * (self.share / count_true(eligible))
        return mixed
