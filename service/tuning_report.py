"""What tuning found: for people, for machines, and as the comment on top of the tuned campaign file."""

from __future__ import annotations

from bandit.campaign import Option
from service.campaign_tuning import Tuned, Tuning
from service.tuned_file import changes
from simulator.known_plays import Earned
from simulator.search_space import Settings
from simulator.tuning import Tried


def document_of(tuning: Tuning, tuned: Tuned) -> dict[str, object]:
    """Everything, for machines."""
    effort, confirmed = tuning.effort, tuned.confirmed
    return {
        "campaign": tuning.campaign.id,
        "worlds": str(tuning.worlds),
        "n_sends": effort.n_sends,
        "seeds": list(effort.searched),
        "second_round": list(effort.second_round),
        "fresh": list(effort.fresh),
        "is_better": tuned.is_better,
        "changes": {key: list(pair) for key, pair in _changes(tuning, tuned.best.settings).items()},
        "confirmed": confirmed
        and {
            "gain": confirmed.gain.estimate,
            "ci_lower": confirmed.gain.ci_lower,
            "ci_upper": confirmed.gain.ci_upper,
            "usual": _earned(confirmed.usual),
            "tuned": _earned(confirmed.tuned),
        },
        "trials": [_trial(trial) for trial in tuned.trials],
    }


def text_of(tuning: Tuning, tuned: Tuned, written: str) -> str:
    """The answer for people.

    Args:
        tuning: what was asked.
        tuned: what was found.
        written: path of the campaign file that was written.
    """
    effort, given_up = tuning.effort, sum(trial.score is None for trial in tuned.trials)
    return "\n".join(
        [
            (
                f"{tuning.campaign.id} in {tuning.worlds}: {len(tuned.trials)} trials of {effort.n_seeds} worlds x "
                f"{effort.n_sends:,} sends, {given_up} given up early"
            ),
            f"  best         {_changed(tuning, tuned.best)}",
            *_confirmation(tuned),
            f"  written      {written}: " + ("the tuned campaign" if tuned.is_better else "the campaign as it was"),
        ]
    )


def comment_of(tuning: Tuning, tuned: Tuned, command: str) -> list[str]:
    """Lines on top of the tuned file: where its settings come from; none where it is the campaign as it was.

    Args:
        tuning: what was asked.
        tuned: what was found.
        command: that was run.
    """
    if not tuned.is_better:
        return []
    effort = tuning.effort
    return [
        (
            f"in {tuning.worlds}, {effort.n_sends:,} sends a replay, {len(tuned.trials)} trials on seeds "
            f"{effort.searched[0]} to {effort.searched[-1]}"
        ),
        _changed(tuning, tuned.best),
        *(line.strip() for line in _confirmation(tuned)),
        command,
    ]


def _changes(tuning: Tuning, settings: Settings) -> dict[str, tuple[Option | None, Option]]:
    return changes(tuning.campaign.toml, settings)


def _changed(tuning: Tuning, best: Tried) -> str:
    """Each change on one line; a setting that only exists beside the new ones has nothing before the arrow."""
    found = _changes(tuning, best.settings)
    texts = [f"{key} {'' if before is None else f'{before} '}-> {after}" for key, (before, after) in found.items()]
    return ", ".join(texts) or "the campaign as it is: no trial did better"


def _confirmation(tuned: Tuned) -> list[str]:
    """What fresh worlds said."""
    confirmed = tuned.confirmed
    if confirmed is None:
        return []
    gain, before, after = confirmed.gain, confirmed.usual, confirmed.tuned
    relative = f", {gain.estimate / before.value:+.1%}" if before.value > 0.0 else ""
    verdict = (
        "better, and chance is an unlikely explanation"
        if confirmed.is_better
        else "the lower end is not above 0: nobody can tell it from the campaign as it is, which is kept"
    )
    return [
        (
            f"  fresh worlds {gain.estimate:+.5f} a send{relative} (95 % {gain.ci_lower:+.5f} to {gain.ci_upper:+.5f}, "
            f"{gain.n:.0f} worlds)"
        ),
        f"  gap closed   {before.gap:.1%} -> {after.gap:.1%} of the way from random to the best choice",
        f"  verdict      {verdict}",
    ]


def _earned(earned: Earned) -> dict[str, float]:
    return {"value": earned.value, "gap": earned.gap}


def _trial(trial: Tried) -> dict[str, object]:
    return {
        "number": trial.number,
        "settings": dict(trial.settings),
        "gains": list(trial.gains),
        "score": trial.score,
    }
