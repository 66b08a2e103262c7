"""Tuning a campaign: search its settings in rehearsals, then ask fresh worlds whether what was found is better."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from bandit.campaign import Campaign
from bandit.campaign_file import read_campaign
from bandit.errors import InvalidSettings
from evaluation.intervals import Interval
from evaluation.paired_runs import paired_difference
from service.effort import Effort
from service.replaying import Contender, run_once
from service.tunable import USUAL_PAUSE, search_space
from service.tuned_file import tuned_text
from simulator.known_plays import Earned, KnownPlays, Plays
from simulator.replay import Identified, Worlds
from simulator.replayed import DAY
from simulator.search_space import SearchSpace, Settings
from simulator.seeds import seed_player
from simulator.tuning import Aim, Search, Tried, quiet_study


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Plays a campaign file with other settings; what is played is read from the text that would be written.

    Args:
        text: the campaign file, without faults.
        worlds: where it is played.
        n_sends: of each replay.
    """

    text: str
    worlds: Worlds
    n_sends: int

    def play(self, settings: Settings, seed: int) -> Earned:
        """One replay."""
        campaign = read_campaign(tuned_text(self.text, settings))
        contender = Contender("tuned", campaign, campaign.learn_every or DAY)
        run = run_once(contender, self.worlds, self.n_sends, seed)
        return Earned(run.value, run.gap)


@contextmanager
def in_processes(rehearsal: Rehearsal, n: int) -> Iterator[Plays]:
    """The replays of some settings, so many at a time."""
    with seed_player(n) as player:
        yield lambda settings, seeds: player(partial(rehearsal.play, settings), seeds)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The best settings against the campaign as it is, in fresh worlds.

    Attributes:
        gain: what they add a send, in reward units; paired, Student's t over worlds.
        usual, tuned: means over the worlds.
    """

    gain: Interval
    usual: Earned
    tuned: Earned

    @property
    def is_better(self) -> bool:
        """Whether chance is an unlikely explanation."""
        return self.gain.ci_lower > 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What tuning found.

    Attributes:
        trials: every one of the search.
        best: the best after the second round; the campaign as it is, number 0, if nothing was better.
        confirmed: None where nothing was better, so that there was nothing to confirm.
    """

    trials: Sequence[Tried]
    best: Tried
    confirmed: Confirmed | None

    @property
    def is_better(self) -> bool:
        """Whether the best settings are to be written."""
        return self.confirmed is not None and self.confirmed.is_better


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """A campaign to be tuned.

    Args:
        campaign: as it is.
        worlds: where it is rehearsed.
        effort: how much is played.
        policies: see `service.tunable.search_space`.
    """

    campaign: Campaign
    worlds: Worlds
    effort: Effort = field(default_factory=Effort)
    policies: Collection[str] = ()

    @property
    def space(self) -> SearchSpace:
        """What may be turned."""
        return search_space(self.campaign, self.policies)

    @property
    def name(self) -> str:
        """Of the study: another campaign, world or effort is another study, so that a file may hold several."""
        effort = self.effort
        asked = (effort.n_sends, effort.n_seeds, effort.seed, effort.penalty, self.space.said)
        worlds = self.worlds.identity if isinstance(self.worlds, Identified) else repr(self.worlds)
        said = f"{self.campaign.content_hash} {asked!r} {USUAL_PAUSE} {worlds}".encode()
        return f"{self.campaign.id} {hashlib.blake2b(said, digest_size=8).hexdigest()}"

    def study(self, path: Path | None) -> optuna.Study:
        """The study in a journal file, as it was left; in memory without one.

        Raises:
            InvalidSettings: if the file is something else.
        """
        try:
            storage = JournalStorage(JournalFileBackend(str(path))) if path else None
            return quiet_study(storage, self.name)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidSettings(
                f"{path} is no study ({error}): name a new file, or one that tuning wrote."
            ) from error

    def run(
        self,
        study: optuna.Study,
        *,
        n_processes: int = 1,
        is_over: Callable[[], bool] = lambda: False,
        watch: Callable[[int], None] = lambda _: None,
    ) -> Tuned:
        """Search, let the best few play more worlds, confirm.

        Args:
            study: see `study`.
            n_processes: worlds played at a time; no result depends on it.
            is_over: is asked before each trial; the second round and the confirmation are played whatever it says.
            watch: is told how many trials there are, after each.
        """
        effort = self.effort
        with in_processes(Rehearsal(self.campaign.toml, self.worlds, effort.n_sends), n_processes) as plays:
            known = KnownPlays(study, plays)
            search = Search(self.space, known, Aim(effort.searched, effort.penalty), effort.seed, n_processes)
            trials = search.run(study, n_trials=effort.n_trials, is_over=is_over, watch=watch)
            best = search.final(trials, effort.second_round)
            is_usual = best.settings == self.space.usual
            return Tuned(trials, best, None if is_usual else self._confirmed(known, best.settings))

    def _confirmed(self, known: KnownPlays, settings: Settings) -> Confirmed:
        tuned, usual = known(settings, self.effort.fresh), known(self.space.usual, self.effort.fresh)
        gain = paired_difference([one.value for one in tuned], [one.value for one in usual])
        return Confirmed(gain, _mean(usual), _mean(tuned))


def _mean(earned: Sequence[Earned]) -> Earned:
    return Earned(float(np.mean([one.value for one in earned])), float(np.mean([one.gap for one in earned])))
