"""What a log says about a world that was fitted to it: how predictions fared for customers that the fit had not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bandit.arrays import FloatArray
from simulator.fitted_response import FittedResponse
from simulator.reliability import Reliability
from simulator.response_terms import Part
from simulator.world import IntArray


@dataclass(frozen=True, slots=True)
class FittedType:
    """How well one type of outcome could be fitted.

    Attributes:
        name: the type's.
        n_events: sends after which it happened.
        strengths: of the ridge by part; empty where the type was too rare for more than its mean rate.
        reliability: of predictions for customers that the fit had not seen.
    """

    name: str
    n_events: int
    strengths: Mapping[Part, float]
    reliability: Reliability

    @property
    def is_mean_alone(self) -> bool:
        """Whether everybody has the same probability after every choice, for want of events."""
        return not self.strengths


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the log says about the fit; every prediction in it is of customers that its model has not seen.

    Attributes:
        types: one entry a type of outcome.
        fold_of: of each row, shape (n,).
        of_folds: the response fitted to all customers but one fold's, by fold.
        predicted: probabilities after the logged choices, shape (n, n_types).
    """

    types: tuple[FittedType, ...]
    fold_of: IntArray = field(repr=False)
    of_folds: tuple[FittedResponse, ...] = field(repr=False)
    predicted: FloatArray = field(repr=False)
