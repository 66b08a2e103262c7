"""What a marketer might do about a number, in words: a table of rules, and the factors that call them up.

They are suggestions to test, and no finding: the models say who, not what helps. Whether a message helps is what the campaign
itself finds out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bandit.profile.factors import Explanation, Factor

LEAST: Final = 0.1
"""What a factor must add or take away at least, to be worth a sentence."""
MOST: Final = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """When a sentence is said.

    Attributes:
        number: of which number's factors.
        features: one of these is the factor; empty for any.
        raises: whether the factor makes the number larger, or smaller.
        sentence: what to do.
    """

    number: str
    features: tuple[str, ...]
    raises: bool
    sentence: str


_SILENCE: Final = (
    "days_since_active",
    "days_since_login",
    "activity_missed",
    "active_events",
    "activity_trend",
    "login_frequency",
)
_BUYING: Final = ("recency_days", "purchase_missed", "frequency", "purchase_rate", "brand_loyalty", "recency_score")
_MAIL: Final = ("email_open_rate", "email_click_rate", "engagement_email_engagement", "emails_sent")
_VISITS: Final = (
    "session_frequency",
    "activity_rate",
    "engagement_login_frequency",
    "engagement_score",
    "engagement_feature_usage",
)
RULES: Final = (
    Rule("churn_risk", _SILENCE, True, "Silent for longer than is usual: send a reason to come back, not one more newsletter."),
    Rule("churn_risk", _MAIL, True, "Hardly reads e-mail: try another channel, or fewer messages."),
    Rule("churn_risk", _VISITS, True, "Comes seldom: show what can be done here in one small step, with help to begin."),
    Rule("churn_risk", _BUYING, True, "Buys too seldom: ask what was missing, or remind of what was bought before."),
    Rule("churn_risk", ("support_contacts", "engagement_support"), True, "Had to ask support: settle that first, sell later."),
    Rule("churn_risk", ("account_age_days", "lifecycle_stage"), True, "Their stage speaks for it: use that stage's message."),
    Rule("purchase_propensity", _BUYING, True, "Due by their own rhythm: a plain reminder may do, keep the discount."),
    Rule("purchase_propensity", _BUYING, False, "Not due by their own rhythm: tell what is new, ask for the order later."),
    Rule("purchase_propensity", _SILENCE, False, "Has been away: win back the visit first, the order comes after it."),
    Rule("purchase_propensity", _MAIL, False, "E-mail does not reach them well: choose another channel or hour."),
    Rule("purchase_propensity", ("price_sensitivity",), False, "Buys at a discount: test a small one, with an end date."),
    Rule("conversion_probability", _MAIL, False, "Seldom opens or clicks: test another subject line and hour first."),
    Rule("conversion_probability", _MAIL, True, "Reads what is sent: a good one to ask for more than a click."),
    Rule("conversion_probability", _SILENCE, False, "Has been away: few messages, each with one clear reason."),
    Rule("days_to_next_purchase", _BUYING, True, "Buys sooner than others: let the message arrive before the median."),
    Rule("days_to_next_purchase", _BUYING, False, "Buys later than others: save messages until the lower end is near."),
    Rule("customer_value", ("is_still_there",), False, "Perhaps gone already: spend on winning back only what the value allows."),
    Rule("customer_value", ("purchases_if_there",), False, "Buys seldom: test what makes the second order come sooner."),
    Rule("customer_value", ("mean_order",), False, "Small orders: test bundles and a threshold for free delivery."),
    Rule("customer_value", ("mean_order", "purchases_if_there"), True, "Worth more than most: good service before discounts."),
)  # fmt: skip
"""The table; the first rule that fits a factor speaks for it."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A sentence, and the factor behind it."""

    number: str
    factor: str
    sentence: str


def suggested_actions(explanations: Mapping[str, Explanation], *, most: int = MOST) -> tuple[Suggestion, ...]:
    """Sentences for one customer, those of the largest factors first, each once and a number at most `most`.

    >>> late = Factor("days_since_active", 80.0, 9.0, 1.4)
    >>> found = suggested_actions({"churn_risk": Explanation("churn_risk", 0.8, "log-odds", 0.0, (late,))})
    >>> print(found[0].sentence)
    Silent for longer than is usual: send a reason to come back, not one more newsletter.
    """
    found: dict[str, Suggestion] = {}
    for number, explanation in explanations.items():
        said = [(factor, _rule(number, factor)) for factor in explanation.factors]
        for factor, rule in [(factor, rule) for factor, rule in said if rule][:most]:
            if rule:
                found.setdefault(rule.sentence, Suggestion(number, factor.name, rule.sentence))
    return tuple(found.values())


def _rule(number: str, factor: Factor) -> Rule | None:
    if not math.isfinite(factor.added) or abs(factor.added) < LEAST:
        return None
    fitting = (rule for rule in RULES if rule.number == number and factor.name in rule.features)
    return next((rule for rule in fitting if rule.raises == (factor.added > 0)), None)
