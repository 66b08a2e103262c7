"""A world fitted to a log, as the command line names the log: our database, an export of it, or a table with a mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bandit.campaign import Campaign
from bandit.errors import UnusableLog
from bandit.schema import Schema
from bandit.time_context import TimeContext
from service.export_source import ExportSource
from service.fit_adopted import adopted
from service.fitted_trust import Trust, trust
from service.fitting import fit_rows_of
from service.foreign_log import ColumnMap, ForeignLog, require_columns
from service.log_source import USUAL_GROUPS, ForeignSource, LogSource, StoreSource
from service.store import Log, Store
from service.worlds_asked import ScenarioWorlds
from simulator.fitted_world import FittedWorld
from simulator.fitting import fit_world
from simulator.funnel import ROLES, Role
from simulator.replay import Stage, Worlds

WITHOUT_EFFECTS, CLICK = "no-effect", "click"
DATABASES = (".db", ".sqlite", ".sqlite3")


@dataclass(frozen=True, slots=True)
class FittedWorlds:
    """The same fitted world for every seed, with other luck.

    Attributes:
        world: fitted to the log.
        name: of the log.
        trust: how far it agrees with what the log says itself.
    """

    world: FittedWorld
    name: str
    trust: Trust

    def __str__(self) -> str:
        return f"fitted to {self.name}"

    @property
    def identity(self) -> str:
        """A hash of the rows that the world was fitted to, and of when they were."""
        rows, digest = self.world.rows, hashlib.blake2b(digest_size=16)
        for part in (
            rows.picks.tobytes(),
            rows.labels.tobytes(),
            repr((rows.types, rows.worths, list(rows.contexts), list(rows.customers), rows.start)).encode(),
            b"" if rows.at is None else rows.at.tobytes(),
        ):
            digest.update(part)
        return digest.hexdigest()

    def stages(self, campaign: Campaign, seed: int, n_sends: int) -> tuple[Stage, ...]:
        """One stage; customers come as they came in the log."""
        return (Stage(self.world.with_seed(seed), campaign, n_sends),)


def fitted_worlds(
    source: LogSource, name: str, seed: int, planned: Campaign | None = None
) -> tuple[Campaign, FittedWorlds]:
    """A world fitted to a log, held against the log's own answers, and the campaign to play in it.

    Args:
        source: the log.
        name: of it, for reports.
        seed: of the folds.
        planned: the campaign to play, with the log's arms; None plays the log's own.

    Raises:
        UnusableLog: if there are too few rows, or the planned campaign has other arms.
    """
    rows, campaign = fit_rows_of(source)
    world = fit_world(rows, campaign, seed=seed)
    found = trust(world, list(source.batches()), seen=True)
    if planned is None:
        return campaign, FittedWorlds(world, name, found)
    rows, played = adopted(rows, planned)
    # In the log outcomes were counted within its own window.
    played = replace(played, reward=replace(played.reward, window=campaign.reward.window))
    is_alike = _terms(played) == _terms(campaign)
    return played, FittedWorlds(
        world.valued_by(played) if is_alike else fit_world(rows, played, seed=seed), name, found
    )


def _terms(campaign: Campaign) -> tuple[Schema, TimeContext | None, list[tuple[str, tuple[str, ...], str | None]]]:
    """All that a fit to a log depends on of its campaign; what sends nothing is not fitted to."""
    return campaign.schema, campaign.time, [(d.name, d.ids, d.silent) for d in campaign.dimensions]


def without_effects(worlds: Worlds) -> Worlds | None:
    """The same customers at the same rates, and no arm better than another; None where that cannot be had.

    >>> without_effects(ScenarioWorlds("steady", {"click": 0.1})).name
    'no-effect'
    """
    if isinstance(worlds, ScenarioWorlds):
        return replace(worlds, name=WITHOUT_EFFECTS)
    if not isinstance(worlds, FittedWorlds):
        return None
    rows = worlds.world.rows
    rates = dict(zip(rows.types, rows.labels.mean(axis=0).tolist(), strict=True))
    converting = [name for name in rates if ROLES.get(name) is Role.CONVERSION]
    if converting and not rates.get(CLICK):
        return None
    # A scenario counts conversions by their clicks.
    rates |= {name: rates[name] / rates[CLICK] for name in converting}
    usable = {name: rate for name, rate in rates.items() if 0.0 < rate < 1.0}
    firsts = dict(zip(rows.customers, rows.contexts, strict=True))
    return ScenarioWorlds(WITHOUT_EFFECTS, usable, tuple(firsts.values()), at_once=True)


@contextmanager
def fit_source(path: Path, columns: ColumnMap | None, declared: Campaign | None) -> Iterator[LogSource]:
    """The log at a path, ready to be read.

    Args:
        path: of a database (.db, .sqlite), or of a table.
        columns: of somebody else's table; None for ours.
        declared: a campaign with its arms; a database holds its own, of which the newest is taken where nobody says.

    Raises:
        UnusableLog: if there is no such log.
    """
    if columns:
        require_columns(path, columns)
        yield ForeignSource(ForeignLog.read(path, columns))
    elif path.suffix in DATABASES:
        if not path.exists():
            raise UnusableLog(f"{path}: no such database, so there is nothing to fit a world to.")
        with Store(path) as store:
            yield StoreSource(store, _log_in(store, declared, path), USUAL_GROUPS)
    else:
        yield ExportSource.read(path, USUAL_GROUPS, declared, ())


def _log_in(store: Store, declared: Campaign | None, path: Path) -> Log:
    """The log of a campaign's content, else the newest of its arms; none is begun."""
    logs = store.logs()
    for is_fitting in (_is_the_same, _has_the_arms):
        wanted = [log for log in logs if declared is None or is_fitting(log.campaign, declared)]
        if wanted:
            return wanted[-1]
    has = ", ".join(f"{log.campaign.id} ({log.campaign.content_hash})" for log in logs) or "no log at all"
    raise UnusableLog(f"{path} holds no log of this campaign's arms. It has: {has}. Name the file that made it.")


def _is_the_same(one: Campaign, other: Campaign) -> bool:
    return one.content_hash == other.content_hash


def _has_the_arms(one: Campaign, other: Campaign) -> bool:
    """Arms by dimension; what is written of them may differ."""
    return [(d.name, set(d.ids)) for d in one.dimensions] == [(d.name, set(d.ids)) for d in other.dimensions]
