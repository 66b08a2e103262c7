"""A campaign as features: the names the learner hashes, by namespace.

Namespace C holds the context; each dimension has a letter of its own, a, b, c, ... in file order. An arm is its id plus
its declared features, so that arms that share a feature share what is learned about it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import combinations
from statistics import fmean, pstdev
from string import ascii_lowercase

from bandit.campaign import Campaign
from bandit.dimension import Arm
from bandit.no_send import Implied, implied_arms

CONTEXT = "C"
ARM_WEIGHT = 0.8
"""Length of an arm's features: below 1, so that products of two arms count for less than an arm with the context."""
WORD = re.compile(r"[^\W_]+")
BRACES = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)
NamedFeature = tuple[str, float]
Numbers = Mapping[str, tuple[float, float]]
"""Numeric arm feature to the mean and the standard deviation it is measured by."""


class Silence(IntEnum):
    """What a model makes of the arms that follow from one that sends nothing (`bandit.no_send.implied_arms`).

    Attributes:
        APART: learned from like others, and each dimension read out by itself, so that in the dimension that ends the choice
            only a share of what no message is worth is seen. Snapshots of old have it.
        GATHERED: learned from like others, but read out together; what becomes of an old model that learns on.
        LEFT_OUT: not learned from: the arm that ends the choice carries all.
    """

    APART = 0
    GATHERED = 1
    LEFT_OUT = 2


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """Every feature a campaign can make active.

    Attributes:
        context: names of the context features, in the order of `Schema.features`.
        arms: for each dimension, for each arm, its named features with their values.
        interactions: whether dimensions interact with each other (the context always interacts with each dimension).
        numbers: for each dimension, what the numeric features of its arms are measured by.
        wear: names of the features of wear-out; see `bandit.wear_out`.
        implied: the arms that follow from one that sends nothing.
        silence: what is made of these.
    """

    context: tuple[str, ...]
    arms: tuple[tuple[tuple[NamedFeature, ...], ...], ...]
    interactions: bool
    numbers: tuple[Numbers, ...] = ()
    wear: tuple[str, ...] = ()
    implied: tuple[Implied, ...] = ()
    silence: Silence = Silence.APART

    @classmethod
    def of(cls, campaign: Campaign) -> FeatureSpace:
        """The feature space of a campaign."""
        arms = tuple(tuple(arm_features(arm) for arm in dimension.arms) for dimension in campaign.dimensions)
        return cls(campaign.schema.features, arms, campaign.policy.interactions)

    @classmethod
    def graded(
        cls, campaign: Campaign, numbers: Sequence[Numbers] = (), silence: Silence = Silence.LEFT_OUT
    ) -> FeatureSpace:
        """The same with arms of equal weight, and with the words of their texts; see `graded_arms`.

        Args:
            campaign: whose arms.
            numbers: for the first dimensions, what numeric features were measured by when a model began: a new arm must
                not move what is known of the old ones. The campaign's own arms say it for names that are not there.
            silence: what a model made of arms that follow from one that sends nothing; what a new one does by default.
        """
        own = [numbers_of(dimension.arms) for dimension in campaign.dimensions]
        measured = [
            {name: kept.get(name, by) for name, by in mine.items()} for mine, kept in zip(own, numbers, strict=False)
        ]
        every = (*measured, *own[len(measured) :])
        arms = [graded_arms(d.arms, by) for d, by in zip(campaign.dimensions, every, strict=True)]
        implied = implied_arms(campaign.dimensions)
        for place, arm, _ in implied if silence is Silence.LEFT_OUT else ():
            arms[place] = (*arms[place][:arm], (), *arms[place][arm + 1 :])
        names = [dimension.name for dimension in campaign.dimensions]
        wear = campaign.wear_out.names(names) if campaign.wear_out else ()
        known = (campaign.schema.features, tuple(arms), campaign.policy.interactions, every, wear)
        return cls(*known, implied, silence if implied else Silence.APART)

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
        return 1 + len(self.context) + sum(widths) + crossed + pairs + len(self.wear)

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


def graded_arms(arms: Sequence[Arm], numbers: Numbers | None = None) -> tuple[tuple[NamedFeature, ...], ...]:
    """Every arm as features whose squares sum to the same, whatever is known about it.

    Half of it is the arm's own; the other half is shared evenly between its declared features and the words of its text,
    so that an arm never sent begins where the arms most like it stand, and moves away as fast as any other. Numbers are
    measured from the average arm, in standard deviations: of these arms, unless `numbers` says otherwise.

    >>> [(name, round(value, 3)) for name, value in graded_arms([Arm("vip", text="VIP perks")])[0]]
    [('id:vip', 0.566), ('word:perks', 0.4), ('word:vip', 0.4)]
    """
    by = numbers_of(arms) if numbers is None else numbers
    return tuple(_graded(arm, by) for arm in arms)


def _graded(arm: Arm, numbers: Numbers) -> tuple[NamedFeature, ...]:
    declared = [
        (f"{name}={value}", 1.0)
        if isinstance(value, str)
        else (f"{name}#", (float(value) - numbers[name][0]) / numbers[name][1])
        for name, value in arm.features.items()
    ]
    words = [(f"word:{word}", 1.0) for word in words_of(arm.text)]
    parts = [part for part in (declared, words) if part]
    if not parts:
        return ((f"id:{arm.id}", ARM_WEIGHT),)
    each = ARM_WEIGHT * math.sqrt(0.5 / len(parts))
    shared = [(name, each * value / math.sqrt(len(part))) for part in parts for name, value in part]
    return ((f"id:{arm.id}", ARM_WEIGHT * math.sqrt(0.5)), *shared)


def numbers_of(arms: Sequence[Arm]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each numeric feature over the arms that declare it."""
    # In the order of the file: that of a set is another in each process, and so would be the bytes of a snapshot.
    names = dict.fromkeys(name for arm in arms for name, value in arm.features.items() if not isinstance(value, str))
    found = {}
    for name in names:
        values = [float(arm.features[name]) for arm in arms if not isinstance(arm.features.get(name, ""), str)]
        found[name] = (fmean(values), pstdev(values) or 1.0)
    return found


def words_of(text: str) -> tuple[str, ...]:
    """The different words of a text, in alphabetical order; what stands in braces is filled in later and is none.

    >>> words_of("Hi {{ name }}, your VIP perks: VIP!")
    ('hi', 'perks', 'vip', 'your')
    """
    return tuple(sorted(set(WORD.findall(BRACES.sub(" ", text).casefold()))))
