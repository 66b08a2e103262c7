"""Contenders as the command line names them: a policy with settings, business as usual, a fixed choice, a campaign file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bandit.campaign import Campaign, LearnerSpec, Option, PolicySpec
from bandit.errors import InvalidSettings
from bandit.group import Groups
from bandit.learners import LEARNERS, learner_faults
from bandit.options import declared
from bandit.reward import parse_window
from policies.registry import POLICIES, policy_faults, policy_of
from service.checked_campaign import checked_campaign
from service.replaying import Contender

FIXED, CONTROL, LEARNER, CAMPAIGN_FILE = "fixed", "control", "learner", ".toml"
WAYS = (
    f"a policy ({', '.join(POLICIES)}) with settings such as squarecb:gamma=3,floor=0.05,every=6h, or control, or "
    "fixed:DIMENSION=ARM,..., or a campaign file that ends in .toml"
)


def contender_of(text: str, campaign: Campaign, step: timedelta) -> Contender:
    """The contender that a text names, in a campaign.

    Args:
        text: see `WAYS`.
        campaign: whose arms, context, reward and groups it has.
        step: of the trainer, where the text says nothing else.

    Raises:
        InvalidSettings: if it names none, or with settings that do not fit.
        InvalidCampaign: if a campaign file has faults, or other arms.
    """
    if text.endswith(CAMPAIGN_FILE):
        return Contender(text, _same_arms(checked_campaign(Path(text)), campaign, text), step)
    name, _, rest = text.partition(":")
    if name == CONTROL and not rest:
        if not campaign.groups.control_choice:
            raise InvalidSettings(
                "policy 'control': the campaign has no [groups.control], so there is no usual choice."
            )
        return Contender(text, _always(campaign, campaign.groups.control_choice), step)
    settings = _settings(text, rest) if rest and (name != FIXED or "=" in rest) else {}
    if name == FIXED:
        choice = settings or {campaign.dimensions[0].name: rest}
        return Contender(text, _always(campaign, _checked_choice(text, choice, campaign)), step)
    if name not in POLICIES:
        raise InvalidSettings(f"policy {text!r} is unknown. Give {WAYS}.")
    every = parse_window(settings.pop("every", "")) if "every" in settings else step
    if every is None:
        raise InvalidSettings(f"policy {text!r}: every is no duration. Write it like 6h, 90m or 1d.")
    return Contender(text, _with_settings(text, campaign, name, settings), every)


def _settings(text: str, rest: str) -> dict[str, str]:
    """The settings after the colon, as texts."""
    found = {}
    for part in rest.split(","):
        key, equals, value = part.partition("=")
        if not (key.strip() and equals and value.strip()):
            raise InvalidSettings(f"policy {text!r}: {part!r} is no setting. Write NAME=VALUE, with commas between.")
        found[key.strip()] = value.strip()
    return found


def _with_settings(text: str, campaign: Campaign, name: str, settings: Mapping[str, str]) -> Campaign:
    """The campaign with another policy; settings that are not the policy's own are the learner's."""
    own = declared(POLICIES[name])
    given = {key: _value(value) for key, value in settings.items() if key != LEARNER}
    floor = given.pop("floor", campaign.policy.floor)
    kept = campaign.policy.options if name == campaign.policy.name else {}
    policy_options = {**kept, **{key: value for key, value in given.items() if key in own}}
    learner_options = {key: value for key, value in given.items() if key not in own}
    if not isinstance(floor, float | int) or isinstance(floor, bool):
        raise InvalidSettings(f"policy {text!r}: floor is {floor!r}, need a share in [0, 1].")
    policy = PolicySpec(name, float(floor), campaign.policy.interactions, policy_options)
    learner = _learner(campaign, name, settings.get(LEARNER), learner_options)
    faults = policy_faults(policy)
    faults = faults or learner_faults(learner, policy_of(policy).needs, wears=campaign.looks_back is not None)
    if faults:
        raise InvalidSettings(
            f"policy {text!r}: {'; '.join(map(str, faults))}. Settings are {name}'s own ({', '.join(own) or 'none'}), floor, "
            "every, learner, and the learner's."
        )
    return replace(campaign, policy=policy, learner=learner)


def _learner(campaign: Campaign, policy: str, name: str | None, options: Mapping[str, Option]) -> LearnerSpec:
    """The campaign's own learner where it fits the policy, else the policy's usual one."""
    if name is not None:
        return LearnerSpec(name, options)
    kept = campaign.learner
    needs = policy_of(PolicySpec(policy, 0.0)).needs
    if policy == campaign.policy.name or (kept.name in LEARNERS and needs in LEARNERS[kept.name].provides):
        return LearnerSpec(kept.name, {**kept.options, **options})
    return LearnerSpec("", options)


def _value(text: str) -> Option:
    """A number, true or false, or the text itself."""
    if text in {"true", "false"}:
        return text == "true"
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text


def _checked_choice(text: str, choice: Mapping[str, str], campaign: Campaign) -> dict[str, str]:
    wrong = [d.name for d in campaign.dimensions if choice.get(d.name, "") not in d]
    extra = [name for name in choice if name not in {d.name for d in campaign.dimensions}]
    if wrong or extra:
        known = "; ".join(f"{d.name}: {', '.join(d.ids[:12])}" for d in campaign.dimensions)
        raise InvalidSettings(
            f"policy {text!r}: {_wrong(choice, wrong, extra)}. A fixed choice is one arm of each dimension, "
            f"fixed:{','.join(f'{d.name}=ARM' for d in campaign.dimensions)}. {known}."
        )
    return dict(choice)


def _wrong(choice: Mapping[str, str], wrong: Sequence[str], extra: Sequence[str]) -> str:
    """What is wrong with a choice, in words."""
    unknown = [f"{name} has no arm {choice[name]!r}" for name in wrong if name in choice]
    absent = [name for name in wrong if name not in choice]
    parts = [*unknown, *([f"no arm of {', '.join(absent)}"] if absent else [])]
    return "; ".join([*parts, *([f"no dimension {', '.join(extra)}"] if extra else [])])


def _always(campaign: Campaign, choice: Mapping[str, str]) -> Campaign:
    """Everybody in the control group, with this as business as usual."""
    ruled = [
        f"{d.name}={choice[d.name]}"
        for d in campaign.dimensions
        for arm in (d.arms[d.index_of(choice[d.name])],)
        if arm.when or arm.requires
    ]
    if ruled:
        raise InvalidSettings(f"a fixed choice with {', '.join(ruled)}: it has rules, so not everybody may get it.")
    return replace(campaign, groups=Groups(0.0, 1.0, dict(choice)))


def _same_arms(found: Campaign, campaign: Campaign, path: str) -> Campaign:
    """A campaign file that can be compared with another: same arms, context and reward."""
    same = (found.dimensions, found.schema, found.reward) == (campaign.dimensions, campaign.schema, campaign.reward)
    if not same:
        raise InvalidSettings(
            f"{path} has other arms, context or reward than the campaign that is replayed, so the two would not live in the "
            "same world. Compare files that differ in [policy], [learner] and [groups] only."
        )
    return found
