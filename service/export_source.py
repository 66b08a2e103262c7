"""A log as `manyarm export` writes it, read as whole columns where it is Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.errors import UnusableLog
from bandit.group import Group
from bandit.log import RECENT_SENDS
from bandit.logged_time import unheld
from bandit.reward import State
from evaluation.log_batch import Layout, LogBatch, Sends
from service.exported_cells import counts_in, excluded_in_each, lists_in, pmf_map, positions_in
from service.foreign_log import number_in
from service.log_source import (
    AT_ONCE,
    LEARNED,
    OTHER_GROUP,
    PENDING,
    are_product,
    layout_of,
    with_one_reward,
)
from service.log_times import DECIDED_AT, made_columns, moment_in, require_times
from service.offered_arms import fields_asked, with_offered
from service.outcome_worths import with_worths
from service.table import Cells, arms_in, columns_in, context_of, read_rows, time_of

EXCLUDED = "excluded"
WHO = ("customer_key", DECIDED_AT, "sent_at")
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
        made: fields of the declared `[time]` that the file does not hold, and that are made of its rows' times.
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
    made: tuple[str, ...] = ()
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
            made=unheld(declared.time, names) if declared else (),
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
        """Matured rows of the groups asked for, in order.

        Raises:
            UnusableLog: for rows that cannot be what an export of ours holds; names one that does not say when it was decided
                where something must be made of that.
        """
        self.dropped.clear()
        if self.made and self.declared:
            require_times(self.path, self.made, self.declared)
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
        """For questions that need none: its columns are most of the file. What says which arms could have been sent stays."""
        return self.with_context(fields_asked(self.declared, self.groups))

    def with_context(self, asked: Collection[str]) -> ExportSource:
        """With some fields of the context alone, and what those are made of that the file does not hold."""
        made = tuple(name for name in self.made if name in asked)
        sources = self.declared.time.sources if made and self.declared and self.declared.time else ()
        names = tuple(name for name in self.names if name in asked or name in sources)
        return replace(self, names=names, made=made, dropped=Counter())

    def _columns(self) -> list[str]:
        per_dimension = [f"{kind}.{name}" for name in self.layout.dimensions for kind in ("arm", "propensity", "pmf")]
        context = [f"context.{name}" for name in self.names]
        ids = ["decision_id"] if self.learned else []
        who = list(WHO) if self.asks_who else [DECIDED_AT] * bool(self.made)
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
        rows = enumerate(read_rows(self.path), start=1)
        while block := list(islice(rows, AT_ONCE)):
            yield pa.Table.from_pylist([self._typed(number, cells) for number, cells in block])

    def _typed(self, number: int, cells: Cells) -> dict[str, object]:
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
        if self.made:
            found[DECIDED_AT] = moment_in(cells[DECIDED_AT], DECIDED_AT, f"{self.path}, row {number}")
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
        pmfs = tuple(lists_in(table[f"pmf.{name}"], len(arms), name) for name, arms in pairs)
        excluded = excluded_in_each(table[EXCLUDED].to_pylist(), layout) if self.says_excluded else None
        picks = [positions_in(table[f"arm.{name}"], name, arms) for name, arms in pairs]
        is_random = pc.equal(table["group"], Group.RANDOM.value).to_numpy()
        batch = LogBatch(
            layout,
            np.arange(number + 1, number + 1 + table.num_rows),
            table["reward"].to_numpy(),
            np.stack(picks, axis=1),
            np.stack([table[f"propensity.{name}"].to_numpy() for name in layout.dimensions], axis=1),
            pmfs,
            self._context(table, number),
            {name: table[name].to_numpy() for name in self.targets},
            are_product(pmfs, is_random),
            sends=_sends(table) if self.asks_who else None,
            excluded=excluded,
            recent_sends=counts_in(table[RECENT_SENDS].to_pylist()) if self.says_recent else None,
        )
        batch = with_worths(batch, self.declared) if self.declared else batch
        is_control = pc.equal(table["group"], Group.CONTROL.value).to_numpy()
        return with_offered(batch, is_control, is_random, self.declared)

    def _context(self, table: pa.Table, number: int) -> dict[str, Sequence[ContextValue]]:
        """A column for each name, and for each field that is made of the rows' times."""
        columns = {name: table[f"context.{name}"].to_pylist() for name in self.names}
        if not (self.made and self.declared and self.declared.time):
            return columns
        rows = [
            f"{self.path}, row {place} of those that count" for place in range(number + 1, number + 1 + table.num_rows)
        ]
        cells = table[DECIDED_AT].to_pylist()
        moments = [moment_in(cell, DECIDED_AT, row) for cell, row in zip(cells, rows, strict=True)]
        return columns | made_columns(self.declared.time, self.made, columns, moments, rows)


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


def _sends(table: pa.Table) -> Sends:
    keys, groups = (table[name].to_numpy() for name in (WHO[0], "group"))
    times = [table[name].cast(pa.timestamp("us", tz="UTC")).to_numpy() for name in WHO[1:]]
    return Sends(groups, keys, *times)
