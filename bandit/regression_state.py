"""What a snapshot of the regression carries besides its models."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import msgspec

from bandit.campaign import Campaign
from bandit.context import EncodedContext
from bandit.errors import BrokenSnapshot
from bandit.features import FeatureSpace, Silence
from bandit.learner import TrainingRow
from bandit.scaling import Scaling
from bandit.trial import Trial
from bandit.validation import ValidationState
from bandit.wear_out import Exposure

KeptRow = tuple[tuple[int, ...], tuple[float, ...], tuple[int, ...], float, tuple[float, ...]]


class RegressionState(msgspec.Struct, array_like=True, frozen=True):
    """What a snapshot carries besides the models.

    Attributes:
        features: names of the context features, in the order of everything below.
        means, scales: of the context features.
        validation: losses and who serves.
        kept_back: rows from which all of this will be measured again, while there are few; empty once it stands.
        numbers: for each dimension, what numeric arm features are measured by (`bandit.features.Numbers`).
        exposures: of the rows kept back, where there are any.
        silence: what the models make of arms that follow from one that sends nothing (`bandit.features.Silence`).
    """

    features: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    validation: ValidationState
    kept_back: list[KeptRow]
    numbers: list[dict[str, tuple[float, float]]] = []
    exposures: list[tuple[Exposure, ...]] = []
    silence: Silence = Silence.APART

    @classmethod
    def of(cls, space: FeatureSpace, trial: Trial, rows: Sequence[TrainingRow]) -> RegressionState:
        """From a trial, and the rows that wait for it to stand."""
        kept = [(row.context.indices, row.context.weights, row.picks, row.reward, row.labels) for row in rows]
        scaling, numbers = trial.scaling, [dict(by) for by in space.numbers]
        exposures = [row.context.exposures for row in rows] if any(row.context.exposures for row in rows) else []
        known = (space.context, scaling.means, scaling.scales, trial.validation.state())
        return cls(*known, kept, numbers, exposures, space.silence)

    def in_order_of(self, features: Sequence[str]) -> RegressionState:
        """The same for a file that lists its fields in another order, which changes nothing."""
        place = {name: index for index, name in enumerate(self.features)}
        moved = {place[name]: index for index, name in enumerate(features)}
        means, scales = ([part[place[name]] for name in features] for part in (self.means, self.scales))
        kept = [(tuple(moved[index] for index in row[0]), *row[1:]) for row in self.kept_back]
        rest = (self.validation, kept, self.numbers, self.exposures, self.silence)
        return RegressionState(tuple(features), tuple(means), tuple(scales), *rest)

    @classmethod
    def decoded(cls, data: bytes) -> RegressionState:
        """Read back what `encoded` wrote.

        Raises:
            BrokenSnapshot: if it is something else.
        """
        try:
            return msgspec.msgpack.decode(data, type=RegressionState)
        except msgspec.DecodeError as error:
            raise BrokenSnapshot(f"the snapshot's state cannot be read ({error}). Train a new snapshot.") from error

    def encoded(self) -> bytes:
        """As bytes."""
        parts = msgspec.structs.astuple(self)
        # Where no arm follows from another, a snapshot has the bytes it had before there was anything to say about them.
        return msgspec.msgpack.encode(parts if self.silence else parts[:-1])

    def space_of(self, campaign: Campaign) -> FeatureSpace:
        """The features of the models."""
        return FeatureSpace.graded(campaign, self.numbers, self.silence)

    def space_that_learns_on(self, campaign: Campaign) -> FeatureSpace:
        """The features of models that learn on from these; while rows are kept back they begin anew."""
        silence = Silence.LEFT_OUT if self.kept_back else max(self.silence, Silence.GATHERED)
        return FeatureSpace.graded(campaign, self.numbers, silence)

    def silence_under(self, before: FeatureSpace, after: FeatureSpace) -> Silence:
        """What another campaign makes of such arms that goes on with these models: as before, where there were any.

        Args:
            before: features of the campaign that the models are of.
            after: of the other one.
        """
        if not after.implied:
            return Silence.APART
        return max(self.silence, Silence.GATHERED) if before.implied else Silence.LEFT_OUT

    @property
    def scaling(self) -> Scaling:
        """How context features are centred and scaled."""
        return Scaling(self.means, self.scales)

    @property
    def rows(self) -> list[TrainingRow]:
        """The rows kept back."""
        return [
            TrainingRow(EncodedContext({}, indices, weights, exposures), picks, reward, labels, (), ())
            for (indices, weights, picks, reward, labels), exposures in zip(
                self.kept_back, self.exposures or repeat(()), strict=False
            )
        ]
