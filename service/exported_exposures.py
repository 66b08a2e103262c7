"""Reading back what an export says of exposures: maps by arm in CSV, lists in the exporting campaign's order in Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from bandit.campaign import Campaign
from bandit.wear_out import DAY, Exposure
from service.table import Cells

KINDS = ("recency", "frequency")


def exported_exposures(
    cells: Cells, campaign: Campaign, order: Mapping[str, Sequence[str]]
) -> tuple[Exposure, ...] | None:
    """The exposures in one row of an export, in the campaign's positions.

    Args:
        cells: the row.
        campaign: that is to learn from it.
        order: of the arms in the file's lists, by dimension; see `service.table.arms_in`.

    Returns:
        None where the row does not say. Frequencies are those counted within the exporting campaign's window.
    """
    spec = campaign.wear_out
    if spec is None:
        return ()
    found: list[Exposure] = []
    for d, dimension in enumerate(campaign.dimensions):
        arms = order.get(dimension.name, ())
        recencies, frequencies = (_by_arm(cells.get(f"{kind}.{dimension.name}"), arms) for kind in KINDS)
        if recencies is None or frequencies is None:
            return None
        for arm, recency in recencies.items():
            if recency is not None and arm in dimension and 0.0 < recency <= spec.window / DAY:
                times = int(frequencies.get(arm) or 1)
                found.append(Exposure(d, dimension.index_of(arm), float(recency), max(times, 1)))
    return tuple(sorted(found))


def _by_arm(cell: object, arms: Sequence[str]) -> Mapping[str, float | None] | None:
    if isinstance(cell, list) and len(cell) == len(arms):
        return dict(zip(arms, cell, strict=True))
    if isinstance(cell, str):
        try:
            return msgspec.json.decode(cell, type=dict[str, float | None])
        except msgspec.DecodeError:
            return None
    return None
