"""One rehearsal of a campaign in the world of one seed: as planned, without effects, and with another floor or window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.group import Group
from evaluation.lift import GroupSums
from service.exploration_cost import Losses, losses_of
from service.lift_seen import DailyLooks, FirstDays, always_valid, naive
from service.reactions import Reactions, reactions_of
from service.rehearsal_variants import Variant
from service.replaying import Contender, replayed
from simulator.replay import Stage, Worlds
from simulator.replayed import DAY, ReplayedCampaign, ReplayedStage
from simulator.truth import value_of_choices
from simulator.world import ImpossibleWorld, IntArray, SendingWorld

_EVEN = 1e-9


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is rehearsed.

    Attributes:
        campaign: as planned; the trainer comes as often as it says, or daily.
        worlds: in which.
        n_sends: how many.
        without_effects: worlds in which every choice is as good as any other; None leaves false winners out.
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
    """

    n_sends: int
    value: float
    above_random: float
    rewarded: float


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
        always_valid, naive: what is said of a world without effects; None where there is none.
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
    always_valid: FirstDays | None = None
    naive: FirstDays | None = None


def rehearse_seed(rehearsal: Rehearsal, seed: int) -> SeedRun:
    """Play a campaign in the world of one seed, and everything it is held against in the same world.

    Args:
        rehearsal: what is rehearsed.
        seed: of worlds and draws.

    Raises:
        ImpossibleWorld: if the worlds without effects have some.
    """
    planned = _played(rehearsal, rehearsal.campaign, rehearsal.worlds, seed)
    found = _seed_run(rehearsal, planned, seed)
    runs = tuple(_variant_run(rehearsal, variant, planned, seed) for variant in rehearsal.variants)
    found = replace(found, variants=runs)
    if rehearsal.without_effects is None:
        return found
    still = _played(rehearsal, rehearsal.campaign, rehearsal.without_effects, seed)
    _require_no_effects(still)
    return replace(found, always_valid=_always_valid(rehearsal, still), naive=naive(_looks(still)))


@dataclass(slots=True, eq=False)
class _Kept:
    """Worlds that keep the stages they made last, so that nobody need make them twice."""

    worlds: Worlds
    made: tuple[Stage, ...] = ()

    def stages(self, campaign: Campaign, seed: int, n_sends: int) -> tuple[Stage, ...]:
        """Those of the worlds."""
        self.made = self.worlds.stages(campaign, seed, n_sends)
        return self.made


@dataclass(frozen=True, slots=True, eq=False)
class _Played:
    """A replay with its worlds; rows of all stages together."""

    stages: tuple[Stage, ...]
    campaign: ReplayedCampaign
    customers: IntArray = field(init=False)

    def __post_init__(self) -> None:
        names = [arrival.customer_id for stage in self.campaign.stages for arrival in stage.arrivals]
        object.__setattr__(self, "customers", np.unique(names, return_inverse=True)[1].astype(np.int64))

    @property
    def pairs(self) -> Sequence[tuple[Stage, ReplayedStage]]:
        """Stages as they were to be and as they went."""
        return list(zip(self.stages, self.campaign.stages, strict=True))


def _played(rehearsal: Rehearsal, campaign: Campaign, worlds: Worlds, seed: int) -> _Played:
    kept = _Kept(worlds)
    found = replayed(Contender("rehearsed", campaign, campaign.learn_every or DAY), kept, rehearsal.n_sends, seed)
    return _Played(kept.made, found)


def _seed_run(rehearsal: Rehearsal, played: _Played, seed: int) -> SeedRun:
    found, truth = played.campaign, played.campaign.truth
    losses = sum((losses_of(*pair) for pair in played.pairs), Losses())
    days = found.days
    return SeedRun(
        seed,
        int(played.customers.max()) + 1,
        float(days[-1]),
        truth.value,
        float(truth.uniform.mean()),
        float(truth.best.mean()),
        _groups(found),
        _correlation(found.earned > 0.0, played.customers, found.groups == Group.LEARNER.value),
        _always_valid(rehearsal, played),
        losses,
        reactions_of(rehearsal.campaign, played.pairs),
        found.n_fallbacks,
        found.n_capped,
        _curve(found, days),
    )


def _groups(found: ReplayedCampaign) -> dict[str, GroupEarned]:
    truth, earned = found.truth, found.earned > 0.0
    above = truth.values - truth.uniform
    return {
        str(name): GroupEarned(
            int(of.sum()), float(truth.values[of].mean()), float(above[of].mean()), float(earned[of].mean())
        )
        for name in np.unique(found.groups)
        for of in [found.groups == name]
    }


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


def _looks(played: _Played) -> DailyLooks:
    """What somebody sees who compares learner and control every day."""
    campaign, groups = played.campaign, played.campaign.groups
    either = (groups == Group.LEARNER.value) | (groups == Group.CONTROL.value)
    waits = np.concatenate([_days_to_final(*pair) for pair in played.pairs])
    due = campaign.days + waits
    return DailyLooks.of(
        (groups == Group.LEARNER.value)[either], played.customers[either], campaign.rewards[either], due[either],
        worths=campaign.earned[either] if campaign.has_costs else None,
    )  # fmt: skip


def _days_to_final(stage: Stage, found: ReplayedStage) -> FloatArray:
    """Days from each decision until its window has closed, shape (n,)."""
    world, window = stage.world, stage.world.window / DAY
    if not isinstance(world, SendingWorld):
        return np.full(len(found.arrivals), window)
    rows = zip(found.arrivals, found.picks, strict=True)
    sent = [world.sent_at(arrival, found.campaign.choice_of(picks)) - arrival.at for arrival, picks in rows]
    return np.array([wait / DAY for wait in sent]) + window


def _always_valid(rehearsal: Rehearsal, played: _Played) -> FirstDays:
    shares = rehearsal.campaign.groups.shares
    learner, control = shares[Group.LEARNER], shares[Group.CONTROL]
    if not (learner and control):
        return FirstDays()
    planned = max(round(sum(stage.n_sends for stage in played.stages) * (learner + control)), 1)
    bounds, level = rehearsal.campaign.reward.bounds, rehearsal.confidence_level
    return always_valid(_looks(played), learner / (learner + control), bounds, planned, level)


def _variant_run(rehearsal: Rehearsal, variant: Variant, planned: _Played, seed: int) -> VariantRun:
    played = _played(rehearsal, variant.campaign, rehearsal.worlds, seed)
    values = [
        value_of_choices(stage.world, found.arrivals, map(found.campaign.choice_of, found.picks)).values
        for stage, found in zip(planned.stages, played.campaign.stages, strict=True)
    ]
    return VariantRun(variant.name, float(np.concatenate(values).mean()), _always_valid(rehearsal, played))


def _require_no_effects(still: _Played) -> None:
    truth = still.campaign.truth
    largest = float((truth.best - truth.uniform).max())
    if largest > _EVEN:
        raise ImpossibleWorld(
            f"the worlds without effects have a choice that earns {largest:.3g} more than a random one: whoever sees that "
            "winner is not wrong. Rehearse false winners in worlds where every choice is as good as any other."
        )
