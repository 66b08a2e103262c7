"""Are the fields that a row says were made of the time those that its own time makes?"""

from __future__ import annotations

from collections.abc import Iterator

from bandit.campaign import Campaign
from bandit.errors import InvalidContext
from bandit.fault import shown
from bandit.log import LoggedDecision


def time_problems(campaign: Campaign, row: LoggedDecision) -> Iterator[str]:
    """What is wrong with the made fields of one row.

    Args:
        campaign: with a `[time]` table.
        row: of its log.

    Caution: a holiday is one by the word of the library `holidays`, and an hour by the tables of time zones; where either was
    updated since, an honest row may say something else, and the problem says so.
    """
    if campaign.time is None:
        return
    try:
        made = campaign.time.values(campaign.given_of(row.context), row.decided_at)
    except InvalidContext as error:
        yield str(error)
        return
    for name, value in made.items():
        says, kind = row.context.get(name), campaign.time.kinds[name]
        if says == value and type(says) is type(value):
            continue
        source = "the list of the library `holidays`" if kind == "holiday" else "the table of time zones"
        yield (
            f"{name} is {shown(says)}; at {row.decided_at.isoformat()}, where the customer lives, the {kind} is {shown(value)}: "
            f"the row was changed, or {source} was updated since the decision"
        )
