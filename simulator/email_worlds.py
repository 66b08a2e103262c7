"""Click worlds that look like e-mail: about 4 % click, small effects, and what may change while a campaign runs.

Every function makes one world (or its phases) from a seed. What a seed draws is independent from stream to stream, so
that more customers, or arms that arrive later, change nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from simulator.click_world import ArmFeatures, ClickEffects, ClickWorld, features_of
from simulator.response import Attributes
from simulator.world import ChoiceGrid, ImpossibleWorld

BASE_RATE: Final = 0.04
"""Share of the sends that are clicked under a uniform choice, in every world here."""

ATTRIBUTES: Final = Attributes(
    {
        name: tuple(f"{name}-{k}" for k in range(1, size + 1))
        for name, size in (("engagement", 3), ("segment", 5), ("country", 8), ("device", 3), ("age", 4), ("plan", 3))
    },
    {"tenure": (0.0, 1.0), "referrals": (0.0, 1.0), "opens": (0.0, 1.0)},
)
"""Six categories, of which the first value is the most frequent, and three numbers."""

COMPOSITE: Final[Mapping[str, int]] = MappingProxyType({"subject": 12, "cta": 4, "benefit": 4, "send_slot": 10})
"""Dimensions and how many arms they have: 1,920 choices."""

PAIR_SIZES: Final[Mapping[str, float]] = MappingProxyType({"none": 0.0, "some": 0.065, "strong": 0.15})
"""Standard deviation of what two arms of different dimensions add together: the best choice is worth about 2.5, 2.8
and 3.9 times a uniform one."""

_SKEW = 0.7
_CUSTOMER_SIZE = 0.12
_NUMERIC_BOOST = 1.5
_FIT_SIZES = (0.13, 0.10, 0.10, 0.11)
_CUSTOMERS, _EFFECTS, _CHANGE, _SAMPLE, _FEATURES = 1, 2, 3, 4, 5
_MOST_EXACT = 64  # choices up to which the base rate is calibrated on all of them
_SAMPLED = 16


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Standard deviations of the drawn effects, in logits, one a dimension."""

    arms: Sequence[float]
    fit: Sequence[float]


def email12(seed: int, n_customers: int = 20_000) -> ClickWorld:
    """Twelve subject lines, small effects: the best choice is worth about 1.5 times a uniform one."""
    return _world(seed, n_customers, {"subject": 12}, _Sizes([0.13], [0.18]))


def email12hi(seed: int, n_customers: int = 20_000) -> ClickWorld:
    """Twelve subject lines whose effects are twice as large: about 2.1 times."""
    return _world(seed, n_customers, {"subject": 12}, _Sizes([0.2], [0.36]))


def email4d(seed: int, n_customers: int = 20_000) -> ClickWorld:
    """Four dimensions, of which subject and call to action interact: about 2.6 times."""
    return _composite(seed, n_customers, {(0, 1): 0.08})


def composite(
    seed: int, n_customers: int = 20_000, *, interactions: Literal["none", "some", "strong"] = "some"
) -> ClickWorld:
    """Four dimensions, every two of which interact alike: see `PAIR_SIZES`."""
    size = PAIR_SIZES[interactions]
    return _composite(seed, n_customers, dict.fromkeys(combinations(range(4), 2), size) if size else {})


def drifting(
    seed: int, n_customers: int = 40_000, *, share: float = 0.5, told: bool = False
) -> tuple[ClickWorld, ClickWorld]:
    """Before and after a change of taste: `email12hi`, and the same with the effects of some arms drawn again.

    Args:
        seed: of everything.
        n_customers: in both halves together; the first half of them comes before the change.
        share: of the arms that change.
        told: whether the arms that changed have new ids in the second half, so that whoever decides is told when the
            change came and what it changed; the effects are the same.

    Raises:
        ImpossibleWorld: if the share is not in [0, 1], or there is nobody in a half.
    """
    if not 0.0 <= share <= 1.0 or n_customers < 2:
        raise ImpossibleWorld(f"share is {share} of [0, 1], n_customers {n_customers}: give at least 2 customers.")
    before = email12hi(seed, n_customers)
    rng = _stream(seed, _CHANGE)
    changed = rng.permutation(12)[: round(share * 12)]
    fresh = _centred(_drawn(rng, (12,), _Sizes([0.2], [0.36]), {}), features_of(ATTRIBUTES, before.contexts))
    arms, fit = before.effects.arms.copy(), before.effects.fit.copy()
    arms[changed], fit[:, changed] = fresh.arms[changed], fresh.fit[:, changed]
    effects = replace(before.effects, arms=arms, fit=fit)
    half = n_customers // 2
    after = replace(before, contexts=before.contexts[half:], effects=_calibrated(effects, before, seed))
    if told:
        ids = [f"{arm}-new" if k in changed else arm for k, arm in enumerate(after.choices.dimensions["subject"])]
        after = replace(after, choices=ChoiceGrid({"subject": ids}))
    return replace(before, contexts=before.contexts[:half]), after


def growing(
    seed: int, n_customers: int = 20_000, *, n_first: int = 8, n_arms: int = 12
) -> tuple[ClickWorld, ClickWorld]:
    """Before and after new arms arrive: the first arms keep their effects, and alike arms have alike effects.

    Arms declare a tone, a topic and a length, which explain most of how well they do and for whom: of the variance of
    each effect four fifths come from the features, one fifth from the arm alone.

    Args:
        seed: of everything.
        n_customers: in both halves together.
        n_first: arms in the first half.
        n_arms: arms in the second half.

    Raises:
        ImpossibleWorld: if the second half has no more arms than the first, or there is nobody in a half.
    """
    if not 0 < n_first < n_arms or n_customers < 2:
        raise ImpossibleWorld(f"{n_first} arms, then {n_arms}, for {n_customers} customers: let some arms arrive.")
    known, effects = _alike_arms(seed, n_arms)
    contexts = _contexts(seed, n_customers)
    whole = _clicks(seed, ChoiceGrid({"subject": list(known)}), contexts, effects, {"subject": known})
    first = replace(whole.effects, arms=whole.effects.arms[:n_first], fit=whole.effects.fit[:, :n_first])
    early = list(known)[:n_first]
    half = n_customers // 2
    before = replace(
        whole,
        choices=ChoiceGrid({"subject": early}),
        contexts=contexts[:half],
        effects=first,
        arm_features={"subject": {arm: known[arm] for arm in early}},
    )
    return before, replace(whole, contexts=contexts[half:])


def _alike_arms(seed: int, n_arms: int) -> tuple[dict[str, dict[str, str | float]], ClickEffects]:
    """Arms with their declared features, and effects that mostly follow from these."""
    rng = _stream(seed, _FEATURES)
    tones, topics = ("warm", "urgent", "plain"), ("contest", "friends", "reward", "news")
    known: dict[str, dict[str, str | float]] = {}
    columns = np.zeros((n_arms, len(tones) + len(topics) + 1))
    # Every tone and topic is met among the first arms: twelve pairs, in a drawn order that mixes them.
    pairs = [(k % len(tones), k % len(topics)) for k in range(n_arms)]
    for k, (tone, topic) in enumerate(pairs):
        length = round(float(rng.random()), 2)
        known[f"subject-{k + 1}"] = {"tone": tones[tone], "topic": topics[topic], "length": length}
        columns[k, [tone, len(tones) + topic]] = 1.0
        columns[k, -1] = length
    size, fit_size = 0.2, 0.36
    shared = _drawn(rng, (columns.shape[1],), _Sizes([size], [fit_size]), {})
    alone = _drawn(rng, (n_arms,), _Sizes([size], [fit_size]), {})
    # An arm has two indicators and a length (mean square 1/3) active: 2 1/3 shares of variance, of which 4/5 are wanted.
    common, own = np.sqrt(0.8 / (2 + 1 / 3)), np.sqrt(0.2)
    arms = common * columns @ shared.arms + own * alone.arms
    fit = common * shared.fit @ columns.T + own * alone.fit
    return known, ClickEffects(0.0, shared.customer, arms, fit)


def _composite(seed: int, n_customers: int, pairs: Mapping[tuple[int, int], float]) -> ClickWorld:
    return _world(seed, n_customers, COMPOSITE, _Sizes([0.10] * 4, _FIT_SIZES), pairs)


def _world(
    seed: int,
    n_customers: int,
    dimensions: Mapping[str, int],
    sizes: _Sizes,
    pairs: Mapping[tuple[int, int], float] = MappingProxyType({}),
) -> ClickWorld:
    choices = ChoiceGrid({name: [f"{name}-{k}" for k in range(1, n + 1)] for name, n in dimensions.items()})
    effects = _drawn(_stream(seed, _EFFECTS), choices.shape, sizes, pairs)
    return _clicks(seed, choices, _contexts(seed, n_customers), effects, {})


def _clicks(
    seed: int,
    choices: ChoiceGrid,
    contexts: Sequence[Mapping[str, ContextValue]],
    effects: ClickEffects,
    arm_features: ArmFeatures,
) -> ClickWorld:
    """A world whose uniform choice is clicked at the base rate."""
    centred = _centred(effects, features_of(ATTRIBUTES, contexts))
    world = ClickWorld(seed, choices, ATTRIBUTES, contexts, centred, arm_features=arm_features)
    return replace(world, effects=_calibrated(centred, world, seed))


def _stream(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng((seed, purpose))


def _contexts(seed: int, n: int) -> list[dict[str, ContextValue]]:
    """Customers: skewed categories; tenure, referrals and the share of e-mails opened."""
    if n < 1:
        raise ImpossibleWorld(f"n_customers is {n}, so nobody can be sent anything: give at least one customer.")
    rng = _stream(seed, _CUSTOMERS)
    columns: dict[str, list[ContextValue]] = {}
    for name, values in ATTRIBUTES.categories.items():
        weights = 1.0 / np.arange(1, len(values) + 1) ** _SKEW
        drawn = rng.choice(len(values), n, p=weights / weights.sum())
        columns[name] = [values[k] for k in drawn.tolist()]
    columns["tenure"] = np.minimum(np.log1p(rng.gamma(2.0, 1.0, n)) / 2.5, 1.0).tolist()
    columns["referrals"] = (np.minimum(rng.poisson(1.0, n), 5) / 5).tolist()
    columns["opens"] = rng.beta(2.0, 6.0, n).tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _drawn(
    rng: np.random.Generator, shape: Sequence[int], sizes: _Sizes, pairs: Mapping[tuple[int, int], float]
) -> ClickEffects:
    """Normal effects: of a category with an arm in half of the cases, of a number with every arm."""
    n_categories, n_numbers = sum(map(len, ATTRIBUTES.categories.values())), len(ATTRIBUTES.ranges)
    customer = np.concatenate([rng.normal(0.0, _CUSTOMER_SIZE, n_categories), np.zeros(n_numbers)])
    arms, fit = [], []
    for n, arm_size, fit_size in zip(shape, sizes.arms, sizes.fit, strict=True):
        arms.append(rng.normal(0.0, arm_size, n))
        crossed = rng.normal(0.0, fit_size, (n_categories, n)) * (rng.random((n_categories, n)) < 0.5)
        fit.append(np.concatenate([crossed, _NUMERIC_BOOST * rng.normal(0.0, fit_size, (n_numbers, n))]))
    tables = {(d, e): rng.normal(0.0, size, (shape[d], shape[e])) for (d, e), size in pairs.items()}
    return ClickEffects(0.0, customer, np.concatenate(arms), np.concatenate(fit, axis=1), tables)


def _centred(effects: ClickEffects, features: FloatArray) -> ClickEffects:
    """The same with no arm better than its own effect says: what it gains with some customers it loses with others."""
    return replace(effects, arms=effects.arms - features.mean(axis=0) @ effects.fit)


def _calibrated(effects: ClickEffects, world: ClickWorld, seed: int) -> ClickEffects:
    """The same effects from the base at which a uniform choice is clicked at the base rate."""
    logits = _sampled_logits(replace(world, effects=replace(effects, base=0.0)), _stream(seed, _SAMPLE))
    base = float(np.log(BASE_RATE / (1.0 - BASE_RATE)))
    for _ in range(20):
        base += float(np.log(BASE_RATE / (1.0 / (1.0 + np.exp(-base - logits))).mean()))
    return replace(effects, base=base)


def _sampled_logits(world: ClickWorld, rng: np.random.Generator) -> FloatArray:
    """Logits of every customer: of all choices where they are few, of a sample for each where they are many."""
    features, shape = features_of(world.attributes, world.contexts), world.choices.shape
    everybody = np.arange(len(features))[:, None]
    if len(world.choices) <= _MOST_EXACT:
        numbers = np.broadcast_to(np.arange(len(world.choices)), (len(features), len(world.choices)))
    else:
        numbers = rng.integers(len(world.choices), size=(len(features), _SAMPLED))
    places = np.unravel_index(numbers, shape)
    arms, first = world.effects.arm_logits(features), 0
    logits = np.repeat(world.effects.customer_logits(features)[:, None], numbers.shape[1], axis=1)
    for place, size in zip(places, shape, strict=True):
        logits += arms[everybody, first + place]
        first += size
    for (d, e), table in world.effects.pairs.items():
        logits += table[places[d], places[e]]
    return logits
