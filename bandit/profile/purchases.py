"""What a customer buys: recency, frequency and money with their quintiles, lower prices, and how steadily."""

from __future__ import annotations

import numpy as np

from bandit.profile.events import FRACTION
from bandit.profile.maker import Columns, Maker
from bandit.profile.population import N_QUINTILES, Population, elapsed_periods, quintile, smoothed
from bandit.profile.spec import ProfileSpec
from bandit.profile.sums import Sums


def purchases(sums: Sums, population: Population, spec: ProfileSpec) -> Columns:
    """Recency, frequency, monetary value and their scores.

    Source: Hughes (1994), Strategic Database Marketing, for quintiles of recency, frequency and money.
    """
    counts, strength = sums.counts, spec.shrinkage.rates
    recency = sums.days_since(sums.last["purchase"])
    frequency, money = counts["purchases"].astype(np.float64), counts["money"] / FRACTION
    has_bought, bought_lately = ~np.isnan(recency), counts["purchases"] > 0
    late = N_QUINTILES + 1 - quintile(np.nan_to_num(recency), population.recency)
    known = counts["priced"]
    return {
        "recency_days": recency,
        "frequency": frequency,
        "monetary": money,
        "average_order": np.where(known > 0, money / np.maximum(known, 1), np.nan),
        "recency_score": np.where(has_bought, late, 0).astype(np.float64),
        "frequency_score": np.where(bought_lately, quintile(frequency, population.frequency), 0).astype(np.float64),
        "monetary_score": np.where(bought_lately, quintile(money, population.monetary), 0).astype(np.float64),
        "price_sensitivity": smoothed(counts["discounted"], counts["purchases"], population.discounted, strength),
        "brand_loyalty": smoothed(sums.periods, elapsed_periods(sums, spec), population.loyalty, strength),
    }


PURCHASES = Maker(
    {
        "recency_days": "days since the last purchase; missing where there was none",
        "frequency": "purchases in `windows.purchases`",
        "monetary": "money for them, of those whose amount is known",
        "average_order": "`monetary` a purchase whose amount is known; missing where there is none",
        "recency_score": "5 for the fifth of buyers who bought last, 1 for those who bought longest ago, 0 for no purchase",
        "frequency_score": "5 for the fifth of buyers with most purchases, down to 1; 0 for none in the window",
        "monetary_score": "5 for the fifth of buyers who spent most, down to 1; 0 for no purchase in the window",
        "price_sensitivity": "share of purchases with a `discount`, smoothed; missing where there is none",
        "brand_loyalty": "share of the 30-day stretches since the first purchase, within the window, with a purchase, smoothed",
    },
    purchases,
)
