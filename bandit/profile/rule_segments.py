"""Segments that rules decide: the first rule that holds wins, and says why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from bandit.arrays import BoolArray
from bandit.dimension import Allowed, Range
from bandit.errors import UnusableLog
from bandit.fault import shown
from bandit.profile.cluster_space import texts_of
from bandit.profile.segment_defaults import OTHER
from bandit.profile.segment_spec import TRAITS, RuleSegment, SegmentSpec

COLUMNS = ("segment", *(f"segment_{trait}" for trait in TRAITS))


@dataclass(frozen=True, slots=True)
class SegmentReason:
    """Why a customer is in a segment.

    Attributes:
        segment: its name.
        because: the conditions that hold, in words; empty for `other`.
        not_in: of each rule that was asked before, the condition that does not hold.
    """

    segment: str
    because: tuple[str, ...]
    not_in: Mapping[str, str]

    @property
    def words(self) -> str:
        """All of it in one sentence."""
        held = " and ".join(self.because) or "no rule holds"
        others = "; ".join(f"not {name}: {why}" for name, why in self.not_in.items())
        return f"{self.segment}: {held}" + (f" ({others})" if others else "")


def rule_segments(table: pd.DataFrame, spec: SegmentSpec) -> pd.DataFrame:
    """The segment of each customer, with its traits.

    Args:
        table: one row a customer, with a column for every feature that rules ask for. A missing value satisfies nothing.
        spec: the rules.

    Returns:
        The same index; `segment`, `segment_motivation`, `segment_tone`, `segment_incentive`, `segment_frequency`.

    Raises:
        UnusableLog: if a rule asks for a feature without column, or for a number where texts stand.

    >>> from bandit.fault import Reader
    >>> from bandit.profile.segment_spec import read_segments
    >>> rules = {"order": ["at_risk"], "rules": {"at_risk": {"when": {"recency_days": {"at_least": 60}}}}}
    >>> rule_segments(pd.DataFrame({"recency_days": [3, 90, None]}), read_segments(Reader(rules, "", [])))["segment"].tolist()
    ['other', 'at_risk', 'other']
    """
    _require_columns(table, spec)
    place = np.full(len(table), len(spec.rules))
    for position, rule in reversed(list(enumerate(spec.rules))):
        place[_holds(table, rule)] = position
    names = np.array(spec.names, dtype=object)
    traits = [asdict(spec.traits_of(name)) for name in spec.names]
    columns = {f"segment_{trait}": np.array([one[trait] for one in traits], dtype=object)[place] for trait in TRAITS}
    return pd.DataFrame({"segment": names[place], **columns}, index=table.index)


def _require_columns(table: pd.DataFrame, spec: SegmentSpec) -> None:
    absent = [name for name in spec.asked if name not in table]
    if absent:
        raise UnusableLog(
            f"rules of segments ask for {', '.join(absent)}, which the table of customers does not have. Correct the rules "
            "under [profile.segments.rules], or leave them out with `order`, or add the columns."
        )


def _holds(table: pd.DataFrame, rule: RuleSegment) -> BoolArray:
    """Where one of the rule's alternatives holds; shape (n_customers,)."""
    found = np.zeros(len(table), dtype=np.bool_)
    for alternative in rule.when:
        found |= np.logical_and.reduce([_allowed(table[name], allowed) for name, allowed in alternative.items()])
    return found


def _allowed(values: pd.Series, allowed: Allowed) -> BoolArray:
    if isinstance(allowed, Range):
        if values.isna().all():
            return np.zeros(len(values), dtype=np.bool_)
        if not pd.api.types.is_numeric_dtype(values.dtype):
            raise UnusableLog(
                f"a rule of a segment asks for a number of {values.name}, where the table holds {values.dtype}. Correct the "
                "rule under [profile.segments.rules], or the column."
            )
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray((numbers >= allowed.low) & (numbers <= allowed.high))
    accepted = _as_texts(allowed)
    return np.array([one in accepted for one in texts_of(values)], dtype=np.bool_)


def _as_texts(allowed: frozenset[str] | frozenset[bool]) -> frozenset[str]:
    return frozenset(str(one).lower() if isinstance(one, bool) else one for one in allowed)


def segment_of(values: Mapping[str, object], spec: SegmentSpec) -> str:
    """The segment of one customer, the one that `rule_segments` gives a row of these values.

    Args:
        values: features of the customer by name; what is not there or None satisfies nothing.
        spec: the rules.

    >>> segment_of({"engagement_score": 91.0}, SegmentSpec()), segment_of({}, SegmentSpec())
    ('champion', 'other')
    """
    for rule in spec.rules:
        if any(all(_is(values.get(name), allowed) for name, allowed in one.items()) for one in rule.when):
            return rule.name
    return OTHER


def _is(value: object, allowed: Allowed) -> bool:
    if value is None:
        return False
    if isinstance(allowed, Range):
        return isinstance(value, int | float) and allowed.low <= value <= allowed.high
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text in _as_texts(allowed)


def explain_segment(values: Mapping[str, object], spec: SegmentSpec) -> SegmentReason:
    """Why a customer is in a segment: what holds, and what did not hold of the rules before.

    Args:
        values: features of the customer by name, such as a row of the table.
        spec: the rules.

    Raises:
        UnusableLog: if a rule asks for a feature that is not there.

    >>> person = {"engagement_score": 91.0, "recency_score": 2.0, "frequency_score": 1.0, "monetary_score": 1.0}
    >>> print(explain_segment(person, SegmentSpec(SegmentSpec().rules[:1])).words)
    champion: engagement_score is 91, at least 80
    """
    table = pd.DataFrame({name: [value] for name, value in values.items()})
    _require_columns(table, spec)
    not_in: dict[str, str] = {}
    for rule in spec.rules:
        failed = []
        for alternative in rule.when:
            told = {name: bool(_allowed(table[name], allowed)[0]) for name, allowed in alternative.items()}
            if all(told.values()):
                because = tuple(_said(name, values[name], allowed) for name, allowed in alternative.items())
                return SegmentReason(rule.name, because, not_in)
            wrong = next(name for name, holds in told.items() if not holds)
            failed.append(_said(wrong, values[wrong], alternative[wrong], verb="not "))
        not_in[rule.name] = ", and ".join(failed)
    return SegmentReason(OTHER, (), not_in)


def _said(name: str, value: object, allowed: Allowed, *, verb: str = "") -> str:
    found = f"{value:.4g}" if isinstance(value, float) else shown(value)
    return f"{name} is {found}, {verb}{_wanted(allowed)}"


def _wanted(allowed: Allowed) -> str:
    if not isinstance(allowed, Range):
        return " or ".join(sorted(_as_texts(allowed)))
    if math.isinf(allowed.high):
        return f"at least {allowed.low:g}"
    if math.isinf(allowed.low):
        return f"at most {allowed.high:g}"
    return f"between {allowed.low:g} and {allowed.high:g}"
