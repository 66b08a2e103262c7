"""`manyarm power`: is my list tall enough, and if not, what can it show?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import click

from bandit.campaign import Campaign
from bandit.group import Group
from evaluation.power import COLLECTORS, Comparison, needed, settled_multiplier, smallest_lift
from service.checked_campaign import checked_campaign
from service.commands.options import answer, json_option

LEAST_PROPENSITY = 0.025
"""Of an arm, for intervals from the learner's own sends to be as wide as they should be."""


class Rate(click.ParamType[float]):
    """A number as people write it: 0.04 or 4%."""

    def __init__(self, name: str = "RATE", *, within: bool = False) -> None:
        self.name, self.within = name, within

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """The number; between 0 and 1 where it is a share of something."""
        text = str(value).strip()
        try:
            found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{text!r} is no number; write 0.04 or 4%.", param, ctx)
        if self.within and not 0 < found < 1:
            self.fail(f"{text!r} is not between 0 and 1; write 0.04 or 4%.", param, ctx)
        return found


@dataclass(frozen=True, slots=True)
class Asked:
    """What a marketer wants to know; the same for every comparison.

    Attributes:
        base: share of sends that are rewarded without any lift.
        lift: relative, or None to ask only what the list can show.
        list_size: customers there are, or None.
        per_day: sends a day, or None.
        n_comparisons: claims made together; None for as many as belong together.
        sends_per_customer: on average.
        correlation: of two rewards of one customer.
        alpha: chance to see a lift where there is none.
        power: chance to see the lift where there is one.
    """

    base: float
    lift: float | None
    list_size: int | None
    per_day: float | None
    n_comparisons: int | None
    sends_per_customer: float
    correlation: float
    alpha: float
    power: float

    def of(self, shares: tuple[float, float], n_together: int, multiplier: float = 1.0) -> Comparison:
        """The comparison of two groups with these shares of the list, one of some that belong together."""
        return Comparison(
            self.base, *shares, self.n_comparisons or n_together, self.sends_per_customer, self.correlation,
            multiplier, self.alpha, self.power,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """The comparisons there can be, by name, and what is said beside them."""

    comparisons: dict[str, Comparison]
    warnings: tuple[str, ...] = ()


@click.command(epilog="Example:  manyarm power --base 4% --lift 20% --control 10% --per-day 5000")
@click.option(
    "--base", type=Rate(within=True), required=True, help="Share of sends that are rewarded as things are: 0.04 or 4%."
)
@click.option("--lift", type=Rate("RELATIVE"), help="Relative lift to be shown: 0.2 or 20% is a fifth more.")
@click.option("--list", "list_size", type=click.IntRange(min=1), help="Customers you have: is that enough?")
@click.option(
    "--control",
    type=Rate("SHARE", within=True),
    help="Share of the control group; the learner has what is left. Else halves.",
)
@click.option(
    "--random", "random_share", type=Rate("SHARE", within=True), help="Share of the group that gets random choices."
)
@click.option("--arms", type=click.IntRange(min=2), help="Tell arms of the learner's own sends apart, this many.")
@click.option("--collector", type=click.Choice(tuple(COLLECTORS)), help="The policy that picks those arms.")
@click.option("--campaign", type=click.Path(path_type=Path), help="Take groups, arms, policy and floor from this file.")
@click.option(
    "--comparisons", type=click.IntRange(min=1), help="Claims made together; else as many as the answer names."
)
@click.option(
    "--sends-per-customer", type=click.FloatRange(min=1), default=1, show_default=True, help="Sends each gets."
)
@click.option("--correlation", type=Rate(), default=0.05, show_default=True, help="Of two rewards of one customer.")
@click.option("--per-day", type=click.FloatRange(min=0, min_open=True), help="Sends a day, to know the days.")
@click.option(
    "--alpha", type=Rate(within=True), default=0.05, show_default=True, help="Chance to see a lift where none is."
)
@click.option(
    "--power", "chance", type=Rate(within=True), default=0.8, show_default=True, help="Chance to see the lift."
)
@json_option
@click.pass_context
def power(  # noqa: PLR0913, PLR0917 - one argument an option
    ctx: click.Context,
    base: float,
    lift: float | None,
    list_size: int | None,
    control: float | None,
    random_share: float | None,
    arms: int | None,
    collector: str | None,
    campaign: Path | None,
    comparisons: int | None,
    sends_per_customer: float,
    correlation: float,
    per_day: float | None,
    alpha: float,
    chance: float,
    as_json: bool,
) -> None:
    """Say how many customers it takes to show a lift, and the smallest lift a list can show.

    Exit 1 where --list is too short for --lift.
    """
    if lift is None and list_size is None:
        raise click.UsageError("say which lift to look for with --lift, or how long your list is with --list.")
    asked = Asked(base, lift, list_size, per_day, comparisons, sends_per_customer, correlation, alpha, chance)
    if campaign is None:
        plan = _plan_of_shares(asked, control or 0.0, random_share or 0.0, arms, collector)
    elif control is None and random_share is None and arms is None:
        plan = _plan_of_campaign(asked, checked_campaign(campaign), collector)
    else:
        raise click.UsageError(
            "--control, --random and --arms are in the campaign file; leave them out, or --campaign."
        )
    rows = [_row(name, comparison, asked) for name, comparison in plan.comparisons.items()]
    document = {**asdict(asked), "comparisons": rows, "warnings": list(plan.warnings)}
    answer(document, _text(asked, plan, rows), as_json=as_json)
    ctx.exit(1 if any(row["enough"] is False for row in rows) else 0)


def _plan_of_shares(asked: Asked, control: float, random_share: float, arms: int | None, collector: str | None) -> Plan:
    learner = 1.0 - control - random_share
    if not learner > 0.0:
        raise click.UsageError(
            f"--control {control:g} and --random {random_share:g} leave nobody to the learner; write shares such as 0.1 or 10%."
        )
    found = _groups(asked, learner, control, random_share)
    if arms or collector:
        found |= _arms(asked, learner, arms or 2, collector or "uniform", "arms")
    return Plan(found or {"treated against control": asked.of((0.5, 0.5), 1)})


def _plan_of_campaign(asked: Asked, campaign: Campaign, collector: str | None) -> Plan:
    shares = campaign.groups.shares
    found, warnings = _groups(asked, shares[Group.LEARNER], shares[Group.CONTROL], shares[Group.RANDOM]), []
    for dimension, size in zip(campaign.dimensions, campaign.sizes, strict=True):
        if size < 2 or not shares[Group.LEARNER]:
            continue
        name, least = f"arms of {dimension.name}", _least_propensity(campaign, size)
        if collector:
            found |= _arms(asked, shares[Group.LEARNER], size, collector, name)
        elif least:
            found |= _settled_arms(asked, shares[Group.LEARNER], size, least, name)
        if least < LEAST_PROPENSITY:
            warnings.append(_small_propensity(dimension.name, least, size))
    if not found:
        raise click.UsageError(f"{campaign.id} has neither two groups nor two arms to tell apart.")
    return Plan(found, tuple(warnings))


def _least_propensity(campaign: Campaign, n_arms: int) -> float:
    """Of an arm that does not lead, where all arms are eligible."""
    policy = campaign.policy
    if policy.name == "uniform":
        return 1.0 / n_arms
    epsilon = float(policy.options.get("epsilon", 0.1)) if policy.name == "epsilon-greedy" else 0.0
    return (policy.floor + (1.0 - policy.floor) * epsilon) / n_arms


def _small_propensity(dimension: str, least: float, n_arms: int) -> str:
    return (
        f"{dimension}: an arm may get {least:.4f} of the learner's sends, under {LEAST_PROPENSITY}. Such arms are told apart by "
        f"the random group; a floor of {min(LEAST_PROPENSITY * n_arms, 1.0):.3g} would let the learner's sends do it."
    )


def _groups(asked: Asked, learner: float, control: float, random_share: float) -> dict[str, Comparison]:
    others = {"control": control, "random": random_share}
    held = {name: share for name, share in others.items() if share}
    return {f"learner against {name}": asked.of((learner, share), len(held)) for name, share in held.items()}


def _arms(asked: Asked, learner: float, n_arms: int, collector: str, name: str) -> dict[str, Comparison]:
    """Two arms of a dimension; each of the others may be held against the first."""
    share = learner / n_arms
    label = f"two of {n_arms} {name}, picked by {collector}"
    return {label: asked.of((share, share), n_arms - 1, COLLECTORS[collector])}


def _settled_arms(asked: Asked, learner: float, n_arms: int, least: float, name: str) -> dict[str, Comparison]:
    """The leading arm of a dimension against another, once the learner has settled; there are n_arms - 1 others."""
    share = learner / n_arms
    label = f"leader of {n_arms} {name} against another, picked {least:.4f} of the time"
    return {label: asked.of((share, share), n_arms - 1, settled_multiplier(n_arms, least))}


def _row(name: str, comparison: Comparison, asked: Asked) -> dict[str, Any]:
    """One comparison, for machines."""
    row: dict[str, Any] = {"comparison": name, **asdict(comparison), "alpha_each": comparison.alpha_each}
    row |= {"design_effect": comparison.design_effect, "needed": None, "days": None}
    if asked.lift is not None:
        found = needed(comparison, asked.lift)
        row |= {"needed": asdict(found), "days": ceil(found.sends / asked.per_day) if asked.per_day else None}
    row |= {"smallest_lift": None, "enough": None}
    if asked.list_size:
        row["smallest_lift"] = smallest_lift(comparison, asked.list_size)
        row["enough"] = None if asked.lift is None else row["needed"]["customers"] <= asked.list_size
    return row


def _text(asked: Asked, plan: Plan, rows: list[dict[str, Any]]) -> str:
    lines = [_headline(asked)]
    for row in rows:
        lines += ["", row["comparison"], *(f"  {line}" for line in _lines(row, asked))]
    lines += ["", *(f"warning: {warning}" for warning in plan.warnings)]
    return "\n".join(
        [*lines, "Read at the planned date, once. Who looks earlier needs a sequence, and more customers."]
    )


def _headline(asked: Asked) -> str:
    if asked.lift is None:
        return f"What {asked.list_size:,} customers can show, on a base rate of {asked.base:.3%}:"
    return (
        f"To show a lift of {asked.lift:+.1%} on a base rate of {asked.base:.3%}, which is "
        f"{asked.base * (1 + asked.lift):.3%}, and to see it {asked.power:.0%} of the time:"
    )


def _lines(row: dict[str, Any], asked: Asked) -> list[str]:
    """One comparison, in words."""
    lines = []
    if row["needed"]:
        found = row["needed"]
        days = f", {row['days']:,} days at {asked.per_day:,.0f} sends a day" if row["days"] else ""
        lines.append(f"{found['customers']:,} customers on the list, {found['treated']:,} against {found['control']:,}")
        lines.append(f"{found['sends']:,} sends{days}")
    if asked.list_size:
        lines.append(_list_line(row, asked.list_size))
    lines.append(f"tested at {row['alpha_each']:.4g}" + _together(row["n_comparisons"], asked.alpha))
    if asked.sends_per_customer > 1:
        lines.append(
            f"{asked.sends_per_customer:g} sends to a customer are worth {asked.sends_per_customer / row['design_effect']:.2f} "
            f"to different ones (correlation {asked.correlation:g})"
        )
    if row["multiplier"] > 1:
        lines.append(f"{row['multiplier']:.3g} times the sends of an even split: the policy does not send arms evenly")
    return lines


def _list_line(row: dict[str, Any], list_size: int) -> str:
    verdict = {None: "", True: "tall enough: ", False: "TOO SHORT: "}[row["enough"]]
    if row["smallest_lift"] is None:
        return f"{verdict}a list of {list_size:,} shows no lift at all"
    return f"{verdict}the smallest lift that a list of {list_size:,} shows is {row['smallest_lift']:+.1%}"


def _together(n_comparisons: int, alpha: float) -> str:
    if n_comparisons == 1:
        return ""
    return f", so that {n_comparisons} claims together are wrong {alpha:.0%} of the time at most (Holm's first step)"
