"""The audit of drift: rewards against what the learner expected of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.audit import Audit, AuditVerdict
from evaluation.audit_log import AuditLog, AuditSettings
from evaluation.drift import Drift, drift_alarms

NAME = "drift"
MEANS = "rewards come as the learner expected before it drew; may be looked at every day"
RECENT = 0.25
"""Share of the rows in which an alarm still stands; the detector begins anew after each, so one that lasts comes again."""

ADVICE = (
    "The learner expects {opposite} than comes: customers, arms or tracking changed, or it has not learned enough. Look at "
    "what happened then, let it forget faster, and evaluate on later rows."
)


def audit_drift(log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """Every row that was drawn, had an estimate, and has its final reward, in order of decision.

    A learner begins with poor estimates, so an alarm stands only while it is among the newest quarter of the rows.
    The run length is the wanted one, or as many rows as keep a log of this length from alarming at the level.
    """
    rows = np.flatnonzero(log.by_chance & ~np.isnan(log.estimates) & ~np.isnan(log.rewards))
    least, largest = log.campaign.reward.bounds
    if not len(rows) or not least < largest:
        reason = "No row with a final reward says what was expected of it: no snapshot with estimates has decided yet."
        advice = "Run `manyarm learn`; policies on native explorers give no estimates."
        return (Audit(NAME, MEANS, AuditVerdict.CANNOT_SAY, None, None, None, 0, reason, advice),)
    run_length = max(settings.run_length, len(rows) / settings.level)
    *alarms, last = drift_alarms(log.rewards[rows], log.estimates[rows], (least, largest), run_length)
    if last.alarm:
        alarms.append(last)
    gap = float((log.rewards[rows] - log.estimates[rows]).mean())
    found = f"mean reward minus estimate {gap:+.4g}; evidence {last.statistic:.3g}, alarm at {run_length:.3g}"
    if not alarms:
        return (Audit(NAME, MEANS, AuditVerdict.OK, last.statistic, last.p_value, None, len(rows), found),)
    return (_with_alarms(log, rows, alarms, last, found),)


def _with_alarms(log: AuditLog, rows: np.ndarray, alarms: Sequence[Drift], last: Drift, found: str) -> Audit:
    """An alarm that the learner has made up for since is told about, and is none any more."""
    newest = alarms[-1]
    began, raised = (str(log.decided_at[rows[at or 0]])[:16] for at in (newest.began_row, newest.alarm_row))
    said = f"rewards were {newest.direction} than expected from about {began} UTC (known on {raised})"
    said += f", the last of {len(alarms)} such times" if len(alarms) > 1 else ""
    if (newest.alarm_row or 0) < (1 - RECENT) * len(rows):
        words = f"{said}; expectations have held since; {found}"
        p_value = min(1.0, len(rows) / last.statistic)
        return Audit(NAME, MEANS, AuditVerdict.OK, last.statistic, p_value, None, len(rows), words)
    p_value = min(1.0, len(rows) / newest.statistic)
    advice = ADVICE.format(opposite="less" if newest.direction == "higher" else "more")
    words = f"{said}; {found}"
    return Audit(NAME, MEANS, AuditVerdict.ALARM, newest.statistic, p_value, None, len(rows), words, advice)
