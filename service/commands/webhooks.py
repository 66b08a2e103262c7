"""`manyarm webhooks`: read the events that wait, and show what became of all of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from service.commands.options import answer, existing, existing_db_option, json_option
from service.store import Store
from service.webhooks.digest import digest
from service.webhooks.events_table import EventCount, confirmations, count_events, drop_unused
from service.webhooks.judging import Rescored, VerdictCount, count_verdicts, rescore


@click.command(epilog="Example:  manyarm webhooks --again")
@click.option("--again", is_flag=True, help="Try those again whose decision was unknown.")
@click.option("--rescore", "rescoring", is_flag=True, help="Judge opens and clicks again that older rules judged.")
@click.option("--drop-unknown", "dropping", is_flag=True, help="Then delete events that are unknown or unreadable.")
@existing_db_option
@json_option
def webhooks(again: bool, rescoring: bool, dropping: bool, db: Path, as_json: bool) -> None:
    """Read the events of mail providers that wait, and show what became of all of them.

    `manyarm serve` reads them by itself, and `manyarm learn` before it closes windows; this is for looking, and for trying
    again. Rewards that are final stay as they are: a newer verdict on them is kept beside the one that counted.
    """
    with existing(db) as store:
        digested = digest(store, again=again)
        rescored = rescore(store) if rescoring else None
        n_dropped = store.write(drop_unused) if dropping else 0
        events, verdicts, links = _shown(store)
    document = {
        "digested": {state.value: n for state, n in digested.counts.items()},
        "dropped": n_dropped,
        "rescored": asdict(rescored) if rescored else None,
        "events": [asdict(one) for one in events],
        "verdicts": [asdict(one) for one in verdicts],
        "to_confirm": links,
    }
    first = [_digested(digested.counts.total()), *([f"{n_dropped:,} events deleted"] if dropping else [])]
    lines = [*first, *_rescored(rescored), *_events(events), *_verdicts(verdicts), *links]
    answer(document, "\n".join(lines), as_json=as_json)


def _shown(store: Store) -> tuple[list[EventCount], list[VerdictCount], list[str]]:
    reader = store.reader()
    return count_events(reader), count_verdicts(reader), confirmations(reader)


def _digested(n: int) -> str:
    return f"{n:,} events read now" if n else "no event was waiting"


def _rescored(found: Rescored | None) -> list[str]:
    if found is None:
        return []
    changed = f"{found.n_decisions:,} decisions judged again: {found.n_changed:,} verdicts changed"
    return [f"{changed}; of decisions whose reward is final {found.n_final:,} would have"]


def _events(events: list[EventCount]) -> list[str]:
    if not events:
        return ["No provider has sent anything yet; docs/webhooks.md shows how to set one up."]
    rows = [
        f"  {one.provider:<11} {one.state.value:<11} {one.n:>9,}   since {one.first_at:%Y-%m-%d %H:%M}"
        for one in events
    ]
    return ["provider    state              events", *rows]


def _verdicts(verdicts: list[VerdictCount]) -> list[str]:
    rows = [f"  {one.type:<11} {one.verdict:<9} {one.rule:<16} {one.n:>9,}" for one in verdicts]
    return ["outcome     verdict   rule                outcomes", *rows] if rows else []
