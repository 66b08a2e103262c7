"""Targets as the command line names them: uniform, fixed:ARM, rules:FILE, column:NAME, snapshot:NAME, learn:POLICY."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bandit.campaign import PolicySpec
from bandit.context import ContextValue
from bandit.errors import InvalidSettings, UnusableLog
from bandit.group import Group
from bandit.learner import Scorer
from bandit.learners import learner_for
from bandit.policy import Policy
from evaluation.learned_target import BestConstant, Lesson
from evaluation.log_batch import Layout
from evaluation.snapshot_target import LearnPolicy, SnapshotTarget
from evaluation.target import FixedTarget, Rule, RulesTarget, Target, UniformTarget
from evaluation.weighing import ColumnWeigher, RewardModel, TargetWeigher, Weigher
from policies.registry import group_policies, policy_of
from service.log_source import LogSource
from service.snapshots_table import load_snapshot, serving_snapshot
from service.store import Log, Store

COLUMN, FIXED, RULES, SNAPSHOT, LEARN = "column:", "fixed:", "rules:", "snapshot:", "learn:"
BY_CONTEXT = (RULES, SNAPSHOT, LEARN)
"""Targets that look at the context."""
NAMES = "uniform, fixed:ARM, best-constant, snapshot:NAME, column:NAME, rules:FILE or learn:POLICY"


@dataclass(frozen=True, slots=True)
class Asked:
    """What targets may be made from.

    Attributes:
        source: the log.
        model: of rewards, for estimators that need one.
        kept: the store with the campaign's log, where `--db` names one.
        floor: share of a learned policy's pmf that is spread evenly.
        scale: least reward and width.
    """

    source: LogSource
    model: RewardModel | None
    kept: tuple[Store, Log] | None
    floor: float
    scale: tuple[float, float]

    def target(self, text: str) -> Weigher | Lesson:
        """The target that a text names.

        Raises:
            InvalidSettings: if it names none.
            UnusableLog: if the log cannot be asked about it.
        """
        if text.startswith(COLUMN):
            return ColumnWeigher(text.removeprefix(COLUMN))
        if text == "best-constant":
            return BestConstant()
        if text.startswith(LEARN):
            return self._lesson(text)
        return TargetWeigher(self._known(text), self.model)

    def _known(self, text: str) -> Target:
        layout = self.source.layout
        if text == "uniform":
            return UniformTarget()
        if text.startswith(FIXED):
            return FixedTarget(layout.picks_of(choice_in(text.removeprefix(FIXED), layout)), text)
        if text.startswith(RULES):
            return rules_in(Path(text.removeprefix(RULES)), layout)
        if text.startswith(SNAPSHOT):
            return self._snapshot(text.removeprefix(SNAPSHOT))
        raise InvalidSettings(f"target {text!r} is none of {NAMES}.")

    def _snapshot(self, name: str) -> SnapshotTarget:
        store, log = kept_for(name, self.kept)
        return snapshot_target(store, log, resolved(store, log, name))

    def _lesson(self, text: str) -> LearnPolicy:
        campaign = self.source.campaign
        if campaign is None:
            raise UnusableLog(
                f"{text!r} needs to know the log's context: name the campaign file with --campaign, or map the columns of a "
                "foreign log with --arm, --reward, --propensity and --context."
            )
        policy = policy_of(PolicySpec(text.removeprefix(LEARN), self.floor))
        kind = learner_for(campaign.learner, policy.needs)
        return LearnPolicy(campaign, kind, policy, text, self.scale)


def snapshot_target(store: Store, log: Log, name: str) -> SnapshotTarget:
    """What a snapshot of a campaign's log would choose for the learner's group.

    Raises:
        BrokenSnapshot: if there is none of that name, or it is another campaign's.
    """
    return SnapshotTarget(log.campaign, *served(store, log, name), f"{SNAPSHOT}{name}")


def served(store: Store, log: Log, name: str) -> tuple[Policy, Scorer[Any]]:
    """The learner group's policy, and a snapshot ready for it.

    Raises:
        BrokenSnapshot: if there is none of that name, or it is another campaign's.
    """
    policy = group_policies(log.campaign)[Group.LEARNER]
    kind = learner_for(log.campaign.learner, policy.needs, wears=log.campaign.looks_back is not None)
    return policy, kind.serve(log.campaign, load_snapshot(store.reader(), name))


def kept_for(name: str, kept: tuple[Store, Log] | None) -> tuple[Store, Log]:
    """The database that a snapshot stands in.

    Raises:
        InvalidSettings: if none is named.
    """
    if kept is None:
        raise InvalidSettings(f"snapshot {name!r} stands in a database: name it with --db, and the campaign's file.")
    return kept


def resolved(store: Store, log: Log, name: str) -> str:
    """The snapshot that a name means: `serving` is the one that serves.

    Raises:
        InvalidSettings: if nothing serves yet.
    """
    found = serving_snapshot(store.reader(), log.log_id) if name == "serving" else name
    if found is None:
        raise InvalidSettings("no snapshot serves yet. Next: manyarm learn")
    return found


def choice_in(text: str, layout: Layout) -> Mapping[str, str]:
    """`ARM` for one dimension, else `dimension=ARM,dimension=ARM`.

    Raises:
        InvalidSettings: for a part without its dimension.
    """
    if len(layout.dimensions) == 1 and not text.startswith(f"{layout.dimensions[0]}="):
        return {layout.dimensions[0]: text}
    parts = [part.partition("=") for part in text.split(",")]
    if not all(name and arm for name, _, arm in parts):
        example = ",".join(f"{name}={arms[0]}" for name, arms in zip(layout.dimensions, layout.arms, strict=True))
        raise InvalidSettings(f"the choice is {text!r}, need an arm for each dimension, such as {example}.")
    return {name: arm for name, _, arm in parts}


class _Rule(msgspec.Struct, forbid_unknown_fields=True):
    """One `[[rule]]` of a file."""

    choice: dict[str, str]
    when: dict[str, Any] = {}


class _Rules(msgspec.Struct, forbid_unknown_fields=True):
    """The file."""

    rule: list[_Rule]


def rules_in(path: Path, layout: Layout) -> RulesTarget:
    """A table of rules from a TOML file: `[[rule]]` with `when` and `choice`; the last one without `when`.

    Raises:
        InvalidSettings: if the file is missing or says something else.
        UnusableLog: if a choice does not fit the log.
    """
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Rules)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidSettings(
            f"rules {path}: {error}. Write [[rule]] tables with `when` (context name = value or list of values) and `choice` "
            "(dimension = arm)."
        ) from error
    rules = tuple(Rule({n: _listed(v) for n, v in one.when.items()}, layout.picks_of(one.choice)) for one in found.rule)
    return RulesTarget(rules, f"{RULES}{path.name}")


def _listed(value: Any) -> tuple[ContextValue, ...]:  # noqa: ANN401 - whatever TOML holds
    return tuple(value) if isinstance(value, list) else (value,)
