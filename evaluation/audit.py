"""What an audit of a log says: what was asked, what was found, how sure that is, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bandit.errors import EngineError
from evaluation.multiplicity import holm

CERTAIN = 1e-4
"""False alarm rate of an alarm that chance does not explain; honest logs, read every day, must hardly ever raise one."""

CERTAIN_P = 1e-6
"""p-value of such an alarm. The tests call counts normal; of two arms with a variance of 2.5 each, the fewest that are
tested at all, honest logs have a p-value below 1e-4 once in 900 times, and below this once in 16,000."""

LARGEST_E_VALUE = 1e300
"""Evidence beyond it is given as it: JSON has no infinity, and no decision needs more digits."""


class AuditVerdict(StrEnum):
    """What an audit concludes."""

    OK = "ok"
    ALARM = "alarm"
    CANNOT_SAY = "cannot say"


@dataclass(frozen=True, slots=True)
class Audit:
    """One audit's answer, ready to be printed.

    Args:
        name: of the audit, with the dimension or context field it is about.
        means: what was asked, in words.
        verdict: ok, alarm or cannot say.
        statistic: of its test, or a share where it is not a test; None where there is none.
        p_value: adjusted (Holm) for everything that the same audit asked of the same log, so that it can be held against
            the level as it stands; None where there is none.
        e_value: evidence that may be looked at after every row, largest so far; None where there is none.
        n: sends, customers or outcomes it rests on.
        found: in words, with the reason where the verdict is "cannot say".
        advice: what to do; empty where the verdict is ok.
        judges_log: whether a certain alarm means that the log is wrong, and not that customers or the world are as they are.

    Raises:
        EngineError: if verdict, numbers and words do not belong together.
    """

    name: str
    means: str
    verdict: AuditVerdict
    statistic: float | None
    p_value: float | None
    e_value: float | None
    n: int
    found: str
    advice: str = ""
    judges_log: bool = False

    def __post_init__(self) -> None:
        is_p = self.p_value is None or 0 <= self.p_value <= 1
        is_e = self.e_value is None or 0 <= self.e_value <= LARGEST_E_VALUE
        if not (is_p and is_e and self.found and bool(self.advice) == (self.verdict is not AuditVerdict.OK)):
            raise EngineError(
                f"audit {self.name!r}: verdict {self.verdict}, p {self.p_value!r}, e {self.e_value!r}, found {self.found!r}, "
                f"advice {self.advice!r} do not belong together. Report this as a bug of the audit."
            )

    @property
    def is_certain(self) -> bool:
        """Whether an honest log would say this at most once in 10,000 times."""
        by_p = self.p_value is not None and self.p_value < CERTAIN_P
        return self.verdict is AuditVerdict.ALARM and (by_p or (self.e_value or 0.0) > 1 / CERTAIN)

    @property
    def breaks_log(self) -> bool:
        """Whether the log cannot be believed because of this."""
        return self.judges_log and self.is_certain


@dataclass(frozen=True, slots=True)
class Measured:
    """One of several tests that an audit makes, before they are judged together.

    Args:
        name: with the dimension or context field it is about.
        statistic: or None.
        p_value: by itself, or None.
        n: what it rests on.
        found: in words; the reason where there is no p-value.
    """

    name: str
    statistic: float | None
    p_value: float | None
    n: int
    found: str


def judged(
    measured: Sequence[Measured], means: str, advice: str, level: float, *, judges_log: bool = False
) -> tuple[Audit, ...]:
    """Tests of one audit, each an alarm where its p-value, adjusted for all of them (Holm), is at most the level.

    Args:
        measured: the tests.
        means: what all of them ask.
        advice: what to do after an alarm.
        level: share of honest logs that may raise an alarm in any of them.
        judges_log: see `Audit`.

    Returns:
        One audit a test, in order.

    >>> tests = [Measured("a", 5.0, 0.02, 100, "a"), Measured("b", 0.1, 0.7, 100, "b"), Measured("c", None, None, 0, "few")]
    >>> [(str(audit.verdict), audit.p_value) for audit in judged(tests, "?", "look", 0.05)]
    [('alarm', 0.04), ('ok', 0.7), ('cannot say', None)]
    """
    p_values = [one.p_value for one in measured]
    # One test needs no adjusting, and holm takes its time.
    adjusted = holm(p_values) if len(p_values) > 1 else p_values
    return tuple(
        _judged(one, p_value, means, advice, level, judges_log) for one, p_value in zip(measured, adjusted, strict=True)
    )


def _judged(
    one: Measured,
    p_value: float | None,
    means: str,
    advice: str,
    level: float,
    judges_log: bool,
) -> Audit:
    verdict = AuditVerdict.CANNOT_SAY
    if p_value is not None:
        verdict = AuditVerdict.ALARM if p_value <= level else AuditVerdict.OK
    said = {AuditVerdict.OK: "", AuditVerdict.ALARM: advice, AuditVerdict.CANNOT_SAY: "Wait for more sends."}[verdict]
    return Audit(one.name, means, verdict, one.statistic, p_value, None, one.n, one.found, said, judges_log)
