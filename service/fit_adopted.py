"""A past log of the same arms, as rows of a planned campaign: what was sent then is what the new one is rehearsed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.dimension import Dimension
from bandit.errors import UnusableLog
from simulator.fit_rows import FitRows
from simulator.world import ChoiceGrid


def adopted(rows: FitRows, campaign: Campaign) -> tuple[FitRows, Campaign]:
    """The rows with a campaign's own arms, order and context, and the campaign with the outcomes that the log tells of.

    Where the log tells of the campaign's own outcomes, they are worth what the campaign says; a log of rewards alone has the
    worths that it has. Outcomes were counted in the log's window, whatever the campaign's.

    A log of one dimension is taken for the campaign's one dimension, whatever the two are called.

    Args:
        rows: of the log.
        campaign: to be rehearsed.

    Returns:
        Its contexts hold what the campaign declares, None where the log does not say. What the campaign makes of the time
        is not in them: a fit makes it of each row's own.

    Raises:
        UnusableLog: if the log has other dimensions, or arms of one that the campaign lacks, or the other way round.
    """
    arms = _by_dimension(rows.choices, campaign)
    places = [
        np.array([dimension.index_of(arm) for arm in arms[dimension.name]], dtype=np.int64)
        for dimension in campaign.dimensions
    ]
    moved = replace(
        rows,
        choices=ChoiceGrid({dimension.name: dimension.ids for dimension in campaign.dimensions}),
        picks=np.stack([place[rows.picks[:, d]] for d, place in enumerate(places)], axis=1),
        contexts=_contexts(rows, campaign),
    )
    if set(rows.types) == set(campaign.reward.types):
        worths = tuple(campaign.reward.events[name] for name in rows.types)
        return replace(moved, worths=worths), campaign
    events = dict(zip(rows.types, rows.worths, strict=True))
    return moved, replace(campaign, reward=replace(campaign.reward, events=events))


def _contexts(rows: FitRows, campaign: Campaign) -> list[Mapping[str, ContextValue]]:
    names = [item.name for item in campaign.declared.fields]
    return [{name: context.get(name) for name in names} for context in rows.contexts]


def _by_dimension(grid: ChoiceGrid, campaign: Campaign) -> Mapping[str, tuple[str, ...]]:
    """The log's arms by the campaign's dimensions, which must come in the same order."""
    logged, wanted = dict(grid.dimensions), {d.name: d for d in campaign.dimensions}
    if len(logged) == len(wanted) == 1:
        logged = dict(zip(wanted, logged.values(), strict=True))
    if list(logged) != list(wanted):
        raise UnusableLog(
            f"the log has the dimensions {', '.join(logged)}, the campaign {', '.join(wanted)}: what the log shows is of other "
            "choices. Fit to a log of this campaign's dimensions, in its order."
        )
    for name, dimension in wanted.items():
        _require_same(name, tuple(logged[name]), dimension)
    return {name: tuple(found) for name, found in logged.items()}


def _require_same(name: str, logged: tuple[str, ...], dimension: Dimension) -> None:
    unknown = [arm for arm in logged if arm not in dimension]
    unsent = [arm for arm in dimension.ids if arm not in logged]
    if unknown or unsent:
        raise UnusableLog(
            f"dimension {name!r}: the log has {unknown or 'no'} arms that the campaign lacks, the campaign {unsent or 'no'} arms "
            "that the log lacks. Nothing can be said of arms that were never sent: fit to a log of the same arms."
        )
