"""Which sources of candidates serve best, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bandit.products.mix_choice import POPULAR_ONLY, MixChoice
from bandit.products.ranking_quality import RankingQuality


def chosen_lines(choice: MixChoice) -> list[str]:
    """What was judged and what was chosen, a line each."""
    if choice.popular is None:
        return [
            "Too few customers took anything in the last quarter of the events to judge sources: the usual mix is used."
        ]
    surely = "." if choice.sources != POPULAR_ONLY else ", for no mix is surely better than the popular products."
    return [
        f"Judged by the first {choice.k} of lists made of what came before {choice.split:%Y-%m-%d %H:%M} UTC:",
        f"  {choice.popular.n_customers} customers took something later.",
        *_table(choice),
        f"Chosen: {_said(choice.sources)}{surely}",
    ]


def _table(choice: MixChoice) -> Iterator[str]:
    yield f"  {'precision':>9} {'recall':>6} {'MAP':>6}  gain in MAP over popular (95 %)"
    if choice.popular:
        yield f"  {_figures(choice.popular)}  {'':28} popular products"
    for one in choice.judged:
        yield f"  {_figures(one.quality)}  {f'{one.gain:+.4f} ({one.low:+.4f} to {one.high:+.4f})':28} {_said(one.sources)}"


def _figures(quality: RankingQuality) -> str:
    return f"{quality.precision:9.4f} {quality.recall:6.4f} {quality.average_precision:6.4f}"


def _said(sources: Mapping[str, float]) -> str:
    """A mix in words.

    >>> _said({"content": 1.0, "popular": 0.5})
    'content 1 + popular 0.5'
    """
    return " + ".join(f"{name} {weight:g}" for name, weight in sources.items())
