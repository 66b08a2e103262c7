"""Drawing a world for a campaign from a seed: how large its effects are, and what changes with time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

import numpy as np

from bandit.campaign import Campaign
from simulator.calibration import calibrated
from simulator.campaign_world import CampaignWorld
from simulator.customers import Customers
from simulator.delay import DelayModel
from simulator.drift import Change
from simulator.fatigue import Fatigue
from simulator.funnel import Funnel, Role
from simulator.habits import Season, drawn_habits
from simulator.machines import Scanners
from simulator.misleading import misled
from simulator.random_policy import RandomPolicy
from simulator.schedule import DAYS, START, Schedule
from simulator.tastes import Tastes, TasteSizes, centred, draw_tastes, features_of, redrawn
from simulator.time_effects import TimeEffects
from simulator.world import ChoiceGrid, ImpossibleWorld

# Streams of the seed, apart from those of `simulator.customers` and `simulator.habits`.
_TASTES, _SAMPLE, _LATER, _LATER_SAMPLE = 101, 102, 105, 106


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """What kind of world is drawn; what is left out does not happen.

    Args:
        sizes: of the drawn effects.
        usual: role of an outcome type to its mean rate, where it is not `funnel.USUAL_RATES`.
        delays: how long reactions take.
        revenue: mean of a conversion, in money.
        start: first moment of the campaign, in UTC.
        days: its length.
        habits: standard deviation of a customer's habit over the hours of the week, in logits of an open; 0 for none.
        season: what the day of the week and of the year do to opens.
        change: of tastes, on the way.
        fatigue: what earlier sends do.
        scanners: machines that open and click.
        misleads: whether the arm that is best on average is bad for a large group.

    Raises:
        ImpossibleWorld: if habits are negative or not finite.
    """

    sizes: TasteSizes = field(default_factory=TasteSizes)
    usual: Mapping[Role, float] = field(default_factory=lambda: MappingProxyType({}))
    delays: DelayModel = field(default_factory=DelayModel)
    revenue: float = 40.0
    start: datetime = START
    days: float = DAYS
    habits: float = 0.0
    season: Season | None = None
    change: Change | None = None
    fatigue: Fatigue | None = None
    scanners: Scanners | None = None
    misleads: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.habits < math.inf:
            raise ImpossibleWorld(f"habits is {self.habits!r}: a standard deviation in logits, so give 0 or more.")


USUAL_WORLD: Final = WorldSettings()


def drawn_world(
    campaign: Campaign,
    customers: Customers,
    seed: int,
    n_sends: int,
    settings: WorldSettings = USUAL_WORLD,
    *,
    rates: Mapping[str, float] | None = None,
) -> CampaignWorld:
    """Draw a world for a campaign.

    What a seed draws is independent from part to part: other customers, or a drift, leave the effects as they are.

    Args:
        campaign: whose arms, rules, context and outcome types hold.
        customers: to whom it is sent.
        seed: of everything, at least 0.
        n_sends: of the whole campaign.
        settings: what kind of world.
        rates: outcome type to its mean rate under the random policy: a share of the sends; of the clicks for conversions.

    Raises:
        ImpossibleWorld: if there are more choices than exact truth is worked out for, a rate is out of range or of a type
            that the campaign does not reward, or a number is.
        InvalidContext: if a customer does not fit the campaign's schema.
    """
    if not 0 <= seed < 2**64:
        raise ImpossibleWorld(f"seed is {seed}: generators and hashes take 64 bits; give one from 0 up.")
    funnel = Funnel.of(campaign.reward.events, rates, usual=settings.usual)
    choices = ChoiceGrid({dimension.name: dimension.ids for dimension in campaign.dimensions})
    schedule = Schedule(n_sends, settings.start, settings.days)
    habits = drawn_habits(campaign.declared, customers, seed, size=settings.habits) if settings.habits else None
    effects = TimeEffects(
        choices,
        customers,
        funnel,
        schedule,
        habits,
        settings.season,
        settings.change,
        settings.fatigue,
        campaign.send_slots,
    )
    tastes, later = _drawn_tastes(campaign, customers, seed, funnel, choices, settings)
    return CampaignWorld(
        campaign,
        customers,
        seed,
        schedule,
        funnel,
        tastes,
        effects,
        later,
        settings.delays,
        settings.revenue,
        settings.scanners,
    )


def _drawn_tastes(
    campaign: Campaign,
    customers: Customers,
    seed: int,
    funnel: Funnel,
    choices: ChoiceGrid,
    settings: WorldSettings,
) -> tuple[Tastes, Tastes | None]:
    """Calibrated tastes, and those they turn into."""
    schema, policy, contexts = campaign.declared, RandomPolicy(campaign), customers.contexts
    features = features_of(schema, contexts)

    def finished(tastes: Tastes, stream: int) -> Tastes:
        tastes = centred(tastes, features)
        if settings.misleads:
            tastes = misled(tastes, campaign, funnel, features)
        return calibrated(_stream(seed, stream), tastes, funnel, features, contexts, policy)

    first = draw_tastes(_stream(seed, _TASTES), choices, schema, funnel, settings.sizes)
    if settings.change is None or not settings.change.turns:
        return finished(first, _SAMPLE), None
    second = redrawn(_stream(seed, _LATER), first, schema, funnel, settings.sizes)
    return finished(first, _SAMPLE), finished(second, _LATER_SAMPLE)


def _stream(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng((seed, purpose))
