"""One rehearsal of a campaign in the world of one seed: as planned, without effects, and with another floor or window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from bandit.campaign import Campaign
from bandit.group import Group
from evaluation.lift import GroupSums
from service.exploration_cost import Losses, losses_of
from service.lift_seen import FirstDays
from service.named_winners import NamedWinners, named_winners
from service.played_campaign import PlayedCampaign, played
from service.reactions import Reactions, reactions_of
from service.rehearsal_variants import Variant
from simulator.replay import Worlds
from simulator.replayed import ReplayedCampaign
from simulator.truth import value_of_choices
from simulator.world import IntArray


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is rehearsed.

    Attributes:
        campaign: as planned; the trainer comes as often as it says, or daily.
        worlds: in which.
        n_sends: how many.
        without_effects: worlds in which every message is as good as any other, where the campaign is played as
            `simulator.level_campaign.levelled` has it; None leaves false winners out.
        variants: what else is tried in the same worlds.
        confidence_level: of bounds and intervals.
    """

    campaign: Campaign
    worlds: Worlds
    n_sends: int
    without_effects: Worlds | None
    variants: tuple[Variant, ...]
    confidence_level: float = 0.95


@dataclass(frozen=True, slots=True)
class GroupEarned:
    """A group in one rehearsal; a send each.

    Attributes:
        n_sends: of the group.
        value: exact expected reward of what was chosen.
        above_random: the same minus what the random policy expects of the same customers.
        rewarded: share whose outcomes were worth more than 0 in the log, whatever recent messages cost.
        unsent: share of choices that send nothing.
    """

    n_sends: int
    value: float
    above_random: float
    rewarded: float
    unsent: float = 0.0


@dataclass(frozen=True, slots=True)
class VariantRun:
    """A variant in the world of one seed: its exact value a send, on the planned window, and when its lift was seen."""

    name: str
    value: float
    seen: FirstDays


@dataclass(frozen=True, slots=True, eq=False)
class SeedRun:
    """What one seed showed.

    Attributes:
        seed: of world and draws.
        n_customers: who got a send.
        days: from the first send to the last.
        value, uniform, best: exact reward a send of what was chosen, of the random policy, of the best choices.
        groups: by name.
        correlation: of being rewarded twice, in the learner's group.
        seen: when the lift was visible.
        losses: what exploring cost.
        reactions: what customers did.
        n_fallbacks: decisions at random though there was a snapshot.
        n_capped: decisions that the campaign's caps refused; nothing else counts them.
        curve: name to exact value a send on each day, shape (n_days,), nan where nothing was sent.
        variants: in order.
        named: who is named a winner in a world without effects; None where there is none.
    """

    seed: int
    n_customers: int
    days: float
    value: float
    uniform: float
    best: float
    groups: Mapping[str, GroupEarned]
    correlation: float
    seen: FirstDays
    losses: Losses
    reactions: Reactions
    n_fallbacks: int
    n_capped: int
    curve: Mapping[str, FloatArray]
    variants: tuple[VariantRun, ...] = ()
    named: NamedWinners | None = None


def rehearse_seed(rehearsal: Rehearsal, seed: int) -> SeedRun:
    """Play a campaign in the world of one seed, and everything it is held against in the same world.

    Args:
        rehearsal: what is rehearsed.
        seed: of worlds and draws.

    Raises:
        ImpossibleWorld: if the worlds without effects have some.
    """
    planned = played(rehearsal.campaign, rehearsal.worlds, rehearsal.n_sends, seed)
    found = _seed_run(rehearsal, planned, seed)
    runs = tuple(_variant_run(rehearsal, variant, planned, seed) for variant in rehearsal.variants)
    found = replace(found, variants=runs)
    if rehearsal.without_effects is None:
        return found
    asked = (rehearsal.campaign, rehearsal.without_effects, rehearsal.n_sends, seed, rehearsal.confidence_level)
    return replace(found, named=named_winners(*asked))


def _seed_run(rehearsal: Rehearsal, planned: PlayedCampaign, seed: int) -> SeedRun:
    found, truth = planned.campaign, planned.campaign.truth
    losses = sum((losses_of(*pair) for pair in planned.pairs), Losses())
    days = found.days
    return SeedRun(
        seed,
        int(planned.customers.max()) + 1,
        float(days[-1]),
        truth.value,
        float(truth.uniform.mean()),
        float(truth.best.mean()),
        _groups(found),
        _correlation(found.earned > 0.0, planned.customers, found.groups == Group.LEARNER.value),
        planned.first_days(rehearsal.campaign, rehearsal.confidence_level),
        losses,
        reactions_of(rehearsal.campaign, planned.pairs),
        found.n_fallbacks,
        found.n_capped,
        _curve(found, days),
    )


def _groups(found: ReplayedCampaign) -> dict[str, GroupEarned]:
    truth, earned = found.truth, found.earned > 0.0
    columns = (truth.values, truth.values - truth.uniform, earned, _unsent(found))
    return {
        str(name): GroupEarned(int(of.sum()), *(float(column[of].mean()) for column in columns))
        for name in np.unique(found.groups)
        for of in [found.groups == name]
    }


def _unsent(found: ReplayedCampaign) -> BoolArray:
    """Which choices send nothing, shape (n,)."""
    last = [(stage.campaign.dimensions[-1], stage.picks[:, -1]) for stage in found.stages]
    return np.concatenate([np.array([arm.no_send for arm in one.arms])[picks] for one, picks in last])


def _correlation(rewarded: np.ndarray, customers: IntArray, members: np.ndarray) -> float:
    """Of two sends of one customer, from how much wider than for lone sends the mean's error is (Kish 1965)."""
    if not members.any():
        return 0.0
    sums = GroupSums.of(rewarded[members].astype(np.float64), customers[members])
    sizes = np.bincount(customers[members]).astype(np.float64)
    alike, lone = float((sizes**2).sum() / sizes.sum()) - 1.0, sums.value * (1.0 - sums.value) / sums.n_sends
    if sums.n_customers < 2 or alike <= 0.0 or lone <= 0.0:
        return 0.0
    return float((sums.value_variance / lone - 1.0) / alike)


def _curve(found: ReplayedCampaign, days: FloatArray) -> dict[str, FloatArray]:
    truth, day = found.truth, days.astype(np.int64)
    every = np.ones(len(day), dtype=np.bool_)
    columns = {str(name): (found.groups == name, truth.values) for name in np.unique(found.groups)}
    columns |= {"best choices": (every, truth.best)}
    return {name: _by_day(day[of], values[of], int(day[-1]) + 1) for name, (of, values) in columns.items()}


def _by_day(day: IntArray, values: FloatArray, n_days: int) -> FloatArray:
    counts = np.bincount(day, minlength=n_days).astype(np.float64)
    sums = np.bincount(day, weights=values, minlength=n_days)
    found: FloatArray = np.divide(sums, counts, out=np.full(n_days, np.nan), where=counts > 0.0)
    return found


def _variant_run(rehearsal: Rehearsal, variant: Variant, planned: PlayedCampaign, seed: int) -> VariantRun:
    other = played(variant.campaign, rehearsal.worlds, rehearsal.n_sends, seed)
    values = [
        value_of_choices(stage.world, found.arrivals, map(found.campaign.choice_of, found.picks)).values
        for stage, found in zip(planned.stages, other.campaign.stages, strict=True)
    ]
    seen = other.first_days(rehearsal.campaign, rehearsal.confidence_level)
    return VariantRun(variant.name, float(np.concatenate(values).mean()), seen)
