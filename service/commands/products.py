"""`manyarm products`: a catalogue's products as arms, and which of them each customer is offered."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import click

from bandit.reward import parse_window
from service.commands.options import (
    answer,
    at_option,
    campaign_option,
    db_option,
    json_option,
    note,
    now_or,
    opened,
    require_folder,
)
from service.product_choice import chosen_lines
from service.product_loading import Loaded, load_table
from service.product_offers import Offers, Wanted, make_offers


class Duration(click.ParamType[timedelta]):
    """A duration such as 90d."""

    name = "DURATION"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration."""
        found = value if isinstance(value, timedelta) else parse_window(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration; write it like 24h or 90d.", param, ctx)
        return found


class Weighted(click.ParamType[tuple[str, float]]):
    """A name and a positive number, as in purchase=5."""

    name = "NAME=NUMBER"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """The name and its number; 1 where there is none."""
        name, _, number = str(value).partition("=")
        try:
            weight = float(number or 1.0)
        except ValueError:
            weight = -1.0
        if not (name and 0.0 < weight <= 1e6):
            self.fail(f"{value!r} is no name with a positive number; write it like purchase=5.", param, ctx)
        return name, weight


@click.command(
    epilog="Example:  manyarm products catalogue.csv --events events.csv --out shop.toml --candidates candidates.parquet"
)
@click.argument("catalogue", type=click.Path(path_type=Path), required=False)
@click.option(
    "--events",
    type=click.Path(path_type=Path),
    help="What customers did: customer_id, at, type, product (.csv, .parquet).",
)
@click.option("--out", type=click.Path(path_type=Path), help="A new campaign file, with the products as arms.")
@click.option(
    "--candidates", type=click.Path(path_type=Path), help="A table (.parquet) of the products each customer is offered."
)
@click.option(
    "--load", type=click.Path(path_type=Path), help="Take such a table into the database, in place of the last one."
)
@click.option("--dimension", default="product", show_default=True, help="The dimension whose arms are products.")
@click.option(
    "--offer", type=click.IntRange(1, 50), help="How many each customer is offered; else as the file says, or 5."
)
@click.option("--most", type=click.IntRange(1, 500), default=500, show_default=True, help="Products that become arms.")
@click.option("--keep", type=click.IntRange(1, 200), help="Products a customer's list holds; else twice the offer.")
@click.option(
    "--source", "sources", type=Weighted(), multiple=True,
    help="collaborative, content or popular, with a weight; the mix that serves best where none is named.",
)  # fmt: skip
@click.option(
    "--weight", "weights", type=Weighted(), multiple=True,
    help="What an event of a type counts, as purchase=5; instead of view=1 click=1 cart=3 purchase=5.",
)  # fmt: skip
@click.option(
    "--half-life", type=Duration(), default="90d", show_default=True, help="After which an event counts half."
)
@click.option("--without-bought", is_flag=True, help="Leave out what a customer bought already.")
@click.option(
    "--components", type=click.IntRange(0, 32), default=4, show_default=True, help="Numbers for a product's words."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of collaborative filtering."
)
@db_option
@campaign_option
@at_option
@json_option
def products(  # noqa: PLR0913, PLR0917 - one parameter an option
    catalogue: Path | None,
    events: Path | None,
    out: Path | None,
    candidates: Path | None,
    load: Path | None,
    dimension: str,
    offer: int | None,
    most: int,
    keep: int | None,
    sources: tuple[tuple[str, float], ...],
    weights: tuple[tuple[str, float], ...],
    half_life: timedelta,
    without_bought: bool,
    components: int,
    seed: int,
    db: Path,
    campaign: Path,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Make the products of CATALOGUE (columns product, name; perhaps description, category, price) arms of a dimension.

    Each customer is offered only a few of them, their candidates: by what customers like them took, by what is like what they
    took, and by what is popular. `manyarm serve` and `decide` find the candidates in the database after --load.
    """
    if load is not None:
        if catalogue or events or out or candidates:
            raise click.UsageError("--load takes a table into the database and makes none: leave the other tables out.")
        with opened(db, campaign, at) as (store, log):
            loaded = load_table(store, log, load, dimension, now_or(at))
        _answer_loaded(loaded, load, db, as_json=as_json)
        return
    if catalogue is None or events is None or not (out or candidates):
        raise click.UsageError(
            "name a catalogue, --events, and what is to be made of them: --out, --candidates, or both. Or --load a table."
        )
    require_folder(out, "--out")
    if candidates and candidates.suffix != ".parquet":
        raise click.UsageError(
            f"--candidates {candidates}: lists of products go into Parquet, so let the name end in .parquet."
        )
    require_folder(candidates, "--candidates")
    wanted = Wanted(
        dimension,
        now_or(at),
        dict(sources),
        dict(weights),
        half_life,
        offer,
        most,
        keep,
        components,
        seed,
        without_bought,
    )
    _answer_made(make_offers(catalogue, events, campaign, out, candidates, wanted), as_json=as_json)


def _answer_made(made: Offers, *, as_json: bool) -> None:
    for one in made.findings:
        note(one)
    lines = []
    if made.out:
        lines.append(
            f"{made.n_arms} of {made.n_products} products are arms of {made.dimension!r} in {made.out}, {made.n_kept} of which "
            f"stood there before; {made.n_removed} are none any more."
        )
    if made.control:
        lines.append(f"The control group gets {made.control!r}, the most popular product.")
    if made.choice:
        lines += chosen_lines(made.choice)
    if made.candidates:
        shares = ", ".join(f"{n} {source}" for source, n in made.by_source.items())
        lines.append(f"{made.n_customers} customers have candidates in {made.candidates}: {shares}.")
    answer(made.document(), "\n".join(lines), as_json=as_json)


def _answer_loaded(loaded: Loaded, load: Path, db: Path, *, as_json: bool) -> None:
    if loaded.unknown:
        note(
            f"{len(loaded.unknown)} products of {load} are no arms of the campaign and were left out, such as "
            f"{', '.join(loaded.unknown[:3])}."
        )
    said = f"{loaded.n_customers} customers have candidates of {loaded.dimension!r} in {db}; all others get popular products."
    document = {"n_customers": loaded.n_customers, "dimension": loaded.dimension, "n_unknown": len(loaded.unknown)}
    answer(document, said, as_json=as_json)
