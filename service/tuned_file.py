"""The tuned campaign file: the user's own text, with other values where tuning found better ones."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import tomlkit
from tomlkit.items import Table

from bandit.campaign import Option
from bandit.campaign_file import read_campaign
from policies.registry import POLICIES
from service.tunable import POLICY, learner_of, search_space
from simulator.search_space import Settings

MARK = "# tuned: "
"""Begins each line of the comment on top; tuning a tuned file replaces it."""
_KEPT = frozenset({"name", "floor", "interactions"})


def changes(text: str, settings: Settings) -> dict[str, tuple[Option | None, Option]]:
    """Which settings differ from a campaign file's: what stands there, and what is to stand there.

    >>> from service.sample import sample_text
    >>> changes(sample_text("referral-contest"), {"policy.floor": 0.02, "groups.random": 0.05})
    {'policy.floor': (0.05, 0.02)}
    """
    campaign = read_campaign(text)
    usual = search_space(campaign, [name] if (name := settings.get(POLICY)) in POLICIES else ()).usual
    return {key: (usual.get(key), value) for key, value in settings.items() if usual.get(key) != value}


def tuned_text(text: str, settings: Settings, comment: Sequence[str] = ()) -> str:
    """A campaign file with other settings: only what differs is touched, and comments stay where they are.

    Args:
        text: the campaign file, without faults.
        settings: see `simulator.search_space`; those that are not named stay as they are.
        comment: lines to put on top.

    >>> from service.sample import sample_text
    >>> text = tuned_text(sample_text("referral-contest"), {"policy.floor": 0.02}, ["in steady"])
    >>> [line[:15] for line in text.splitlines() if line.startswith(("# tuned", "floor"))]
    ['# tuned: in ste', 'floor = 0.02   ']
    """
    different = {key: after for key, (_, after) in changes(text, settings).items()}
    body = text
    if different:
        document = tomlkit.parse(text)
        if POLICY in different:
            _leave(document, text, str(different[POLICY]))
        for key, value in different.items():
            table, name = key.split(".")
            _put(_table(document, table), name, value)
        body = tomlkit.dumps(document)
    lines = body.splitlines(keepends=True)
    while comment and lines and lines[0].startswith(MARK):
        del lines[0]
    return "".join([*(f"{MARK}{line}\n" for line in comment), *lines])


def _leave(document: MutableMapping[str, Any], text: str, policy: str) -> None:
    """Take out the options of a policy that another one replaces, and those of its learner if that changes too."""
    campaign = read_campaign(text)
    table = _table(document, "policy")
    for name in [name for name in table if name not in _KEPT]:
        del table[name]
    if learner_of(campaign, policy) != learner_of(campaign, campaign.policy.name) and "learner" in document:
        del document["learner"]


def _put(table: MutableMapping[str, Any], name: str, value: Option) -> None:
    """Set a value; a new key comes right after the last one, before the blank lines and comments that follow."""
    after: list[Any] = []
    if name not in table and isinstance(table, Table):
        body = table.value.body
        while body and body[-1][0] is None:
            after.insert(0, body.pop())
    table[name] = value
    if after and isinstance(table, Table):
        table.value.body.extend(after)


def _table(document: MutableMapping[str, Any], name: str) -> MutableMapping[str, Any]:
    if name not in document:
        document[name] = tomlkit.table()
    found: MutableMapping[str, Any] = document[name]
    return found


def said(settings: Mapping[str, object]) -> str:
    """Settings on one line.

    >>> said({"policy.name": "squarecb", "policy.floor": 0.02})
    'policy.name squarecb, policy.floor 0.02'
    """
    return ", ".join(f"{key} {value}" for key, value in settings.items())
