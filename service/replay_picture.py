"""Curves of a replay as a picture: reward a send and regret so far, with bands over seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bandit.arrays import FloatArray
from service.replay_report import Band, ReplayReport, sizes_of


def draw_replay(path: Path, report: ReplayReport) -> None:
    """Write the picture as PNG; the same report gives the same bytes."""
    # Half a second of imports, for this picture alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    rewards, regrets = figure.subplots(1, 2)
    sent = np.cumsum(sizes_of(report.n_sends))
    for one in report.results:
        _draw(rewards, sent, one.value_curve, one.name)
        _draw(regrets, sent, one.regret_curve, one.name)
    first = report.results[0].runs
    for place, name, style in ((1, "random", ":"), (2, "best possible", "--")):
        rewards.plot(sent, np.mean([run.curve[place] for run in first], axis=0), style, color="0.4", label=name)
    rewards.set(title=f"{report.campaign} in {report.world}", xlabel="sends", ylabel="expected reward a send")
    regrets.set(title=f"mean and 95 % band of {len(first)} seeds", xlabel="sends", ylabel="regret so far, in rewards")
    for axes in (rewards, regrets):
        axes.grid(alpha=0.3)
        axes.legend()
    # Without the software's own stamp, the same numbers give the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw(axes: object, sent: FloatArray, band: Band, name: str) -> None:
    (line,) = axes.plot(sent, band.mean, label=name)  # type: ignore[attr-defined]
    if band.lower is not None and band.upper is not None:
        axes.fill_between(sent, band.lower, band.upper, alpha=0.2, color=line.get_color())  # type: ignore[attr-defined]
