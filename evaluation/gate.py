"""The gate: a snapshot goes live only if the log shows that it earns more than what serves."""

from __future__ import annotations

from dataclasses import dataclass

from bandit.errors import InvalidSettings
from evaluation.estimator import Estimate
from evaluation.evaluate import Evaluation
from evaluation.methods import METHODS
from evaluation.overlap import Verdict
from evaluation.pairwise_gain import PAIRWISE

GATE_METHODS = (METHODS["snips"], METHODS["cressie-read"])
"""What a gate looks at where there is one dimension; `cressie-read` decides."""
RULED_BY_PAIRS = (
    "Ruled by the Cressie-Read lower bound on weights of single dimensions and pairs of them (order 2). Where there are more "
    "than two dimensions, it counts on no three of them acting together only as a trio."
)


@dataclass(frozen=True, slots=True)
class Gate:
    """Promote only if the Cressie-Read lower bound of the gain is above a margin.

    The bound counts on the largest weight that the floor allows, not on the largest that was seen, so that a lucky log
    does not open the gate.

    Args:
        margin: reward a send by which the new one must be better for certain; negative lets one through that may be as
            much worse.

    Raises:
        InvalidSettings: for a margin that is no number.
    """

    margin: float = 0.0

    def __post_init__(self) -> None:
        if not abs(self.margin) < float("inf"):
            raise InvalidSettings(f"margin is {self.margin!r}, need a finite number of reward units a send, such as 0.")

    def rule(self, evaluation: Evaluation) -> Ruling:
        """Let through, or refuse with reasons.

        Args:
            evaluation: the new one against what serves, by `GATE_METHODS` or, for several dimensions, by
                `evaluation.pairwise_gain`, on rows that neither has learned from.
        """
        by_pairs = evaluation.difference.get(PAIRWISE)
        gain = by_pairs or evaluation.difference.get("cressie-read")
        ruled_by = (RULED_BY_PAIRS,) if by_pairs else ()
        new, serving = evaluation.answer, evaluation.against
        other = serving.target if serving else "nothing"
        names = f"{new.target} against {other}, on {new.overlap.n:,} sends that neither learned from"
        if gain is None or gain.ci_lower is None or evaluation.verdict in {Verdict.CANNOT_ANSWER, Verdict.UNRELIABLE}:
            return Ruling(False, (f"{names}: the log cannot tell.", *evaluation.reasons, *ruled_by), gain)
        found = f"{names}: it earns {gain.value:+.5f} a send, for certain at least {gain.ci_lower:+.5f}"
        if gain.ci_lower > self.margin:
            return Ruling(True, (f"{found}, which is above the margin of {self.margin:g}.", *ruled_by), gain)
        short = f"{found}, which is not above the margin of {self.margin:g}."
        return Ruling(False, (short, _advice(gain, self.margin), *ruled_by), gain)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a gate says, and why.

    Attributes:
        passed: whether the snapshot may go live.
        reasons: in words, with what to do where it may not.
        gain: value of the new one minus that of what serves; None where the log cannot say.
    """

    passed: bool
    reasons: tuple[str, ...]
    gain: Estimate | None


def _advice(gain: Estimate, margin: float) -> str:
    if gain.value <= margin:
        return "As far as this log goes it is not better. Keep what serves, and let it learn on."
    width = gain.value - (gain.ci_lower or 0.0)
    times = (width / (gain.value - margin)) ** 2
    return f"If the gain is real, about {times:.1f} times as many sends will show it. Keep what serves until then."
