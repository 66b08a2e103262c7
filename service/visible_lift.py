"""The smallest lift that a campaign of this size can show, and what to change where the true one is smaller."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bandit.campaign import Campaign
from bandit.group import Group
from bandit.no_send import implied_arms
from evaluation.power import Comparison, least_control_share, needed, settled_multiplier, smallest_lift


@dataclass(frozen=True, slots=True)
class Smallest:
    """The smallest relative lift of one comparison; None where it shows none at all."""

    comparison: str
    lift: float | None


@dataclass(frozen=True, slots=True)
class VisibleLift:
    """What a list can show if it is looked at once, at the end.

    Attributes:
        base: share of control's sends that are rewarded.
        n_customers: on the list.
        sends_per_customer: on average.
        correlation: of being rewarded twice, as measured in the rehearsals.
        power: chance to see a lift of the smallest size.
        smallest: by comparison; the first is learner against control.
        control_share: with which the true lift would be seen, where the planned share is too small; None where it is large
            enough, or none would do.
        customers: with which it would be seen at the planned share; None where there is no lift to be seen.
    """

    base: float
    n_customers: int
    sends_per_customer: float
    correlation: float
    power: float
    smallest: tuple[Smallest, ...]
    control_share: float | None
    customers: int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What rehearsals say of a campaign's sends.

    Attributes:
        base: share of control's sends that are rewarded.
        n_customers: on the list.
        n_sends: to all of them.
        correlation: of being rewarded twice; outside [0, 1] the nearest end is taken.
        lift: the true one, relative; None where it is not known.
        alpha: chance to see a lift where there is none.
    """

    base: float
    n_customers: int
    n_sends: int
    correlation: float
    lift: float | None
    alpha: float = 0.05


def visible_lift(campaign: Campaign, asked: Asked) -> VisibleLift | None:
    """Ask the power of every comparison the campaign could make.

    Args:
        campaign: its groups, arms and floor.
        asked: its sends.

    Returns:
        The answer; None where no send, or every send, of control is rewarded, which leaves no rate to lift.
    """
    if not 0.0 < asked.base < 1.0:
        return None
    shares = campaign.groups.shares
    main = Comparison(
        asked.base,
        shares[Group.LEARNER],
        shares[Group.CONTROL],
        sends_per_customer=max(asked.n_sends / asked.n_customers, 1.0),
        correlation=min(max(asked.correlation, 0.0), 1.0),
        alpha=asked.alpha,
    )
    comparisons = {"learner against control": main, **_arms(campaign, main)}
    smallest = tuple(Smallest(name, smallest_lift(one, asked.n_customers)) for name, one in comparisons.items())
    customers, share = _wanted(main, asked)
    return VisibleLift(
        asked.base, asked.n_customers, main.sends_per_customer, main.correlation, main.power, smallest, share, customers
    )


def _wanted(main: Comparison, asked: Asked) -> tuple[int | None, float | None]:
    """Customers that the true lift takes, and where they are too few, the control share with which they would do."""
    lift = asked.lift
    if lift is None or lift <= 0.0 or asked.base * (1.0 + lift) >= 1.0:
        return None, None
    customers = needed(main, lift).customers
    return customers, least_control_share(main, lift, asked.n_customers) if customers > asked.n_customers else None


def _arms(campaign: Campaign, main: Comparison) -> dict[str, Comparison]:
    """The leader of each dimension against another arm, on the learner's own sends once it has settled."""
    found = {}
    # An arm that is left only after the choice has ended competes with no other.
    alone = [one.dimension for one in implied_arms(campaign.dimensions)]
    for place, dimension in enumerate(campaign.dimensions):
        size = len(dimension.arms) - alone.count(place)
        least = campaign.policy.floor / size
        if size > 1 and least > 0.0:
            share = main.share_treated / size
            found[f"leading {dimension.name} against another"] = replace(
                main, share_treated=share, share_control=share, n_comparisons=size - 1,
                multiplier=settled_multiplier(size, least),
            )  # fmt: skip
    return found
