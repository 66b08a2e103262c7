"""A picture of a search: what each trial added, and which settings mattered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from simulator.tuning import Tried

LEAST_TRIALS = 5
"""Trials played to the end below which nothing is said about what mattered."""
_MOST_SHOWN = 10


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each setting has to do with being among the best tenth of the trials; shares that sum to 1.

    Caution: it is about the trials that were made, which the sampler chose; and a share says nothing about the direction.

    Source: Watanabe, Bansal and Hutter (2023), PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary
    subspaces.
    """
    ended = [trial for trial in study.trials if trial.state is optuna.trial.TrialState.COMPLETE]
    if len(ended) < LEAST_TRIALS:
        return {}
    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.25))
    return {name: share for name, share in found.items() if share > 0.0}


def draw_tuning(path: Path, study: optuna.Study, trials: Sequence[Tried]) -> None:
    """Write the picture as PNG; the same search gives the same bytes."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_trials(left, trials)
    _draw_importances(right, importances(study))
    # Without the software's own stamp, the same numbers give the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_trials(axes: Axes, trials: Sequence[Tried]) -> None:
    ended = [trial for trial in trials if trial.score is not None]
    given_up = [trial for trial in trials if trial.score is None]
    errors = [float(np.std(trial.gains, ddof=1)) / math.sqrt(len(trial.gains)) for trial in ended]
    means = [float(np.mean(trial.gains)) for trial in ended]
    axes.errorbar([trial.number for trial in ended], means, errors, fmt="o", label="mean gain, and its standard error")
    if given_up:
        lost = [float(np.mean(trial.gains)) for trial in given_up]
        axes.plot([trial.number for trial in given_up], lost, "x", color="0.5", label="given up early")
    axes.axhline(0.0, color="0.4", linestyle="--", label="the campaign as it is")
    axes.set(title="every trial in the same worlds", xlabel="trial", ylabel="reward a send, over the campaign as it is")
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_importances(axes: Axes, shares: dict[str, float]) -> None:
    shown = list(shares.items())[:_MOST_SHOWN][::-1]
    if not shown:
        axes.set_axis_off()
        axes.text(0.5, 0.5, f"fewer than {LEAST_TRIALS} trials were played to the end", ha="center")
        return
    axes.barh([name for name, _ in shown], [share for _, share in shown])
    axes.set(title="what the best quarter has in common (PED-ANOVA)", xlabel="share of importance")
    axes.grid(alpha=0.3, axis="x")
