"""Time until something happens: Cox's regression on past origins, with customers for whom it has not happened yet.

At each origin a customer's clock begins at 0. It stops when it happens, or is *censored* when the data end: "not within the
90 days seen" is used as just that, neither left out nor taken for never. The baseline is Breslow's, so that each customer
has a whole curve: the chance that it has not happened by any day up to the longest time seen, and nothing beyond it.

Source: Cox (1972), Regression models and life-tables; Breslow (1972), its discussion; van Houwelingen (2007), Dynamic
prediction by landmarking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import qr

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import BrokenSnapshot, UnusableEvents
from bandit.profile.additive_fitting import Basis
from bandit.profile.layout import layout_of
from bandit.profile.occurrences import DAY, Occurrences
from bandit.profile.outcome_model import FeaturesAt, fold_positions
from bandit.profile.shapes import AdditiveModel, read_additive

if TYPE_CHECKING:
    from statsmodels.duration.hazard_regression import PHReg

FEWEST: Final = 100
"""Customers for whom it must have happened, and for whom it must not."""
MOST_ROWS: Final = 4000
"""Rows the regression is fitted to: its time grows faster than they do, and its coefficients are settled long before."""
EVENTS_A_COLUMN: Final = 10
"""Events that there must be for each column of the design. Source: Peduzzi et al. (1995)."""
_MOST_FEATURES: Final = 10
_LINE_AT: Final = (0.02, 0.25, 0.5, 0.75, 0.98)
_N_TIMES: Final = 400
_MOST_STEPS: Final = 30
_RIDGE: Final = 3.0
_CLOSE: Final = 1e-3
_SAME: Final = 1e-6


class Curve(NamedTuple):
    """When the average customer's cumulative hazard is reached.

    Attributes:
        hazard: cumulative hazards, rising, shape (n,).
        days: the day of each, and NaN for what lies beyond, shape (n + 1,).
    """

    hazard: FloatArray
    days: FloatArray

    def days_until(self, scores: FloatArray, share: float) -> FloatArray:
        """Days after which it has happened with this chance, by the customers' scores, shape (n_customers,)."""
        needed: FloatArray = -np.log1p(-share) * np.exp(-scores)
        found: FloatArray = self.days[np.searchsorted(self.hazard, needed)]
        return found


@dataclass(frozen=True, slots=True)
class TimeModel:
    """Curves of the time until something happens.

    Attributes:
        name: what it is, such as next_purchase.
        additive: the log hazard of a customer relative to the average one's; the intercept is 0.
        days: times at which it happened, rising.
        hazard: cumulative hazard of the average customer at each of `days`.
        longest: days that were seen at most; nothing is said beyond.
        n_rows, n_events: rows, and those in which it happened.
    """

    name: str
    additive: AdditiveModel
    days: tuple[float, ...]
    hazard: tuple[float, ...]
    longest: float
    n_rows: int
    n_events: int

    def log_hazards(self, features: pd.DataFrame, day: float) -> FloatArray:
        """The log of each customer's cumulative hazard by a day, shape (n_customers,); a sum over features."""
        place = int(np.searchsorted(self.days, day, side="right"))
        level = self.hazard[place - 1] if place else 0.0
        found: FloatArray = self.additive.scores(features) + np.log(max(level, 1e-300))
        return found

    def still_waiting(self, features: pd.DataFrame, day: float) -> FloatArray:
        """The chance of each customer that it has not happened by a day, shape (n_customers,).

        Raises:
            UnusableEvents: if nobody was seen for so long.
        """
        if day > self.longest + _SAME:
            raise UnusableEvents(
                f"{self.name}: nobody was seen for {day:g} days, {self.longest:g} at most. "
                "Ask for a shorter time, or give older events."
            )
        found: FloatArray = np.exp(-np.exp(np.minimum(self.log_hazards(features, day), 700.0)))
        return found

    def days_until(self, features: pd.DataFrame, share: float) -> FloatArray:
        """Days after which it has happened with this chance, shape (n_customers,); NaN where that is beyond what was seen.

        Args:
            features: one row a customer.
            share: in (0, 1); .5 is the median.
        """
        return self.curve.days_until(self.additive.scores(features), share)

    @property
    def curve(self) -> Curve:
        """The curve of the average customer."""
        return Curve(np.asarray(self.hazard, dtype=np.float64), np.append(self.days, np.nan))

    def document(self) -> dict[str, Any]:
        """The model for JSON."""
        return {
            "name": self.name, "additive": self.additive.document(), "days": list(self.days), "hazard": list(self.hazard),
            "longest": self.longest, "n_rows": self.n_rows, "n_events": self.n_events,
        }  # fmt: skip


def read_time_model(document: Mapping[str, Any]) -> TimeModel:
    """The model from its document.

    Raises:
        BrokenSnapshot: if it is not one that `document` wrote.
    """
    try:
        days, hazard = (tuple(float(one) for one in document[key]) for key in ("days", "hazard"))
        return TimeModel(
            str(document["name"]), read_additive(document["additive"]), days, hazard, float(document["longest"]),
            int(document["n_rows"]), int(document["n_events"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenSnapshot(
            f"a model's file lacks {error}. It is not as it was written; make the models anew."
        ) from error


def fit_time_model(
    name: str, occurrences: Occurrences, features_at: FeaturesAt, origins: Sequence[datetime], until: datetime
) -> TimeModel:
    """Cox's regression on some origins.

    Args:
        name: what it is the time of.
        occurrences: when it happened to whom; times from `until` on are not looked at.
        features_at: makes features at an origin.
        origins: past days before `until`.
        until: when the data end.

    Raises:
        UnusableEvents: if it happened, or did not happen, to too few customers.
    """
    features = [features_at(origin) for origin in origins]
    clocks = [_clock(occurrences, table.index, origin, until) for table, origin in zip(features, origins, strict=True)]
    times = np.concatenate([clock[0] for clock in clocks])
    happened = np.concatenate([clock[1] for clock in clocks])
    n_events = int(happened.sum())
    if min(n_events, len(happened) - n_events) < FEWEST:
        raise UnusableEvents(
            f"{name}: it happened to {n_events} of {len(happened)} customers in the time seen, and {FEWEST} who did and {FEWEST} "
            "who did not are needed to tell customers apart. Wait for more events, or give a longer history."
        )
    together = pd.concat(features)
    rows = _some(together.index)
    # Times on a grid: the regression's work grows with the number of different ones.
    step = float(times.max()) / _N_TIMES
    additive, days, hazard = _cox(name, together.iloc[rows], np.ceil(times[rows] / step) * step, happened[rows])
    return TimeModel(name, additive, *_steps(days, hazard), float(times.max()), len(times), n_events)


def population_curve(times: FloatArray, happened: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Kaplan and Meier's curve of everybody: days at which it happened, and the share still waiting after each.

    >>> days, waiting = population_curve(np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, False, True, False]))
    >>> days.tolist(), waiting.round(2).tolist()
    ([1.0, 2.0], [0.75, 0.5])
    """
    from statsmodels.duration.survfunc import SurvfuncRight  # noqa: PLC0415 - models are used without it

    curve = SurvfuncRight(times, happened.astype(np.float64))
    return np.asarray(curve.surv_times, dtype=np.float64), np.asarray(curve.surv_prob, dtype=np.float64)


def _clock(
    occurrences: Occurrences, index: pd.Index, origin: datetime, until: datetime
) -> tuple[FloatArray, BoolArray]:
    """Days until it happened or the data end, and whether it did."""
    first = occurrences.first_after(pd.Index(index.astype(object)), origin)
    end = (until - origin) / DAY
    return np.minimum(first, end), first < end


def _some(index: pd.Index) -> NDArray[np.int64]:
    """Positions of all rows of as many customers as the regression can bear, drawn by a hash of their id."""
    if len(index) <= MOST_ROWS:
        return np.arange(len(index))
    positions = fold_positions(pd.Index(index.astype(object)))
    return np.flatnonzero(positions <= np.quantile(positions, MOST_ROWS / len(index)))


def _cox(
    name: str, features: pd.DataFrame, times: FloatArray, happened: BoolArray
) -> tuple[AdditiveModel, FloatArray, FloatArray]:
    """Shapes of the log hazard, and Breslow's cumulative hazard of the average customer."""
    from scipy.stats import rankdata  # noqa: PLC0415 - as above
    from statsmodels.duration.hazard_regression import PHReg  # noqa: PLC0415 - as above

    # Who it happened to early ranks first, and those for whom it did not, last: by this features are chosen.
    order = -np.where(happened, times, times.max() + 1.0)
    most = int(max(1, min(_MOST_FEATURES, happened.sum() / EVENTS_A_COLUMN / len(_LINE_AT))))
    layout = layout_of(features, np.asarray(rankdata(order), dtype=np.float64), most=most, line_at=_LINE_AT)
    basis = Basis(features, layout)
    columns = _independent(basis.matrix)
    model = PHReg(np.maximum(times, _SAME), basis.matrix[:, columns], status=happened.astype(np.int64), ties="breslow")
    best = _penalised(model, len(columns), name)
    coefficients = np.zeros(basis.matrix.shape[1])
    coefficients[columns] = best
    days, hazard, _ = model.baseline_cumulative_hazard(best)[0]
    return basis.model(coefficients, 0.0), np.asarray(days), np.asarray(hazard)


def _penalised(model: PHReg, n_columns: int, name: str) -> FloatArray:
    """Coefficients of standardised columns with a weak ridge penalty, by Newton's steps.

    Without it there may be no best ones: where nobody who was silent for a year ever bought, the likelihood wants an infinity.
    """
    found: FloatArray = np.zeros(n_columns)
    for _ in range(_MOST_STEPS):
        slope = np.asarray(model.score(found)) - _RIDGE * found
        bend = np.asarray(model.hessian(found)) - _RIDGE * np.eye(n_columns)
        step = np.clip(np.linalg.solve(bend, -slope), -1.0, 1.0)
        found += step
        if float(np.abs(step).max()) < _CLOSE:
            return found
    raise UnusableEvents(
        f"{name}: the regression found no best coefficients in {_MOST_STEPS} steps. Look at the events: is there a feature that "
        "alone decides to whom it happens? Else give a longer history, or a shorter horizon."
    )


def _independent(matrix: FloatArray) -> NDArray[np.int64]:
    """Columns of which none is nearly a sum of others, in their order."""
    _, triangle, order = qr(matrix, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    return np.sort(order[: int((sizes > 0.02 * sizes[0]).sum())])


def _steps(days: FloatArray, hazard: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The points at which a step curve rises."""
    rises = np.flatnonzero(np.diff(hazard, prepend=0.0) > 0.0)
    return tuple(days[rises].tolist()), tuple(hazard[rises].tolist())
