"""Customers of a demo out of their events: made up, written as `manyarm init --data` does, and read as `manyarm profile` does."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from bandit.campaign import Campaign
from service.table import read_rows
from service.worlds_asked import CUSTOMER_ID, customers_in
from simulator.customers import Customers, customers_of_rows

DATA: Final = "data"
"""Folder of the tables."""
CONTEXTS: Final = "contexts.parquet"


def profiled_customers(
    example: str, campaign: Campaign, folder: Path, n_customers: int, seed: int, at: datetime
) -> Customers:
    """Make up customers with a year of events, and make their contexts of what happened before a time.

    Both tables are left in the folder's `DATA`, and the contexts beside it.

    Args:
        example: name of the sample campaign.
        campaign: the same, read.
        folder: where the files are left.
        n_customers: at least 1.
        seed: of every draw.
        at: the campaign's begin: nothing that happens later is used.
    """
    # Pandas, which nobody needs who asks for the help of `manyarm demo`.
    from service.profiling import contexts_of, profiled, with_customers, write_contexts  # noqa: PLC0415
    from service.sample_data import write_sample  # noqa: PLC0415

    people, events = write_sample(example, folder / DATA, n_customers, seed)
    found = profiled(events, campaign, at)
    contexts, _ = contexts_of(found.features, campaign, found.spec)
    write_contexts(folder / CONTEXTS, with_customers(contexts, people))
    rows, ids = customers_in(folder / CONTEXTS, campaign.declared)
    return customers_of_rows(campaign.declared, rows, seed, ids=ids, zone=campaign.timezone)


def variables_of(campaign: Campaign, folder: Path) -> dict[str, dict[str, str]]:
    """What texts may say of each customer besides the context, by customer_id: the other columns that are known."""
    declared = {CUSTOMER_ID, *(item.name for item in campaign.schema.fields)}
    rows = read_rows(folder / CONTEXTS)
    return {
        str(row[CUSTOMER_ID]): {name: str(cell) for name, cell in row.items() if name not in declared and cell}
        for row in rows
    }
