"""How large the effects in a response model are, drawing them, and setting the mean rates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from simulator.response import EVENT_TYPES, Attributes, ResponseModel
from simulator.world import ChoiceGrid, ImpossibleWorld

DEFAULT_RATES: Final[Mapping[str, float]] = MappingProxyType(
    {"click": 0.04, "conversion": 0.20, "unsubscribe": 0.003, "complaint": 0.0005}
)
"""Mean probability of each event under a uniform choice: a share of sends, for conversions a share of clicks."""

# What lifts clicks lifts conversions less, and lowers unwanted events.
_TREND_SHARES: Final = np.array([1.0, 0.5, -0.5, -0.5])
_FAVOURITE_SHARES: Final = np.array([1.0, 0.5, 0.0, 0.0])
_CALIBRATION_PAIRS: Final = 200_000


@dataclass(frozen=True, slots=True)
class EffectSizes:
    """How large the drawn effects are, in logits.

    Args:
        customer: standard deviation of the effect of an attribute's value, whatever is chosen.
        arm: of an arm, whoever receives it.
        affinity: of a categorical value together with an arm.
        pair: of two arms of different dimensions together.
        favourite: categorical field to the lift of the one arm in each dimension that a value likes best; its values
            like different arms where there are enough.
        trend: field to the rise in clicks from its least to its largest value.

    Raises:
        ImpossibleWorld: if a standard deviation is negative or any number is not finite.
    """

    customer: float = 0.12
    arm: float = 0.03
    affinity: float = 0.04
    pair: float = 0.03
    favourite: Mapping[str, float] = field(default_factory=lambda: {"engagement_level": 0.20})
    trend: Mapping[str, float] = field(
        default_factory=lambda: {"engagement_level": 1.0, "days_since_login": -0.4, "referrals_made": 0.4}
    )

    def __post_init__(self) -> None:
        spreads = (self.customer, self.arm, self.affinity, self.pair)
        if not all(0.0 <= size < math.inf for size in spreads):
            raise ImpossibleWorld(f"effect sizes are {spreads}: standard deviations, so give numbers of at least 0.")
        lifts = [*self.favourite.values(), *self.trend.values()]
        if not all(map(math.isfinite, lifts)):
            raise ImpossibleWorld(f"lifts of favourite and trend are {lifts}: logits, so give finite numbers.")


def draw_responses(
    rng: np.random.Generator,
    choices: ChoiceGrid,
    attributes: Attributes,
    contexts: Sequence[Mapping[str, ContextValue]],
    *,
    rates: Mapping[str, float] = DEFAULT_RATES,
    sizes: EffectSizes | None = None,
) -> ResponseModel:
    """Draw the effects, and set the base of each event so that a uniform choice gives its mean rate.

    Args:
        rng: where the effects are drawn from.
        choices: what may be chosen.
        attributes: the context fields that matter.
        contexts: those of the customers over whom the mean is taken.
        rates: event type to its mean probability, in (0, 1); the conversion's is a share of clicks.
        sizes: how large the effects are.

    Raises:
        ImpossibleWorld: if a rate is absent, unknown or not in (0, 1), or an effect belongs to no attribute.
    """
    sizes = sizes or EffectSizes()
    _check_rates(rates)
    _check_fields(sizes, attributes)
    unbased = ResponseModel(
        choices,
        attributes,
        _draw_choice_logits(rng, choices, sizes),
        {name: _draw_value_logits(rng, name, len(v), choices, sizes) for name, v in attributes.categories.items()},
        _draw_numeric_logits(rng, attributes, sizes),
    )
    bases = _calibrated_bases(_sample_logits(rng, unbased, contexts), rates)
    return replace(unbased, choice_logits=unbased.choice_logits + bases)


def _check_rates(rates: Mapping[str, float]) -> None:
    if set(rates) != set(EVENT_TYPES) or not all(0.0 < rate < 1.0 for rate in rates.values()):
        raise ImpossibleWorld(
            f"rates are {dict(rates)!r}: no base gives them. Give each of {', '.join(EVENT_TYPES)} a mean probability "
            "between 0 and 1 (a share, not percent)."
        )


def _check_fields(sizes: EffectSizes, attributes: Attributes) -> None:
    unknown = set(sizes.favourite) - set(attributes.categories)
    unknown |= set(sizes.trend) - set(attributes.categories) - set(attributes.ranges)
    if unknown:
        raise ImpossibleWorld(
            f"effects are given for {sorted(unknown)}, which no customer has, so they would silently be absent. "
            f"Fields: {', '.join([*attributes.categories, *attributes.ranges])} (favourites: categorical ones only)."
        )


def _draw_choice_logits(rng: np.random.Generator, choices: ChoiceGrid, sizes: EffectSizes) -> FloatArray:
    n_events, n_dimensions = len(EVENT_TYPES), len(choices.shape)
    logits = np.zeros((*choices.shape, n_events))
    for n_together, size in ((1, sizes.arm), (2, sizes.pair)):
        for axes in itertools.combinations(range(n_dimensions), n_together):
            shape = [k if axis in axes else 1 for axis, k in enumerate(choices.shape)]
            logits += rng.normal(0.0, size, (*shape, n_events))
    return logits.reshape(-1, n_events)


def _draw_value_logits(
    rng: np.random.Generator, name: str, n_values: int, choices: ChoiceGrid, sizes: EffectSizes
) -> FloatArray:
    n_arms, n_events = sum(choices.shape), len(EVENT_TYPES)
    logits = rng.normal(0.0, sizes.affinity, (n_values, n_arms + 1, n_events))
    rise = np.linspace(-0.5, 0.5, n_values) * sizes.trend.get(name, 0.0)
    logits[:, -1] = rng.normal(0.0, sizes.customer, (n_values, n_events)) + np.outer(rise, _TREND_SHARES)
    first = 0
    for n_in_dimension in choices.shape:
        # Repeating a permutation gives different values different arms as long as there are enough.
        favourites = np.resize(rng.permutation(n_in_dimension), n_values)
        logits[np.arange(n_values), first + favourites] += sizes.favourite.get(name, 0.0) * _FAVOURITE_SHARES
        first += n_in_dimension
    return logits


def _draw_numeric_logits(rng: np.random.Generator, attributes: Attributes, sizes: EffectSizes) -> FloatArray:
    trends = np.array([sizes.trend.get(name, 0.0) for name in attributes.ranges])
    return rng.normal(0.0, sizes.customer, (len(trends), len(EVENT_TYPES))) + np.outer(trends, _TREND_SHARES)


def _sample_logits(
    rng: np.random.Generator, model: ResponseModel, contexts: Sequence[Mapping[str, ContextValue]]
) -> FloatArray:
    """Logits of every customer with some choices (with all where they are few), shape (n, n_sampled, n_events)."""
    n, n_choices = len(contexts), len(model.choices)
    n_sampled = -(-_CALIBRATION_PAIRS // n)
    picks = rng.integers(0, n_choices, (n, n_sampled))
    if n_sampled >= n_choices:
        picks = np.tile(np.arange(n_choices), (n, 1))
    codes = np.array([model.attributes.codes(context) for context in contexts]).reshape(n, -1).T
    values = sum(table[code] for code, table in zip(codes, model.value_logits.values(), strict=True))
    positions = np.array([model.attributes.positions(context) for context in contexts])
    logits = model.choice_logits[picks] + (positions @ model.numeric_logits)[:, None]
    firsts = np.cumsum([0, *model.choices.shape])
    places = [*np.unravel_index(picks, model.choices.shape), np.zeros_like(picks)]
    for first, place in zip(firsts, places, strict=True):
        logits += values[np.arange(n)[:, None], first + place]
    return logits


def _calibrated_bases(logits: FloatArray, rates: Mapping[str, float]) -> FloatArray:
    """For each event, what to add to its logits so that its mean is its rate; conversions count by their click."""
    bases = np.empty(len(EVENT_TYPES))
    everyone = clicked = np.full(logits.shape[:-1], 1.0 / logits[..., 0].size)
    for event, name in enumerate(EVENT_TYPES):
        shares = clicked if name == "conversion" else everyone
        bases[event] = _base(logits[..., event], shares, rates[name])
        if name == "click":
            clicked = expit(logits[..., event] + bases[event])
            clicked /= clicked.sum()
    return bases


def _base(logits: FloatArray, shares: FloatArray, rate: float) -> float:
    return float(brentq(lambda base: float((shares * expit(logits + base)).sum()) - rate, -60.0, 60.0, xtol=1e-12))
