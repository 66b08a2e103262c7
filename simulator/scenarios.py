"""Named worlds to rehearse a campaign in: one entry each, and any campaign may be played in any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Final

from bandit.campaign import Campaign
from simulator.arm_stages import with_fewer_arms
from simulator.customers import Customers, drawn_customers
from simulator.delay import DelayMixture, DelayModel, DelayPart
from simulator.drawn_world import WorldSettings, drawn_world
from simulator.drift import Change
from simulator.fatigue import Fatigue
from simulator.funnel import Role
from simulator.habits import Season
from simulator.machines import Scanners
from simulator.replay import Stage
from simulator.tastes import TasteSizes
from simulator.world import ImpossibleWorld

SENDS_PER_CUSTOMER: Final = 6
_HALF_AROUND_THE_WORLD: Final = MappingProxyType(
    {"America/New_York": 0.35, "Europe/Berlin": 0.45, "Asia/Kolkata": 0.20}
)


class Arms(Enum):
    """Whether the arms of a campaign stay."""

    STAY = "stay"
    ARRIVE = "arrive"  # some of them half-way
    RETIRE = "retire"  # some of them half-way


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of world, for any campaign.

    Args:
        name: as commands take it.
        paragraph: what happens in it, and what it is for.
        settings: of the world.
        sends_per_customer: how many sends of the campaign each drawn customer gets, about.
        sends_share: of the sends asked for, how many there are.
        arms: whether some arrive or are retired half-way.
        zones: zone to its share, for customers of whom it is not known; the campaign's zone where left out.

    Raises:
        ImpossibleWorld: if a number is out of its range.
    """

    name: str
    paragraph: str
    settings: WorldSettings = field(default_factory=WorldSettings)
    sends_per_customer: float = SENDS_PER_CUSTOMER
    sends_share: float = 1.0
    arms: Arms = Arms.STAY
    zones: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if not (self.sends_per_customer > 0.0 and 0.0 < self.sends_share <= 1.0):
            raise ImpossibleWorld(
                f"sends_per_customer is {self.sends_per_customer!r}, sends_share {self.sends_share!r}: give a positive number "
                "and a share in (0, 1]."
            )

    def stages(
        self,
        campaign: Campaign,
        seed: int,
        n_sends: int,
        *,
        customers: Customers | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> tuple[Stage, ...]:
        """The stretches of the campaign in this scenario, in time order; most have one.

        Args:
            campaign: whose arms, rules, context and outcome types hold.
            seed: of everything, at least 0.
            n_sends: of the whole campaign, at least 2.
            customers: to whom it is sent; drawn from what the campaign declares where left out.
            rates: outcome type to its mean rate under the random policy (a share of the sends; of the clicks for conversions),
                where it is not the scenario's.

        Raises:
            ImpossibleWorld: if the campaign cannot be played in this scenario, or an argument is out of its range.
        """
        if n_sends < 2:
            raise ImpossibleWorld(f"n_sends is {n_sends}: give at least 2 sends.")
        n = max(2, round(n_sends * self.sends_share))
        people = customers or self._drawn_customers(campaign, seed, n)
        world = drawn_world(campaign, people, seed, n, self.settings, rates=rates)
        if self.arms is Arms.STAY:
            return (Stage(world, campaign, n),)
        fewer = with_fewer_arms(campaign, seed)
        first, second = (fewer, campaign) if self.arms is Arms.ARRIVE else (campaign, fewer)
        half = n // 2
        return Stage(world.stage(first, 0), first, half), Stage(world.stage(second, half), second, n - half)

    def _drawn_customers(self, campaign: Campaign, seed: int, n_sends: int) -> Customers:
        n = max(1, round(n_sends / self.sends_per_customer))
        return drawn_customers(
            campaign.declared, seed, n, zone=campaign.timezone, zones=self.zones, clock=campaign.clock
        )


_RARE: Final = MappingProxyType(
    {
        Role.OPEN: 0.15,
        Role.CLICK: 0.008,
        Role.CONVERSION: 0.08,
        Role.UNSUBSCRIBE: 0.001,
        Role.COMPLAINT: 0.0002,
        Role.OTHER: 0.003,
    }
)
_LATE: Final = DelayModel(
    click=DelayMixture(
        (
            DelayPart(0.25, median_hours=0.5, spread=1.1),
            DelayPart(0.45, median_hours=40.0, spread=0.8),
            DelayPart(0.30, median_hours=240.0, spread=0.5, after_hours=7 * 24.0),
        )
    ),
    conversion_tail=1.0,
)
_WINTER_TO_SPRING: Final = Season(yearly=0.6, peak_day=340.0, weekdays=(0.15, 0.20, 0.15, 0.05, -0.10, -0.25, -0.20))

_ALL: Final = (
    Scenario(
        "steady",
        "Nothing changes: customers differ in what they like, and like the same on the last day as on the first. About half "
        "of what can be gained is a better message for everybody, the rest the right one for each. The one to begin with, "
        "and the one that others are compared with.",
    ),
    Scenario(
        "strong-interactions",
        "Arms of different dimensions help or spoil each other nearly as much as everything else does together: a subject "
        "line that wins with one call to action loses with another. A learner that takes dimensions one by one falls "
        "behind here.",
        WorldSettings(sizes=TasteSizes(pair=0.15)),
    ),
    Scenario(
        "small-list",
        "A tenth of the sends asked for, to a tenth of the customers. There is as much to be found as in steady, and far "
        "too little traffic to find it all: what counts is how little is lost on the way.",
        sends_share=0.1,
    ),
    Scenario(
        "rare-conversions",
        "Eight clicks in a thousand sends and eight conversions in a hundred clicks: hardly anything is ever reported, so "
        "that chance outweighs taste for a long time.",
        WorldSettings(usual=_RARE),
    ),
    Scenario(
        "late-rewards",
        "People answer late: the middle click comes after two and a half days, a third of the clicks later than a "
        "week, and conversions later still. With a window of three days nearly half of the clicks count for nothing, "
        "and the learner is always some days behind.",
        WorldSettings(delays=_LATE),
    ),
    Scenario(
        "habits",
        "Each customer looks at mail at hours of their own, on their own clock, in several time zones; clocks go forward "
        "in America and in Europe within the four weeks. Where the campaign has send slots, the slot decides much of what "
        "is opened.",
        WorldSettings(habits=0.5, start=datetime(2026, 3, 6, tzinfo=UTC)),
        zones=_HALF_AROUND_THE_WORLD,
    ),
    Scenario(
        "season",
        "Twelve weeks from winter to spring in which everybody opens less and less, with good and bad days of the "
        "week. No text is better or worse for it: whoever compares this week with last week, without a random group, "
        "is misled.",
        WorldSettings(season=_WINTER_TO_SPRING, days=84.0),
    ),
    Scenario(
        "drifting",
        "Tastes turn slowly, and at the end are others than at the start: what was learned in the first week is true no "
        "longer in the last.",
        WorldSettings(change=Change(0.0, 1.0)),
    ),
    Scenario(
        "shock",
        "Half-way, from one send to the next, everybody opens a third less and likes other arms. What counts is how "
        "fast the learner gives up what it knew.",
        WorldSettings(change=Change(0.5, 0.5, lift=-0.5)),
    ),
    Scenario(
        "wearing",
        "Customers hear every two days and tire of what they got: each send of an arm takes half a logit off the next "
        "click on it, and half of that is back after a week. Only send slots do not wear out. Rotating is worth more "
        "than finding the best.",
        WorldSettings(fatigue=Fatigue(depth=0.5, half_life=timedelta(days=7))),
        sends_per_customer=14.0,
    ),
    Scenario(
        "machines",
        "A quarter of the customers live in mail domains that open and click by machine within seconds of a send. The log "
        "cannot tell; true rewards count persons only. What the learner takes for interest is the same whatever is sent.",
        WorldSettings(scanners=Scanners()),
    ),
    Scenario(
        "new-arms",
        "About a third of the arms arrive half-way. They must be tried, although what is known speaks for the old ones.",
        arms=Arms.ARRIVE,
    ),
    Scenario(
        "retired-arms",
        "About a third of the arms are retired half-way, whether they were good or not; what was learned of the rest must "
        "not be lost.",
        arms=Arms.RETIRE,
    ),
    Scenario(
        "no-effect",
        "Customers differ, and what they are sent makes no difference: every message is as good as any other. Nothing can be "
        "gained or lost by choosing one, so that whichever is found to be better is a false winner. An arm that sends nothing "
        "earns nothing, here as elsewhere; a rehearsal plays it as one more message where it counts false winners.",
        WorldSettings(sizes=TasteSizes(arm=0.0, fit=0.0, pair=0.0)),
    ),
    Scenario(
        "misleading",
        "One arm wins on average and fails with a large group, about two customers in five, who are told by one value of "
        "their context. Whoever looks at averages rolls it out to everybody.",
        WorldSettings(misleads=True),
    ),
)

SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType({scenario.name: scenario for scenario in _ALL})
"""Every scenario by its name, in the order of the docs; the first is the default."""
