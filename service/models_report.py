"""What is said of models of customers and of one customer's numbers, for machines and for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from bandit.profile.customer_models import CustomerModels
from bandit.profile.customer_value import Spending
from bandit.profile.factors import Explanation, Factor, explained
from bandit.profile.judgement import Judgement
from bandit.profile.suggested_actions import suggested_actions

_MOST_FACTORS = 5


def models_document(models: CustomerModels) -> dict[str, Any]:
    """The models' judgements and refusals."""
    judged = {name: judgement.document() for name, judgement in models.judgements.items()}
    made = {"made_at": models.made_at.isoformat(), "spec": asdict(models.spec)}
    return {"models": {**made, "judged": judged, "refused": dict(models.refusals)}}


def models_text(models: CustomerModels) -> str:
    """The same in words."""
    lines = [
        f"models made from events before {models.made_at.isoformat()}; judged on what happened after earlier ones:"
    ]
    lines += [f"  {name:<24} {_judged(judgement)}" for name, judgement in models.judgements.items()]
    if models.value:
        lines.append(
            f"  customer_value           spend within {models.spec.value} days, .8 of customers within their interval"
        )
    lines += [f"  not made: {reason}" for reason in models.refusals.values()]
    return "\n".join(lines)


def _judged(judgement: Judgement) -> str:
    verdict = "" if judgement.is_better_than_base else "; NO BETTER than the base rate: do not use it"
    worst = max((abs(one.expected - one.observed) for one in judgement.bins), default=0.0)
    return (
        f"log loss {judgement.log_loss:.4f} (base rate {judgement.base_log_loss:.4f}), AUC {judgement.auc:.3f}, "
        f"{judgement.base_rate:.1%} of {judgement.n:,} came true, worst tenth off by {worst:.3f}{verdict}"
    )


def explained_document(
    models: CustomerModels, features: pd.DataFrame, spending: Spending, customer: str
) -> dict[str, Any]:
    """One customer's numbers as sums, and what might be done."""
    found = explained(models, features, spending, customer)
    numbers = {name: {**asdict(one), "score": one.score} for name, one in found.items()}
    return {"customer": customer, "numbers": numbers, "suggested": [asdict(one) for one in suggested_actions(found)]}


def explained_text(models: CustomerModels, features: pd.DataFrame, spending: Spending, customer: str) -> str:
    """The same in words."""
    found = explained(models, features, spending, customer)
    lines = [f"customer {customer}:"]
    for explanation in found.values():
        lines += ["", *_number_lines(explanation)]
    suggested = suggested_actions(found)
    if suggested:
        lines += ["", "to test:", *(f"  {one.sentence} ({one.number}, for {one.factor})" for one in suggested)]
    return "\n".join(lines)


def _number_lines(explanation: Explanation) -> list[str]:
    shown = explanation.factors[:_MOST_FACTORS]
    rest = explanation.score - explanation.start - sum(factor.added for factor in shown)
    unit = {"log-odds": "", "log": " in money", "log-hazard": " times the speed of the average customer"}
    return [
        f"{explanation.number} {explanation.value:.3g}{unit[explanation.scale]}, in {explanation.scale}:",
        f"  {explanation.start:+.2f}  to start with",
        *(f"  {factor.added:+.2f}  {factor.name} {_shown(factor)}" for factor in shown),
        f"  {rest:+.2f}  all others",
        f"  {explanation.score:+.2f}  together",
    ]


def _shown(factor: Factor) -> str:
    value = "not known" if factor.value is None else _cell(factor.value)
    return f"{value} (usual {_cell(factor.usual)})"


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
