"""Pictures for people: PNG files drawn without a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bandit.arrays import FloatArray

N_POINTS = 120


@dataclass(frozen=True, slots=True)
class Curve:
    """A named series; x ascending, both of shape (n,)."""

    name: str
    x: FloatArray
    y: FloatArray


def draw_curves(path: Path, curves: Sequence[Curve], *, title: str, x_label: str, y_label: str) -> None:
    """Draw each series as a running mean over about a twelfth of its length, from 0 on or from where one lies below it."""
    # Half a second of imports, which every command would pay for one picture of the demo.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    lowest = 0.0
    for curve in curves:
        if len(curve.x):
            x, y = running_mean(curve.x, curve.y)
            axes.plot(x, y, label=curve.name)
            lowest = min(lowest, float(y.min()))
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.set_ylim(bottom=1.05 * lowest)
    axes.grid(alpha=0.3)
    axes.legend()
    # Without the software's own stamp, the same numbers give the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def running_mean(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means over overlapping stretches, at most `N_POINTS` of them.

    >>> running_mean(np.arange(4.0), np.array([0.0, 1.0, 0.0, 1.0]))[1].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    width = max(len(x) // 12, 1)
    sums = np.concatenate([[0.0], np.cumsum(y)])
    ends = np.unique(np.linspace(width, len(x), N_POINTS).astype(np.int64))
    return x[ends - 1], (sums[ends] - sums[ends - width]) / width
