"""Which feature goes into which field of a campaign's context, and as what value: the same for a table and for one customer."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from bandit.context import ContextValue
from bandit.profile.lifecycle import NEAREST
from bandit.profile.spec import ProfileSpec
from bandit.schema import BooleanField, CategoricalField, ContextField

PREFERRED = "preferred_"


def fields_made(fields: Sequence[ContextField], spec: ProfileSpec, known: Collection[str]) -> dict[str, str]:
    """The feature behind each context field that can be made.

    It is the one that `[profile.fields]` names, else the one of the same name, else the preferred one: `device` gets
    `preferred_device`.

    Args:
        fields: that the campaign declares.
        spec: the campaign's `[profile]`.
        known: names of features.

    >>> fields_made([BooleanField("member"), CategoricalField("device", ("mobile",))], ProfileSpec(), ["preferred_device"])
    {'device': 'preferred_device'}
    """
    found = {}
    for field in fields:
        names = (spec.fields.get(field.name), field.name, f"{PREFERRED}{field.name}")
        feature = next((name for name in names if name in known), None)
        if feature is not None:
            found[field.name] = feature
    return found


def protected_features(fields: Iterable[ContextField], spec: ProfileSpec) -> frozenset[str]:
    """Features that models and learned segments must not look at: those that are, or fill, a protected field.

    Args:
        fields: that the campaign declares; a personal one is protected, too.
        spec: the campaign's `[profile]`.

    >>> sorted(protected_features([CategoricalField("device", (), protected=True), BooleanField("member")], ProfileSpec()))
    ['device', 'preferred_device']
    """
    protected = [field.name for field in fields if field.protected]
    named = [spec.fields[name] for name in protected if name in spec.fields]
    return frozenset([*protected, *named, *(f"{PREFERRED}{name}" for name in protected)])


def value_in_field(field: ContextField, feature: float | str | None) -> ContextValue:
    """A feature as a field of the context has it; None where it is not known or the field has no such value.

    A stage of the lifecycle that the campaign does not tell from another is written as the nearest that it declares, and a
    whole number as a category of that name.

    >>> stage = CategoricalField("lifecycle_stage", ("new", "at_risk"))
    >>> value_in_field(stage, "dormant"), value_in_field(CategoricalField("hour", ("9", "18")), 18.0)
    ('at_risk', '18')
    """
    if feature is None or (isinstance(feature, float) and math.isnan(feature)):
        return None
    if isinstance(field, CategoricalField):
        return _category(field, feature)
    if isinstance(feature, str):
        return None
    return bool(feature) if isinstance(field, BooleanField) else feature


def _category(field: CategoricalField, feature: float | str) -> str | None:
    text: str | None = feature if isinstance(feature, str) else f"{feature:g}"
    if field.protected and not field.values:
        return text
    for _ in range(len(NEAREST) + 1):
        if text is None or text in field.values:
            return text
        text = NEAREST.get(text)
    return None
