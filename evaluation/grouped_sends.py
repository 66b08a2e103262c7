"""Sends of two groups that were assigned once a customer: what every comparison of groups is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bandit.errors import InvalidSettings, UnusableLog
from evaluation.sample_ratio import group_ratio_e_value

IMPOSSIBLE = 1e4
"""Evidence against the share above which sends are refused: 1 in 10,000 honest logs."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupedSends:
    """Sends of two groups in order of decision; make it with `GroupedSends.of`.

    Args:
        treated: shape (n,), whether the send belongs to the group asked about.
        member: shape (n,), number of the customer, counted by first appearance.
        share: of the treated among the customers of both groups, as the campaign's group shares promise.

    Raises:
        UnusableLog: if a customer is in both groups, or the share does not explain how many customers each group has.
        InvalidSettings: if the share is not between 0 and 1.
    """

    treated: NDArray[np.bool_]
    member: NDArray[np.int64]
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InvalidSettings(
                f"share is {self.share!r}, need a number between 0 and 1. It is the treated group's part of both groups: divide "
                "its share in the campaign file by the sum of the two."
            )
        _require_sticky(self.treated, self.member, self.first)
        _require_share(self.treated[self.first], self.share)

    @classmethod
    def of(cls, treated: ArrayLike, customers: ArrayLike, share: float) -> GroupedSends:
        """Number the customers of two groups.

        Args:
            treated: shape (n,), bool, in order of decision; leave out sends of any third group.
            customers: shape (n,), the customer key of each send; none may be missing.
            share: of the treated among the customers of both groups, in (0, 1): .9 / (.9 + .05) for shares 90 and 5.

        Returns:
            The sends, for rewards and guardrails alike.

        Raises:
            UnusableLog: if there are no sends, shapes differ, a key is missing, a customer is in both groups, or the share
                does not explain how many customers each group has.
            InvalidSettings: if the share is not between 0 and 1.

        >>> GroupedSends.of([True, False, True], ["ann", "bob", "ann"], share=0.5).repeats
        True
        """
        groups, keys = np.asarray(treated), np.asarray(customers)
        if groups.ndim != 1 or not len(groups) or groups.dtype != np.bool_ or keys.shape != groups.shape:
            raise UnusableLog(
                f"treated has shape {groups.shape} and type {groups.dtype}, customers {keys.shape}. Each send belongs to one "
                "group and one customer: pass one bool and one key a row, and at least one row."
            )
        member, known = pd.factorize(keys)
        broken = np.flatnonzero(member < 0)
        if len(broken) or "" in known:
            row = broken[0] if len(broken) else np.flatnonzero(keys == "")[0]
            raise UnusableLog(
                f"customer key {keys[row]!r} in row {row}. Sends without a key cannot be told apart by customer, who is what was "
                "randomised: drop them and report how many were dropped."
            )
        return cls(groups, member.astype(np.int64), share)

    @property
    def n(self) -> int:
        """Sends of both groups."""
        return len(self.member)

    @property
    def first(self) -> NDArray[np.int64]:
        """Row of each customer's first send, shape (n_customers,), rising."""
        return np.flatnonzero(np.diff(np.maximum.accumulate(self.member), prepend=-1) > 0)

    @property
    def repeats(self) -> bool:
        """Whether any customer has more than one send."""
        return int(self.member.max()) + 1 < self.n


def _require_sticky(treated: NDArray[np.bool_], member: NDArray[np.int64], first: NDArray[np.int64]) -> None:
    moved = np.flatnonzero(treated != treated[first][member])
    if len(moved):
        raise UnusableLog(
            f"the customer of row {moved[0]} is in both groups ({len(moved)} such rows). A group is drawn once and kept, else "
            "nobody is a fair comparison for anybody: find out what moved them, such as a changed share or salt, and compare "
            "the time before."
        )


def _require_share(treated: NDArray[np.bool_], share: float) -> None:
    counts = (int(treated.sum()), int((~treated).sum()))
    if group_ratio_e_value(counts, (share, 1 - share)).e_value > IMPOSSIBLE:
        raise UnusableLog(
            f"{counts[0]} treated and {counts[1]} control customers do not fit a share of {share:.6g}, and chance does not "
            "explain it. Bounds divide by that share: pass treated / (treated + control) of the campaign's shares, leave no "
            "customer out for what happened to them, and see the sample-ratio audit."
        )
