"""`manyarm init`: a campaign file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from service.commands.options import answer, json_option
from service.sample import SAMPLES, sample_text


@click.command(epilog="Example:  manyarm init && manyarm check")
@click.option("--example", type=click.Choice(list(SAMPLES)), default="referral-contest", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("campaign.toml"), show_default=True)
@json_option
def init(example: str, out: Path, as_json: bool) -> None:
    """Write a commented sample campaign file."""
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(sample_text(example))
    except FileExistsError:
        raise click.UsageError(f"{out} is there already and was not touched. Name another file with --out.") from None
    except OSError as error:
        raise click.UsageError(f"{out} cannot be written ({error}). Name another file with --out.") from error
    text = f"Wrote {out}. Put your own texts into it, then: manyarm check {out}"
    answer({"campaign": str(out), "example": example}, text, as_json=as_json)
