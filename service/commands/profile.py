"""`manyarm profile`: from what customers did to what is known of them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from bandit.profile.context_fields import protected_features
from service.checked_campaign import checked_campaign
from service.commands.options import answer, at_option, campaign_option, json_option, now_or
from service.commands.profile_models import ModelsAsked, models_options, with_models
from service.commands.profile_segments import SegmentsAsked, segment_options, with_segments
from service.commands.profile_tables import TablesAsked, table_options
from service.kept_models import MODELS, SEGMENTS
from service.profile_loading import loaded_text
from service.profiling import contexts_of, profiled, write_contexts
from service.table_writer import require_writable


@click.command(
    epilog="Example:  manyarm profile events.csv --out contexts.parquet && manyarm decide --users contexts.parquet"
)
@click.argument("events", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("contexts.parquet"), show_default=True)
@table_options
@segment_options
@models_options
@campaign_option
@at_option
@json_option
def profile(
    events: Path,
    out: Path,
    campaign: Path,
    at: datetime | None,
    as_json: bool,
    tables: TablesAsked,
    segments: SegmentsAsked,
    models: ModelsAsked,
) -> None:
    """Make the campaign's context fields from EVENTS, one row a customer, for `manyarm decide --users`.

    EVENTS is a CSV or Parquet file, or an SQLite file with a table `events`: customer_id, at and type, and where they are
    known value, channel, device, content, zone, discount and event_id. A feature uses the events before --at, and none later.
    What is wrong with the events is counted and said; nothing is filled in unless [profile.missing] says with what.
    """
    require_writable(out)
    read, moment = checked_campaign(campaign), now_or(at)
    tables.refuse_unloadable(read)
    found = profiled(events, read, moment)
    protected = protected_features(read.schema.fields, found.spec)
    known = tables.known(found.features)
    segmented = with_segments(known, found.spec.segments, segments, protected).of(found.features)
    modelled = with_models(segmented.table, found.events, moment, found.spec, models, protected)
    contexts, fields = contexts_of(modelled.table, read, found.spec)
    written = tables.written(modelled.table, contexts)
    loaded = tables.loaded(campaign, found, moment, {SEGMENTS: segmented.kept, MODELS: modelled.kept})
    n_customers = write_contexts(out, written)
    document = {
        "out": str(out),
        "at": moment.isoformat(),
        "n_customers": n_customers,
        "columns": list(written.columns),
        "fields": asdict(fields),
        "quality": asdict(found.quality),
        "segments": segmented.document,
        "models": modelled.document,
        "loaded": loaded and asdict(loaded),
    }
    said = [str(found.quality), str(fields), segmented.text, modelled.text]
    if loaded:
        said.append(loaded_text(loaded, str(tables.load)))
    said.append(f"{n_customers:,} customers at {moment.isoformat()}, {len(written.columns)} columns in {out}.")
    answer(document, "\n".join(filter(None, said)), as_json=as_json)
