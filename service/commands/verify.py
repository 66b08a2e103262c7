"""`manyarm verify`: can this log be believed?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from bandit.log import LoggedDecision
from service.commands.options import answer, db_option, existing, json_option, progress
from service.verification import Verification, verify_store


@click.command(epilog="Example:  manyarm verify --db manyarm.db")
@db_option
@json_option
@click.pass_context
def verify(ctx: click.Context, db: Path, as_json: bool) -> None:
    """Recompute every pmf and every draw, and check chain, rewards, snapshots and groups; exit 1 if anything fails."""
    with existing(db) as store:
        found = verify_store(store, watch=_with_progress)
    answer(document_of(found), text_of(found), as_json=as_json)
    ctx.exit(0 if found.passed else 1)


def document_of(found: Verification) -> dict[str, object]:
    """The verification as JSON."""
    checks = [
        {"check": c.name, "means": c.means, "n_checked": c.n_checked, "n_failed": c.n_failed, "failures": c.failures}
        for c in found.checks
    ]
    return {"passed": found.passed, "n_rows": found.n_rows, "checks": checks}


def text_of(found: Verification) -> str:
    """The verification as a table, with what failed and where."""
    lines = []
    for check in found.checks:
        verdict = "ok" if check.passed else f"{check.n_failed} FAILED"
        lines.append(f"  {check.name:<13} {check.n_checked:>8}  {verdict:<10} {check.means}")
        lines += [f"      {failure}" for failure in check.failures]
    end = "Every check passed." if found.passed else "This log cannot be believed as it stands; see above."
    return "\n".join([f"Verified {found.n_rows} decisions.", *lines, end])


def _with_progress(rows: Iterable[LoggedDecision]) -> Iterator[LoggedDecision]:
    with progress(rows, "verifying") as bar:
        yield from bar
