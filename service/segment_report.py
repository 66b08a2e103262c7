"""What is said of segments: who is in which, how they were found, and what changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from bandit.profile.segment_drift import Moves, SegmentDrift
from bandit.profile.segment_search import SegmentSearch
from bandit.stability_index import StabilityIndex

_MOST_MOVES = 8
Document = dict[str, object]


def rules_document(counts: Mapping[str, int]) -> Document:
    """Customers by segment."""
    return {"segments": [{"segment": name, "n_customers": n} for name, n in counts.items()]}


def rules_text(counts: Mapping[str, int]) -> str:
    """The same as a table."""
    total = max(sum(counts.values()), 1)
    return _table(
        ("segment", "customers", "share"), [(name, f"{n:,}", f"{n / total:.1%}") for name, n in counts.items()]
    )


def search_document(search: SegmentSearch, out: str) -> Document:
    """What was found, tried and left out."""
    found = search.segments
    tried = [
        {"setting": str(one.setting), "silhouette": one.silhouette, "stability": one.stability, "shares": one.shares}
        for one in search.tried
    ]
    document: Document = {
        "found": found is not None,
        "reason": search.reason,
        "tried": tried,
        "by_chance": search.by_chance,
        "left_out": search.left_out,
        "n_fitted": search.n_fitted,
    }
    if found is None:
        return document
    judged = {"method": found.method, "silhouette": found.silhouette, "stability": found.stability}
    missing = {column.name: column.missing for column in found.space.columns if column.missing}
    return {**document, **judged, "missing": missing, "segments": found.profiles, "segments_out": out}


def search_text(search: SegmentSearch, out: str) -> str:
    """The same for people, with what to put into the campaign file."""
    left_out = f"Left out: {'; '.join(search.left_out)}." if search.left_out else ""
    found = search.segments
    if found is None:
        return _lines(f"No segments. {search.reason}", left_out, "Contexts are without `segment`; no file was written.")
    by_chance = f", at most {max(search.by_chance):.2f} among customers without structure" if search.by_chance else ""
    head = (
        f"Segments of {found.n_customers:,} customers by {found.method}: silhouette {found.silhouette:.2f}{by_chance}; "
        f"halves of the customers agree on {found.stability:.2f} of 1. Written to {out}."
    )
    rows = [
        (one.name, f"{one.n_customers:,}", f"{one.share:.1%}", f"{one.found_again:.2f}", one.words)
        for one in sorted(found.profiles, key=lambda one: -one.n_customers)
    ]
    table = _table(("segment", "customers", "share", "found again", "what sets it apart"), rows)
    missing = [f"{column.name} {column.missing:.0%}" for column in found.space.columns if column.missing]
    said = f"Missing: {', '.join(missing)} of the customers; numbers count as the median there." if missing else ""
    values = json.dumps(sorted(found.names), ensure_ascii=False)
    toml = f'For the campaign file:\n[context.segment]\nkind = "categorical"\nvalues = {values}'
    return _lines(head, table, said, left_out, toml)


def drift_document(drift: SegmentDrift, path: str) -> Document:
    """Shares then and now, and the features that moved."""
    counts = [{"segment": name, "then": then, "now": now} for name, (then, now) in drift.counts.items()]
    features = {name: _index_document(found) for name, found in drift.features.items()}
    return {"segments_from": path, "segments": counts, "drift": _index_document(drift.segments), "features": features}


def _index_document(found: StabilityIndex) -> Document:
    numbers = {"psi": found.statistic, "threshold": found.threshold, "p_value": found.p_value}
    return {**numbers, "moved": found.alarm, "reason": found.reason}


def drift_text(drift: SegmentDrift, path: str) -> str:
    """The same for people."""
    then, now = (max(sum(pair[k] for pair in drift.counts.values()), 1) for k in (0, 1))
    rows = [
        (name, f"{before:,}", f"{before / then:.1%}", f"{after:,}", f"{after / now:.1%}")
        for name, (before, after) in sorted(drift.counts.items(), key=lambda item: -item[1][0])
    ]
    table = _table(("segment", "then", "", "now", ""), rows)
    features = [f"{name} ({_index_words(drift.features[name])})" for name in drift.moved_features]
    moved = f"Features that moved: {', '.join(features)}." if features else "No feature moved by more than chance does."
    return _lines(f"Segments as {path} says. Shares since: {_index_words(drift.segments)}.", table, moved)


def _index_words(found: StabilityIndex) -> str:
    if found.statistic is None or found.threshold is None:
        return found.reason or ""
    word = "changed" if found.alarm else "as before"
    return f"{word}, PSI {found.statistic:.3f}, unusual above {found.threshold:.3f}"


def moves_document(moves: Moves) -> Document:
    """Who moved."""
    counts = [{"then": then, "now": now, "n_customers": n} for (then, now), n in moves.counts.items()]
    return {
        "n_both": moves.n_both,
        "n_moved": moves.n_moved,
        "n_new": moves.n_new,
        "n_gone": moves.n_gone,
        "p_value": moves.p_value,
        "transitions": counts,
    }


def moves_text(moves: Moves) -> str:
    """The same for people."""
    head = f"{moves.n_moved:,} of {moves.n_both:,} customers moved; {moves.n_new:,} are new, {moves.n_gone:,} gone."
    if moves.p_value is not None:
        head += f" As many leave each segment as join it: p = {moves.p_value:.2g} (Stuart-Maxwell)."
    moved = sorted((pair for pair in moves.counts.items() if pair[0][0] != pair[0][1]), key=lambda pair: -pair[1])
    lines = [f"  {then} -> {now}: {n:,}" for (then, now), n in moved[:_MOST_MOVES]]
    return _lines(head, *lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, those of numbers to the right."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    is_number = [all(cell[:1].isdigit() for cell in column[1:]) for column in columns]
    lines = [
        [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ]
        for row in (head, *rows)
    ]
    return "\n".join("  ".join(cells).rstrip() for cells in lines)


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)
