"""Frozen learned segments: they assign tomorrow's customers without a fit, and say the same after they were written.

`bandit.profile.segment_search` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import pandas as pd

from bandit.errors import UnusableLog
from bandit.profile.cluster_shapes import Shape, membership
from bandit.profile.cluster_space import FeatureSpace
from bandit.profile.segment_baseline import FeatureBaseline
from bandit.profile.segment_profiles import SegmentProfile

FORMAT = 1
COLUMNS = ("segment", "segment_confidence", "segment_runner_up")


@dataclass(frozen=True, slots=True)
class LearnedSegments:
    """Frozen segments.

    Attributes:
        space: how features become coordinates.
        shape: which coordinates belong to which segment.
        profiles: of each segment, in the order of the shape.
        method: what found them, such as kmeans(3).
        silhouette, stability: how they were judged; see `cluster_choice`.
        baseline: how the features were distributed, for `segment_drift`.
        n_customers: they were learned from.
        format: of the file.
    """

    space: FeatureSpace
    shape: Shape
    profiles: tuple[SegmentProfile, ...]
    method: str
    silhouette: float
    stability: float
    baseline: tuple[FeatureBaseline, ...]
    n_customers: int
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"format {self.format}, where this version reads {FORMAT}")
        if self.shape.n_segments != len(self.profiles):
            raise ValueError(f"{self.shape.n_segments} segments with {len(self.profiles)} profiles")
        if self.shape.widths != {self.space.width}:
            raise ValueError(
                f"points with {sorted(self.shape.widths)} coordinates, where the features make {self.space.width}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Of each segment, in the order of the shape."""
        return tuple(profile.name for profile in self.profiles)

    def assign(self, table: pd.DataFrame) -> pd.DataFrame:
        """The segment of each customer.

        Args:
            table: one row a customer, with the features of `space`. A missing number counts as the median was, and a
                category that was not there then as a rare one.

        Returns:
            The same index; `segment`, `segment_confidence` in (0, 1] and `segment_runner_up`.

        Raises:
            UnusableLog: if a feature has no column.
        """
        found = membership(self.shape, self.space.coordinates(table))
        names = np.array(self.names, dtype=object)
        columns = (names[found.best], found.confidence.round(6), names[found.runner_up])
        return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)), index=table.index)

    def to_json(self) -> bytes:
        """Everything as JSON; numbers keep every bit."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @classmethod
    def from_json(cls, data: bytes) -> LearnedSegments:
        """Read back what `to_json` wrote.

        Raises:
            UnusableLog: if it is something else, or of another version.
        """
        try:
            return msgspec.json.decode(data, type=cls)
        except msgspec.DecodeError as error:
            raise UnusableLog(
                f"these are no learned segments ({error}), so nobody can be assigned. Give the file that was written when "
                "segments were learned, or learn them anew."
            ) from error
