"""A campaign as features: the names the learner hashes, by namespace.

Namespace C holds the context; each dimension has a letter of its own, a, b, c, ... in file order. An arm is its id plus
its declared features, so that arms that share a feature share what is learned about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from string import ascii_lowercase

from bandit.campaign import Campaign
from bandit.dimension import Arm

CONTEXT = "C"
NamedFeature = tuple[str, float]


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """Every feature a campaign can make active.

    Attributes:
        context: names of the context features, in the order of `Schema.features`.
        arms: for each dimension, for each arm, its named features with their values.
        interactions: whether dimensions interact with each other (the context always interacts with each dimension).
    """

    context: tuple[str, ...]
    arms: tuple[tuple[tuple[NamedFeature, ...], ...], ...]
    interactions: bool

    @classmethod
    def of(cls, campaign: Campaign) -> FeatureSpace:
        """The feature space of a campaign."""
        arms = tuple(tuple(arm_features(arm) for arm in dimension.arms) for dimension in campaign.dimensions)
        return cls(campaign.schema.features, arms, campaign.policy.interactions)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The letter of each dimension."""
        return tuple(ascii_lowercase[: len(self.arms)])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of arms of each dimension."""
        return tuple(len(arms) for arms in self.arms)

    @property
    def quadratic(self) -> tuple[str, ...]:
        """Pairs of namespaces whose features are multiplied."""
        pairs = [CONTEXT + letter for letter in self.namespaces]
        if self.interactions:
            pairs += [first + second for first, second in combinations(self.namespaces, 2)]
        return tuple(pairs)

    @property
    def n_weights(self) -> int:
        """How many weights the learner can use, so that the hash can be made wide enough."""
        widths = [len({name for arm in arms for name, _ in arm}) for arms in self.arms]
        crossed = sum(len(self.context) * width for width in widths)
        pairs = sum(first * second for first, second in combinations(widths, 2)) if self.interactions else 0
        return 1 + len(self.context) + sum(widths) + crossed + pairs

    @property
    def bits(self) -> int:
        """Hash bits that give every weight 64 slots: about 1 collision in 64, 18 to 24 bits."""
        return min(max(18, math.ceil(math.log2(64 * self.n_weights))), 24)


def arm_features(arm: Arm) -> tuple[NamedFeature, ...]:
    """The arm's own indicator and its declared features: categories as indicators, numbers as values.

    >>> arm_features(Arm("vip", features={"tone": "exclusive", "length": 0.4}))
    (('id:vip', 1.0), ('tone=exclusive', 1.0), ('length#', 0.4))
    """
    declared = (
        (f"{name}={value}", 1.0) if isinstance(value, str) else (f"{name}#", float(value))
        for name, value in arm.features.items()
    )
    return ((f"id:{arm.id}", 1.0), *declared)
