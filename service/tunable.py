"""What of a campaign may be tuned, read from what policies and learners declare: a new one needs no line here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import Field
from datetime import timedelta
from typing import Any

from bandit.campaign import Campaign, LearnerSpec, Option, PolicySpec
from bandit.errors import InvalidSettings
from bandit.estimates import Need
from bandit.learners import LEARNER_OPTIONS, LEARNERS, learner_faults, learner_for
from bandit.options import declared
from policies.registry import POLICIES, policy_of
from simulator.search_space import Knob, SearchSpace

POLICY, LEARN_EVERY = "policy.name", "campaign.learn_every"
PAUSES = ("3h", "6h", "12h", "24h")
USUAL_PAUSE = "24h"
"""How often a campaign learns in a rehearsal where its file does not say."""

_FLOORS = (0.01, 0.1)
_LEAST_OF_RANDOM = 0.2
_SEARCHED = frozenset({Need.SCORES, Need.MEMBERS})


def search_space(campaign: Campaign, policies: Collection[str] = ()) -> SearchSpace:
    """The settings of a campaign that tuning may turn, with the campaign's own value of each among them.

    The control group is left alone: its share decides how small a lift the log can show, and what it costs buys that
    answer. The random group may shrink to a fifth; the floor stays at 1 % or above, or at the campaign's own if that is
    less, so that the log can still answer questions about arms that are believed to be bad.

    Args:
        campaign: as it is.
        policies: to choose from beside the campaign's own; none for all that choose by scores or by the members of a
            bootstrap. Vowpal Wabbit's own explorers must be asked for by name.

    Raises:
        InvalidSettings: for a policy that does not exist or that no learner of this campaign goes with.

    >>> from bandit.campaign_file import read_campaign
    >>> from service.sample import sample_text
    >>> search_space(read_campaign(sample_text("referral-contest"))).usual["policy.floor"]
    0.05
    """
    names = _policies(campaign, policies)
    kinds = {name: learner_of(campaign, name) for name in names}
    own = campaign.policy
    knobs = [Knob("policy", POLICY, own.name, names)]
    for name in names:
        given = own.options if name == own.name else {}
        knobs += _knobs(POLICIES[name], name, "policy", given, (POLICY, frozenset({name})))
    knobs.append(
        Knob("floor", "policy.floor", own.floor, span=(min(_FLOORS[0], own.floor), max(_FLOORS[1], own.floor)))
    )
    if campaign.groups.random:
        random = campaign.groups.random
        knobs.append(Knob("random group", "groups.random", random, span=(_LEAST_OF_RANDOM * random, random)))
    for kind in dict.fromkeys(kinds.values()):
        given = campaign.learner.options if kind == kinds[own.name] else {}
        users = frozenset(name for name in names if kinds[name] == kind)
        knobs += _knobs(LEARNER_OPTIONS[kind], kind, "learner", given, (POLICY, users))
    pause = pause_text(campaign.learn_every)
    knobs.append(Knob("learn every", LEARN_EVERY, pause, tuple(dict.fromkeys((*PAUSES, pause)))))
    return SearchSpace(tuple(knobs))


def learner_of(campaign: Campaign, policy: str) -> str:
    """The learner that goes with a policy: the campaign's own if it can, else the first that can."""
    needs, own = _needs(policy), campaign.learner
    able = not own.name or needs is Need.NOTHING or needs in LEARNERS[own.name].provides
    return learner_for(own if own.name and able else LearnerSpec(), needs).name


def pause_text(pause: timedelta | None) -> str:
    """The time between two steps of the trainer, as a campaign file has it.

    >>> pause_text(timedelta(hours=6)), pause_text(timedelta(minutes=90)), pause_text(None)
    ('6h', '90m', '24h')
    """
    if pause is None:
        return USUAL_PAUSE
    minutes = int(pause / timedelta(minutes=1))
    return f"{minutes}m" if minutes % 60 else f"{minutes // 60}h"


def _policies(campaign: Campaign, asked: Collection[str]) -> tuple[str, ...]:
    unknown = [name for name in asked if name not in POLICIES]
    unfit = [name for name in asked if not unknown and not _fits(campaign, name)]
    if unknown or unfit:
        raise InvalidSettings(
            f"policy {(unknown or unfit)[0]!r} cannot be tried: it "
            + (
                "does not exist"
                if unknown
                else "has no learner that can take account of what this campaign's [wear_out] or [reward].recent_send asks for"
            )
            + f". Choose from {', '.join(name for name in POLICIES if _fits(campaign, name))}."
        )
    wanted = asked or [name for name in POLICIES if _needs(name) in _SEARCHED and _fits(campaign, name)]
    return tuple(dict.fromkeys((campaign.policy.name, *wanted)))


def _needs(policy: str) -> Need:
    return policy_of(PolicySpec(policy)).needs


def _fits(campaign: Campaign, policy: str) -> bool:
    spec = LearnerSpec(learner_of(campaign, policy))
    return not learner_faults(spec, _needs(policy), wears=campaign.looks_back is not None)


def _knobs(
    owner: type[Any], name: str, table: str, given: Mapping[str, Option], when: tuple[str, frozenset[Option]]
) -> Iterator[Knob]:
    for key, item in declared(owner).items():
        default: Option = item.default  # type: ignore[assignment]  # `option` always gives one
        usual, span = given.get(key, default), item.metadata["searched"]
        among = _values(item, default, usual)
        if span or len(among) > 1:
            yield Knob(f"{name} {key}", f"{table}.{key}", usual, among, span, when)


def _values(item: Field[Any], default: Option, usual: Option) -> tuple[Option, ...]:
    """Values to choose from beside the range: a text's, true and false, or numbers that lie outside of it."""
    if isinstance(default, str):
        return tuple(item.metadata["among"])
    if isinstance(default, bool):
        return (False, True)
    span = item.metadata["searched"]
    return tuple(dict.fromkeys(value for value in (usual, default) if span and not span[0] <= float(value) <= span[1]))
