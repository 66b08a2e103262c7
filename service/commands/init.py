"""`manyarm init`: a campaign file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from service.clock import system_clock
from service.commands.options import answer, json_option
from service.sample import SAMPLES, beginning, sample_text


@click.command(epilog="Example:  manyarm init && manyarm check")
@click.option("--example", type=click.Choice(list(SAMPLES)), default="referral-contest", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("campaign.toml"), show_default=True)
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Write made-up customers and a year of their events there too, to try `manyarm profile` and `decide` on.",
)  # fmt: skip
@click.option(
    "--customers", type=click.IntRange(1, 1_000_000), default=500, show_default=True, help="How many, with --data."
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the made-up customers.")
@json_option
def init(example: str, out: Path, data: Path | None, customers: int, seed: int, as_json: bool) -> None:
    """Write a commented sample campaign file; a contest in it begins today (in UTC)."""
    if data and out.exists():
        raise click.UsageError(f"{out} is there already and was not touched. Name another file with --out.")
    tables = _tables(example, data, customers, seed) if data else ()
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(beginning(sample_text(example), system_clock().date()))
    except FileExistsError:
        raise click.UsageError(f"{out} is there already and was not touched. Name another file with --out.") from None
    except OSError as error:
        raise click.UsageError(f"{out} cannot be written ({error}). Name another file with --out.") from error
    text = f"Wrote {out}. Put your own texts into it, then: manyarm check {out}"
    if tables:
        text = (
            f"Wrote {out}, and {customers:,} made-up customers with a year of events: {' and '.join(map(str, tables))}.\n"
            f"Next: manyarm profile {tables[1]} --campaign {out} --out contexts.parquet"
        )
    answer({"campaign": str(out), "example": example, "data": [str(path) for path in tables]}, text, as_json=as_json)


def _tables(example: str, folder: Path, customers: int, seed: int) -> tuple[Path, ...]:
    from service.sample_data import write_sample  # noqa: PLC0415 - loads pandas, which a campaign file alone does without

    return write_sample(example, folder, customers, seed)
