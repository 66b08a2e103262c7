"""What tuning may turn: settings of a campaign, each with its range, some of which only exist beside others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bandit.campaign import Option
from simulator.world import ImpossibleWorld

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Settings = Mapping[str, Option]
"""Place in the campaign file, such as policy.gamma, to the value there."""

IN_RANGE = "in the range"
"""What the study says where one of the range's numbers was chosen and none of the values beside it."""
_WIDE = 10.0


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting: one of some values, a number in a range, or either.

    Args:
        name: of its own, in studies and pictures.
        key: its place in the campaign file; two knobs that never exist together may share one.
        usual: where the campaign has it.
        among: values to choose from.
        span: least and largest number of the range, both included; None for no range. Where the ends are ten times apart,
            tenfold steps count alike.
        when: key of an earlier knob and the values of it beside which this one exists; None for always.

    Raises:
        ImpossibleWorld: if there is nothing to choose from, or the usual value is not among it.
    """

    name: str
    key: str
    usual: Option
    among: tuple[Option, ...] = ()
    span: tuple[float, float] | None = None
    when: tuple[str, frozenset[Option]] | None = None

    def __post_init__(self) -> None:
        if not (self.among or self.span) or not (self.usual in self.among or self.spans(self.usual)):
            raise ImpossibleWorld(
                f"knob {self.name!r} stands at {self.usual!r} and offers {self.among} and {self.span}: tuning compares with "
                "the campaign as it is, so its own value must be on offer."
            )

    @property
    def is_logarithmic(self) -> bool:
        """Whether tenfold steps count alike."""
        return self.span is not None and self.span[0] > 0.0 and self.span[1] >= _WIDE * self.span[0]

    def spans(self, value: Option) -> bool:
        """Whether a value is a number of the range."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return self.span is not None and is_number and self.span[0] <= float(value) <= self.span[1]

    def exists(self, settings: Settings) -> bool:
        """Whether it means anything beside other settings."""
        return self.when is None or settings.get(self.when[0]) in self.when[1]

    def suggested(self, trial: BaseTrial) -> Option:
        """A value that a trial of a study asks for, with three digits."""
        if self.span is None:
            return _chosen(trial, self.name, self.among)
        if self.among and (chosen := _chosen(trial, f"{self.name} is", (*self.among, IN_RANGE))) != IN_RANGE:
            return chosen
        exact = trial.suggest_float(self.name, *self.span, log=self.is_logarithmic)
        return exact if exact == self.usual else float(f"{exact:.3g}")

    def parameters(self, value: Option) -> dict[str, Option]:
        """The same value as the study writes it: what `suggested` has to be told to answer with it."""
        if self.span is None or not self.among:
            return {self.name: value}
        return {f"{self.name} is": value} if value in self.among else {f"{self.name} is": IN_RANGE, self.name: value}

    def alternatives(self) -> Iterator[Option]:
        """Each other value on offer, and one number of the range: a quarter from the end that is farther away."""
        yield from (value for value in self.among if value != self.usual)
        if self.span is not None:
            yield _quarter(self.span, self.usual if self.spans(self.usual) else None, self.is_logarithmic)


def _chosen(trial: BaseTrial, name: str, among: tuple[Option, ...]) -> Option:
    found: Any = trial.suggest_categorical(name, among)
    value: Option = found
    return value


def _quarter(span: tuple[float, float], usual: Option | None, is_logarithmic: bool) -> float:
    low, high = (math.log(end) for end in span) if is_logarithmic else span
    place = (low + high) / 2.0
    if usual is not None:
        stands = math.log(float(usual)) if is_logarithmic else float(usual)
        place = low + (high - low) * (0.75 if stands < place else 0.25)
    return float(f"{math.exp(place) if is_logarithmic else place:.3g}")


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The knobs of a campaign; one comes after the knob that it depends on.

    >>> name = Knob("policy", "policy.name", "squarecb", ("squarecb", "softmax"))
    >>> heat = Knob("heat", "policy.temperature", 0.01, span=(0.001, 0.1), when=("policy.name", frozenset({"softmax"})))
    >>> SearchSpace((name, heat)).usual
    {'policy.name': 'squarecb'}
    >>> SearchSpace((name, heat)).one_change_each()
    [{'policy.name': 'softmax', 'policy.temperature': 0.01}]
    """

    knobs: tuple[Knob, ...]

    @property
    def said(self) -> str:
        """Everything about it as a text, the same in every process: sets stand in order."""
        return repr(
            [
                (
                    knob.name,
                    knob.key,
                    knob.usual,
                    knob.among,
                    knob.span,
                    knob.when and (knob.when[0], sorted(map(str, knob.when[1]))),
                )
                for knob in self.knobs
            ]
        )

    @property
    def usual(self) -> dict[str, Option]:
        """The campaign as it is."""
        return self.completed({})

    def completed(self, changes: Settings) -> dict[str, Option]:
        """Changes, and the usual value of everything else that exists beside them."""
        settings: dict[str, Option] = {}
        for knob in self.knobs:
            if knob.exists(settings):
                settings[knob.key] = changes.get(knob.key, knob.usual)
        return settings

    def one_change_each(self) -> list[dict[str, Option]]:
        """The campaign as it is but for one setting, for each setting in turn."""
        usual = self.usual
        active = [knob for knob in self.knobs if knob.exists(usual)]
        return [self.completed({knob.key: value}) for knob in active for value in knob.alternatives()]

    def suggested(self, trial: BaseTrial) -> dict[str, Option]:
        """Settings that a trial of a study asks for."""
        settings: dict[str, Option] = {}
        for knob in self.knobs:
            if knob.exists(settings):
                settings[knob.key] = knob.suggested(trial)
        return settings

    def parameters(self, settings: Settings) -> dict[str, Option]:
        """Settings as a study writes them."""
        found: dict[str, Option] = {}
        for knob in self.knobs:
            if knob.exists(settings):
                found |= knob.parameters(settings[knob.key])
        return found
