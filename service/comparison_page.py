"""A comparison as an HTML page to send around."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evaluation.arm_comparison import ArmComparison, ArmLine
from evaluation.audit import Audit, AuditVerdict
from evaluation.finding import Finding
from evaluation.group_comparison import GroupComparison
from evaluation.segment_comparison import SegmentArm
from service.comparing import Compared
from service.comparison_report import NOT_SAID, guardrail_text, lift_text, p_text
from service.page import badge, interval_bar, page, table

CURVE_WIDTH, CURVE_HEIGHT = 640, 160


def page_of(found: Compared) -> str:
    """One page that needs nothing else."""
    parts = [_values(found), *map(_group, found.groups), *map(_arms, found.dimensions)]
    if found.no_arms:
        parts.append(f"<p>No arms are compared: {escape(found.no_arms)}</p>")
    parts += [_segments(found.by, name, lines) for name, lines in found.segments.items()]
    if found.audits:
        parts.append(_audits(found.audits))
    dropped = "".join(f"<li>left out: {n:,} rows, {escape(reason)}</li>" for reason, n in found.dropped.items())
    return page(f"Comparison by {found.metric}", "What works, and how sure that is", *parts, f"<ul>{dropped}</ul>")


def _said(finding: Finding) -> str:
    return f"<p>{badge(finding.text, finding.word.name)} {escape(finding.rule)}</p>"


def _values(found: Compared) -> str:
    rows = [(escape(v.group), f"{v.n_sends:,}", f"{v.n_customers:,}", f"{v.value:.5f}") for v in found.values]
    caption = (
        f"<p>{escape(found.metric)} a send; {found.n:,} sends with a final reward. A difference within "
        f"{found.rule.margin:.3g} would not matter.</p>"
    )
    return caption + table(("group", "sends", "customers", "a send"), rows)


def _group(one: GroupComparison) -> str:
    lines = [f"<h2>{escape(one.treated)} minus {escape(one.control)}</h2>", _said(one.finding)]
    sequence = one.sequence
    if sequence:
        lines += [
            f"<p>At every look: {sequence.ci_lower:+.5f} to {sequence.ci_upper:+.5f} ({escape(sequence.method)}).</p>",
            _curve(one),
        ]
    if one.lift:
        lines.append(f"<p>At one look: {escape(lift_text(one.lift))} ({escape(one.lift.method)})</p>")
    lines.append(f"<p><small>{escape(one.fixed_date)}</small></p>")
    lines += [f"<p>{escape(name)}: {escape(guardrail_text(stop, one))}</p>" for name, stop in one.guardrails.items()]
    return "\n".join(lines)


def _curve(one: GroupComparison) -> str:
    """The bounds by sends, with a line at no difference."""
    sequence = one.sequence
    if sequence is None:
        return ""
    low, high = float(min(sequence.lower.min(), 0.0)), float(max(sequence.upper.max(), 0.0))
    # The first looks say next to nothing; drawn in full they would flatten all others.
    reach = 4.0 * max(abs(sequence.ci_lower), abs(sequence.ci_upper), 1e-9)
    low, high = max(low, -reach), min(high, reach)

    def at(n: float, value: float) -> str:
        x = CURVE_WIDTH * n / float(sequence.n[-1])
        y = CURVE_HEIGHT * (high - min(max(value, low), high)) / ((high - low) or 1.0)
        return f"{x:.1f},{y:.1f}"

    lines = "".join(
        f'<polyline fill="none" stroke="#456" stroke-width="2" points="{" ".join(map(at, sequence.n.tolist(), ends.tolist()))}"/>'
        for ends in (sequence.lower, sequence.upper)
    )
    first, last = at(0.0, 0.0), at(float(sequence.n[-1]), 0.0)
    return (
        f'<svg viewBox="0 -4 {CURVE_WIDTH} {CURVE_HEIGHT + 8}" width="{CURVE_WIDTH}" role="img" aria-label="bounds of the '
        f'difference by sends"><polyline stroke="#b33" points="{first} {last}"/>{lines}</svg>'
        f"<p><small>Bounds after 0 to {int(sequence.n[-1]):,} sends, between {low:+.4f} and {high:+.4f}; red is no difference."
        "</small></p>"
    )


def _arms(one: ArmComparison) -> str:
    bounds = [end for line in one.lines for end in line.rest.bounds or ()]
    low, high = (min(bounds), max(bounds)) if bounds else (0.0, 0.0)
    rows = [_arm_row(line, low, high) for line in one.lines]
    head = ("arm", "sends", "worth", "drawn in", "against the rest", "", "p (Holm)", "")
    caption = (
        f"<p>{one.n:,} sends drawn by chance; differences are {one.weighting.value}-weighted and hold at every look, worth is of "
        "all sends.</p>"
    )
    return f"<h2>{escape(one.dimension)}</h2>{_said(one.finding)}{caption}{table(head, rows)}"


def _arm_row(line: ArmLine, low: float, high: float) -> tuple[str, ...]:
    value, shrunk, rest = line.value, line.value.shrunk, line.rest
    bar, difference = "", NOT_SAID
    if rest.once and rest.bounds:
        estimate = rest.once.difference.estimate
        bar = interval_bar(min(max(estimate, low), high), rest.bounds, low, high)
        difference = f"{estimate:+.5f} ({rest.bounds[0]:+.5f} to {rest.bounds[1]:+.5f})"
    return (
        escape(line.arm),
        f"{value.n_drawn:,}",
        NOT_SAID if value.value is None else f"{value.value:.5f}",
        NOT_SAID if shrunk is None else f"{shrunk.value:.5f} ({shrunk.ci_lower:.5f} to {shrunk.ci_upper:.5f})",
        difference,
        bar,
        NOT_SAID if rest.p_adjusted is None else p_text(rest.p_adjusted),
        badge(rest.finding.text, rest.finding.word.name),
    )


def _segments(by: str, dimension: str, lines: Sequence[SegmentArm]) -> str:
    rows = [
        (
            escape(line.segment),
            escape(line.arm),
            f"{line.value.n_drawn:,}",
            NOT_SAID if line.value.shrunk is None else f"{line.value.shrunk.value:.5f}",
            NOT_SAID if line.rest is None else f"{line.rest.difference.estimate:+.5f}",
            NOT_SAID if line.q_value is None else p_text(line.q_value),
        )
        for line in lines
    ]
    head = (by, "arm", "sends", "drawn in", "against the rest", "q (Benjamini-Hochberg)")
    return f"<h2>{escape(dimension)} by {escape(by)}</h2><p>To explore, not to claim.</p>{table(head, rows)}"


def _audits(audits: Sequence[Audit]) -> str:
    kinds = {AuditVerdict.OK: "OK", AuditVerdict.ALARM: "ALARM", AuditVerdict.CANNOT_SAY: "CANNOT_SAY"}
    rows = [
        (badge(one.verdict.value, kinds[one.verdict]), escape(one.name), escape(one.found), escape(one.advice))
        for one in audits
    ]
    return f"<h2>Can this log be believed?</h2>{table(('', 'audit', 'found', 'what to do'), rows)}"
