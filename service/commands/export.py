"""`manyarm export`: the log as a table that anybody can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import msgspec
import pyarrow as pa

from bandit.campaign import Campaign
from bandit.engine import check_ids
from bandit.errors import UnusableLog
from bandit.log import RECENT_SENDS, LoggedDecision, cells_of, columns_of
from bandit.schema import BooleanField, NumericField
from service.commands.options import (
    answer,
    campaign_option,
    existing,
    existing_db_option,
    json_option,
    opened,
    progress,
    require_folder,
)
from service.person import person_document
from service.rankings.dsjson import require_dsjson, write_dsjson
from service.rankings.table import iterate_rankings
from service.table import ARM_ORDER
from service.table_writer import TIME, replacing, require_writable, write_rows

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
@click.option(
    "--rankings",
    type=click.Path(path_type=Path),
    help="Instead of decisions, the log of Personalizer's calls as VW DSJSON: a file that ends in .dsjson.",
)
@click.option("--customer", metavar="ID", help="Instead of the log, all that is known of one person: --out x.json.")
@click.option("--personal", is_flag=True, help="With the context fields that are declared personal.")
@existing_db_option
@campaign_option
@json_option
def export(
    out: Path, rankings: Path | None, customer: str | None, personal: bool, db: Path, campaign: Path, as_json: bool
) -> None:
    """Write one row a decision: .parquet (pmfs as lists in the campaign's arm order) or .csv (pmfs as JSON maps)."""
    if customer is not None:
        _export_person(customer, out, db, as_json=as_json)
        return
    if rankings:
        _export_rankings(rankings, db, campaign, as_json=as_json)
        return
    require_writable(out)
    with opened(db, campaign, beginning=False) as (store, log), progress(store.decisions(log), "exporting") as rows:
        columns = schema_of(log.campaign, personal=personal)
        n_rows = write_rows(out, columns, _cells(rows, log.campaign, as_maps=out.suffix == ".csv"))
    answer({"out": str(out), "n_rows": n_rows}, f"Wrote {n_rows} decisions to {out}.", as_json=as_json)


def _export_person(customer_id: str, out: Path, db: Path, *, as_json: bool) -> None:
    check_ids(customer_id, customer_id)
    if out.suffix != ".json":
        raise UnusableLog(f"{out}: found the ending {out.suffix!r}, need .json for what is known of one person.")
    require_folder(out, "--out")
    with existing(db) as store, replacing(out) as draft:
        found = person_document(store, customer_id)
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    n_rows = len(found["decisions"])
    answer({"out": str(out), "n_rows": n_rows}, f"Wrote {n_rows} decisions of one person to {out}.", as_json=as_json)


def _export_rankings(out: Path, db: Path, campaign: Path, *, as_json: bool) -> None:
    require_dsjson(out)
    with opened(db, campaign, beginning=False) as (store, log):
        found = iterate_rankings(store.reader(), log.campaign.id)
        with progress(found, "exporting") as rows:
            n_rows, left_out = write_dsjson(out, rows)
    skipped = "".join(f"\n  {count} left out: {reason}" for reason, count in left_out.items())
    text = f"Wrote {n_rows} rankings to {out}.{skipped}\nNext: manyarm evaluate {out} --target uniform"
    answer({"out": str(out), "n_rows": n_rows, "left_out": left_out}, text, as_json=as_json)


def schema_of(campaign: Campaign, *, personal: bool = False) -> pa.Schema:
    """Columns and types of a campaign's exported log; those of personal fields only where they are asked for."""
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
    types[RECENT_SENDS] = pa.int64()
    order = msgspec.json.encode({dimension.name: dimension.ids for dimension in campaign.dimensions})
    hidden = set() if personal else {f"context.{item.name}" for item in campaign.schema.fields if item.personal}
    columns = [(name, types.get(name, pa.string())) for name in columns_of(campaign) if name not in hidden]
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
