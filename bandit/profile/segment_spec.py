"""The `[profile.segments]` table of the campaign file: rules with their traits, and how segments are learned."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final

from bandit.dimension import Allowed, Range
from bandit.fault import Reader, is_number
from bandit.profile.segment_defaults import GROUPS, OTHER, OTHER_TRAITS, USUAL_RULES

METHODS: Final = ("kmeans", "gaussian", "hierarchical", "dbscan")
"""How segments can be learned."""
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_RANGE: Final = (
    "a list of texts, true or false, a range such as [0, 30], { at_least = 3 } or { at_most = 30 }; all of a table hold "
    "together, and of a list of tables one is enough"
)


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known to work with a segment, in words: context fields for the learner, and words for texts.

    Attributes:
        motivation: why such a customer acts, such as status.
        tone: how to speak, such as exclusive.
        incentive: what to offer, such as early_access.
        frequency: how often to write, such as weekly.
    """

    motivation: str
    tone: str
    incentive: str
    frequency: str


TRAITS: Final = tuple(item.name for item in fields(Traits))


@dataclass(frozen=True, slots=True)
class RuleSegment:
    """A segment that a rule decides.

    Attributes:
        name: as it stands in the context.
        when: alternatives, one of which must hold; each names features and what each must be.
        traits: of whoever is in it.
    """

    name: str
    when: tuple[Mapping[str, Allowed], ...]
    traits: Traits


@dataclass(frozen=True, slots=True)
class LearnedSpec:
    """The `[profile.segments.learned]` table.

    Attributes:
        groups: groups of features that segments are learned from.
        methods: of `METHODS`, those that are tried.
        fewest, most: number of segments.
        least_share: of the customers, in every segment; smaller ones are too few to learn from.
        seed: of every draw; the same seed and customers give the same segments.
    """

    groups: tuple[str, ...] = ("behavioural", "value")
    methods: tuple[str, ...] = METHODS
    fewest: int = 2
    most: int = 8
    least_share: float = 0.05
    seed: int = 0


def _usual_rules() -> tuple[RuleSegment, ...]:
    return tuple(RuleSegment(name, when, Traits(*traits)) for name, (when, traits) in USUAL_RULES.items())


@dataclass(frozen=True, slots=True)
class SegmentSpec:
    """The whole table; the defaults are those of a file that says nothing of segments.

    Attributes:
        rules: in order; a customer is in the first whose rule holds.
        other: traits of whoever no rule holds for.
        groups: features by the name of their group.
        learned: how segments are learned.

    >>> [rule.name for rule in SegmentSpec().rules]
    ['champion', 'loyal_customer', 'price_sensitive', 'social_influencer', 'at_risk']
    """

    rules: tuple[RuleSegment, ...] = field(default_factory=_usual_rules)
    other: Traits = field(default_factory=lambda: Traits(*OTHER_TRAITS))
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(GROUPS))
    learned: LearnedSpec = field(default_factory=LearnedSpec)

    @property
    def names(self) -> tuple[str, ...]:
        """Every segment that a rule can give, `other` last."""
        return (*(rule.name for rule in self.rules), OTHER)

    @property
    def asked(self) -> tuple[str, ...]:
        """Features that the rules ask for, each once."""
        return tuple(dict.fromkeys(name for rule in self.rules for one in rule.when for name in one))

    @property
    def learned_from(self) -> tuple[str, ...]:
        """Features that segments are learned from, each once."""
        return tuple(dict.fromkeys(name for group in self.learned.groups for name in self.groups[group]))

    def traits_of(self, name: str) -> Traits:
        """The traits of a rule's segment, by its name."""
        return next((rule.traits for rule in self.rules if rule.name == name), self.other)


def read_segments(table: Reader) -> SegmentSpec:
    """The table, with its faults noted."""
    usual = SegmentSpec()
    known, other = _rules(table.table("rules"), usual)
    rules = _ordered(table, known)
    groups = _groups(table.table("groups"), usual.groups)
    learned = _learned(table.table("learned"), groups)
    table.refuse_the_rest(("order", "rules", "groups", "learned"))
    return SegmentSpec(rules, other, groups, learned)


def _rules(table: Reader, usual: SegmentSpec) -> tuple[dict[str, RuleSegment], Traits]:
    """The usual rules with what the file changes, and new ones after them."""
    other = usual.other
    rules = {rule.name: rule for rule in usual.rules}
    for name in table.names():
        if not NAME.fullmatch(name):
            table.fault(name, table.take(name), "a segment's name of letters, digits and _")
        elif name == OTHER:
            other = _traits(rest := table.table(name), other)
            rest.refuse_the_rest(TRAITS)
        else:
            rules[name] = _rule(table.table(name), name, rules.get(name))
    return rules, other


def _rule(table: Reader, name: str, usual: RuleSegment | None) -> RuleSegment:
    when = usual.when if usual and "when" not in table.names() else _alternatives(table)
    traits = _traits(table, usual.traits if usual else None)
    table.refuse_the_rest(("when", *TRAITS))
    return RuleSegment(name, when, traits)


def _traits(table: Reader, usual: Traits | None) -> Traits:
    wanted = "a word or a few, such as status (a new segment needs all of " + ", ".join(TRAITS) + ")"
    given = {
        name: table.text(name, wanted=wanted) if usual is None or name in table.names() else getattr(usual, name)
        for name in TRAITS
    }
    return Traits(**given)


def _alternatives(table: Reader) -> tuple[Mapping[str, Allowed], ...]:
    found = table.take("when")
    several = found if isinstance(found, list) and found else [found]
    alternatives = []
    for place, one in enumerate(several):
        key = f"when[{place}]" if isinstance(found, list) else "when"
        if isinstance(one, dict) and one:
            alternatives.append(_conditions(Reader(one, table.path(key), table.faults)))
        else:
            table.fault(key, one, f"a table of at least one feature and what it must be: {_RANGE}")
    return tuple(alternatives)


def _conditions(table: Reader) -> dict[str, Allowed]:
    conditions: dict[str, Allowed] = {}
    for name in table.names():
        found = table.take(name)
        allowed = _allowed(found)
        if allowed is None:
            table.fault(name, found, _RANGE)
        else:
            conditions[name] = allowed
    return conditions


def _allowed(found: object) -> Allowed | None:
    """What a condition allows, or None where it says nothing that could be checked."""
    if isinstance(found, bool):
        return frozenset((found,))
    if isinstance(found, list) and found and all(isinstance(one, str) and one for one in found):
        return frozenset(found)
    ends: object = found
    if isinstance(found, dict) and found.keys() in ({"at_least"}, {"at_most"}, {"at_least", "at_most"}):
        ends = [found.get("at_least", -math.inf), found.get("at_most", math.inf)]
        if not all(is_number(one) for one in found.values()):
            return None
    elif not (isinstance(found, list) and all(is_number(one) for one in found)):
        return None
    if isinstance(ends, list) and len(ends) == 2 and ends[0] <= ends[1]:
        return Range(float(ends[0]), float(ends[1]))
    return None


def _ordered(table: Reader, rules: dict[str, RuleSegment]) -> tuple[RuleSegment, ...]:
    if "order" not in table.names():
        return tuple(rules.values())
    wanted = f"a list of segments, each once, in the order in which rules are asked: {', '.join(rules)}"
    order = table.texts("order", wanted=wanted)
    for name in order:
        if name not in rules:
            table.fault("order", name, wanted)
    if not order:
        table.fault("order", None, wanted)
    return tuple(rules[name] for name in order if name in rules)


def _groups(table: Reader, usual: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    given = {name: table.texts(name, wanted="a list of features, each once") for name in table.names()}
    return {**usual, **given}


def _learned(table: Reader, groups: Mapping[str, tuple[str, ...]]) -> LearnedSpec:
    usual = LearnedSpec()
    spec = replace(
        usual,
        groups=_some(table, "groups", usual.groups, tuple(groups)),
        methods=_some(table, "methods", usual.methods, METHODS),
        fewest=_whole(table, "fewest", usual.fewest, low=2, high=20),
        most=_whole(table, "most", usual.most, low=2, high=20),
        least_share=table.number(
            "least_share",
            low=0.001,
            high=0.5,
            default=usual.least_share,
            wanted="a share of the customers in [0.001, 0.5]",
        ),
        seed=_whole(table, "seed", usual.seed, low=0, high=2**31 - 1),
    )
    if spec.most < spec.fewest:
        table.fault("most", spec.most, f"at least `fewest`, which is {spec.fewest}")
    table.refuse_the_rest(item.name for item in fields(LearnedSpec))
    return spec


def _some(table: Reader, key: str, usual: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    if key not in table.names():
        return usual
    wanted = f"a list of some of {', '.join(known)}, each once"
    found = table.texts(key, wanted=wanted)
    wrong = [name for name in found if name not in known]
    if wrong or not found:
        table.fault(key, wrong[0] if wrong else None, wanted)
    return tuple(name for name in found if name in known)


def _whole(table: Reader, key: str, usual: int, *, low: int, high: int) -> int:
    wanted = f"a whole number in [{low}, {high}]"
    found = table.number(key, low=low, high=high, default=usual, wanted=wanted)
    if found != int(found):
        table.fault(key, found, wanted)
    return int(found)
