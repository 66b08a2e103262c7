"""An evaluation as a document for machines, a text for people, and a page to send around."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from evaluation.estimator import Estimate
from evaluation.evaluate import Answer
from evaluation.overlap import Verdict
from service.evaluating import Found
from service.page import badge, interval_bar, page

NOT_SAID = "-"


def document_of(found: Found) -> dict[str, object]:
    """What `--json` prints."""
    evaluation = found.evaluation
    document: dict[str, object] = {
        "target": evaluation.answer.target,
        "n": evaluation.answer.overlap.n,
        "dropped": dict(found.dropped),
        "verdict": evaluation.verdict.value,
        "reasons": list(evaluation.reasons),
        **_answer(evaluation.answer),
    }
    if evaluation.against:
        document["against"] = {"target": evaluation.against.target, **_answer(evaluation.against)}
        document["difference"] = _estimates(evaluation.difference)
    return document


def _answer(answer: Answer) -> dict[str, object]:
    overlap = answer.overlap
    return {
        "behavior_value": answer.behavior_value,
        "ess": overlap.ess,
        "max_weight": overlap.max_weight,
        "mean_weight": overlap.mean_weight,
        "mean_weight_p": overlap.mean_weight_p,
        "support": overlap.support,
        "rewarded": overlap.rewarded,
        "estimators": _estimates(answer.estimates),
    }


def _estimates(estimates: Mapping[str, Estimate]) -> dict[str, object]:
    return {
        name: {"value": e.value, "se": e.se, "ci_lower": e.ci_lower, "ci_upper": e.ci_upper, "method": e.method}
        for name, e in estimates.items()
    }


def text_of(found: Found) -> str:
    """What a person reads."""
    evaluation = found.evaluation
    lines = [
        f"{evaluation.verdict.value.upper()}: {_headline(found)}",
        *(f"  {reason}" for reason in evaluation.reasons),
    ]
    for answer in filter(None, (evaluation.answer, evaluation.against)):
        lines += ["", _heading(answer), *_table(answer.estimates)]
    if evaluation.against and evaluation.difference:
        lines += [
            "",
            f"{evaluation.answer.target} minus {evaluation.against.target}, row by row",
            *_table(evaluation.difference),
        ]
    lines += [f"left out: {n:,} rows, {reason}" for reason, n in found.dropped.items()]
    return "\n".join(lines)


def _headline(found: Found) -> str:
    evaluation = found.evaluation
    answer = evaluation.answer
    first = next(iter(answer.estimates.values()), None)
    if first is None:
        return f"this log does not say what {answer.target} would have earned."
    if evaluation.verdict is Verdict.UNRELIABLE:
        return f"do not lean on these numbers for {answer.target}."
    logged = f"the log itself earned {answer.behavior_value:.4f} a send"
    return f"{answer.target} would have earned {first.value:.4f} a send{_between(first)}; {logged}."


def _between(estimate: Estimate) -> str:
    if estimate.ci_lower is None or estimate.ci_upper is None:
        return ""
    return f" ({estimate.ci_lower:.4f} to {estimate.ci_upper:.4f})"


def _heading(answer: Answer) -> str:
    overlap = answer.overlap
    return (
        f"{answer.target}: {overlap.n:,} sends, worth {overlap.ess:,.0f} of its own, {overlap.rewarded:,.0f} of them rewarded; "
        f"largest weight {overlap.max_weight:.4g}, mean {overlap.mean_weight:.4f}"
    )


def _table(estimates: Mapping[str, Estimate]) -> Iterator[str]:
    for name, estimate in estimates.items():
        yield f"  {name:<26} {estimate.value:>9.5f}  {_cells(estimate)}  {estimate.method}"


def _cells(estimate: Estimate) -> str:
    if estimate.ci_lower is None or estimate.ci_upper is None or estimate.se is None:
        return f"{NOT_SAID:>9}  {NOT_SAID:>22}"
    return f"{estimate.se:>9.5f}  {estimate.ci_lower:>9.5f} to {estimate.ci_upper:>9.5f}"


def page_of(found: Found) -> str:
    """One HTML page that needs nothing else."""
    evaluation = found.evaluation
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in evaluation.reasons)
    tables = [
        _html_table(answer.target, _heading(answer), answer.estimates)
        for answer in filter(None, (evaluation.answer, evaluation.against))
    ]
    if evaluation.against and evaluation.difference:
        title = f"{evaluation.answer.target} minus {evaluation.against.target}"
        tables.append(_html_table(title, "Row by row, so that shared noise cancels.", evaluation.difference))
    dropped = "".join(f"<li>left out: {n:,} rows, {escape(reason)}</li>" for reason, n in found.dropped.items())
    verdict = evaluation.verdict
    return page(
        f"{evaluation.answer.target}: {verdict.value}",
        "What another policy would have earned",
        f"<p>{badge(verdict.value, verdict.name)} {escape(_headline(found))}</p>",
        f"<ul>{reasons}{dropped}</ul>",
        *tables,
    )


def _html_table(title: str, caption: str, estimates: Mapping[str, Estimate]) -> str:
    ends = [end for e in estimates.values() for end in (e.value, e.ci_lower, e.ci_upper) if end is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    rows = "".join(_html_row(name, estimate, low, (high - low) or 1.0) for name, estimate in estimates.items())
    head = "<tr><th>estimator</th><th>value</th><th>standard error</th><th>interval</th><th></th><th>how</th></tr>"
    return f"<h2>{escape(title)}</h2><p>{escape(caption)}</p><table>{head}{rows}</table>"


def _html_row(name: str, estimate: Estimate, low: float, width: float) -> str:
    se = NOT_SAID if estimate.se is None else f"{estimate.se:.5f}"
    return (
        f"<tr><td>{escape(name)}</td><td>{estimate.value:.5f}</td><td>{se}</td><td>{_between(estimate)[2:-1] or NOT_SAID}</td>"
        f"<td>{_bar(estimate, low, width)}</td><td>{escape(estimate.method)}</td></tr>"
    )


def _bar(estimate: Estimate, low: float, width: float) -> str:
    """The interval as a line with its value as a dot, all of a table on one scale."""
    ends = tuple(estimate.value if end is None else end for end in (estimate.ci_lower, estimate.ci_upper))
    return interval_bar(estimate.value, (ends[0], ends[1]), low, low + width)
