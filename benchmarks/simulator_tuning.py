"""Whether a tuned campaign beats the campaign as it was, in worlds that nobody tuned on.

The same campaign is tuned in five scenarios; each search is what `manyarm tune` does. What counts is what the fresh worlds of
the confirmation say of the file that would be written: the tuned one where the paired interval lies above 0, else the
campaign as it was, whose difference from itself is 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gates import Gate

from bandit.campaign_file import read_campaign
from service.campaign_tuning import Tuned, Tuning
from service.effort import Effort
from service.tuned_file import changes
from service.worlds_asked import ScenarioWorlds

SEED = 20_261_128
SCENARIOS = ("steady", "strong-interactions", "drifting", "late-rewards", "shock")
EFFORT = Effort(n_sends=20_000, n_seeds=6, n_fresh=24, n_trials=17, seed=SEED)
SMOKE = Effort(n_sends=60, n_seeds=2, n_fresh=2, n_trials=2, seed=SEED)
LEAST_BETTER, MOST_LOST = 3, 0.02
"""Of the five scenarios; and of the way from the random policy to the best choice."""

FIELDS = {"plan": ("free", "basic", "pro"), "region": ("north", "south", "east", "west")}
ARMS = {"subject": 4, "cta": 2}
RATES = {"click": 0.08}
"""A list that likes to be written to: with 4 % the differences between settings drown in luck at this many sends."""


def campaign_text(learn_every: str = "24h") -> str:
    """Eight choices, two fields of context, clicks; groups, floor and policy as the sample campaign has them."""
    ids = {name: [f"{name}-{k}" for k in range(1, n + 1)] for name, n in ARMS.items()}
    usual = ", ".join(f'{name} = "{arms[0]}"' for name, arms in ids.items())
    lines = [
        f'[campaign]\nid = "tuned"\nlearn_every = "{learn_every}"',
        '[reward]\nwindow = "72h"\nevents = { click = 1.0 }',
        f"[groups]\nrandom = 0.05\ncontrol = {{ share = 0.1, choice = {{ {usual} }} }}",
        '[policy]\nname = "squarecb"\nfloor = 0.05',
    ]
    for name, values in FIELDS.items():
        listed = ", ".join(f'"{value}"' for value in values)
        lines.append(f'[context.{name}]\nkind = "categorical"\nvalues = [{listed}]')
    for name, arms in ids.items():
        lines.append(f'[[dimension]]\nname = "{name}"')
        lines += [f'[[dimension.arm]]\nid = "{arm}"' for arm in arms]
    return "\n".join(lines) + "\n"


def tuning(
    *,
    smoke: bool = False,
    minutes: float | None = None,
    kept: Path | None = None,
    n_processes: int = 2,
    effort: Effort | None = None,
) -> dict[str, Any]:
    """Tune in every scenario.

    Args:
        smoke: a little of everything.
        minutes: no trial begins after so many for each scenario; None for no limit, and figures that a seed repeats.
        kept: folder of the studies, to go on after an interruption; None to keep nothing.
        n_processes: replays at a time; no figure depends on it.
        effort: how much is played, where it is not the usual.
    """
    asked = effort or (SMOKE if smoke else EFFORT)
    names = SCENARIOS[:1] if smoke else SCENARIOS
    text = campaign_text("14d" if smoke else "24h")
    found = {name: _tuned(name, text, asked, minutes, kept, 1 if smoke else n_processes) for name in names}
    return {
        "seed": asked.seed,
        "n_sends": asked.n_sends,
        "n_seeds": asked.n_seeds,
        "n_fresh": asked.n_fresh,
        "n_trials": asked.n_trials,
        "scenarios": found,
        "n_better": sum(one["is_better"] for one in found.values()),
        "worst_gap_gain": min(one["gap_gain"] for one in found.values()),
    }


def _tuned(
    name: str, text: str, effort: Effort, minutes: float | None, kept: Path | None, n_processes: int
) -> dict[str, Any]:
    question = Tuning(read_campaign(text), ScenarioWorlds(name, RATES), effort)
    study = question.study(kept / f"tuning-{name}.study" if kept else None)
    return _figures(text, question.run(study, n_processes=n_processes, is_over=_over_after(minutes)))


def _over_after(minutes: float | None) -> Callable[[], bool]:
    end = None if minutes is None else time.monotonic() + 60.0 * minutes
    return lambda: end is not None and time.monotonic() > end


def _figures(text: str, tuned: Tuned) -> dict[str, Any]:
    """What one scenario gave; `gap_gain` is of the file that would be written, `gap_of_best` of the best trial anyway."""
    confirmed = tuned.confirmed
    of_best = confirmed.tuned.gap - confirmed.usual.gap if confirmed else 0.0
    return {
        "is_better": tuned.is_better,
        "gap_usual": confirmed.usual.gap if confirmed else None,
        "gap_gain": of_best if tuned.is_better else 0.0,
        "gap_of_best": of_best,
        "gain": confirmed.gain.estimate if confirmed else 0.0,
        "ci_lower": confirmed.gain.ci_lower if confirmed else None,
        "ci_upper": confirmed.gain.ci_upper if confirmed else None,
        "relative_gain": confirmed.gain.estimate / confirmed.usual.value if confirmed else 0.0,
        "changes": {key: list(pair) for key, pair in changes(text, tuned.best.settings).items()},
        "n_trials": len(tuned.trials),
        "n_given_up": sum(trial.score is None for trial in tuned.trials),
        "singles": [round(float(np.mean(trial.gains)), 6) for trial in tuned.trials],
    }


def gates_of_tuning(part: dict[str, Any]) -> list[Gate]:
    """Better on at least 3 of 5 scenarios, and never worse by more than 2 points of the gap."""
    return [
        Gate("tuning: scenarios in which tuned settings are better", part["n_better"], least=LEAST_BETTER),
        Gate("tuning: least gain of the gap in any scenario", part["worst_gap_gain"], least=-MOST_LOST),
    ]
