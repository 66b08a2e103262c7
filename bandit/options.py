"""Options of policies and learners: declared once on a dataclass, checked and documented from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, field, fields
from typing import Any, TypeVar

from bandit.campaign import Option
from bandit.errors import InvalidSettings
from bandit.fault import Fault, is_number, shown

Owner = TypeVar("Owner")


def option(
    default: Option,
    means: str,
    *,
    low: float = 0.0,
    high: float = 1e12,
    among: tuple[str, ...] = (),
    searched: tuple[float, float] | None = None,
) -> Any:  # noqa: ANN401 - what dataclasses.field returns
    """A dataclass field that the campaign file may set.

    Args:
        default: the value where the file is silent; its type is the type accepted.
        means: what it does, with its unit, for the docs.
        low: least number accepted.
        high: largest number accepted.
        among: the texts accepted, for an option that is a text; all of them are searched when a campaign is tuned.
        searched: the range of a number that is searched when a campaign is tuned; None leaves it as it is. A default
            outside the range, such as a 0 with a meaning of its own, is tried as well.
    """
    known = {"means": means, "low": low, "high": high, "among": among, "searched": searched}
    return field(default=default, metadata=known)


def declared(owner: type[Any]) -> dict[str, Field[Any]]:
    """The options of a policy or learner, by name."""
    return {item.name: item for item in fields(owner) if "means" in item.metadata}


def option_faults(owner: type[Any], options: Mapping[str, Option], where: str) -> list[Fault]:
    """Every option that does not exist or has a value outside its range."""
    known = declared(owner)
    faults = []
    for name, value in options.items():
        if name not in known:
            listed = ", ".join(known) or "none: it has no options"
            faults.append(Fault(f"{where}.{name}", shown(value), f"an option that exists here ({listed})"))
        elif not _fits(value, known[name]):
            faults.append(Fault(f"{where}.{name}", shown(value), _wanted(known[name])))
    return faults


def check_options(instance: object) -> None:
    """Refuse values outside their declared range; for `__post_init__`.

    Raises:
        InvalidSettings: naming each option, the value found and the range.
    """
    owner = type(instance)
    values = {name: getattr(instance, name) for name in declared(owner)}
    faults = option_faults(owner, values, owner.__name__)
    if faults:
        raise InvalidSettings("; ".join(str(fault) for fault in faults))


def with_options(owner: type[Owner], options: Mapping[str, Option], where: str) -> Owner:
    """Build a policy or learner settings from the campaign file's options.

    Raises:
        InvalidSettings: naming each option that does not exist or is out of range.
    """
    faults = option_faults(owner, options, where)
    if faults:
        raise InvalidSettings("; ".join(str(fault) for fault in faults))
    return owner(**options)


def _fits(value: object, item: Field[Any]) -> bool:
    if isinstance(item.default, str):
        return value in item.metadata["among"]
    if isinstance(item.default, bool):
        return isinstance(value, bool)
    whole = not isinstance(item.default, int) or isinstance(value, int)
    return is_number(value) and whole and item.metadata["low"] <= value <= item.metadata["high"]


def _wanted(item: Field[Any]) -> str:
    if isinstance(item.default, str):
        return "one of " + ", ".join(item.metadata["among"])
    if isinstance(item.default, bool):
        return "true or false"
    kind = "a whole number" if isinstance(item.default, int) else "a number"
    return f"{kind} in [{item.metadata['low']:g}, {item.metadata['high']:g}]: {item.metadata['means']}"
