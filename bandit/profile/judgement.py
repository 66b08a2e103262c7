"""How good chances turned out to be, on rows from after the model was made: calibration by decile, losses and ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from bandit.profile.calibration import mean_log_loss

N_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """A tenth of the customers, by the chance they were given.

    Attributes:
        n: customers.
        expected: mean chance they were given.
        observed: share of them for whom it came true.
        noise: standard deviation of `observed` if the chances are right.
    """

    n: int
    expected: float
    observed: float
    noise: float

    @property
    def error(self) -> float:
        """The mean chance over the share that came true, less 1; infinite where it never did."""
        return self.expected / self.observed - 1.0 if self.observed else math.inf

    @property
    def relative_noise(self) -> float:
        """One standard deviation of `observed`, as a share of the mean chance."""
        return self.noise / self.expected if self.expected else math.inf


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of the chances.

    Attributes:
        n: rows, all of one origin.
        base_rate: share for whom it came true.
        known_rate: the share of the stretch before, which is all that is known without a model.
        log_loss, base_log_loss: of the chances, and of giving everybody `known_rate`.
        brier, base_brier: mean squared error, of both.
        auc: chance that of two customers the one for whom it came true had the higher chance.
        bins: from the lowest chances to the highest.
    """

    n: int
    base_rate: float
    known_rate: float
    log_loss: float
    base_log_loss: float
    brier: float
    base_brier: float
    auc: float
    bins: tuple[CalibrationBin, ...]

    @property
    def is_better_than_base(self) -> bool:
        """Whether the model says more than the base rate does."""
        return self.log_loss < self.base_log_loss

    def document(self) -> dict[str, Any]:
        """The judgement for JSON."""
        return asdict(self)


def read_judgement(document: Mapping[str, Any]) -> Judgement:
    """The judgement from its document."""
    bins = tuple(CalibrationBin(**one) for one in document["bins"])
    return Judgement(**{**document, "bins": bins})


def judge(chances: FloatArray, happened: BoolArray, known_rate: float) -> Judgement:
    """Hold chances against what came true.

    Args:
        chances: shape (n,), each in [0, 1].
        happened: shape (n,).
        known_rate: in (0, 1), the base rate known when the chances were given.

    >>> luck = np.random.default_rng(1)
    >>> chances = luck.random(5000)
    >>> found = judge(chances, luck.random(5000) < chances, 0.5)
    >>> len(found.bins), found.is_better_than_base, round(found.auc, 2)
    (10, True, 0.82)
    """
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - seconds to load, and only judging needs it

    flat = np.full(len(chances), known_rate)
    is_mixed = 0 < happened.sum() < len(happened)
    return Judgement(
        len(chances), float(happened.mean()), known_rate, mean_log_loss(happened, chances), mean_log_loss(happened, flat),
        float(np.mean((chances - happened) ** 2)), float(np.mean((flat - happened) ** 2)),
        float(roc_auc_score(happened, chances)) if is_mixed else math.nan, calibration_table(chances, happened),
    )  # fmt: skip


def calibration_table(chances: FloatArray, happened: BoolArray, n_bins: int = N_BINS) -> tuple[CalibrationBin, ...]:
    """Bins of equally many customers, by their chance; fewer where there are fewer customers.

    >>> calibration_table(np.array([0.1, 0.9]), np.array([False, True]), n_bins=2)[1]
    CalibrationBin(n=1, expected=0.9, observed=1.0, noise=0.3)
    """
    order = np.argsort(chances, kind="stable")
    return tuple(_bin(chances[part], happened[part]) for part in np.array_split(order, min(n_bins, len(order))))


def _bin(chances: FloatArray, happened: BoolArray) -> CalibrationBin:
    noise = math.sqrt(float(np.sum(chances * (1.0 - chances)))) / len(chances)
    return CalibrationBin(len(chances), float(chances.mean()), float(happened.mean()), noise)
