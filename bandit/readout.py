"""A model's tables as they serve: over contexts as they are, each dimension's terms centred, silence in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bandit.compiled import Probe, Tables, blocks_of, compile_tables, in_raw_terms
from bandit.features import FeatureSpace, Silence
from bandit.no_send import Implied
from bandit.scaling import Scaling

_Places = slice | NDArray[np.int64]
_ALL = slice(None)


def readout(space: FeatureSpace, scaling: Scaling, probe: Probe) -> Tables:
    """The tables that serve, of the models that the probe asks."""
    tables = in_raw_terms(compile_tables(space, probe), scaling)
    return centred(tables, () if space.silence is Silence.APART else space.implied)


def centred(tables: Tables, implied: Sequence[Implied] = ()) -> Tables:
    """The same model, with each dimension's terms summing to 0 over its arms.

    What the arms of a dimension have in common moves into column 0. No whole choice scores differently, but a dimension
    not yet picked now counts as its average arm instead of as nothing: left out, it would take its share of the
    intercept along, and a rare outcome would look many times as likely in the first stage as in the last.

    After an arm that sends nothing there is nothing left to pick, so the average is that of the other arms, and the arm that ends
    the choice is told at once all that the arms say that follow from it: it scores what no message is worth.

    Args:
        tables: over contexts as they are.
        implied: arms that follow from one that sends nothing.
    """
    made = _Centring(tables, implied)
    if implied:
        # From the last dimension on: what an arm gathers is then in the average of its own dimension.
        for later in reversed(range(len(tables.sizes))):
            for earlier in range(later):
                made.centre_pairs(earlier, later)
            made.centre_arms(later)
            made.gather(later)
    else:
        for earlier, later in combinations(range(len(tables.sizes)), 2):
            made.centre_pairs(earlier, later)
        for dimension in range(len(tables.sizes)):
            made.centre_arms(dimension)
    return replace(tables, constant=made.constant, context=made.context, pairs=made.pairs)


class _Centring:
    """Tables in the making."""

    def __init__(self, tables: Tables, implied: Sequence[Implied]) -> None:
        self.constant, self.context, self.pairs = tables.constant.copy(), tables.context.copy(), tables.pairs.copy()
        self._blocks = blocks_of(tables.sizes)
        self._implied = {one.dimension: one for one in implied}

    def centre_arms(self, dimension: int) -> None:
        """Move the mean of a dimension's arms into column 0."""
        block, counted = self._blocks[dimension], self._counted(dimension)
        for rows in (self.constant[None], self.context):
            mean = rows[..., block][..., counted].mean(axis=-1)
            rows[..., block] -= mean[..., None]
            rows[..., 0] += mean

    def centre_pairs(self, earlier: int, later: int) -> None:
        """Move the means of two dimensions' pair terms, by row and by column, into the arms alone."""
        first, second = self._blocks[earlier], self._blocks[later]
        rows, columns = slice(first.start - 1, first.stop - 1), slice(second.start - 1, second.stop - 1)
        going_on, counted = self._counted(earlier, before_another=True), self._counted(later)
        block = self.pairs[rows, :, second]
        kept = block[:, :, counted]
        by_row, by_column, whole = kept.mean(axis=2), block[going_on].mean(axis=0), kept[going_on].mean(axis=(0, 2))
        self.constant[:, first] += by_row.T - whole[:, None]
        self.constant[:, second] += by_column - whole[:, None]
        self.constant[:, 0] += whole
        centre = block - by_row[:, :, None] - by_column[None] + whole[None, :, None]
        self.pairs[rows, :, second] = centre
        self.pairs[columns, :, first] = centre.transpose(2, 1, 0)

    def gather(self, dimension: int) -> None:
        """Move what an implied arm says into the arm that it follows: neither is ever picked without the other."""
        if dimension not in self._implied:
            return
        one = self._implied[dimension]
        own, other = self._blocks[dimension].start + one.arm, self._blocks[dimension - 1].start + one.follows
        others = np.r_[1 : self._blocks[dimension - 1].start, self._blocks[dimension].stop : self.constant.shape[1]]
        self.constant[:, other] += self.constant[:, own] + self.pairs[other - 1, :, own]
        self.context[:, :, other] += self.context[:, :, own]
        self.pairs[other - 1, :, others] += self.pairs[own - 1, :, others]
        self.pairs[others - 1, :, other] += self.pairs[others - 1, :, own]
        for nothing in (self.constant[:, own], self.context[:, :, own], self.pairs[own - 1], self.pairs[:, :, own]):
            nothing[...] = 0.0

    def _counted(self, dimension: int, *, before_another: bool = False) -> _Places:
        """Arms whose mean is taken: all that are not implied; before another dimension, that do not imply any."""
        out = {self._implied[dimension].arm} if dimension in self._implied else set()
        if before_another and dimension + 1 in self._implied:
            out.add(self._implied[dimension + 1].follows)
        block = self._blocks[dimension]
        return np.array([k for k in range(block.stop - block.start) if k not in out]) if out else _ALL
