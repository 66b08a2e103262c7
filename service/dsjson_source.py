"""Logs in Vowpal Wabbit's DSJSON: one JSON object a line, as Azure Personalizer and VW's own client libraries wrote them."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from bandit.campaign import Campaign
from bandit.errors import UnusableLog
from evaluation.log_batch import Layout, LogBatch
from service.log_source import AT_ONCE

DANGLING = "no decision on the line"
SKIPPED = "marked as not to be learned from"


class _Line(msgspec.Struct, rename={"cost": "_label_cost", "propensity": "_label_probability", "skip": "_skipLearn"}):
    """What counts of a line; everything else is ignored."""

    cost: float | None = None
    propensity: float | None = None
    skip: bool = False
    a: tuple[int, ...] = ()
    p: tuple[float, ...] = ()
    pdrop: float = 0.0


@dataclass(frozen=True, slots=True)
class DsjsonSource:
    """A DSJSON file: arms are called by the numbers that actions have in it, from 1; the reward is minus the cost.

    Attributes:
        path: the file, .json or .dsjson, perhaps with .gz.
        n_arms: the most actions that a line offers.
    """

    path: Path
    n_arms: int
    dropped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, path: Path) -> DsjsonSource:
        """Read the file once, refusing lines from which no honest number can be made.

        Raises:
            UnusableLog: naming the line, what was found, and what to do.
        """
        found = cls(path, 0)
        n_arms = max((max(line.a) for _, line in found._lines()), default=0)
        if not n_arms:
            raise UnusableLog(f"{path} has no line with a decision (`a`, `p`, `_label_cost`). Is it DSJSON?")
        return cls(path, n_arms)

    @property
    def layout(self) -> Layout:
        """One dimension, `action`."""
        return Layout(("action",), (tuple(str(arm) for arm in range(1, self.n_arms + 1)),))

    @property
    def campaign(self) -> Campaign | None:
        """None: nobody declared what the features are."""
        return None

    @property
    def bounds(self) -> None:
        """Not known."""
        return

    def batches(self) -> Iterator[LogBatch]:
        """Lines with a decision, in order."""
        self.dropped.clear()
        lines, number = self._lines(), 0
        while block := list(islice(lines, AT_ONCE)):
            pmf = np.zeros((len(block), self.n_arms))
            offered = np.zeros(pmf.shape, dtype=np.bool_)
            for at, (_, line) in enumerate(block):
                pmf[at, np.array(line.a) - 1] = line.p
                offered[at, np.array(line.a) - 1] = True
            yield LogBatch(
                self.layout,
                np.arange(number + 1, number + 1 + len(block)),
                np.array([-(line.cost or 0.0) for _, line in block]) + 0.0,
                np.array([line.a[0] - 1 for _, line in block])[:, None],
                np.array([line.p[0] for _, line in block])[:, None],
                (pmf,),
                offered=(offered,),
            )
            number += len(block)

    def _lines(self) -> Iterator[tuple[int, _Line]]:
        decoder = msgspec.json.Decoder(_Line)
        opener = gzip.open if self.path.suffix == ".gz" else open
        try:
            with opener(self.path, "rb") as file:
                for number, text in enumerate(file, start=1):
                    line = self._decoded(decoder, number, text)
                    reason = _left_out(number, line)
                    if reason:
                        self.dropped[reason] += 1
                    else:
                        yield number, line
        except (OSError, EOFError, zlib.error) as error:
            raise UnusableLog(
                f"{self.path}: cannot be read ({error}). Name a whole file, or write it again."
            ) from error

    def _decoded(self, decoder: msgspec.json.Decoder[_Line], number: int, text: bytes) -> _Line:
        try:
            return decoder.decode(text) if text.strip() else _Line()
        except msgspec.DecodeError as error:
            raise UnusableLog(
                f"{self.path}, line {number}: no DSJSON ({error}). One JSON object a line is needed: correct or drop the line."
            ) from error


def _left_out(number: int, line: _Line) -> str:
    """Why a line does not count, empty if it does.

    Raises:
        UnusableLog: for a line that would make the answer wrong.
    """
    if not line.a or line.cost is None:
        return DANGLING
    if line.skip:
        return SKIPPED
    if len(line.a) != len(line.p) or min(line.a) < 1 or len(set(line.a)) < len(line.a):
        raise UnusableLog(
            f"line {number}: {len(line.a)} actions {line.a[:9]} with {len(line.p)} probabilities. Actions count from 1, "
            "each once and with its probability: correct or drop the line."
        )
    if line.propensity is not None and abs(line.propensity - line.p[0]) > 1e-6:
        raise UnusableLog(
            f"line {number}: _label_probability is {line.propensity!r}, the first of p is {line.p[0]!r}. One of them is not what "
            "was used: correct or drop the line."
        )
    if line.pdrop:
        raise UnusableLog(
            f"line {number}: pdrop is {line.pdrop!r}: lines without reward were thrown away at random, and every mean is off "
            "without them. Use a log without dropping."
        )
    return ""
