"""`manyarm demo`: a whole campaign in a few minutes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import click

from bandit.log import LoggedDecision
from service.commands.options import answer, json_option, progress
from service.commands.verify import document_of
from service.commands.verify import text_of as verification_text
from service.demo import CAMPAIGN, CHART, DATABASE, PROVIDER, REPORT, Demonstration, demonstrate, whole_or_nothing
from service.demos.demo import faulty_from
from service.demos.registry import DEMOS
from service.group_report import text_of
from service.simulation import Send
from simulator.faults import FAULTS

USUAL = next(iter(DEMOS))
_USUAL_SENDS = ", ".join(f"{demo.usual_sends:,} of {demo.example}" for demo in DEMOS.values())


@click.command(epilog="Example:  manyarm demo --out demo-out")
@click.option("--example", type=click.Choice(list(DEMOS)), default=USUAL, show_default=True, help="Which campaign.")
@click.option("--sends", type=click.IntRange(min=100), help=f"Of the whole campaign; usual are {_USUAL_SENDS}.")
@click.option("--days", type=click.IntRange(1, 365), help="Length of the campaign; usual are 28.")
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), default=1, show_default=True, help="The same seed, the same output."
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
def demo(
    ctx: click.Context,
    example: str,
    sends: int | None,
    days: int | None,
    seed: int,
    out: Path,
    faults: tuple[str, ...],
    as_json: bool,
) -> None:
    """Simulate a sample campaign: made-up customers, late answers, and the real engine, store and trainer.

    referral-contest is the larger one, 12 x 4 x 4 x 10 arms. winback-es is in Spanish: it begins with a year of events, out of
    which contexts are made, fills in texts, keeps quiet hours and caps, and may choose to send nothing.

    With --fault the log is audited as well, and a check that fails is what was asked for: the exit status is 0.
    """
    asked = DEMOS[example].lasting(days) if days else DEMOS[example]
    n_sends = sends or asked.usual_sends

    def watch(steps: Iterator[list[Send]]) -> Iterator[list[Send]]:
        with progress(steps, f"{n_sends} sends, day by day", math.ceil(timedelta(days=asked.days) / asked.step)) as bar:
            yield from bar

    def watch_rows(rows: Iterable[LoggedDecision]) -> Iterator[LoggedDecision]:
        with progress(rows, "verifying every row", n_sends) as bar:
            yield from bar

    with whole_or_nothing(asked, out):
        made = demonstrate(asked, out, n_sends=n_sends, seed=seed, watch=watch, watch_rows=watch_rows, faults=faults)
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
            f"  {made.uniform_value:.5f}  chosen at random ({made.demo.rules})",
            f"  {made.learned_value:.5f}  chosen by the learner: {gap:.0%} of the way",
            f"  {made.best_value:.5f}  chosen by somebody who knows every customer ({made.demo.rules})",
            *made.findings.truth,
            "",
            *made.findings.lines,
            verification_text(made.verification),
            "",
            *_practice(made),
            f"Files in {made.folder}: {', '.join(_files(made))}",
            _next(made),
        ]
    )


def _files(made: Demonstration) -> list[str]:
    provider = [PROVIDER] if made.faults else []
    return [CAMPAIGN, DATABASE, CHART, REPORT, *provider, *made.demo.files]


def _practice(made: Demonstration) -> list[str]:
    """What went wrong on purpose, and who noticed."""
    if not made.faults:
        return []
    about = [f"  {text}: {FAULTS[text.partition('=')[0]].about}" for text in made.faults]
    return [
        f"Went wrong on purpose, from {faulty_from(made.demo):%Y-%m-%d} on:",
        *about,
        f"Noticed by: {', '.join(made.alarms) or 'nothing; duplicates and disorder are harmless, and compare may say more'}.",
        "",
    ]


def _next(made: Demonstration) -> str:
    at = f"--db {made.folder / DATABASE}"
    if made.faults:
        return f"Next: manyarm verify {at} --statistics --provider {made.folder / PROVIDER}"
    return f"Next: manyarm export {at} --campaign {made.folder / CAMPAIGN} --out log.parquet"


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
        **made.findings.document,
        "verify": document_of(made.verification),
        **({"faults": made.faults, "alarms": made.alarms} if made.faults else {}),
    }
