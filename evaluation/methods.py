"""Every method by its name on the command line: an estimator, what it needs, and the interval that goes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from bandit.errors import InvalidSettings
from evaluation.columns import LARGEST, AnyColumn
from evaluation.cressie_read import Reach, cressie_read, cressie_read_difference
from evaluation.direct import DirectMethod
from evaluation.doubly_robust import DoublyRobust, SelfNormalisedDoublyRobust
from evaluation.effective_sample import on_effective_sample
from evaluation.estimator import Estimate, Estimator, difference, estimate, part
from evaluation.ips import Ips
from evaluation.slope import BOUNDS, Slope
from evaluation.snips import Snips
from evaluation.snips_wilson import COLUMNS as WILSON_COLUMNS
from evaluation.snips_wilson import snips_wilson
from evaluation.stage_wise import StageWise
from evaluation.sums import Sums
from evaluation.weight_rules import Additive, Clipped, Pairwise, Shrunk, SubGaussian, Switched

ADDITIVE = "normal, influence function; counts on what dimensions bring adding up"
BIASED = "normal, influence function; the bias of smaller weights is not in it"
NO_INTERVAL = "none: nobody knows how wrong the model is"


class Needs(StrEnum):
    """What a method needs beside rewards and weights."""

    NOTHING = "nothing"
    RANGE = "the range of rewards"
    MODEL = "a reward model"
    COMPOSITE = "several dimensions"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a log before its numbers are looked at.

    Attributes:
        is_binary: whether every reward is 0 or 1.
        rewards: least and largest reward that a send can have; None where nobody says.
        largest_weight: that a row can have; None takes the largest that the log's propensities allow.
        confidence_level: of every interval.
    """

    is_binary: bool
    rewards: tuple[float, float] | None = None
    largest_weight: float | None = None
    confidence_level: float = 0.95

    @property
    def reward_range(self) -> tuple[float, float] | None:
        """As given; 0 and 1 where rewards are nothing else."""
        return self.rewards or ((0.0, 1.0) if self.is_binary else None)

    def reach(self, sums: Sums) -> Reach:
        """What could have been in the log.

        Raises:
            InvalidSettings: if the range of rewards is not known.
        """
        if self.reward_range is None:
            raise InvalidSettings(
                "the range of rewards is not known, and a reward that was not seen could be anything. Give the least and the "
                "largest that a send can have, or leave cressie-read out."
            )
        largest = sums.high(LARGEST.name) if self.largest_weight is None else self.largest_weight
        return Reach(largest, *self.reward_range)


def _normal(estimator: Estimator, sums: Sums, known: Known) -> Estimate:
    return estimate(estimator, sums, known.confidence_level)


def _biased(estimator: Estimator, sums: Sums, known: Known) -> Estimate:
    return replace(_normal(estimator, sums, known), method=BIASED)


def _additive(estimator: Estimator, sums: Sums, known: Known) -> Estimate:
    return replace(_normal(estimator, sums, known), method=ADDITIVE)


def _pairwise(estimator: Estimator, sums: Sums, known: Known) -> Estimate:
    """Wilson's interval on the effective sample where rewards are 0 and 1: the normal one fails upwards too often."""
    found = _normal(estimator, sums, known)
    return on_effective_sample(found, known.confidence_level) if known.is_binary else found


def _snips(estimator: Estimator, sums: Sums, known: Known) -> Estimate:
    """Wilson's interval where rewards are 0 and 1 and something was weighed, else the normal one."""
    if known.is_binary and sums.mean("w*1") > 0.0:
        return snips_wilson(sums, known.confidence_level)
    return _normal(estimator, sums, known)


def _model_alone(estimator: Estimator, sums: Sums, known: Known) -> Estimate:
    return _without_interval(_normal(estimator, sums, known))


def _without_interval(found: Estimate) -> Estimate:
    return replace(found, se=None, ci_lower=None, ci_upper=None, method=NO_INTERVAL)


def _cressie_read(estimator: Estimator, sums: Sums, known: Known) -> Estimate:
    del estimator
    return cressie_read(sums, known.reach(sums), known.confidence_level)


@dataclass(frozen=True, slots=True)
class Method:
    """An entry of the registry.

    Attributes:
        estimator: gives the value; also what a bootstrap repeats.
        needs: what must be there.
        answer: value and interval.
        extra: columns that the interval needs beside the estimator's.
    """

    estimator: Estimator
    needs: Needs = Needs.NOTHING
    answer: Callable[[Estimator, Sums, Known], Estimate] = _normal
    extra: tuple[AnyColumn, ...] = ()

    @property
    def name(self) -> str:
        """On the command line and in JSON."""
        return self.estimator.name

    @property
    def columns(self) -> tuple[AnyColumn, ...]:
        """What it sums."""
        return (*self.estimator.columns, *self.extra)

    @property
    def can_be_resampled(self) -> bool:
        """Whether a bootstrap of it says more than it hides: not of a model alone, nor of what is an interval already."""
        return self.needs is not Needs.RANGE and not isinstance(self.estimator, DirectMethod)

    def estimate(self, sums: Sums, known: Known) -> Estimate:
        """The target's value."""
        return self.answer(self.estimator, sums, known)

    def difference(self, sums: Sums, target: str, against: str, known: Known) -> Estimate:
        """One target's value minus another's, from the columns of both, named after `target` and `against`."""
        if self.needs is Needs.RANGE:
            reaches = known.reach(part(sums, target)), known.reach(part(sums, against))
            return cressie_read_difference(sums, target, against, reaches, known.confidence_level)
        found = difference(self.estimator, sums, target, against, known.confidence_level)
        return _without_interval(found) if isinstance(self.estimator, DirectMethod) else found


def _slope(name: str, of_bound: Callable[[float], Estimator], needs: Needs = Needs.MODEL) -> Method:
    return Method(Slope(tuple(of_bound(bound) for bound in BOUNDS), name), needs, _biased)


_ENTRIES = (
    Method(Snips(), answer=_snips, extra=WILSON_COLUMNS),
    Method(Ips(name="cressie-read"), Needs.RANGE, _cressie_read, (LARGEST,)),
    Method(Ips()),
    Method(Ips(Clipped(10.0), "ips-clipped"), answer=_biased),
    Method(Ips(SubGaussian(0.05), "ips-subgaussian"), answer=_biased),
    _slope("ips-slope", lambda bound: Ips(Clipped(bound)), Needs.NOTHING),
    Method(DirectMethod(), Needs.MODEL, _model_alone),
    Method(DoublyRobust(), Needs.MODEL),
    Method(SelfNormalisedDoublyRobust(), Needs.MODEL),
    Method(DoublyRobust(Switched(10.0), "switch-dr"), Needs.MODEL, _biased),
    Method(DoublyRobust(Shrunk(50.0), "dros"), Needs.MODEL, _biased),
    Method(DoublyRobust(SubGaussian(0.05), "dr-subgaussian"), Needs.MODEL, _biased),
    _slope("dr-slope", lambda bound: DoublyRobust(Clipped(bound))),
    _slope("switch-slope", lambda bound: DoublyRobust(Switched(bound))),
    _slope("dros-slope", lambda bound: DoublyRobust(Shrunk(bound))),
    Method(Ips(Additive(), "pi"), Needs.COMPOSITE, _additive),
    Method(Snips(Additive(), "snpi"), Needs.COMPOSITE, _additive),
    Method(Ips(Pairwise(), "order-2"), Needs.COMPOSITE, _pairwise),
    Method(Snips(Pairwise(), "order-2-sn"), Needs.COMPOSITE, _pairwise),
    Method(DoublyRobust(Additive(), "dr-pi"), Needs.COMPOSITE, _additive),
    Method(DoublyRobust(Pairwise(), "dr-order-2"), Needs.COMPOSITE, _pairwise),
    Method(StageWise(), Needs.COMPOSITE),
)
METHODS = {method.name: method for method in _ENTRIES}
"""All of them; a new one is one line here."""


def methods_of(names: tuple[str, ...]) -> tuple[Method, ...]:
    """The methods of some names.

    Raises:
        InvalidSettings: for a name that does not exist.
    """
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise InvalidSettings(
            f"there is no estimator {', '.join(map(repr, unknown))}. There are: {', '.join(METHODS)}."
        )
    return tuple(METHODS[name] for name in dict.fromkeys(names))
