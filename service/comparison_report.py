"""A comparison as a document for machines and a text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evaluation.arm_comparison import ArmComparison, ArmLine, Contrast
from evaluation.audit import Audit, AuditVerdict
from evaluation.finding import Finding
from evaluation.group_comparison import GroupComparison
from evaluation.harm_stop import HarmedGroup, HarmStop
from evaluation.intervals import Interval
from evaluation.lift import Lift
from evaluation.segment_comparison import SegmentArm, SegmentLift
from service.comparing import Compared
from service.erased_report import erased_document, erased_lines
from service.statistical_audit import audits_document

NOT_SAID = "-"
LEVEL = 0.05
"""Share of chance among what is listed as found in segments."""


def document_of(found: Compared) -> dict[str, object]:
    """What `--json` prints."""
    document: dict[str, object] = {
        "metric": found.metric,
        "n": found.n,
        "dropped": dict(found.dropped),
        "planned": found.rule.planned,
        "margin": found.rule.margin,
        "reward_range": found.rule.reward_range,
        "confidence_level": found.rule.confidence_level,
        "groups": {
            v.group: {"n_sends": v.n_sends, "n_customers": v.n_customers, "value": v.value} for v in found.values
        },
        "comparisons": [_group_document(one) for one in found.groups],
        "dimensions": {one.dimension: _arms_document(one) for one in found.dimensions},
    }
    if found.no_arms:
        document["no_arms"] = found.no_arms
    if found.by:
        document["by"] = {
            "context": found.by,
            "lifts": [_segment_lift(one) for one in found.lifts],
            "arms": {name: [_segment_arm(one) for one in lines] for name, lines in found.segments.items()},
        }
    if found.erased:
        document["erased"] = erased_document(found)
    if found.audits:
        document["audits"] = audits_document(found.audits)
    return document


def finding_document(found: Finding) -> dict[str, object]:
    """A word with its rule."""
    return {"word": found.word.value, "rule": found.rule, "margin": found.margin, "more": found.more}


def _group_document(one: GroupComparison) -> dict[str, object]:
    sequence = one.sequence
    return {
        "treated": one.treated,
        "control": one.control,
        "n": one.n,
        "fixed_date": {"when": one.fixed_date, **_lift_document(one.lift)},
        "every_look": sequence
        and {"ci_lower": sequence.ci_lower, "ci_upper": sequence.ci_upper, "method": sequence.method},
        "guardrails": {name: _stop_document(stop) for name, stop in one.guardrails.items()},
        **finding_document(one.finding),
    }


def _lift_document(found: Lift | None) -> dict[str, object]:
    if found is None:
        return {"difference": None, "relative": None, "p_value": None}
    return {
        "difference": interval_document(found.difference),
        "relative": found.relative and interval_document(found.relative),
        "p_value": found.p_value,
        "method": found.method,
    }


def interval_document(found: Interval) -> dict[str, object]:
    """An estimate between its ends."""
    return {"value": found.estimate, "ci_lower": found.ci_lower, "ci_upper": found.ci_upper}


def _stop_document(stop: HarmStop) -> dict[str, object]:
    return {
        "e_value": min(stop.e_value, 1e300),
        "alarm": stop.alarm,
        "alarm_row": stop.alarm_row,
        "treated": _harmed(stop.treated),
        "control": _harmed(stop.control),
    }


def _harmed(group: HarmedGroup) -> dict[str, object]:
    return {"n_sends": group.n_sends, "n_customers": group.n_customers, "n_harmed": group.n_harmed, "rate": group.rate}


def _arms_document(one: ArmComparison) -> dict[str, object]:
    return {
        "n": one.n,
        "weighting": one.weighting.value,
        "leader": one.leader,
        **finding_document(one.finding),
        "arms": {
            line.arm: {**_value_document(line), "against_the_rest": _contrast_document(line.rest)} for line in one.lines
        },
        "leader_against": {pair.other: _contrast_document(pair) for pair in one.pairs},
    }


def _value_document(line: ArmLine) -> dict[str, object]:
    value, shrunk = line.value, line.value.shrunk
    return {
        "n_drawn": value.n_drawn,
        "n_eligible": value.n_eligible,
        "value": value.value,
        "se": value.se,
        "shrunk": shrunk
        and {"value": shrunk.value, "se": shrunk.se, "ci_lower": shrunk.ci_lower, "ci_upper": shrunk.ci_upper},
    }


def _contrast_document(one: Contrast) -> dict[str, object]:
    once = one.once
    return {
        "difference": once and interval_document(once.difference),
        "p_value": once and once.p_value,
        "p_adjusted": one.p_adjusted,
        "is_thin": once and once.is_thin,
        "every_look": one.bounds and {"ci_lower": one.bounds[0], "ci_upper": one.bounds[1]},
        **finding_document(one.finding),
    }


def _segment_lift(one: SegmentLift) -> dict[str, object]:
    return {"segment": one.segment, **_lift_document(one.lift), "q_value": one.q_value, "reason": one.reason}


def _segment_arm(one: SegmentArm) -> dict[str, object]:
    shrunk = one.value.shrunk
    return {
        "segment": one.segment,
        "n": one.n,
        "arm": one.arm,
        "n_drawn": one.value.n_drawn,
        "value": one.value.value,
        "shrunk": shrunk and shrunk.value,
        "difference": one.rest and interval_document(one.rest.difference),
        "q_value": one.q_value,
    }


def text_of(found: Compared) -> str:
    """What a person reads."""
    lines = [*headline(found), "", *_values(found)]
    for one in found.groups:
        lines += ["", *_group(one)]
    for arms in found.dimensions:
        lines += ["", *_arms(arms)]
    if found.no_arms:
        lines += ["", f"No arms are compared: {found.no_arms}"]
    if found.by:
        lines += ["", *_segments(found)]
    if found.audits:
        lines += ["", *_audits(found.audits)]
    lines += [f"left out: {n:,} rows, {reason}" for reason, n in found.dropped.items()]
    return "\n".join([*lines, *erased_lines(found)])


def headline(found: Compared) -> list[str]:
    """The most important word first: groups, or the first dimension where there are none."""
    if found.groups:
        one = found.groups[0]
        return [f"{one.finding.text.upper()}: {one.treated} against {one.control}.", f"  {one.finding.rule}"]
    if found.dimensions:
        arms = found.dimensions[0]
        return [f"{arms.finding.text.upper()}: arms of {arms.dimension}.", f"  {arms.finding.rule}"]
    return ["CANNOT SAY: there is one group, and no arms were drawn by known chance."]


def _values(found: Compared) -> Iterator[str]:
    yield (
        f"{found.metric} a send, {found.n:,} sends with a final reward; a difference within {found.rule.margin:.3g} would not "
        "matter"
    )
    for value in found.values:
        yield f"  {value.group:<9} {value.n_sends:>9,} sends  {value.n_customers:>9,} customers  {value.value:>9.5f}"


def _group(one: GroupComparison) -> Iterator[str]:
    yield f"{one.treated} minus {one.control}: {one.finding.text}"
    if one.sequence:
        yield f"  at every look  {_ends(one.sequence.ci_lower, one.sequence.ci_upper)}   {one.sequence.method}"
    if one.lift:
        yield f"  at one look    {lift_text(one.lift)}"
    yield f"                 {one.fixed_date}"
    for name, stop in one.guardrails.items():
        yield f"  {name}: {guardrail_text(stop, one)}"
    yield f"  rule: {one.finding.rule}"


def lift_text(found: Lift) -> str:
    """Both differences and the p-value."""
    said = _interval(found.difference)
    if found.relative:
        relative = found.relative
        said += f", {relative.estimate:+.0%} ({relative.ci_lower:+.0%} to {relative.ci_upper:+.0%})"
    return said + (f", p {p_text(found.p_value)}" if found.p_value is not None else "")


def guardrail_text(stop: HarmStop, one: GroupComparison) -> str:
    """How many customers were harmed in each group, and whether that is an alarm."""
    groups = ((one.treated, stop.treated), (one.control, stop.control))
    said = " against ".join(f"{g.n_harmed:,} of {g.n_customers:,} customers of {name}" for name, g in groups)
    verdict = f"STOP, first after {stop.alarm_row:,} sends" if stop.alarm else "no harm shown"
    return f"{said}; e-value {stop.e_value:.3g}: {verdict}"


def _arms(one: ArmComparison) -> Iterator[str]:
    yield f"{one.dimension}: {one.finding.text}. {one.finding.rule}"
    yield f"  {one.n:,} sends drawn by chance; differences are {one.weighting.value}-weighted, worth is of all of them"
    width = max(len(line.arm) for line in one.lines)
    yield (
        f"  {'arm':<{width}} {'sends':>9} {'worth':>9} {'drawn in, and its interval':>34}   {'against the rest':>17} {'p':>6}  "
        "at every look"
    )
    for line in one.lines:
        yield f"  {line.arm:<{width}} {_arm_cells(line)}"
    if one.leader and len(one.lines) > 2:
        beaten = [pair.other for pair in one.pairs if pair.bounds and pair.bounds[0] > 0]
        yield f"  {one.leader} leads; for certain it earns more than: {', '.join(beaten) or 'none of the others, so far'}"
    if any(line.rest.once and line.rest.once.is_thin for line in one.lines):
        yield "  *: fewer than 20 effective rewarded sends; the interval leans on the random group, so wait or raise the floor"


def _arm_cells(line: ArmLine) -> str:
    value, shrunk, rest = line.value, line.value.shrunk, line.rest
    worth = NOT_SAID if value.value is None else f"{value.value:.5f}"
    drawn_in = NOT_SAID if shrunk is None else f"{shrunk.value:.5f} ({shrunk.ci_lower:.5f} to {shrunk.ci_upper:.5f})"
    once = NOT_SAID if rest.once is None else f"{rest.once.difference.estimate:+.5f}" + "*" * rest.once.is_thin
    p_value = NOT_SAID if rest.p_adjusted is None else p_text(rest.p_adjusted)
    bounds = NOT_SAID if rest.bounds is None else _ends(*rest.bounds)
    return f"{value.n_drawn:>9,} {worth:>9} {drawn_in:>34}   {once:>17} {p_value:>6}  {bounds}  {rest.finding.text}"


def _segments(found: Compared) -> Iterator[str]:
    yield f"By {found.by}: to explore, not to claim (Benjamini-Hochberg: one in twenty of what is found is chance)"
    for one in found.lifts:
        names = f"{found.groups[0].treated} minus {found.groups[0].control}"
        yield f"  {one.segment}: {names} {lift_text(one.lift) if one.lift else one.reason}"
    for name, lines in found.segments.items():
        yield from _segment_lines(name, lines)


def _segment_lines(dimension: str, lines: Sequence[SegmentArm]) -> Iterator[str]:
    for segment in dict.fromkeys(line.segment for line in lines):
        own = [line for line in lines if line.segment == segment]
        known = [(line.value.shrunk.value, line.arm) for line in own if line.value.shrunk]
        best = max(known)[1] if known else NOT_SAID
        differ = [line for line in own if line.q_value is not None and line.q_value <= LEVEL and line.rest]
        said = ", ".join(f"{line.arm} {line.rest.difference.estimate:+.4f}" for line in differ if line.rest)
        yield f"  {segment}: best {dimension} {best}; differ from the rest: {said or 'none'} ({own[0].n:,} sends)"


def _audits(audits: Sequence[Audit]) -> Iterator[str]:
    """What raised an alarm; the rest is counted."""
    counts = ", ".join(f"{n} {verdict}" for verdict in AuditVerdict if (n := sum(a.verdict is verdict for a in audits)))
    yield f"Can this log be believed? {counts}; `manyarm verify --statistics` shows each audit."
    for audit in audits:
        if audit.verdict is AuditVerdict.ALARM:
            yield f"  ALARM {audit.name}: {audit.found}. {audit.advice}"


def p_text(p_value: float) -> str:
    """A p-value without false digits.

    >>> p_text(0.0371), p_text(0.00002), p_text(1.0)
    ('.037', '<.001', '1')
    """
    if p_value < 0.001:
        return "<.001"
    return f"{p_value:.3f}".removeprefix("0") if p_value < 0.9995 else "1"


def _interval(found: Interval) -> str:
    return f"{found.estimate:+.5f} ({_ends(found.ci_lower, found.ci_upper)})"


def _ends(lower: float, upper: float) -> str:
    return f"{lower:+.5f} to {upper:+.5f}"
