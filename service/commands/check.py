"""`manyarm check`: every fault of a campaign file, all at once."""

from __future__ import annotations

import os
from datetime import timedelta
from math import ceil
from pathlib import Path

import click

from bandit.campaign import Campaign
from bandit.dimension import Arm
from bandit.errors import InvalidCampaign
from bandit.group import Group
from bandit.limits import Limits
from bandit.recent_sends import RecentSendCost
from evaluation.power import Comparison, least_control_share, smallest_lift
from service.checked_campaign import checked_campaign
from service.commands.options import answer, json_option
from service.settings import read_settings
from service.usable_settings import refuse_unusable

AMPLE_LIST, USUAL_BASE = 1_000_000, 0.04
"""Customers, and rewards a send, where nothing better is known: a control group that is too small for these is too small."""

PLAUSIBLE_LIFT = 0.1
"""Relative. A learner that adds this much to business as usual has done well, and nobody should miss it."""


@click.command(epilog="Example:  manyarm check campaign.toml --list 80000 --base 0.03")
@click.argument("campaign", type=click.Path(path_type=Path), default=Path("campaign.toml"))
@click.option(
    "--list", "list_size", type=click.IntRange(min=1), default=AMPLE_LIST, show_default=True, help="Customers you have."
)
@click.option(
    "--base", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=USUAL_BASE, show_default=True,
    help="Share of sends that are rewarded as things are.",
)  # fmt: skip
@click.option(
    "--settings", "settings", type=click.Path(path_type=Path),
    help="Check this file of settings too; the MANYARM_ variables are checked in any case.",
)  # fmt: skip
@json_option
@click.pass_context
def check(
    ctx: click.Context, campaign: Path, list_size: int, base: float, settings: Path | None, as_json: bool
) -> None:
    """Report every fault of CAMPAIGN: the key, what was found, what would be right.

    Warns where the control group is too small to show a lift of 10 % on --list customers.
    """
    refuse_unusable(read_settings(os.environ, settings))
    try:
        found = checked_campaign(campaign)
    except InvalidCampaign as error:
        faults = [{"where": f.where, "found": f.found, "wanted": f.wanted} for f in error.faults]
        answer({"campaign": str(campaign), "ok": False, "faults": faults}, str(error), as_json=as_json)
        ctx.exit(1)
    warnings = [*_warnings(found), *_small_control(found, list_size, base)]
    document = {"campaign": found.id, "ok": True, "faults": [], "warnings": warnings, "hash": found.content_hash}
    answer(document, _summary(found, warnings), as_json=as_json)


def _summary(campaign: Campaign, warnings: list[str]) -> str:
    arms = " x ".join(f"{len(d.arms)} {d.name}" for d in campaign.dimensions)
    shares = ", ".join(f"{group} {share:.0%}" for group, share in campaign.groups.shares.items())
    lines = [
        f"{campaign.id}: no faults.",
        f"  choices   {arms}",
        f"  context   {', '.join(item.name for item in campaign.declared.fields) or 'nothing'}",
        *([f"  time      {', '.join(campaign.time.kinds)}"] if campaign.time else []),
        f"  groups    {shares}",
        f"  policy    {campaign.policy.name}, floor {campaign.policy.floor:g}",
        f"  wear-out  {_wear_out(campaign)}",
        *([f"  cost      {_recent_send(campaign.reward.recent_send)}"] if campaign.reward.recent_send else []),
        f"  limits    {_limits(campaign.limits)}",
        f"  content   {campaign.content_hash}",
    ]
    return "\n".join(lines + [f"  warning   {text}" for text in warnings])


def _limits(limits: Limits | None) -> str:
    if limits is None:
        return "none"
    caps = [
        f"at most {cap.most} in {cap.within / timedelta(days=1):g} days"
        + (f" by {cap.channel}" if cap.channel else "")
        + (" of all campaigns" if cap.all_campaigns else "")
        for cap in limits.caps
    ]
    night = limits.quiet_hours
    quiet = [f"quiet from {_clock(night.start)} to {_clock(night.end)}"] if night else []
    return ", ".join(caps + quiet)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _wear_out(campaign: Campaign) -> str:
    if campaign.wear_out is None:
        return "not asked for: an arm sent again counts as if it had never been sent"
    return f"an earlier send counts for {campaign.wear_out.window / timedelta(days=1):g} days"


def _recent_send(spec: RecentSendCost) -> str:
    whose = "of any campaign" if spec.all_campaigns else "of this campaign"
    days = f"{spec.within / timedelta(days=1):g} days"
    return f"{spec.cost:g} for each message {whose} in the {days} before one that goes out, {spec.most} of them at most"


def _warnings(campaign: Campaign) -> list[str]:
    """What is allowed and may still surprise."""
    found = [
        f"every arm of {d.name} has rules: a customer who meets none of them gets an error instead of a choice"
        for d in campaign.dimensions
        if all(arm.no_send or _has_rules(arm, campaign) for arm in d.arms)
    ]
    if not campaign.groups.control:
        found.append("no control group: nothing will say what the learner adds to business as usual")
    if campaign.policy.floor == 0.0:
        found.append("floor is 0: arms can get probability 0, and the log cannot answer questions about those")
    return found


def _has_rules(arm: Arm, campaign: Campaign) -> bool:
    """Whether an arm asks for more than that something is sent at all."""
    arms = {dimension.name: frozenset(dimension.ids) - {dimension.silent} for dimension in campaign.dimensions}
    return bool(arm.when) or any(allowed != arms[name] for name, allowed in arm.requires.items())


def _small_control(campaign: Campaign, list_size: int, base: float) -> list[str]:
    """What is said of a control group that no plausible lift stands out from."""
    shares = campaign.groups.shares
    treated, control = shares[Group.LEARNER], shares[Group.CONTROL]
    if not (treated and control):
        return []
    comparison = Comparison(base, treated, control)
    smallest = smallest_lift(comparison, list_size)
    if smallest is not None and smallest <= PLAUSIBLE_LIFT:
        return []
    seen = "no lift at all stands out" if smallest is None else f"the smallest lift that stands out is {smallest:+.1%}"
    small, share = ("control", control) if control <= treated else ("learner", treated)
    said = f"{small} group of {share:.2%} is small: on a list of {list_size:,} with a base rate of {base:.2%} {seen}. "
    return [said + _remedy(comparison, list_size)]


def _remedy(comparison: Comparison, list_size: int) -> str:
    """The share of control that would do, or what even halves cannot do."""
    share = least_control_share(comparison, min(PLAUSIBLE_LIFT, 0.99 * (1 / comparison.base - 1)), list_size)
    if share is None:
        return (
            f"Even two equal groups do not show {PLAUSIBLE_LIFT:+.0%} there: send to each customer more than once, or ask for "
            "less (`manyarm power --list`)."
        )
    return (
        f"A control share of {ceil(share * 1000) / 1000:g} shows {PLAUSIBLE_LIFT:+.0%}; or see `manyarm power --list`."
    )
