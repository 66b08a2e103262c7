"""`manyarm check`: every fault of a campaign file, all at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from bandit.campaign import Campaign
from bandit.errors import InvalidCampaign
from service.commands.options import answer, checked_campaign, json_option


@click.command(epilog="Example:  manyarm check campaign.toml")
@click.argument("campaign", type=click.Path(path_type=Path), default=Path("campaign.toml"))
@json_option
@click.pass_context
def check(ctx: click.Context, campaign: Path, as_json: bool) -> None:
    """Report every fault of CAMPAIGN: the key, what was found, what would be right."""
    try:
        found = checked_campaign(campaign)
    except InvalidCampaign as error:
        faults = [{"where": f.where, "found": f.found, "wanted": f.wanted} for f in error.faults]
        answer({"campaign": str(campaign), "ok": False, "faults": faults}, str(error), as_json=as_json)
        ctx.exit(1)
    warnings = _warnings(found)
    document = {"campaign": found.id, "ok": True, "faults": [], "warnings": warnings, "hash": found.content_hash}
    answer(document, _summary(found, warnings), as_json=as_json)


def _summary(campaign: Campaign, warnings: list[str]) -> str:
    arms = " x ".join(f"{len(d.arms)} {d.name}" for d in campaign.dimensions)
    shares = ", ".join(f"{group} {share:.0%}" for group, share in campaign.groups.shares.items())
    lines = [
        f"{campaign.id}: no faults.",
        f"  choices   {arms}",
        f"  context   {', '.join(item.name for item in campaign.schema.fields) or 'nothing'}",
        f"  groups    {shares}",
        f"  policy    {campaign.policy.name}, floor {campaign.policy.floor:g}",
        f"  wear-out  {_wear_out(campaign)}",
        f"  content   {campaign.content_hash}",
    ]
    return "\n".join(lines + [f"  warning   {text}" for text in warnings])


def _wear_out(campaign: Campaign) -> str:
    if campaign.wear_out is None:
        return "not asked for: an arm sent again counts as if it had never been sent"
    return f"an earlier send counts for {campaign.wear_out.window / timedelta(days=1):g} days"


def _warnings(campaign: Campaign) -> list[str]:
    """What is allowed and may still surprise."""
    found = [
        f"every arm of {d.name} has rules: a customer who meets none of them gets an error instead of a choice"
        for d in campaign.dimensions
        if all(arm.when or arm.requires for arm in d.arms)
    ]
    if not campaign.groups.control:
        found.append("no control group: nothing will say what the learner adds to business as usual")
    if campaign.policy.floor == 0.0:
        found.append("floor is 0: arms can get probability 0, and the log cannot answer questions about those")
    return found
