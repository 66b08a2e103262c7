"""What `manyarm profile` writes, and what it takes in besides: the options, and what they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
import pandas as pd

from bandit.campaign import Campaign
from service.commands.bundle import in_one_piece
from service.commands.options import advancing, opened
from service.customer_events import require_profile
from service.kept_models import Kept
from service.profile_loading import Loaded, load_events
from service.profiling import Profiled, with_customers


@dataclass(frozen=True, slots=True)
class TablesAsked:
    """Which tables are asked for.

    Attributes:
        everything: whether every feature is written, under its own name.
        customers: what else is known of customers.
        load: the database that takes the events in.
    """

    everything: bool = False
    customers: Path | None = None
    load: Path | None = None

    def written(self, features: pd.DataFrame, contexts: pd.DataFrame) -> pd.DataFrame:
        """The table to write."""
        made = features if self.everything else contexts
        return with_customers(made, self.customers) if self.customers else made

    def known(self, features: pd.DataFrame) -> pd.DataFrame:
        """Features with what else is known of these customers, for segments to be made of."""
        if self.customers is None:
            return features
        joined = with_customers(features, self.customers).reindex(features.index)
        return joined[[name for name in joined.columns if not name.startswith("segment")]]

    def loaded(self, campaign: Path, found: Profiled, at: datetime, kept: Mapping[str, Kept]) -> Loaded | None:
        """The events as a running service would have been told them, and how its contexts are made; None where nobody asked."""
        if self.load is None:
            return None
        with (
            opened(self.load, campaign, at) as (store, log),
            advancing(len(found.features), "loading") as advance,
        ):
            return load_events(store, log, found.events, found.population, at, advance, kept)

    def check(self) -> None:
        """Nothing to refuse before the campaign is known; see `refuse_unloadable`."""

    def refuse_unloadable(self, campaign: Campaign) -> None:
        """Refuse events that the campaign makes nothing of, before any work is done."""
        if self.load:
            require_profile(campaign)


OPTIONS = (
    click.option(
        "--all", "everything", is_flag=True, help="Write every feature under its own name, not the context fields."
    ),
    click.option(
        "--customers", type=click.Path(path_type=Path), metavar="TABLE",
        help="What else is known of customers, CSV or Parquet with customer_id: its columns are written too, and customers "
        "without any event.",
    ),
    click.option(
        "--load", type=click.Path(path_type=Path, dir_okay=False), metavar="DB",
        help="Take the events into this database too, so that a service goes on from them, with these segments and models; "
        "a second time adds nothing.",
    ),
)  # fmt: skip
table_options = in_one_piece("tables", TablesAsked, OPTIONS)
"""Adds the options to a command, which gets them as `tables`."""
