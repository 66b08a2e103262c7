"""From a TOML text to a campaign, with every fault of the file named at once."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from zoneinfo import available_timezones

from bandit.campaign import DEFAULT_FLOOR, Campaign, LearnerSpec, Option, PolicySpec
from bandit.campaign_arms import read_dimensions
from bandit.campaign_schema import read_schema
from bandit.channel import channels_of
from bandit.content import read_content, refuse_unfillable
from bandit.dead_end import refuse_dead_ends
from bandit.dimension import Dimension
from bandit.errors import InvalidCampaign
from bandit.fault import Fault, Reader, is_number
from bandit.group import Groups
from bandit.implied_rules import refuse_an_end_of_independent_dimensions, ruled_by_channels, send_slots_of
from bandit.limits import read_limits
from bandit.no_send import NO_SEND, with_no_send
from bandit.privacy import read_privacy, refuse_consent_without_control, without_retention
from bandit.profile.spec import read_profile
from bandit.reward import parse_window
from bandit.reward_table import read_reward
from bandit.schema import Schema
from bandit.send_slots_table import with_grid
from bandit.text_features import with_text_features
from bandit.time_context import read_time
from bandit.wear_out import LONGEST, SHORTEST, WearOut

LONGEST_PAUSE = timedelta(days=30)
SECTIONS = (
    "campaign",
    "context",
    "time",
    "reward",
    "groups",
    "policy",
    "learner",
    "wear_out",
    "privacy",
    "limits",
    "content",
    "send_slots",
    "channels",
    "profile",
    "dimension",
)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
Further = Callable[[PolicySpec, LearnerSpec, bool], Sequence[Fault]]
"""Faults of the policy and the learner, by whoever knows which there are; the last says whether earlier sends matter."""


def load_campaign(path: str | Path, *, further: Further = lambda *_: ()) -> Campaign:
    """Read and check a campaign file; see `read_campaign`.

    Raises:
        InvalidCampaign: with every fault of the file, or why it could not be read.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        advice = "a campaign file; `manyarm init` writes one to start from"
        raise InvalidCampaign([Fault("file", "nothing at that path", advice)], str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidCampaign([Fault("file", str(error), "a readable UTF-8 text")], str(path)) from error
    return read_campaign(text, source=path.name, further=further)


def read_campaign(
    text: str, *, source: str = "campaign.toml", has_log: bool = False, further: Further = lambda *_: ()
) -> Campaign:
    """Check a campaign text and freeze it.

    Args:
        text: in TOML.
        source: what faults call it.
        has_log: whether decisions were made of it already: it may then have arms that can never be sent, which older
            versions took, so that its log can be read.
        further: more faults, to be named along with the others.

    Raises:
        InvalidCampaign: with every fault, each with its key, what was found and what would be right.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of which TOMLDecodeError is one; a number of 5,000 digits another
        raise InvalidCampaign([Fault("file", str(error), "TOML; see https://toml.io")], source) from error
    faults: list[Fault] = []
    root = Reader(with_grid(tables), "", faults)
    head = root.table("campaign")
    campaign_id = _name(head, "id")
    timezone = _timezone(head)
    learn_every = _learn_every(head)
    head.refuse_the_rest(("id", "timezone", "learn_every"))
    declared = read_schema(root.table("context"))
    time = read_time(root.table("time"), declared, home=timezone) if "time" in root.names() else None
    schema = Schema((*declared.fields, *time.fields)) if time else declared
    reward = read_reward(root.table("reward"))
    policy, learner = _policy(root.table("policy")), _learner(root.table("learner"))
    listed = read_dimensions(root.tables("dimension"), schema, faults)
    groups = _groups(root.table("groups"), listed)
    content = read_content(root.table("content"))
    refuse_unfillable(content, schema, listed, faults)
    ruled = ruled_by_channels(root, tables, listed, groups, policy)
    dimensions = with_no_send(with_text_features(ruled, content, faults), faults)
    wear_out = _wear_out(root.table("wear_out")) if "wear_out" in root.names() else None
    privacy = read_privacy(root.table("privacy"), declared)
    limits = read_limits(root.table("limits"), schema, channels_of(dimensions)) if "limits" in root.names() else None
    send_slots = send_slots_of(root, schema, dimensions, limits, time.zone if time else "", timezone)
    profile = read_profile(root.table("profile")).at_home(timezone) if "profile" in root.names() else None
    refuse_consent_without_control(privacy, groups, faults)
    root.refuse_the_rest(SECTIONS)
    _refuse_rules_between_independent_dimensions(policy, listed, faults)
    refuse_an_end_of_independent_dimensions(policy, listed, faults)
    if not has_log:
        refuse_dead_ends(dimensions, faults)
    faults += further(policy, learner, bool(wear_out or reward.recent_send))
    if faults:
        raise InvalidCampaign(faults, source)
    content_hash = content_hash_of(without_retention(tables))
    parts = (campaign_id, schema, dimensions, reward, groups, policy, learner, timezone, wear_out, content_hash, text)
    return Campaign(
        *parts,
        learn_every=learn_every,
        privacy=privacy,
        content=content,
        limits=limits,
        send_slots=send_slots,
        time=time,
        profile=profile,
    )


def content_hash_of(tables: dict[str, object]) -> str:
    """A hash of what a campaign says, whatever its layout: 32 hex digits.

    >>> content_hash_of({"a": 1, "b": 2}) == content_hash_of({"b": 2, "a": 1})
    True
    """
    canonical = json.dumps(tables, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _name(table: Reader, key: str) -> str:
    wanted = "a name of letters, digits, _ and -, such as referral-contest"
    name = table.text(key, wanted=wanted)
    if name and not NAME.fullmatch(name):
        table.fault(key, name, wanted)
    return name


def _timezone(table: Reader) -> str:
    wanted = "an IANA zone such as UTC or Europe/Madrid (a bare offset has no daylight saving rules)"
    name = table.text("timezone", wanted=wanted, default="UTC")
    # Names such as EST or Etc/GMT+5 are bare offsets under another name.
    is_place = "/" in name and not name.startswith("Etc/")
    if name and not (name == "UTC" or (is_place and name in available_timezones())):
        table.fault("timezone", name, wanted)
    return name


def _learn_every(table: Reader) -> timedelta | None:
    wanted = "a duration of 1 minute to 30 days, such as 6h: the time between two steps of the trainer"
    if "learn_every" not in table.names():
        return None
    text = table.text("learn_every", wanted=wanted)
    pause = parse_window(text)
    if text and not (pause and pause <= LONGEST_PAUSE):
        table.fault("learn_every", text, wanted)
    return pause


def _groups(table: Reader, dimensions: tuple[Dimension, ...]) -> Groups:
    share = "a share of the customers in [0, 1]"
    random = table.number("random", low=0.0, high=1.0, default=0.0, wanted=share)
    if "control" not in table.names():
        table.refuse_the_rest(("random", "control"))
        return Groups(random)
    control = table.table("control")
    control_share = control.number("share", low=0.0, high=1.0, default=None, wanted=share)
    choice = _control_choice(control.table("choice"), dimensions)
    control.refuse_the_rest(("share", "choice"))
    table.refuse_the_rest(("random", "control"))
    if random + control_share > 1.0:
        table.fault("", f"random {random} + control {control_share}", "shares that leave the learner at least 0")
    return Groups(random, control_share, choice)


def _control_choice(table: Reader, dimensions: tuple[Dimension, ...]) -> dict[str, str]:
    choice: dict[str, str] = {}
    has_ended = False
    for dimension in dimensions:
        arm_id = table.take(dimension.name)
        if has_ended and arm_id is None:
            choice[dimension.name] = dimension.silent or NO_SEND
            continue
        if has_ended and arm_id != dimension.silent:
            table.fault(dimension.name, arm_id, "no arm: an earlier dimension sends nothing, which ends the choice")
            continue
        if not isinstance(arm_id, str) or arm_id not in dimension:
            table.fault(dimension.name, arm_id, f"one arm of dimension {dimension.name!r}: {_some(dimension.ids)}")
            continue
        arm = dimension.arms[dimension.index_of(arm_id)]
        if arm.when or arm.requires:
            table.fault(
                dimension.name, arm_id, "an arm without rules: business as usual must be possible for everybody"
            )
        has_ended = has_ended or arm.no_send
        choice[dimension.name] = arm_id
    table.refuse_the_rest([dimension.name for dimension in dimensions])
    return choice


def _some(ids: tuple[str, ...]) -> str:
    return ", ".join(ids[:12]) + (", ..." if len(ids) > 12 else "")


def _policy(table: Reader) -> PolicySpec:
    name = table.text("name", wanted="the name of a policy, such as squarecb", default="squarecb")
    floor = table.number(
        "floor",
        low=0.0,
        high=1.0,
        default=DEFAULT_FLOOR,
        wanted="a share in [0, 1] that is spread evenly over the eligible arms",
    )
    interactions = table.boolean("interactions", default=True)
    return PolicySpec(name, floor, interactions, _options(table))


def _learner(table: Reader) -> LearnerSpec:
    name = table.text("name", wanted="regression or native", default="default")
    return LearnerSpec("" if name == "default" else name, _options(table))


def _wear_out(table: Reader) -> WearOut:
    wanted = "a duration of 1 to 366 days, such as 30d: how long an earlier send counts"
    text = table.text("window", wanted=wanted, default="30d")
    table.refuse_the_rest(("window",))
    window = parse_window(text)
    if window and SHORTEST <= window <= LONGEST:
        return WearOut(window)
    if text:
        table.fault("window", text, wanted)
    return WearOut()


def _options(table: Reader) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for key in table.names():
        found = table.take(key)
        if is_number(found) or isinstance(found, (str, bool)):
            options[key] = found
        else:
            table.fault(key, found, "a finite number, a text, or true or false")
    return options


def _refuse_rules_between_independent_dimensions(
    policy: PolicySpec, dimensions: tuple[Dimension, ...], faults: list[Fault]
) -> None:
    ruled = [dimension.name for dimension in dimensions if any(arm.requires for arm in dimension.arms)]
    if ruled and not policy.interactions:
        advice = "true, or no `requires`: independent dimensions cannot look at earlier picks"
        faults.append(Fault("policy.interactions", f"false, while arms of {', '.join(ruled)} have `requires`", advice))
