"""How much is played to tune a campaign, and in which worlds."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.world import ImpossibleWorld

MOST_SEEDS = 1_000
_SECOND_ROUND, _FRESH = MOST_SEEDS, 2 * MOST_SEEDS


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is played.

    Args:
        n_sends: of each replay.
        n_seeds: worlds that every trial plays in; as many again for the last three.
        n_fresh: worlds that neither was chosen in, in which the best settings meet the campaign as it is.
        n_trials: in all, with those a study holds already.
        seed: the first; worlds of the search, the second round and the confirmation have different ones.
        penalty: see `simulator.tuning.Aim`.

    Raises:
        ImpossibleWorld: if there are fewer than 2 seeds or more than `MOST_SEEDS`, or less than one trial.
    """

    n_sends: int = 8_000
    n_seeds: int = 6
    n_fresh: int = 12
    n_trials: int = 40
    seed: int = 0
    penalty: float = 0.25

    def __post_init__(self) -> None:
        if not (
            2 <= min(self.n_seeds, self.n_fresh) <= max(self.n_seeds, self.n_fresh) <= MOST_SEEDS and self.n_trials
        ):
            raise ImpossibleWorld(
                f"{self.n_seeds} seeds, {self.n_fresh} fresh seeds, {self.n_trials} trials: give 2 to {MOST_SEEDS} of each kind "
                "of seed, and at least one trial."
            )

    @property
    def searched(self) -> tuple[int, ...]:
        """Seeds that every trial plays in."""
        return tuple(range(self.seed, self.seed + self.n_seeds))

    @property
    def second_round(self) -> tuple[int, ...]:
        """Seeds that the last few trials play in as well."""
        return tuple(range(self.seed + _SECOND_ROUND, self.seed + _SECOND_ROUND + self.n_seeds))

    @property
    def fresh(self) -> tuple[int, ...]:
        """Seeds that only the best settings and the campaign as it is play in."""
        return tuple(range(self.seed + _FRESH, self.seed + _FRESH + self.n_fresh))
