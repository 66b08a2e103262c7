"""Segments beside the features of customers: by the campaign's rules, learned anew, or as they were learned before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bandit.errors import UnusableLog
from bandit.profile.segment_spec import SegmentSpec
from service.commands.bundle import in_one_piece
from service.commands.options import advancing, require_folder
from service.kept_models import KEPT, NONE, NOTHING, RULES, Kept
from service.table import read_rows
from service.table_writer import replacing

if TYPE_CHECKING:
    import pandas as pd

    from bandit.profile.learned_segments import LearnedSegments

Command = TypeVar("Command", bound=Callable[..., Any])
LEARNED: Final = "learned"
FILE = click.Path(path_type=Path, dir_okay=False)

OPTIONS = (
    click.option("--segments", default=RULES, show_default=True, metavar="rules|learned|none|FILE",
                 help="By the rules of the campaign file; learned now; none; or as FILE says, which was learned before."),
    click.option("--segments-out", type=FILE, default=Path("segments.json"), show_default=True,
                 help="With --segments learned: the file to write."),
    click.option("--segments-before", type=FILE, metavar="TABLE",
                 help="Contexts of an earlier time (customer_id, segment): says who moved since."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SegmentsAsked:
    """What was asked for; the names are those of the options."""

    segments: str
    segments_out: Path
    segments_before: Path | None

    def check(self) -> None:
        """Refuse what could not be done, before any work is done for it.

        Raises:
            click.UsageError: for options that do not go together.
            UnusableLog: for a file that is not there, or could not be written.
        """
        if self.segments == NONE and self.segments_before:
            raise click.UsageError("--segments none with --segments-before: without segments nobody moves.")
        if self.segments == LEARNED:
            require_folder(self.segments_out, "--segments-out")
        elif self.segments not in {RULES, NONE}:
            frozen_segments(Path(self.segments))


@dataclass(frozen=True, slots=True)
class Segmented:
    """Customers with their segments.

    Attributes:
        table: the table with the columns of segments after its own; without them where there are none.
        document: what is to be said of them, for machines.
        text: the same for people.
        kept: how live contexts get theirs, if this is loaded.
    """

    table: pd.DataFrame
    document: Mapping[str, object]
    text: str
    kept: Kept = NOTHING

    def of(self, features: pd.DataFrame) -> Segmented:
        """The same with nothing but features beside the columns of segments."""
        made = [name for name in self.table.columns if name.startswith("segment")]
        return replace(self, table=features.join(self.table[made]))


segment_options = in_one_piece("segments", SegmentsAsked, OPTIONS)
"""Adds the options to a command, which gets them as `segments`."""


def with_segments(
    table: pd.DataFrame, spec: SegmentSpec, asked: SegmentsAsked, protected: Collection[str] = ()
) -> Segmented:
    """Customers with their segments, and what is to be said of these.

    Args:
        table: features, one row a customer, index customer_id.
        spec: of the campaign.
        asked: on the command line.
        protected: features that may not decide who gets what; segments are not made of them.

    Raises:
        UnusableLog: if a rule or a file asks for a protected feature, or the table or a file cannot be used.
    """
    if asked.segments == NONE:
        return Segmented(table, {}, "")
    if asked.segments == RULES:
        found = _by_rules(table, spec, protected)
    elif asked.segments == LEARNED:
        found = _learned(table, spec, asked, protected)
    else:
        found = _assigned(table, asked, protected)
    return _with_moves(found, asked)


def _by_rules(table: pd.DataFrame, spec: SegmentSpec, protected: Collection[str]) -> Segmented:
    from bandit.profile.rule_segments import rule_segments  # noqa: PLC0415 - pandas takes half a second
    from service.segment_report import rules_document, rules_text  # noqa: PLC0415

    forbidden = [name for name in spec.asked if name in protected]
    if forbidden:
        raise UnusableLog(
            f"rules of segments ask for {', '.join(forbidden)}, which [context] declares as protected: a protected field may "
            "not decide who gets what. Leave it out of [profile.segments.rules]."
        )
    made = rule_segments(table, spec)
    counts = {name: int((made["segment"] == name).sum()) for name in spec.names}
    return Segmented(table.join(made), rules_document(counts), rules_text(counts), Kept(RULES))


def _learned(table: pd.DataFrame, spec: SegmentSpec, asked: SegmentsAsked, protected: Collection[str]) -> Segmented:
    from bandit.profile.segment_search import N_REFERENCES, learn_segments  # noqa: PLC0415 - so does scikit-learn
    from service.segment_report import search_document, search_text  # noqa: PLC0415

    groups = {name: tuple(one for one in features if one not in protected) for name, features in spec.groups.items()}
    with advancing(2 * N_REFERENCES, "learning segments") as watch:
        search = learn_segments(table, replace(spec, groups=groups), watch=watch)
    out = str(asked.segments_out)
    document, text = search_document(search, out), search_text(search, out)
    if search.segments is None:
        return Segmented(table, document, text)
    data = search.segments.to_json()
    with replacing(asked.segments_out) as draft:
        draft.write_bytes(data)
    return Segmented(table.join(search.segments.assign(table)), document, text, Kept(KEPT, data))


def _assigned(table: pd.DataFrame, asked: SegmentsAsked, protected: Collection[str]) -> Segmented:
    from bandit.profile.segment_drift import segment_drift  # noqa: PLC0415
    from service.segment_report import drift_document, drift_text  # noqa: PLC0415

    segments = frozen_segments(Path(asked.segments))
    forbidden = [name for name in segments.space.names if name in protected]
    if forbidden:
        raise UnusableLog(
            f"{asked.segments}: these segments look at {', '.join(forbidden)}, which [context] declares as protected. Learn "
            "segments anew with --segments learned; they leave it out then."
        )
    made = segments.assign(table)
    drift = segment_drift(segments, table, made["segment"])
    document, text = drift_document(drift, asked.segments), drift_text(drift, asked.segments)
    return Segmented(table.join(made), document, text, Kept(KEPT, segments.to_json()))


def _with_moves(found: Segmented, asked: SegmentsAsked) -> Segmented:
    if asked.segments_before is None or "segment" not in found.table:
        return found
    from bandit.profile.segment_drift import segment_moves  # noqa: PLC0415
    from service.segment_report import moves_document, moves_text  # noqa: PLC0415

    moves = segment_moves(_segments_in(asked.segments_before), found.table["segment"])
    document = {**found.document, "moves": moves_document(moves)}
    return replace(found, document=document, text=f"{found.text}\n{moves_text(moves)}")


def frozen_segments(path: Path) -> LearnedSegments:
    """Segments that were learned before.

    Raises:
        UnusableLog: if the file is not there, or holds something else.
    """
    from bandit.profile.learned_segments import LearnedSegments  # noqa: PLC0415

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableLog(
            f"{path}: no such file of segments ({error.strerror}). --segments is rules, learned, none, or a file that "
            "`manyarm profile --segments learned` wrote."
        ) from error
    try:
        return LearnedSegments.from_json(data)
    except UnusableLog as error:
        raise UnusableLog(f"{path}: {error}") from error


def _segments_in(path: Path) -> pd.Series:
    """The segment of each customer in a table of contexts."""
    import pandas as pd  # noqa: PLC0415

    customers, segments = [], []
    for row in read_rows(path):
        if not (row.get("customer_id") and row.get("segment")):
            raise UnusableLog(
                f"{path}: a row without customer_id or segment, so nobody can be seen to move. Name a table of contexts that "
                "`manyarm profile` wrote with segments."
            )
        customers.append(str(row["customer_id"]))
        segments.append(str(row["segment"]))
    return pd.Series(segments, index=pd.Index(customers, name="customer_id", dtype="str"), dtype="str")
