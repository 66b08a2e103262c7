"""Verdicts: each rule finds its machine, none finds a person, and the order in which events come does not matter."""

from __future__ import annotations

import itertools
import random
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.webhooks.event import Clues, Kind
from service.webhooks.verdict import HONEYPOT, VERDICT_VERSION, Seen, Word, judge

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
OUTLOOK = "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; Microsoft Outlook 16.0.4266)"
GOOGLE = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
GMAIL_SCAN = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 "
    "Edge/12.246 Mozilla/5.0"
)


def opened(after, user_agent=FIREFOX, flag=None):
    return Seen(Kind.OPEN, NOON + timedelta(seconds=after), Clues(flag, user_agent))


def clicked(after, link="https://shop.example/a", user_agent=FIREFOX, flag=None):
    return Seen(Kind.CLICK, NOON + timedelta(seconds=after), Clues(flag, user_agent, link))


def said(*events, delivered_at=NOON):
    """Verdicts on events in their order, as word and rule."""
    found = judge({str(n): event for n, event in enumerate(events)}, delivered_at)
    return [(found[str(n)].word.value, found[str(n)].rule) for n in range(len(events))]


@pytest.mark.parametrize("user_agent", [FIREFOX, PHONE, OUTLOOK, ""])
def test_a_person_who_opens_and_clicks_some_minutes_later_is_one(user_agent):
    human = ("human", "nothing_against")
    assert said(opened(300, user_agent), clicked(320, user_agent=user_agent)) == [human] * 2


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        (opened(300, flag=True), "provider_flag"),
        (opened(300, "Mozilla/5.0"), "preloaded"),
        (opened(300, GMAIL_SCAN), "user_agent"),
        (clicked(300, user_agent="Barracuda Sentinel (EE)"), "user_agent"),
        (clicked(300, user_agent="python-requests/2.32"), "user_agent"),
        (clicked(4), "too_soon"),
        (clicked(-30), "too_soon"),
        (clicked(300, f"https://shop.example/{HONEYPOT}"), "honeypot"),
    ],
)
def test_each_rule_finds_its_machine(event, rule):
    assert said(event) == [("machine", rule)]


@pytest.mark.parametrize(
    ("event", "rule"),
    [(opened(300, GOOGLE), "image_proxy"), (opened(300, "YahooMailProxy; x"), "image_proxy"), (clicked(15), "soon")],
)
def test_what_may_have_been_a_person_is_unsure_and_is_rewarded(event, rule):
    assert said(event) == [("unsure", rule)]


def test_seconds_after_the_delivery_say_nothing_where_the_delivery_is_not_known():
    assert said(clicked(1), delivered_at=None) == [("human", "nothing_against")]


def test_many_links_at_once_are_a_machine_and_the_open_among_them_too():
    links = [clicked(300 + n, f"https://shop.example/{n}") for n in range(3)]
    later = clicked(4000)
    assert said(*links, opened(301), later) == [("machine", "burst")] * 4 + [("human", "nothing_against")]


def test_one_link_again_and_again_or_three_links_in_an_hour_are_a_person():
    again = [clicked(300 + n) for n in range(5)]
    slowly = [clicked(1000 + 600 * n, f"https://shop.example/{n}") for n in range(3)]
    assert set(said(*again, *slowly)) == {("human", "nothing_against")}


def test_whoever_followed_the_honeypot_followed_the_other_links_too():
    assert said(
        clicked(300, f"https://shop.example/{HONEYPOT}"), clicked(310, "https://shop.example/b"), clicked(400)
    ) == [
        ("machine", "honeypot"),
        ("machine", "honeypot"),
        ("human", "nothing_against"),
    ]


EVENTS = st.lists(
    st.builds(
        lambda after, link, is_click: clicked(after, f"https://shop.example/{link}") if is_click else opened(after),
        st.integers(-60, 60), st.integers(0, 4), st.booleans(),
    ),
    max_size=12,
)  # fmt: skip


@given(events=EVENTS, seed=st.integers(0, 99))
def test_the_order_in_which_events_are_known_does_not_matter(events, seed):
    named = list(enumerate(events))
    mixed = random.Random(seed).sample(named, len(named))
    assert judge({str(n): event for n, event in mixed}, NOON) == judge({str(n): event for n, event in named}, NOON)


@given(events=EVENTS)
def test_bursts_are_those_that_looking_at_every_span_finds(events):
    """Against the definition, written out: some 10 seconds around the event hold clicks on three links."""
    clicks = [event for event in events if event.kind is Kind.CLICK]
    for event, (_, rule) in zip(events, said(*events, delivered_at=None), strict=True):
        spans = (
            {c.clues.link for c in clicks if 0 <= (c.at - first.at).total_seconds() <= 10}
            for first in clicks
            for last in clicks
            if first.at <= event.at <= last.at and (last.at - first.at).total_seconds() <= 10
            if len({c.clues.link for c in clicks if first.at <= c.at <= last.at}) >= 3
        )
        assert (rule == "burst") == any(True for _ in spans)


@pytest.mark.parametrize("name", ["{}", HONEYPOT + "/{}"])
@pytest.mark.parametrize("apart", [0.0001, 0.5])
def test_the_work_grows_with_the_number_of_clicks_and_not_with_its_square(name, apart):
    """Many at once, and many bursts in a row; counted in steps, which are the same on every machine."""

    def steps(n):
        clicks = {str(i): clicked(300 + i * apart, f"https://shop.example/{name.format(i)}") for i in range(n)}
        assert {found.word for found in judge(clicks, NOON).values()} == {Word.MACHINE}
        done = itertools.count()
        sys.setprofile(lambda *_: next(done))
        try:
            judge(clicks, NOON)
        finally:
            sys.setprofile(None)
        return next(done)

    assert steps(4000) < 5 * steps(1000)


def test_the_version_names_the_rules_and_the_list_they_use():
    assert VERDICT_VERSION.startswith("1 crawler-user-agents 1.")
    assert Word.MACHINE.value == "machine", "outcomes_table leaves these out of rewards by this word"


def test_every_rule_is_documented_and_named_once():
    root = Path(__file__).parents[1]
    code = (root / "service" / "webhooks" / "verdict.py").read_text(encoding="utf-8")
    rules = set(re.findall(r'"([a-z_]+)"\)', code))
    documented = re.findall(
        r"^\| `([a-z_]+)` \| (?:machine|unsure|human) ", (root / "docs/webhooks.md").read_text(), re.MULTILINE
    )
    assert set(documented) == rules
    assert len(documented) == len(rules) >= 9
