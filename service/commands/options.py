"""Options that several commands share, so that they are called and explained alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from click.core import ParameterSource

from bandit.campaign import Campaign
from bandit.errors import UnusableLog
from service.checked_campaign import checked_campaign
from service.clock import system_clock
from service.store import Log, Store
from service.table import time_of

Command = TypeVar("Command", bound=Callable[..., Any])
Item = TypeVar("Item")

db_option = click.option(
    "--db", type=click.Path(path_type=Path), default=Path("manyarm.db"), show_default=True, envvar="MANYARM_DB",
    help="The database file; made where it is missing.",
)  # fmt: skip
existing_db_option = click.option(
    "--db", type=click.Path(path_type=Path), default=Path("manyarm.db"), show_default=True, envvar="MANYARM_DB",
    help="The database file, which must be there.",
)  # fmt: skip
campaign_option = click.option(
    "--campaign", type=click.Path(path_type=Path), default=Path("campaign.toml"), show_default=True,
    envvar="MANYARM_CAMPAIGN", help="The campaign file.",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on standard output, for machines."
)


class Moment(click.ParamType[datetime]):
    """An ISO 8601 time with a zone."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401
        """The time in UTC."""
        del param, ctx
        moment = time_of(value, what="the time")
        if moment is None:
            raise click.UsageError("the time is empty; write it like 2026-11-22T09:00:00Z.")
        return moment


at_option = click.option("--at", type=Moment(), help="The time to use instead of now, such as 2026-11-22T09:00:00Z.")


def now_or(at: datetime | None) -> datetime:
    """The time given, or the wall clock's."""
    return at or system_clock()


def note(message: str) -> None:
    """Something a person should know, on standard error."""
    click.echo(f"manyarm: {message}", err=True)


@contextmanager
def opened(
    db: Path,
    campaign: Path,
    at: datetime | None = None,
    say: Callable[[str], None] = note,
    *,
    making: bool = True,
    beginning: bool = True,
) -> Iterator[tuple[Store, Log]]:
    """The store and the campaign's log in it; says so where the campaign changed and a new log begins.

    Without `making` the database must be there: what is asked of a mistyped file would be answered from an empty one.
    Without `beginning` the log must be there too: to look at something begins nothing.
    """
    read = checked_campaign(campaign)
    if not (making and beginning):
        _require_database(db)
    with Store(db) as store:
        if not beginning:
            yield store, _begun(store, read, db)
            return
        log = store.open_log(read, now_or(at))
        if log.replaces:
            say(
                f"{campaign} changed: its content is {read.content_hash}, the log so far was made under {log.replaces}. "
                "A new log begins in the same database; the old one stays as it is, and putting the old file back goes "
                "on with it. Learning starts afresh."
            )
        yield store, log


def _begun(store: Store, campaign: Campaign, db: Path) -> Log:
    """The log of a campaign that was decided by.

    Raises:
        UsageError: if there is none.
    """
    log = store.find_log(campaign)
    if log is None:
        there = ", ".join(f"{one.campaign.id} ({one.campaign.content_hash})" for one in store.logs()) or "none"
        raise click.UsageError(
            f"{db} holds no log of campaign {campaign.id!r} with the content {campaign.content_hash}; nothing was decided by "
            f"this file yet. It holds: {there}. Name the file that was decided by with --campaign."
        )
    return log


@contextmanager
def existing(db: Path) -> Iterator[Store]:
    """A store that must be there already."""
    _require_database(db)
    with Store(db) as store:
        yield store


def _require_database(db: Path) -> None:
    if not db.exists():
        raise click.UsageError(f"{db}: no such database. Name one with --db; `manyarm decide` and `serve` make one.")


def answer(document: object, text: str, *, as_json: bool) -> None:
    """The command's answer on standard output: a text for people, or one JSON document."""
    said = msgspec.json.format(msgspec.json.encode(document)).decode() if as_json else text
    # An argument may hold bytes that are no text; they must not stop the answer.
    click.echo(said.encode("utf-8", "backslashreplace").decode())


def require_folder(path: Path | None, option: str = "--html") -> None:
    """Refuse a file that could not be written, before any work is done for it."""
    if path and not path.parent.is_dir():
        raise UnusableLog(
            f"{path}: the folder {path.parent} does not exist. Make it, or name another one with {option}."
        )


def require_picture(path: Path | None, option: str) -> None:
    """Refuse a picture that could not be drawn."""
    require_folder(path, option)
    if path and path.suffix.lower() != ".png":
        raise click.UsageError(f"{option} {path}: pictures are PNG files, so let the name end in .png.")


def draw_to(path: Path, draw: Callable[[Path], None]) -> None:
    """Draw a picture.

    Raises:
        UnusableLog: if it cannot be written.
    """
    try:
        draw(path)
    except OSError as error:
        raise UnusableLog(f"{path} could not be written ({error}). Name another file.") from error


def write_page(path: Path, text: str) -> None:
    """Write an HTML page."""
    try:
        # A file's name may hold bytes that are no text.
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UnusableLog(f"{path} could not be written ({error}). Name another file with --html.") from error


@contextmanager
def counted(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """A progress bar for work that tells how much of it is done."""
    with progress(range(max(length, 0)), label) as bar:
        steps = iter(bar)
        yield lambda _: (next(steps, None), None)[1]


def given_options(context: click.Context) -> list[click.Parameter]:
    """Options that stand on the command line, not those with their usual value."""
    source = context.get_parameter_source
    return [one for one in context.command.params if source(str(one.name)) is ParameterSource.COMMANDLINE]


@contextmanager
def advancing(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """A progress bar for work that tells how much more of it is done."""
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        yield bar.update


@contextmanager
def progress(items: Iterable[Item], label: str, length: int | None = None) -> Iterator[Iterable[Item]]:
    """A progress bar on standard error; silent where that is not a terminal."""
    with click.progressbar(
        items, label=label, length=length, file=sys.stderr, update_min_steps=50, hidden=not sys.stderr.isatty()
    ) as bar:
        yield bar
