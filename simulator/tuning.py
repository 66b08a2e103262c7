"""The search for better settings: the same worlds for every trial, each judged by what it adds to the campaign as it is.

Every trial plays in the worlds of the same seeds with the same luck, so what a setting adds in a world is a difference of
two numbers that share nearly all their noise. A trial that is behind the best one beyond doubt is given up seed by seed.
First come the campaign as it is, each single change, and all changes together that helped; then Optuna's sampler has its say.

Source: Bergstra, Bardenet, Bengio and Kegl (2011), Algorithms for hyper-parameter optimization (TPE); Akiba et al. (2019),
Optuna: a next-generation hyperparameter optimization framework.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from scipy import stats

from bandit.campaign import Option
from simulator.known_plays import KnownPlays
from simulator.search_space import SearchSpace, Settings
from simulator.world import ImpossibleWorld

_SETTINGS = "settings"
_LARGEST_SEED = 2**32


@dataclass(frozen=True, slots=True)
class Aim:
    """What is looked for.

    Args:
        seeds: of the worlds that every trial plays in, at least 2.
        penalty: how much of the standard deviation over worlds is taken off the mean gain; it buys settings that help
            nearly everywhere instead of much here and little there.
        doubt: a trial is given up when a paired t test says that it is behind the best one (a single change: behind the
            campaign as it is) and would say so by chance
            with less than this probability; 0 never gives one up.

    Raises:
        ImpossibleWorld: if one of them is out of its range.
    """

    seeds: tuple[int, ...]
    penalty: float = 0.25
    doubt: float = 0.2

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < max(2, len(self.seeds)) or self.penalty < 0.0 or not 0.0 <= self.doubt < 1.0:
            raise ImpossibleWorld(
                f"seeds {self.seeds}, penalty {self.penalty!r}, doubt {self.doubt!r}: give at least 2 different seeds, a penalty "
                "from 0 up and a probability below 1. One world says nothing about how far worlds differ."
            )

    def score(self, gains: Sequence[float]) -> float:
        """Mean gain less the penalty.

        >>> Aim((0, 1), penalty=0.5).score([0.01, 0.03]) == 0.02 - 0.5 * float(np.std([0.01, 0.03], ddof=1))
        True
        """
        return float(np.mean(gains)) - self.penalty * float(np.std(gains, ddof=1))

    def is_hopeless(self, gains: Sequence[float], best: Sequence[float]) -> bool:
        """Whether a trial is behind another one beyond doubt, in the worlds that it has played so far.

        It is asked after each world, and the doubt is spread over the times that it can be.

        >>> Aim((0, 1)).is_hopeless([-0.02, -0.021], [0.0, 0.0]), Aim((0, 1)).is_hopeless([-0.02, 0.02], [0.0, 0.0])
        (True, False)
        """
        behind = np.asarray(best[: len(gains)]) - np.asarray(gains)
        if len(behind) < 2:
            return False
        error = float(behind.std(ddof=1)) / math.sqrt(len(behind))
        if error == 0.0:
            return self.doubt > 0.0 and float(behind[0]) > 0.0
        n_times = max(len(self.seeds) - 2, 1)
        return float(stats.t.sf(float(behind.mean()) / error, len(behind) - 1)) < self.doubt / n_times


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial.

    Attributes:
        number: in the order of the search; 0 is the campaign as it is.
        settings: what it played with.
        gains: in each world, over the campaign as it is, in reward units a send.
        score: what the aim makes of them; None where the trial was given up.
    """

    number: int
    settings: Settings
    gains: tuple[float, ...]
    score: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """A search for better settings, kept in a study.

    A trial enters the study when it has ended, so a search that was stopped goes on with the trial it was at, and finds
    what it would have found. What a study holds already counts.

    Args:
        space: the settings.
        plays: what they earn.
        aim: what is looked for.
        seed: of the sampler.
        width: worlds that `plays` is asked for at a time, as many as there are processes; no result depends on it.

    >>> from simulator.known_plays import Earned
    >>> from simulator.search_space import Knob
    >>> space = SearchSpace((Knob("x", "x", 1.0, span=(0.0, 4.0)),))
    >>> def plays(settings, seeds):
    ...     return [Earned(seed - (settings["x"] - 3.0) ** 2, 0.0) for seed in seeds]
    >>> study = quiet_study()
    >>> found = Search(space, KnownPlays(study, plays), Aim((0, 1))).run(study, n_trials=15)
    >>> best_of(found, 1)[0].score > 3.5
    True
    """

    space: SearchSpace
    plays: KnownPlays
    aim: Aim
    seed: int = 0
    width: int = 1

    def run(
        self,
        study: optuna.Study,
        *,
        n_trials: int,
        is_over: Callable[[], bool] = lambda: False,
        watch: Callable[[int], None] = lambda _: None,
    ) -> list[Tried]:
        """Go on until the study holds so many trials, or time is up.

        Args:
            study: as it was left, or a fresh one.
            n_trials: in all, those the study holds included.
            is_over: is asked before each trial but the first.
            watch: is told how many trials there are, after each.
        """
        ahead = quiet_study()
        ahead.add_trials(study.trials)
        number = len(ahead.trials)
        while number < n_trials and not (number and is_over()):
            self._enqueue(ahead, number)
            ahead.sampler = TPESampler(seed=(self.seed * 100_003 + number) % _LARGEST_SEED, multivariate=True)
            study.add_trial(self._try(ahead))
            number += 1
            watch(number)
        return tried(study)

    def _enqueue(self, study: optuna.Study, number: int) -> None:
        """What is tried next, while that is not left to the sampler."""
        starts = [self.space.usual, *self.space.one_change_each()]
        if number < len(starts):
            study.enqueue_trial(self.space.parameters(starts[number]))
        elif number == len(starts):
            study.enqueue_trial(self.space.parameters(self.together(tried(study))))

    def together(self, singles: Sequence[Tried]) -> dict[str, Option]:
        """All changes that helped by more than their error, of each setting the one that helped most."""
        usual, changes, most = self.space.usual, dict[str, Option](), dict[str, float]()
        for trial in singles:
            mean = float(np.mean(trial.gains))
            helped = trial.score is not None and mean > float(np.std(trial.gains, ddof=1)) / math.sqrt(len(trial.gains))
            for key in [key for key, value in trial.settings.items() if value != usual.get(key)][:1]:
                if helped and mean > most.get(key, 0.0):
                    most[key], changes[key] = mean, trial.settings[key]
        return self.space.completed(changes)

    def _try(self, study: optuna.Study) -> FrozenTrial:
        n_before = len(tried(study))
        trial = study.ask()
        settings = self.space.suggested(trial)
        trial.set_user_attr(_SETTINGS, settings)
        gains = self._gains(trial, settings, self._rival(study, n_before))
        if len(gains) == len(self.aim.seeds):
            return study.tell(trial, self.aim.score(gains))
        return study.tell(trial, state=TrialState.PRUNED)

    def _rival(self, study: optuna.Study, number: int) -> Sequence[float] | None:
        """Gains that a trial must not fall behind.

        A single change is held against the campaign as it is: what helps a little helps beside a change that helps much.
        """
        if number <= len(self.space.one_change_each()):
            return [0.0] * len(self.aim.seeds) if number else None
        return next((best.gains for best in best_of(tried(study), 1)), None)

    def _gains(self, trial: Trial, settings: Settings, best: Sequence[float] | None) -> list[float]:
        """Gains in one world after the other; fewer than there are worlds if the trial is given up."""
        gains: list[float] = []
        left = iter(self.aim.seeds)
        while some := list(islice(left, self.width)):
            for gain in self.plays.gains(settings, self.space.usual, some):
                gains.append(gain)
                trial.report(gain, step=len(gains))
                if best and len(gains) < len(self.aim.seeds) and self.aim.is_hopeless(gains, best):
                    return gains
        return gains

    def final(self, trials: Sequence[Tried], seeds: Sequence[int], n: int = 3) -> Tried:
        """The best of the best trials after more worlds.

        The best of many trials owes part of its lead to luck. More worlds take that luck away before anybody believes it.

        Args:
            trials: with the campaign as it is among them.
            seeds: of worlds that no trial has played in.
            n: how many of the best trials play there.
        """
        usual = self.space.usual
        finalists = [*best_of(trials, n), *(trial for trial in trials if trial.settings == usual)]
        return max((self._after(trial, seeds) for trial in finalists), key=_score)

    def _after(self, trial: Tried, seeds: Sequence[int]) -> Tried:
        gains = (*trial.gains, *self.plays.gains(trial.settings, self.space.usual, seeds))
        return Tried(trial.number, trial.settings, gains, self.aim.score(gains))


def tried(study: optuna.Study) -> list[Tried]:
    """The trials of a study that have ended, in order."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [_tried(trial) for trial in ended]


def _tried(trial: FrozenTrial) -> Tried:
    gains = tuple(trial.intermediate_values[step] for step in sorted(trial.intermediate_values))
    settings: Mapping[str, Option] = trial.user_attrs[_SETTINGS]
    # A trial that was given up has a value too, its last gain.
    return Tried(trial.number, settings, gains, trial.value if trial.state is TrialState.COMPLETE else None)


def best_of(trials: Sequence[Tried], n: int) -> list[Tried]:
    """The best trials that were not given up, best first; of equal ones the earlier."""
    ended = [trial for trial in trials if trial.score is not None]
    return sorted(ended, key=_score, reverse=True)[:n]


def _score(trial: Tried) -> float:
    return -math.inf if trial.score is None else trial.score


def quiet_study(storage: optuna.storages.BaseStorage | None = None, name: str | None = None) -> optuna.Study:
    """A study that says nothing on standard error: a fresh one in memory, or the one of that name in a storage."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
