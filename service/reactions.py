"""What customers of a replay did after their messages, late or not, and what machines did in their name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bandit.campaign import Campaign
from simulator.replay import Stage
from simulator.replayed import ReplayedStage
from simulator.world import Arrival, SendingWorld, SimulatedOutcome, World, reactions_to

WINDOWS = (0.5, 1.0, 2.0)
"""How many windows after the message a reaction may be late by."""

Choices = Sequence[Mapping[str, str]]
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Reactions:
    """What customers did, late or not.

    Attributes:
        n: reactions of persons by type.
        late: for each type, how many came after each of `WINDOWS`.
        reported: mean reward a send with what machines did.
        of_persons: mean reward a send without it.
    """

    n: Mapping[str, int]
    late: Mapping[str, tuple[int, ...]]
    reported: float
    of_persons: float


def reactions_of(campaign: Campaign, pairs: Sequence[tuple[Stage, ReplayedStage]]) -> Reactions:
    """Let everybody react once more: a replay keeps what came in time, and late reactions are asked for here.

    Args:
        campaign: as planned; its reward says which types of reactions count.
        pairs: stages as they were to be and as they went.
    """
    n, late = Counter[str](), {after: Counter[str]() for after in WINDOWS}
    reported, of_persons, n_sends = 0.0, 0.0, 0
    for stage, found in pairs:
        window, reward_of = stage.world.window, found.campaign.reward.reward_of
        for sent, outcomes in _reacted(stage, found, n_sends):
            n_sends += 1
            in_time = [one for one in outcomes if one.at <= sent + window]
            reported += reward_of(one.type for one in in_time)
            of_persons += reward_of(one.type for one in in_time if not one.machine)
            for one in outcomes:
                if not one.machine:
                    n[one.type] += 1
                    for after, counts in late.items():
                        counts[one.type] += one.at > sent + after * window
    return Reactions(
        {name: n[name] for name in campaign.reward.types},
        {name: tuple(counts[name] for counts in late.values()) for name in campaign.reward.types},
        reported / n_sends,
        of_persons / n_sends,
    )


def _reacted(
    stage: Stage, found: ReplayedStage, n_before: int
) -> Iterator[tuple[datetime, Sequence[SimulatedOutcome]]]:
    """When each message went out, and the reactions to it that have a worth."""
    world, worths = stage.world, found.campaign.reward.events
    for first in range(0, len(found.arrivals), _CHUNK):
        arrivals = found.arrivals[first : first + _CHUNK]
        choices = [found.campaign.choice_of(picks) for picks in found.picks[first : first + _CHUNK]]
        ids = [f"d{n_before + first + place}" for place in range(1, len(arrivals) + 1)]
        for sent, outcomes in zip(
            _sent(world, arrivals, choices), reactions_to(world, arrivals, choices, ids), strict=True
        ):
            yield sent, [one for one in outcomes if one.type in worths]


def _sent(world: World, arrivals: Sequence[Arrival], choices: Choices) -> list[datetime]:
    if not isinstance(world, SendingWorld):
        return [arrival.at for arrival in arrivals]
    return [world.sent_at(arrival, choice) for arrival, choice in zip(arrivals, choices, strict=True)]
