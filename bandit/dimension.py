"""Dimensions and their arms: what may be said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bandit.send_slot import SendSlot
from bandit.text_feature_spec import TextFeatures

ArmFeature = str | float
"""A category or a number that says how an arm is like other arms."""


@dataclass(frozen=True, slots=True)
class Range:
    """A closed range of a number, as in `when = { days_since_login = [0, 30] }`."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high


Allowed = frozenset[str] | frozenset[bool] | Range
"""What a rule allows: a set of categories, of booleans, or a range of numbers."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing a send may carry, with a stable id.

    `when` names context fields and what each must be; `requires` names earlier dimensions and the arms of theirs it goes
    with. A missing context value satisfies no `when`. `slot` is the hour it stands for, where its id does not say so;
    `no_send` marks the arm that sends nothing and ends the choice. `text` and `parts` are templates; `default` stands in for
    a text that misses a variable; see `bandit.arm_text`.
    """

    id: str
    text: str = ""
    when: Mapping[str, Allowed] = field(default_factory=dict)
    requires: Mapping[str, frozenset[str]] = field(default_factory=dict)
    features: Mapping[str, ArmFeature] = field(default_factory=dict)
    slot: SendSlot | None = None
    no_send: bool = False
    default: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)

    def suits(self, context: Mapping[str, object]) -> bool:
        """Whether a context is what `when` asks for.

        >>> Arm("vip", when={"level": frozenset(["power"])}).suits({"level": None})
        False
        """
        return all(context.get(name) in allowed for name, allowed in self.when.items()) if self.when else True

    def goes_with(self, picked: Mapping[str, str]) -> bool:
        """Whether earlier picks, by dimension, are what `requires` asks for.

        >>> Arm("bold", requires={"subject": frozenset(["champion"])}).goes_with({"subject": "champion"})
        True
        """
        return all(picked[name] in arms for name, arms in self.requires.items()) if self.requires else True


@dataclass(frozen=True, slots=True)
class Dimension:
    """A list of arms of which a send takes exactly one.

    `candidates` says how many of them each customer is offered, where that is not all; see `bandit.product_candidates`.
    `silent` is the arm that sends nothing, None where every arm is a message; see `bandit.no_send`. `text_features` are what
    the learner is told of the texts besides their words; see `bandit.text_features`.

    >>> Dimension("cta", (Arm("join"), Arm("invite"))).index_of("invite")
    1
    """

    name: str
    arms: tuple[Arm, ...]
    candidates: int | None = None
    text_features: TextFeatures | None = None
    ids: tuple[str, ...] = field(init=False, repr=False, compare=False)
    silent: str | None = field(init=False, repr=False, compare=False)
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(arm.id for arm in self.arms))
        object.__setattr__(self, "silent", next((arm.id for arm in self.arms if arm.no_send), None))
        object.__setattr__(self, "_index", {arm.id: i for i, arm in enumerate(self.arms)})

    def __contains__(self, arm_id: str) -> bool:
        return arm_id in self._index

    @property
    def places(self) -> Mapping[str, int]:
        """Position of each arm by its id."""
        return self._index

    def index_of(self, arm_id: str) -> int:
        """Position of an arm in the campaign's order."""
        return self._index[arm_id]
