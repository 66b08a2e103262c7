"""`manyarm demo`: a whole campaign in a minute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from bandit.log import LoggedDecision
from service.commands.options import answer, json_option, progress
from service.commands.verify import document_of
from service.commands.verify import text_of as verification_text
from service.demo import CHART, DATABASE, DAYS, FAULTY_FROM, PROVIDER, REPORT, START, Demonstration, demonstrate
from service.group_report import text_of
from service.simulation import Send
from simulator.faults import FAULTS

DEFAULT_SENDS = 30_000


@click.command(epilog="Example:  manyarm demo --out demo-out")
@click.option("--sends", type=click.IntRange(min=100), default=DEFAULT_SENDS, show_default=True)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed, the same output."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("demo-out"), show_default=True)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[=SHARE]",
    help=f"Something goes wrong on purpose from the middle on, to practise: {', '.join(FAULTS)}.",
)
@json_option
@click.pass_context
def demo(ctx: click.Context, sends: int, seed: int, out: Path, faults: tuple[str, ...], as_json: bool) -> None:
    """Simulate the referral contest: 12 x 4 x 4 x 10 arms, late clicks, the real engine, store and trainer.

    With --fault the log is audited as well, and a check that fails is what was asked for: the exit status is 0.
    """

    def watch(steps: Iterator[list[Send]]) -> Iterator[list[Send]]:
        with progress(steps, f"{sends} sends, day by day", DAYS) as bar:
            yield from bar

    def watch_rows(rows: Iterable[LoggedDecision]) -> Iterator[LoggedDecision]:
        with progress(rows, "verifying every row", sends) as bar:
            yield from bar

    made = demonstrate(out, n_sends=sends, seed=seed, watch=watch, watch_rows=watch_rows, faults=faults)
    text = _text(made)
    (out / REPORT).write_text(text + "\n", encoding="utf-8")
    answer(_document(made), text, as_json=as_json)
    ctx.exit(0 if made.verification.passed or faults else 1)


def _text(made: Demonstration) -> str:
    gap = (made.learned_value - made.uniform_value) / (made.best_value - made.uniform_value)
    return "\n".join(
        [
            text_of(made.report),
            "",
            "The customers are simulated, so the truth is known. In the later half of the campaign a send was worth",
            f"  {made.uniform_value:.5f}  chosen at random (rules ignored)",
            f"  {made.learned_value:.5f}  chosen by the learner: {gap:.0%} of the way",
            f"  {made.best_value:.5f}  chosen by somebody who knows every customer (rules ignored)",
            "",
            verification_text(made.verification),
            "",
            *_practice(made),
            f"Files in {made.folder}: campaign.toml, {DATABASE}, {CHART}, {REPORT}{f', {PROVIDER}' if made.faults else ''}",
            _next(made),
        ]
    )


def _practice(made: Demonstration) -> list[str]:
    """What went wrong on purpose, and who noticed."""
    if not made.faults:
        return []
    about = [f"  {text}: {FAULTS[text.partition('=')[0]].about}" for text in made.faults]
    return [
        f"Went wrong on purpose, from {START + FAULTY_FROM:%Y-%m-%d} on:",
        *about,
        f"Noticed by: {', '.join(made.alarms) or 'nothing; duplicates and disorder are harmless, and compare may say more'}.",
        "",
    ]


def _next(made: Demonstration) -> str:
    at = f"--db {made.folder / DATABASE}"
    if made.faults:
        return f"Next: manyarm verify {at} --statistics --provider {made.folder / PROVIDER}"
    return f"Next: manyarm export {at} --campaign {made.folder / 'campaign.toml'} --out log.parquet"


def _document(made: Demonstration) -> dict[str, object]:
    return {
        "out": str(made.folder),
        "seed": made.seed,
        "report": asdict(made.report),
        "truth": {
            "learner_later_half": made.learned_value,
            "uniform": made.uniform_value,
            "best": made.best_value,
        },
        "verify": document_of(made.verification),
        **({"faults": made.faults, "alarms": made.alarms} if made.faults else {}),
    }
