"""`manyarm verify`: can this log be believed?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import click

from bandit.log import LoggedDecision
from evaluation.audit import AuditVerdict
from evaluation.audit_log import AuditSettings
from service.commands.options import Moment, answer, existing, existing_db_option, json_option, progress
from service.provider_counts import read_counts
from service.statistical_audit import audits_document, audits_text
from service.verification import Verification, verify_store


@click.command(epilog="Example:  manyarm verify --db manyarm.db --statistics")
@existing_db_option
@click.option(
    "--statistics", is_flag=True, help="Audit sample ratios, propensities, drift, population, fairness and rewards too."
)
@click.option(
    "--earlier-until",
    type=Moment(),
    help="With --statistics: the population before this time is the reference; without it, the first half of the rows.",
)
@click.option(
    "--provider",
    type=click.Path(path_type=Path),
    help="What the provider counted: a table with what (sent, customers, an outcome, dimension=arm) and count.",
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    db: Path,
    statistics: bool,
    earlier_until: datetime | None,
    provider: Path | None,
    as_json: bool,
) -> None:
    """Recompute every pmf and every draw, and check chain, rewards, snapshots and groups; exit 1 if anything fails.

    Alarms of --statistics count as a failure only where the log itself is wrong beyond chance (1 in 10,000).
    """
    if earlier_until and not statistics:
        raise click.UsageError("--earlier-until goes with --statistics.")
    settings = AuditSettings(earlier_until=earlier_until) if statistics else None
    counts = read_counts(provider) if provider else None
    with existing(db) as store:
        found = verify_store(store, watch=_with_progress, statistics=settings, provider=counts)
    answer(document_of(found), text_of(found), as_json=as_json)
    ctx.exit(0 if found.passed else 1)


def document_of(found: Verification) -> dict[str, object]:
    """The verification as JSON."""
    checks = [
        {"check": c.name, "means": c.means, "n_checked": c.n_checked, "n_failed": c.n_failed, "failures": c.failures}
        | ({"notes": c.notes} if c.notes else {})
        for c in found.checks
    ]
    document: dict[str, object] = {"passed": found.passed, "n_rows": found.n_rows, "checks": checks}
    if found.audits:
        document["statistics"] = [
            {"log": log_id, "audits": audits_document(audits)} for log_id, audits in found.audits.items()
        ]
    return document


def text_of(found: Verification) -> str:
    """The verification as a table, with what failed and where."""
    lines = []
    for check in found.checks:
        verdict = "ok" if check.passed else f"{check.n_failed} FAILED"
        lines.append(f"  {check.name:<13} {check.n_checked:>8}  {verdict:<10} {check.means}")
        lines += [f"      {line}" for line in [*check.failures, *check.notes]]
    for log_id, audits in found.audits.items():
        lines += [f"Statistics of log {log_id}:", audits_text(audits)]
    return "\n".join([f"Verified {found.n_rows} decisions.", *lines, _end(found)])


def _end(found: Verification) -> str:
    if not found.passed:
        return "This log cannot be believed as it stands; see above."
    alarms = [one.name for audits in found.audits.values() for one in audits if one.verdict is AuditVerdict.ALARM]
    return f"Every check passed; look at {', '.join(alarms)}." if alarms else "Every check passed."


def _with_progress(rows: Iterable[LoggedDecision]) -> Iterator[LoggedDecision]:
    with progress(rows, "verifying") as bar:
        yield from bar
