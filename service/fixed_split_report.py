"""The classical tests of a fixed split, for machines and people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from evaluation.fixed_split import Test
from evaluation.time_to_conversion import TimeToConversion
from service.comparison_report import interval_document, lift_text, p_text
from service.fixed_split_asking import ArmAgainst, SplitFound


def document_of(found: SplitFound) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "metric": found.metric,
        "n": found.n,
        "fixed_split": True,
        "baseline": found.baseline,
        "arms": {name: {"n_sends": n, "value": value} for name, (n, value) in found.values.items()},
        "every_arm": asdict(found.every),
        "against_baseline": {one.arm: _against(one) for one in found.against},
        "interactions": {one.name: {**asdict(one.test), "p_adjusted": one.p_adjusted} for one in found.columns},
        "time_to_conversion": found.times and asdict(found.times),
    }


def _against(one: ArmAgainst) -> dict[str, object]:
    if one.found is None:
        return {"difference": None, "p_value": None, "reason": one.reason}
    lift, newcombe = one.found.lift, one.found.newcombe
    return {
        "difference": interval_document(lift.difference),
        "newcombe": newcombe and interval_document(newcombe),
        "relative": lift.relative and interval_document(lift.relative),
        "statistic": one.found.statistic,
        "p_value": lift.p_value,
        "p_adjusted": one.p_adjusted,
        "method": lift.method,
        "reason": one.reason or None,
    }


def text_of(found: SplitFound) -> str:
    """What a person reads."""
    lines = [
        f"{found.metric} a send, {found.n:,} sends of a fixed split, for one look on the planned date",
        *(f"  {name:<24} {n:>9,} sends  {value:>9.5f}" for name, (n, value) in found.values.items()),
        f"any arm differs: {_test(found.every)}",
        f"against {found.baseline}:",
        *(f"  {one.arm:<24} {_against_text(one)}" for one in found.against),
    ]
    if found.columns:
        lines.append("does it depend on the customer? (arm x column, Holm over columns)")
        lines += [f"  {one.name:<24} {_test(one.test, one.p_adjusted)}" for one in found.columns]
    if found.times:
        lines += _times(found.times)
    return "\n".join(lines)


def _against_text(one: ArmAgainst) -> str:
    if one.found is None:
        return one.reason
    adjusted = f", Holm {p_text(one.p_adjusted)}" if one.p_adjusted is not None else ""
    return f"{lift_text(one.found.lift)}{adjusted}   {one.found.lift.method}"


def _test(test: Test, p_adjusted: float | None = None) -> str:
    if test.statistic is None or test.p_value is None:
        return f"cannot say: {test.reason}"
    adjusted = "" if p_adjusted is None else f", Holm {p_text(p_adjusted)}"
    return f"chi-squared {test.statistic:.2f} on {test.degrees}, p {p_text(test.p_value)}{adjusted}   {test.method}"


def _times(times: TimeToConversion) -> Iterator[str]:
    verdict = times.reason if times.p_value is None else f"chi-squared {times.statistic:.2f}, p {p_text(times.p_value)}"
    yield f"time to conversion: {verdict}   {times.method}"
    for one in times.arms:
        said = (
            f"{times.share:.0%} of them by {one.time:g}"
            if one.time is not None
            else f"fewer than {times.share:.0%} so far"
        )
        yield f"  {one.arm:<24} {one.n_converted:,} of {one.n_customers:,} converted, {said}"
