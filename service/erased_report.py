"""What a comparison says of rows that are gone: their groups' totals, and those of all rows together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bandit.reward import REWARD
from service.comparing import Compared


def erased_document(found: Compared) -> dict[str, dict[str, object]]:
    """By group, as `--json` prints it; `value_with` is the reward a send of all rows, those that are left included."""
    every = _with_those_left(found)
    return {
        group: {
            "n_decisions": sums.n_decisions,
            "n_sends": sums.n_sends,
            "n_customers": sums.n_customers,
            "reward": sums.reward_sum,
            "value_with": every.get(group),
        }
        for group, sums in found.erased.items()
    }


def erased_lines(found: Compared) -> Iterator[str]:
    """By group, as a person reads it."""
    every = _with_those_left(found)
    for group, sums in found.erased.items():
        with_them = "" if every.get(group) is None else f"; with them {every[group]:.5f} a send"
        yield f"erased: {group}, {sums.n_sends:,} sends with {sums.reward_sum:.5g} reward in all{with_them}"


def _with_those_left(found: Compared) -> Mapping[str, float | None]:
    """Reward a send of all rows of a group; None where something else was compared, or nothing has matured."""
    left = {value.group: (value.n_sends, value.value * value.n_sends) for value in found.values}
    every: dict[str, float | None] = {}
    for group, sums in found.erased.items():
        n_sends, reward = left.get(group, (0, 0.0))
        n_all = n_sends + sums.n_sends
        every[group] = (reward + sums.reward_sum) / n_all if n_all and found.metric == REWARD else None
    return every
