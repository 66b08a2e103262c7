"""What a comparison says, in five words that a marketer can act on, each with the rule that produced it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, inf, sqrt

from bandit.errors import EngineError, InvalidSettings

MOST_TIMES = 100.0
"""Times the sends so far beyond which "keep going" would be a false promise."""


class Word(StrEnum):
    """What to do."""

    WINNER = "winner"
    SAME = "no difference larger than m"
    GO_ON = "keep going"
    HARM = "stop for harm"
    CANNOT_SAY = "cannot say"


@dataclass(frozen=True, slots=True)
class Finding:
    """A word, and why.

    Args:
        word: what to do.
        rule: the rule that produced it, with its numbers, in words a report can print.
        margin: m of "no difference larger than m", in reward units; None for the other words.
        more: about how many more sends would settle it; None where the word is not "keep going", or nobody knows.
    """

    word: Word
    rule: str
    margin: float | None = None
    more: int | None = None

    def __post_init__(self) -> None:
        if not self.rule or (self.margin is not None) != (self.word is Word.SAME):
            raise EngineError(f"{self!r}: a word needs its rule, and a margin goes with {Word.SAME.value!r} alone.")

    @property
    def text(self) -> str:
        """The word as a report prints it.

        >>> Finding(Word.GO_ON, "both signs are possible", more=12_345).text
        'keep going (about 12,000 more)'
        """
        if self.margin is not None:
            return f"no difference larger than {self.margin:.3g}"
        return self.word.value if self.more is None else f"{self.word.value} (about {_rough(self.more):,} more)"


def cannot_say(reason: str) -> Finding:
    """The word for a question that this log does not answer."""
    return Finding(Word.CANNOT_SAY, reason)


def find(
    estimate: float, bounds: tuple[float, float], n: int, margin: float, *, one: str = "it", other: str = "the other"
) -> Finding:
    """The word for one difference that may be looked at daily.

    Args:
        estimate: of the difference (one minus other), in reward units.
        bounds: of its confidence sequence, in reward units; valid at every look.
        n: sends they rest on.
        margin: difference that would not matter, above 0, in reward units.
        one: what is asked about, in words.
        other: what it is held against, in words.

    Returns:
        *winner* where the lower bound is above 0; *stop for harm* where the upper bound is below 0; *no difference larger
        than m* where both lie within the margin; else *keep going*, with about how many more sends either would take if
        the estimate were true (bounds close with the square root of the sends).

    Raises:
        InvalidSettings: for a margin that is not above 0.

    Caution: the words are only as good as the bounds: never pass those of a test that may be looked at once.

    >>> find(0.01, (0.002, 0.018), 20_000, 0.001).text
    'winner'
    >>> find(0.01, (-0.01, 0.03), 20_000, 0.001).text
    'keep going (about 60,000 more)'
    >>> find(0.0, (-0.004, 0.004), 20_000, 0.005).text
    'no difference larger than 0.005'
    """
    lower, upper = bounds
    if not 0 < margin < inf:
        raise InvalidSettings(f"margin is {margin!r}, need a number above 0: the difference that would not matter.")
    seen = f"{one} minus {other} lies between {lower:+.5f} and {upper:+.5f} a send, at every look"
    if lower > 0:
        return Finding(Word.WINNER, f"{seen}: all of it is above 0.")
    if upper < 0:
        return Finding(Word.HARM, f"{seen}: all of it is below 0, so every send of {one} costs.")
    if -margin <= lower and upper <= margin:
        return Finding(Word.SAME, f"{seen}: within {margin:.3g} of 0 on both sides.", margin)
    more = _more(estimate, bounds, n, margin)
    end = "" if more is not None else f" It would take more than {MOST_TIMES:,.0f} times the sends so far to tell."
    return Finding(Word.GO_ON, f"{seen}: both signs are possible, and more than {margin:.3g} as well.{end}", more=more)


def _more(estimate: float, bounds: tuple[float, float], n: int, margin: float) -> int | None:
    """Sends until 0 lies outside, or both bounds inside the margin, if the estimate stays; None for too many."""
    lower, upper = bounds
    width = max(estimate - lower if estimate > 0 else upper - estimate, 0.0)
    apart = width / abs(estimate) if estimate else inf
    room = margin - abs(estimate)
    same = max(upper - estimate, estimate - lower) / room if room > 0 else inf
    widths = min(apart, same)
    if widths > sqrt(MOST_TIMES):
        return None
    return max(ceil(n * (widths**2 - 1.0)), 1)


def _rough(count: int) -> int:
    """Two digits are all that a projection is worth."""
    digits = len(str(count)) - 2
    return int(round(count, -digits)) if digits > 0 else count
