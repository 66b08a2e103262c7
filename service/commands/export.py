"""`manyarm export`: the log as a table that anybody can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import msgspec
import pyarrow as pa

from bandit.campaign import Campaign
from bandit.log import LoggedDecision, cells_of, columns_of
from bandit.schema import BooleanField, NumericField
from service.commands.options import answer, campaign_option, db_option, json_option, opened, progress
from service.table import ARM_ORDER
from service.table_writer import TIME, require_writable, write_rows

_TYPES: dict[str, pa.DataType] = {
    "decided_at": TIME,
    "sent_at": TIME,
    "send_at": TIME,
    "propensity": pa.float64(),
    "estimate": pa.float64(),
    "reward": pa.float64(),
}


@click.command(epilog="Example:  manyarm export --out log.parquet")
@click.option("--out", type=click.Path(path_type=Path), default=Path("log.parquet"), show_default=True)
@db_option
@campaign_option
@json_option
def export(out: Path, db: Path, campaign: Path, as_json: bool) -> None:
    """Write one row a decision: .parquet (pmfs as lists in the campaign's arm order) or .csv (pmfs as JSON maps)."""
    require_writable(out)
    with opened(db, campaign) as (store, log), progress(store.decisions(log), "exporting") as rows:
        n_rows = write_rows(out, schema_of(log.campaign), _cells(rows, log.campaign, as_maps=out.suffix == ".csv"))
    answer({"out": str(out), "n_rows": n_rows}, f"Wrote {n_rows} decisions to {out}.", as_json=as_json)


def schema_of(campaign: Campaign) -> pa.Schema:
    """Columns and types of a campaign's exported log."""
    types = dict(_TYPES)
    for dimension in campaign.dimensions:
        types[f"propensity.{dimension.name}"] = pa.float64()
        types[f"pmf.{dimension.name}"] = pa.list_(pa.float64())
        types[f"recency.{dimension.name}"] = pa.list_(pa.float64())
        types[f"frequency.{dimension.name}"] = pa.list_(pa.int64())
    for item in campaign.schema.fields:
        if isinstance(item, NumericField):
            types[f"context.{item.name}"] = pa.float64()
        elif isinstance(item, BooleanField):
            types[f"context.{item.name}"] = pa.bool_()
    order = msgspec.json.encode({dimension.name: dimension.ids for dimension in campaign.dimensions})
    columns = [(name, types.get(name, pa.string())) for name in columns_of(campaign)]
    return pa.schema(columns, metadata={ARM_ORDER: order})


def _cells(rows: Iterable[LoggedDecision], campaign: Campaign, *, as_maps: bool) -> Iterator[dict[str, object]]:
    kinds = ("pmf", *(("recency", "frequency") if campaign.wear_out else ()))
    lists = {f"{kind}.{dimension.name}": dimension.ids for dimension in campaign.dimensions for kind in kinds}
    for row in rows:
        cells = cells_of(row, campaign)
        if as_maps:
            for name, ids in lists.items():
                cells[name] = dict(zip(ids, cells[name], strict=True))  # type: ignore[call-overload]
        yield cells
