"""A log as `manyarm export` writes it, read as whole columns where it is Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bandit.campaign import Campaign
from bandit.errors import UnusableLog
from bandit.exclusion import Excluded
from bandit.group import Group
from bandit.log import RECENT_SENDS
from bandit.reward import State
from evaluation.log_batch import Layout, LogBatch, Sends
from service.dead_ends_out import fields_asked, with_dead_ends_out
from service.foreign_log import number_in
from service.log_source import (
    AT_ONCE,
    LEARNED,
    OTHER_GROUP,
    PENDING,
    are_product,
    layout_of,
    offered_in,
    with_one_reward,
)
from service.outcome_worths import with_worths
from service.table import Cells, arms_in, columns_in, context_of, read_rows, time_of

EXCLUDED = "excluded"
WHO = ("customer_key", "decided_at", "sent_at")
"""Columns that say who got a row and when."""


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A log as `manyarm export` writes it.

    Attributes:
        path: Parquet, read a group of rows at a time as whole columns; or CSV.
        layout: found in the file.
        groups: whose rows count.
        names: context columns to read.
        declared: the campaign that made it, where somebody named its file.
        targets: columns with a target's probability of what was logged.
        learned: decision_ids that a snapshot in question has learned from; they do not count.
        asks_who: whether to read who got each row and when.
        says_excluded: whether the file says what callers excluded; those of earlier versions do not.
        says_recent: whether it says how many messages customers had got lately.
    """

    path: Path
    layout: Layout
    groups: frozenset[str]
    names: tuple[str, ...] = ()
    declared: Campaign | None = None
    targets: tuple[str, ...] = ()
    learned: frozenset[str] = frozenset()
    asks_who: bool = False
    says_excluded: bool = False
    says_recent: bool = False
    dropped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(
        cls, path: Path, groups: frozenset[str], declared: Campaign | None, targets: tuple[str, ...]
    ) -> ExportSource:
        """Look at the file's columns and arms.

        Raises:
            UnusableLog: if it is no export, lacks a target's column, or was made with other arms than `declared`.
        """
        found = columns_in(path)
        layout = exported_layout(path, found)
        missing = [name for name in targets if name not in found]
        if missing:
            raise UnusableLog(f"{path} has no column {', '.join(map(repr, missing))} for --target column:NAME.")
        if declared and layout_of(declared) != layout:
            raise UnusableLog(
                f"{path} was exported from a campaign with other dimensions or arms than {declared.id!r} has now. Name the "
                "campaign file it was made with, or leave --campaign out."
            )
        names = tuple(name.removeprefix("context.") for name in found if name.startswith("context."))
        return cls(
            path,
            layout,
            groups,
            names,
            declared,
            targets,
            says_excluded=EXCLUDED in found,
            says_recent=RECENT_SENDS in found,
        )

    @property
    def campaign(self) -> Campaign | None:
        """The declared one, with one reward."""
        return self.declared and with_one_reward(self.declared)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """From what the declared campaign's outcomes are worth."""
        return self.declared.reward.bounds if self.declared else None

    def batches(self) -> Iterator[LogBatch]:
        """Matured rows of the groups asked for, in order."""
        self.dropped.clear()
        number = 0
        for table in self._tables():
            kept = self._kept(table)
            if kept.num_rows:
                yield self._batch(kept, number)
                number += kept.num_rows

    def unseen_by(self, decision_ids: frozenset[str]) -> ExportSource:
        """Without the rows that a snapshot has learned from."""
        return replace(self, learned=decision_ids, dropped=Counter())

    def without_context(self) -> ExportSource:
        """For questions that need none: its columns are most of the file. What says which arms lead nowhere stays."""
        asked = fields_asked(self.declared)
        return replace(self, names=tuple(name for name in self.names if name in asked), dropped=Counter())

    def _columns(self) -> list[str]:
        per_dimension = [f"{kind}.{name}" for name in self.layout.dimensions for kind in ("arm", "propensity", "pmf")]
        context = [f"context.{name}" for name in self.names]
        ids = ["decision_id"] if self.learned else []
        who = list(WHO) if self.asks_who else []
        told = [EXCLUDED] * self.says_excluded + [RECENT_SENDS] * self.says_recent
        return [*ids, *who, *told, "group", "state", "reward", *per_dimension, *context, *self.targets]

    def _tables(self) -> Iterator[pa.Table]:
        if self.path.suffix == ".parquet":
            try:
                # Read ahead, every row group stays in memory until the file is closed: 10 million rows took 1.3 GB.
                file = pq.ParquetFile(self.path, pre_buffer=False)
                for batch in file.iter_batches(AT_ONCE, columns=self._columns()):
                    yield pa.Table.from_batches([batch])
            except (pa.ArrowException, OSError) as error:
                raise UnusableLog(f"{self.path}: not a readable Parquet file ({error}). Write it again.") from error
            return
        rows = read_rows(self.path)
        while block := list(islice(rows, AT_ONCE)):
            yield pa.Table.from_pylist([self._typed(cells) for cells in block])

    def _typed(self, cells: Cells) -> dict[str, object]:
        found: dict[str, object] = {name: cells[name] for name in self._columns()}
        found |= {name: number_in(cells[name]) for name in ("reward", *[RECENT_SENDS] * self.says_recent)}
        for name, arms in zip(self.layout.dimensions, self.layout.arms, strict=True):
            by_arm = pmf_map(cells[f"pmf.{name}"])
            found[f"pmf.{name}"] = [by_arm.get(arm, 0.0) for arm in arms]
            found[f"propensity.{name}"] = number_in(cells[f"propensity.{name}"])
        if self.declared:
            context = {name: cells[f"context.{name}"] for name in self.names}
            typed = context_of(context, self.declared.schema, self.names)
            found |= {f"context.{name}": value for name, value in typed.items()}
        found |= {name: time_of(cells[name], what=name) for name in WHO[1:] if self.asks_who}
        return found | {name: number_in(cells[name]) for name in self.targets}

    def _kept(self, table: pa.Table) -> pa.Table:
        in_group = pc.is_in(table["group"], pa.array(sorted(self.groups)))
        final = pc.and_(pc.equal(table["state"], State.MATURED.value), pc.is_valid(table["reward"]))
        self.dropped[OTHER_GROUP] += pc.sum(pc.invert(in_group)).as_py() or 0
        if self.learned:
            seen = pc.is_in(table["decision_id"], pa.array(sorted(self.learned), pa.string()))
            self.dropped[LEARNED] += pc.sum(pc.and_(seen, in_group)).as_py() or 0
            in_group = pc.and_(in_group, pc.invert(seen))
        self.dropped[PENDING] += pc.sum(pc.and_(in_group, pc.invert(final))).as_py() or 0
        return table.filter(pc.and_(in_group, final))

    def _batch(self, table: pa.Table, number: int) -> LogBatch:
        layout = self.layout
        pairs = list(zip(layout.dimensions, layout.arms, strict=True))
        pmfs = tuple(_lists(table[f"pmf.{name}"], len(arms), name) for name, arms in pairs)
        excluded = _excluded(table[EXCLUDED].to_pylist(), layout) if self.says_excluded else [()] * table.num_rows
        picks = [_positions(table[f"arm.{name}"], name, arms) for name, arms in pairs]
        batch = LogBatch(
            layout,
            np.arange(number + 1, number + 1 + table.num_rows),
            table["reward"].to_numpy(),
            np.stack(picks, axis=1),
            np.stack([table[f"propensity.{name}"].to_numpy() for name in layout.dimensions], axis=1),
            pmfs,
            {name: table[f"context.{name}"].to_pylist() for name in self.names},
            {name: table[name].to_numpy() for name in self.targets},
            are_product(pmfs, pc.equal(table["group"], Group.RANDOM.value).to_numpy()),
            offered=offered_in(pmfs, pc.equal(table["group"], Group.CONTROL.value).to_numpy(), self.declared, excluded),
            sends=_sends(table) if self.asks_who else None,
            excluded=excluded,
            recent_sends=_counts(table[RECENT_SENDS].to_pylist()) if self.says_recent else None,
        )
        batch = with_worths(batch, self.declared) if self.declared else batch
        return with_dead_ends_out(batch, self.declared)


def exported_layout(path: Path, columns: Sequence[str]) -> Layout:
    """The dimensions and arms of an export of ours.

    Raises:
        UnusableLog: if it is none.
    """
    names = tuple(name.removeprefix("arm.") for name in columns if name.startswith("arm."))
    wanted = {"group", "state", "reward", *(f"{kind}.{name}" for name in names for kind in ("propensity", "pmf"))}
    missing = sorted(wanted - set(columns))
    if missing or not names:
        raise UnusableLog(
            f"{path} is no export of ours: it has no column {', '.join(missing) or 'arm.*'}. It has: "
            f"{', '.join(columns) or 'no rows at all'}. For a log that somebody else wrote name its columns with --arm, "
            "--reward, --propensity and --context."
        )
    order = arms_in(path)
    if not order:
        first = next(read_rows(path))
        order = {name: tuple(pmf_map(first[f"pmf.{name}"])) for name in names}
    return Layout(names, tuple(order[name] for name in names))


def pmf_map(cell: object) -> Mapping[str, float]:
    """A pmf as CSV has it: a JSON map.

    Raises:
        UnusableLog: if it is none.
    """
    try:
        return msgspec.json.decode(str(cell), type=dict[str, float])
    except msgspec.DecodeError as error:
        raise UnusableLog(
            f"a pmf is {str(cell)[:60]!r}, need a JSON map from arm to probability ({error}). Export the log again."
        ) from error


def _lists(column: pa.ChunkedArray, size: int, name: str) -> np.ndarray:
    """Lists of one length as an array of shape (n, size)."""
    lengths = pc.list_value_length(column)
    if pc.any(pc.not_equal(lengths, size)).as_py() or column.null_count:
        raise UnusableLog(f"a pmf of {name!r} does not have {size} entries, one an arm. Export the log again.")
    flat = column.combine_chunks().flatten() if column.num_chunks != 1 else column.chunk(0).flatten()
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float64).reshape(-1, size)


def _excluded(cells: Sequence[object], layout: Layout) -> list[tuple[Excluded, ...]]:
    """Arms that callers excluded, from JSON maps; most rows have none."""
    return [_excluded_in(str(cell), layout) if cell else () for cell in cells]


def _excluded_in(cell: str, layout: Layout) -> tuple[Excluded, ...]:
    try:
        found = msgspec.json.decode(cell, type=dict[str, list[str]])
        arms = dict(zip(layout.dimensions, layout.arms, strict=True))
        at = {name: place for place, name in enumerate(layout.dimensions)}
        return tuple(sorted(Excluded(at[name], arms[name].index(arm)) for name, ids in found.items() for arm in ids))
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise UnusableLog(
            f"excluded is {cell[:60]!r}, need a JSON map from dimension to arms of the log ({error}). Export the log again."
        ) from error


def _counts(cells: Sequence[float | None]) -> list[int | None]:
    """Numbers of messages; a CSV file has them as texts, read as numbers."""
    return [None if cell is None else int(cell) for cell in cells]


def _sends(table: pa.Table) -> Sends:
    keys, groups = (table[name].to_numpy() for name in (WHO[0], "group"))
    times = [table[name].cast(pa.timestamp("us", tz="UTC")).to_numpy() for name in WHO[1:]]
    return Sends(groups, keys, *times)


def _positions(column: pa.ChunkedArray, name: str, arms: Sequence[str]) -> np.ndarray:
    found = pc.index_in(column, value_set=pa.array(arms))
    if found.null_count:
        unknown = column.filter(pc.is_null(found))[0].as_py()
        raise UnusableLog(
            f"arm {unknown!r} of {name!r} is not among the {len(arms)} that the file lists. Export it again."
        )
    return np.asarray(found.to_numpy(), dtype=np.int64)
