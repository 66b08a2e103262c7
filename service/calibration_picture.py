"""A picture of calibration: what chances were given, and how often they came true."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bandit.profile.judgement import Judgement


def draw_calibration(path: Path, judgements: Mapping[str, Judgement]) -> None:
    """Write the picture as PNG, one panel a number; the same judgements give the same bytes.

    A point is a tenth of the customers, with two standard deviations of chance; right chances lie on the line.
    """
    figure = Figure(figsize=(4.2 * len(judgements), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(judgements), squeeze=False)[0]
    for axes, (name, judgement) in zip(panels, judgements.items(), strict=True):
        expected = [one.expected for one in judgement.bins]
        observed = [one.observed for one in judgement.bins]
        axes.plot([0.0, max(expected + observed)], [0.0, max(expected + observed)], color="0.6", linestyle="--")
        axes.errorbar(expected, observed, [2.0 * one.noise for one in judgement.bins], fmt="o", capsize=3)
        axes.axhline(judgement.base_rate, color="0.8", linewidth=1.0)
        axes.set(title=name, xlabel="mean chance given", ylabel="share for whom it came true")
        axes.grid(alpha=0.3)
    # Without the software's own stamp, the same numbers give the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
