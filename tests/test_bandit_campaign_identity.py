"""What makes two campaign files the same campaign, and which texts may name an arm."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import read_campaign

QUICK = settings(max_examples=40, deadline=None)
BASE = """
[campaign]
id = "contest"
[context.level]
kind = "categorical"
values = ["low", "high"]
[reward]
window = "72h"
events = { click = 0.2, conversion = 1.0 }
[groups]
random = 0.1
[policy]
floor = 0.05
gamma = 100
[[dimension]]
name = "cta"
arm = [{ id = "join", text = "Join now" }, { id = "invite", features = { tone = "warm" } }]
"""
LAYOUTS = {
    "comments": BASE.replace('id = "contest"', 'id = "contest"  # the spring one'),
    "spaces": BASE.replace(" = ", "   =\t").replace("\n[", "\n\n\n["),
    "line ends": BASE.replace("\n", "\r\n"),
    "quotes": BASE.replace('"contest"', "'contest'"),
    "order of keys": BASE.replace("floor = 0.05\ngamma = 100", "gamma = 100\nfloor = 0.05"),
    "order of sections": BASE.replace("[groups]\nrandom = 0.1\n", "") + "[groups]\nrandom = 0.1\n",
    "headers for inline tables": BASE.replace(
        "events = { click = 0.2, conversion = 1.0 }", "[reward.events]\nconversion = 1.0\nclick = 0.2"
    ),
}
CONTENTS = {
    "id": BASE.replace('"contest"', '"contest2"'),
    "timezone": BASE.replace('"contest"', '"contest"\ntimezone = "Europe/Madrid"'),
    "order of values": BASE.replace('["low", "high"]', '["high", "low"]'),
    "another value": BASE.replace('["low", "high"]', '["low", "high", "top"]'),
    "required": BASE.replace('kind = "categorical"', 'kind = "categorical"\nrequired = true'),
    "window": BASE.replace("72h", "73h"),
    "worth": BASE.replace("0.2", "0.20001"),
    "share": BASE.replace("random = 0.1", "random = 0.11"),
    "floor": BASE.replace("0.05", "0.06"),
    "option": BASE.replace("gamma = 100", "gamma = 101"),
    "learner": BASE + '[learner]\nname = "regression"\n',
    "arm id": BASE.replace('"join"', '"Join"'),
    "arm text": BASE.replace("Join now", "Join  now"),
    "arm feature": BASE.replace("warm", "cold"),
    "order of arms": BASE.replace(
        '{ id = "join", text = "Join now" }, { id = "invite", features = { tone = "warm" } }',
        '{ id = "invite", features = { tone = "warm" } }, { id = "join", text = "Join now" }',
    ),
}
STRANGE_IDS = [
    "a\nb",
    "a|b",
    "u=12:30",
    "it's",
    '"quoted"',
    "\\",
    " ",
    "🎉",
    "\u00e9",
    "e\u0301",
    "\x00",
    "\x7f",
    "#",
    "ü" * 5000,
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_content_hash_ignores_layout(layout):
    assert LAYOUTS[layout] != BASE
    assert read_campaign(LAYOUTS[layout]).content_hash == read_campaign(BASE).content_hash


@pytest.mark.parametrize("content", CONTENTS)
def test_the_content_hash_notices_everything_else(content):
    assert read_campaign(CONTENTS[content]).content_hash != read_campaign(BASE).content_hash


def test_the_contents_compared_all_differ_from_each_other():
    assert len({read_campaign(text).content_hash for text in CONTENTS.values()}) == len(CONTENTS)


def test_the_campaign_keeps_the_text_it_was_read_from():
    assert read_campaign(BASE).toml == BASE


@QUICK
@given(order=st.permutations(["campaign", "context", "reward", "dimension", "groups", "policy"]))
def test_sections_in_any_order_are_the_same_campaign(worlds, order):
    document = worlds.document(groups={"random": 0.1}, policy={"floor": 0.1})
    shuffled = {name: document[name] for name in order}
    assert read_campaign(worlds.toml(shuffled)).content_hash == read_campaign(worlds.toml(document)).content_hash


@pytest.mark.parametrize("arm_id", STRANGE_IDS, ids=lambda arm_id: ascii(arm_id[:8]))
def test_any_text_may_name_an_arm(worlds, arm_id):
    campaign = worlds.campaign(dimension=[worlds.dimension("cta", "plain", arm_id)])
    assert campaign.dimensions[0].ids == ("plain", arm_id)
    assert campaign.dimensions[0].index_of(arm_id) == 1


@QUICK
@given(ids=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, unique=True))
def test_arm_ids_come_back_letter_for_letter_in_file_order(worlds, ids):
    campaign = worlds.campaign(dimension=[worlds.dimension("cta", *ids)])
    assert campaign.dimensions[0].ids == tuple(ids)


def test_the_empty_text_names_no_arm(worlds):
    with pytest.raises(Exception, match=r"dimension\[0\]\.arm\[0\]\.id: found ''; wanted a text that names the arm"):
        worlds.campaign(dimension=[worlds.dimension("cta", "")])
