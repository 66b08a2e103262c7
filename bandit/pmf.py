"""The probability of each arm, checked once and trusted after."""

from __future__ import annotations

from dataclasses import dataclass

from bandit.errors import InvalidPmf

SUM_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Pmf:
    """Probability of each arm of one dimension, in the campaign's arm order; 0 means not eligible.

    Raises:
        InvalidPmf: for a negative or not finite probability, or a sum that is not 1.

    >>> Pmf(("plain", "emoji"), (0.9, 0.1))["emoji"]
    0.1
    """

    arms: tuple[str, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        # Written so that NaN fails each comparison instead of passing it.
        if not self.probabilities:
            raise InvalidPmf("no probabilities: a dimension needs at least one arm.")
        if not (min(self.probabilities) >= 0.0 and abs(sum(self.probabilities) - 1.0) <= SUM_TOLERANCE):
            raise InvalidPmf(_complaint(self))
        if len(self.arms) != len(self.probabilities):
            raise InvalidPmf(f"{len(self.probabilities)} probabilities for {len(self.arms)} arms; need one an arm.")

    def __getitem__(self, arm: str) -> float:
        return self.probabilities[self.arms.index(arm)]


def _complaint(pmf: Pmf) -> str:
    for arm, probability in zip(pmf.arms, pmf.probabilities, strict=False):
        if not 0.0 <= probability <= 1.0 + SUM_TOLERANCE:
            return (
                f"probability of arm {arm!r} is {probability!r}, need a number in [0, 1]. A draw from it would be logged "
                "with a propensity that is not the one used; mend the policy that returned it."
            )
    return (
        f"probabilities sum to {sum(pmf.probabilities)!r}, need 1 to within {SUM_TOLERANCE}. "
        "A draw from them would be logged with a propensity that is not the one used; mend the policy that returned them."
    )
