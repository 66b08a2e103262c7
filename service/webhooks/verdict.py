"""Person or machine: a verdict on each open and click of one message, by rules that have names and a version.

Scanners of mail gateways follow every link, mailboxes load every picture beforehand, and neither has read anything. What
each rule rests on stands in docs/webhooks.md. The rules look at all events of a message at once, so that the verdict does
not depend on the order in which they arrive.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from importlib.metadata import version
from operator import itemgetter
from typing import Final

from crawleruseragents import is_crawler

from service.webhooks.event import Clues, Kind

RULES = 1
"""Raise it whenever a rule changes: verdicts say by which rules they were made."""

VERDICT_VERSION: Final = f"{RULES} crawler-user-agents {version('crawler-user-agents')}"
"""Which rules, and which list of crawlers."""

HONEYPOT = "manyarm-honeypot"
"""Stands in a link that no person sees. Whoever follows it follows every link."""

BURST_LINKS, BURST = 3, timedelta(seconds=10)
"""So many different links within this time are no person's."""
NEAR_HONEYPOT = timedelta(minutes=1)
TOO_SOON = timedelta(seconds=5)
"""After the receiving server took the message; before that time nobody has seen it."""
SOON = timedelta(seconds=20)

PRELOADED = "Mozilla/5.0"
"""All that Apple's mail privacy protection says of itself. It loads the pictures of every message, read or not."""
GMAIL_SCANNER = "Edge/12.246 Mozilla/5.0"
"""Gmail's look at a message on its arrival."""
IMAGE_PROXIES = ("GoogleImageProxy", "YahooMailProxy")
"""They load a picture when somebody opens the message, and hide who: nothing says that it was no person."""
SCANNERS = (
    "barracuda",
    "mimecast",
    "proofpoint",
    "symantec",
    "trendmicro",
    "forcepoint",
    "ironport",
    "fireeye",
    "sophos",
)
"""Mail gateways that say who they are. Most do not, and look like any browser."""


class Word(StrEnum):
    """The verdict in a word. Rewards count everything but machines."""

    HUMAN = "human"
    MACHINE = "machine"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict and the rule that gave it."""

    word: Word
    rule: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One open or click.

    Attributes:
        kind: open or click.
        at: when, as the provider tells it.
        clues: what else it tells.
    """

    kind: Kind
    at: datetime
    clues: Clues


JUDGED = frozenset({Kind.OPEN, Kind.CLICK})


def judge(events: Mapping[str, Seen], delivered_at: datetime | None) -> dict[str, Verdict]:
    """Verdicts on all opens and clicks of one message, by their keys.

    Args:
        events: of one message, by the event's key.
        delivered_at: when the receiving server took it, by the provider's clock; None where that is not known.

    >>> noon = datetime(2026, 11, 29, 12)
    >>> click = Seen(Kind.CLICK, noon + timedelta(seconds=2), Clues(link="https://example.org"))
    >>> judge({"e1": click}, noon)["e1"].rule, judge({"e1": click}, None)["e1"].rule
    ('too_soon', 'nothing_against')
    """
    clicks = sorted((one for one in events.values() if one.kind is Kind.CLICK), key=lambda one: one.at)
    traps = _merged((one.at - NEAR_HONEYPOT, one.at + NEAR_HONEYPOT) for one in clicks if HONEYPOT in one.clues.link)
    bursts = _merged(_bursts(clicks))
    return {key: _judged(one, traps, bursts, delivered_at) for key, one in events.items()}


Span = tuple[datetime, datetime]


def _judged(one: Seen, traps: Sequence[Span], bursts: Sequence[Span], delivered_at: datetime | None) -> Verdict:
    said = (
        _by_span(one, traps, "honeypot")
        or _by_provider(one)
        or _by_span(one, bursts, "burst")
        or _by_user_agent(one)
        or _by_time(one, delivered_at)
        or _by_proxy(one)
    )
    return said or Verdict(Word.HUMAN, "nothing_against")


def _bursts(clicks: Sequence[Seen]) -> Iterator[Span]:
    """Spans of at most `BURST`, from a click to a click, within which `BURST_LINKS` different links were followed.

    Args:
        clicks: in the order of time.
    """
    start = 0
    within: Counter[str] = Counter()
    for click in clicks:
        within[click.clues.link] += 1
        while click.at - clicks[start].at > BURST:
            gone = clicks[start].clues.link
            within[gone] -= 1
            if not within[gone]:
                del within[gone]
            start += 1
        if len(within) >= BURST_LINKS:
            yield clicks[start].at, click.at


def _merged(spans: Iterable[Span]) -> list[Span]:
    """The same moments in spans that do not overlap.

    Args:
        spans: beginnings and ends both in the order of time.
    """
    merged: list[Span] = []
    for first, last in spans:
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def _by_span(one: Seen, spans: Sequence[Span], rule: str) -> Verdict | None:
    """A machine where the event lies in one of the spans, which are in order and apart."""
    begun = bisect_right(spans, one.at, key=itemgetter(0))
    return Verdict(Word.MACHINE, rule) if begun and one.at <= spans[begun - 1][1] else None


def _by_provider(one: Seen) -> Verdict | None:
    return Verdict(Word.MACHINE, "provider_flag") if one.clues.flag else None


def _by_user_agent(one: Seen) -> Verdict | None:
    found = one.clues.user_agent.strip()
    small = found.lower()
    if one.kind is Kind.OPEN and found == PRELOADED:
        return Verdict(Word.MACHINE, "preloaded")
    is_scanner = found.endswith(GMAIL_SCANNER) or any(name in small for name in SCANNERS)
    if is_scanner or (found and not _is_proxy(found) and _is_crawler(found)):
        return Verdict(Word.MACHINE, "user_agent")
    return None


@lru_cache(maxsize=10_000)
def _is_crawler(user_agent: str) -> bool:
    """On the list; a look takes most of a millisecond, and few user agents make most events."""
    return bool(is_crawler(user_agent))


def _by_time(one: Seen, delivered_at: datetime | None) -> Verdict | None:
    if delivered_at is None or one.at - delivered_at > SOON:
        return None
    is_too_soon = one.at - delivered_at <= TOO_SOON
    return Verdict(Word.MACHINE, "too_soon") if is_too_soon else Verdict(Word.UNSURE, "soon")


def _by_proxy(one: Seen) -> Verdict | None:
    return Verdict(Word.UNSURE, "image_proxy") if _is_proxy(one.clues.user_agent) else None


def _is_proxy(user_agent: str) -> bool:
    return any(name in user_agent for name in IMAGE_PROXIES)
