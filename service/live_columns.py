"""Segments and numbers of one customer for a live decision: what `manyarm profile` would write beside their features."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

import pandas as pd

from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.dimension import Range
from bandit.errors import BrokenSnapshot, EngineError
from bandit.profile.context_fields import protected_features
from bandit.profile.features import DRAWN, FEATURES, Feature, features_in, table_of
from bandit.profile.learned_segments import COLUMNS as LEARNED_COLUMNS
from bandit.profile.learned_segments import LearnedSegments
from bandit.profile.number_names import NUMBERS, numbers_asked
from bandit.profile.past import Purchase, past_of
from bandit.profile.population import population_of
from bandit.profile.rule_segments import COLUMNS as RULE_COLUMNS
from bandit.profile.rule_segments import segment_of
from bandit.profile.spec import ProfileSpec
from bandit.profile.state import State
from bandit.profile.state_sums import sums_of
from bandit.profile.sums import Sums
from bandit.schema import NumericField
from service.kept_models import MODELS, RULES, SEGMENTS, Kept

if TYPE_CHECKING:
    from bandit.profile.customer_numbers import CustomerNumbers

_log = logging.getLogger("manyarm")
Values = Mapping[str, ContextValue]
Made = dict[str, Feature]
Model = TypeVar("Model")
_DAMAGE: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What goes wrong where something else stands in a body than was written: other texts, shapes, kinds or seeds."""


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a customer at a decision.

    Attributes:
        features: of their events before it.
        context: what the caller knows; for segments it stands before a feature of the same name.
        sums: of their events before it.
        purchases: gives when they bought and for how much, None where no event is kept; only numbers of models ask for them.
        at: the time.
    """

    features: Mapping[str, Feature]
    context: Values
    sums: Sums
    purchases: Callable[[], Sequence[Purchase] | None]
    at: datetime

    @property
    def known(self) -> dict[str, ContextValue]:
        """Features with what the caller knows before them."""
        return {**self.features, **{name: value for name, value in self.context.items() if value is not None}}


@dataclass(frozen=True, slots=True, eq=False)
class LiveColumns:
    """What is made of customers beside their features.

    Attributes:
        spec: the campaign's `[profile]`.
        learned: segments that were learned before; None where rules decide them, or nothing does.
        by_rules: whether the campaign's rules decide them.
        numbers: models made ready; None where there are none, or the campaign asks for no number.
    """

    spec: ProfileSpec
    learned: LearnedSegments | None
    by_rules: bool
    numbers: CustomerNumbers | None

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that is made."""
        segments = LEARNED_COLUMNS if self.learned else RULE_COLUMNS if self.by_rules else ()
        return (*segments, *NUMBERS) if self.numbers else segments

    def of(self, person: Person, wanted: Collection[str]) -> Made:
        """Those of `wanted` that are columns of these, as a table of the same customer has them."""
        segments = [name for name in wanted if name in RULE_COLUMNS or name in LEARNED_COLUMNS]
        numbers = [name for name in wanted if name in self.names and name not in segments]
        made: Made = {}
        if segments:
            made |= self._by_rules(person) if self.by_rules else self._learned(person)
        if numbers:
            made |= self._numbers(person, numbers)
        return made

    def _by_rules(self, person: Person) -> Made:
        name = segment_of(person.known, self.spec.segments)
        traits = asdict(self.spec.segments.traits_of(name))
        return {"segment": name, **{f"segment_{trait}": word for trait, word in traits.items()}}

    def _learned(self, person: Person) -> Made:
        if self.learned is None:
            return {}
        known = person.known
        table = pd.DataFrame({name: [known.get(name)] for name in self.learned.space.names})
        return {str(name): values[0] for name, values in self.learned.assign(table).to_dict("list").items()}

    def _numbers(self, person: Person, wanted: Collection[str]) -> Made:
        if self.numbers is None or person.at < self.numbers.made_at:
            return {}
        purchases = person.purchases()
        # Retention may have taken the events since the features were made.
        if purchases is None:
            return {}
        features, population = person.features, self.numbers.population
        if population is not None:
            drawn = self.numbers.looks_at & DRAWN
            features = {**features, **features_in(person.sums, self.spec, population, wanted=drawn)}
        return {**self.numbers.of(wanted, features, past_of(person.sums, purchases))}


def live_columns(campaign: Campaign, spec: ProfileSpec, kept: Mapping[str, Kept]) -> LiveColumns:
    """What is made of customers as it is kept; segments that live contexts cannot have are not made, and the log says why.

    Args:
        campaign: that declares the fields.
        spec: its `[profile]`.
        kept: how, by kind.
    """
    learned = _read(kept[SEGMENTS], LearnedSegments.from_json)
    by_rules = kept[SEGMENTS].how == RULES
    fault = _fault(campaign, spec, learned) if learned or by_rules else None
    if fault and any(name in campaign.declared for name in (*RULE_COLUMNS, *LEARNED_COLUMNS)):
        _log.warning("live contexts are without segments: %s", fault)
    if fault:
        learned, by_rules = None, False
    protected = protected_features(campaign.declared.fields, spec)
    asked = numbers_asked((item.name for item in campaign.declared.fields), spec.fields)
    numbers = _read(kept[MODELS], lambda body: _numbers(body, asked, protected)) if asked else None
    return LiveColumns(spec, learned, by_rules, numbers)


def _read(kept: Kept, read: Callable[[bytes], Model]) -> Model | None:
    """What is kept; None where nothing is, it is damaged, or an earlier version wrote it so that this one cannot read it."""
    if kept.body is None:
        return None
    try:
        return _undamaged(kept.body, read)
    except EngineError as error:
        _log.warning("what was loaded cannot be used: %s Load it again with `manyarm profile --load`.", error)
        return None


def _undamaged(body: bytes, read: Callable[[bytes], Model]) -> Model:
    """What is read, where anything that a damaged body makes go wrong is an error that says so."""
    try:
        return read(body)
    except _DAMAGE as error:
        raise BrokenSnapshot(f"it is not as it was written ({type(error).__name__}: {error}).") from error


def _numbers(body: bytes, asked: Collection[str], protected: Collection[str]) -> CustomerNumbers:
    from bandit.profile.customer_models import read_customer_models  # noqa: PLC0415 - for those who ask for numbers
    from bandit.profile.customer_numbers import CustomerNumbers  # noqa: PLC0415

    models = read_customer_models(body.decode())
    models.refuse_features(protected)
    if models.made_at.tzinfo is None:
        raise BrokenSnapshot(f"the models were made at {models.made_at.isoformat()}, a time without its zone.")
    curves = models.next_purchase.curves if models.next_purchase else None
    if curves and len(curves.days) != len(curves.hazard):
        raise BrokenSnapshot(
            f"{curves.name} has {len(curves.days)} days and {len(curves.hazard)} hazards, need one a day."
        )
    return CustomerNumbers(models, asked)


def _fault(campaign: Campaign, spec: ProfileSpec, learned: LearnedSegments | None) -> str | None:
    """Why live contexts cannot have these segments; None where they can."""
    fields = {item.name: item for item in campaign.declared.fields}
    asked = learned.space.names if learned else spec.segments.asked
    unknown = [name for name in asked if name not in FEATURES and name not in fields]
    if unknown:
        return f"they ask for {', '.join(unknown)}, which is neither a feature nor a field under [context]."
    protected = protected_features(fields.values(), spec)
    forbidden = [name for name in asked if name in protected]
    if forbidden:
        return f"they ask for {', '.join(forbidden)}, which [context] declares as protected."
    if learned:
        return None
    numeric = _numeric_features(spec) | {name for name, item in fields.items() if isinstance(item, NumericField)}
    ranges = {
        name for rule in spec.segments.rules for one in rule.when for name, on in one.items() if isinstance(on, Range)
    }
    wrong = sorted(ranges - numeric)
    return f"a rule asks for a number of {', '.join(wrong)}, where texts stand." if wrong else None


def _numeric_features(spec: ProfileSpec) -> set[str]:
    nobody = sums_of(State(spec.sums_hash), datetime(2026, 1, 1, tzinfo=UTC), spec)
    table = table_of(nobody, spec, population=population_of(nobody, spec))
    return {name for name in table.columns if table[name].dtype == "float64"}
