"""Were dead ends out of each decision? Decisions of before there was a look ahead are told from those that lack it by mistake.

No row says by which rule it was made, and none has to: where there were dead ends, its pmfs do. Once a row has them out, later
rows must have them out too.
"""

from __future__ import annotations

from collections.abc import Sequence

from bandit.campaign import Campaign
from bandit.context import EncodedContext
from bandit.eligibility import Eligibility


class DeadEndRows:
    """Sorts rows in which an arm led nowhere.

    Args:
        campaign: whose rules hold.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.ahead = campaign.eligibility
        self.blind = Eligibility(campaign.dimensions, looks_ahead=False)
        self._first_ahead: int | None = None
        self._blind: list[int] = []

    @property
    def possible(self) -> bool:
        """Whether the campaign can have dead ends at all."""
        return any(self.ahead.looks_ahead)

    def has_some(self, encoded: EncodedContext, picks: Sequence[int]) -> bool:
        """Whether an arm that could be drawn along these picks would have led nowhere."""
        return any(
            self.ahead.offered(d, encoded.values, picks[:d], encoded.excluded)
            != self.blind.offered(d, encoded.values, picks[:d], encoded.excluded)
            for d, possible in enumerate(self.ahead.looks_ahead)
            if possible
        )

    def note_ahead(self, seq: int) -> None:
        """A row whose pmfs can only be those with dead ends out."""
        self._first_ahead = seq if self._first_ahead is None else min(seq, self._first_ahead)

    def note_blind(self, seq: int) -> None:
        """A row whose pmfs can only be those with dead ends among the arms."""
        self._blind.append(seq)

    def failures(self) -> list[str]:
        """Rows with dead ends among their arms after one that has them out."""
        first = self._first_ahead
        return [
            f"row {seq}: arms that lead nowhere have probability, and row {first} has them out already"
            for seq in sorted(self._blind)
            if first is not None and seq > first
        ]

    def note(self) -> str:
        """What is to be known of the earlier rows; empty where there are none."""
        early = [seq for seq in self._blind if self._first_ahead is None or seq < self._first_ahead]
        if not early:
            return ""
        return (
            f"{len(early)} rows, {min(early)} to {max(early)}, are of before dead ends were out: arms that lead nowhere have "
            "probability in them. Decisions that drew one were refused and are in no log, so that these rows are a selection "
            "by the draw, and their weights of 1/p are too large by the share that was refused."
        )
