"""`manyarm key`: who may use the HTTP service, and for what."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from bandit.reward import parse_window
from service.clock import random_id, random_secret, system_clock
from service.commands.options import answer, db_option, existing, json_option
from service.keys_table import ID_LETTERS, ApiKey, Scope, issue_key, list_keys, revoke_key, rotate_key
from service.store import Store

LONGEST_NAME = 100
_SHOWN_ONCE = "It is shown this once and kept nowhere: store it where your secrets are."


class Lifetime(click.ParamType[timedelta]):
    """A duration such as 90d."""

    name = "DURATION"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration."""
        found = value if isinstance(value, timedelta) else parse_window(str(value))
        if found is None:
            self.fail(f"{str(value)[:60]!r} is no duration; write it like 24h or 90d.", param, ctx)
        return found


@click.group()
def key() -> None:
    """Make, list, revoke and rotate the keys of the HTTP service.

    As soon as there is one, every request needs a key. A running service knows of a change within seconds.
    """


@key.command("create", epilog="Example:  manyarm key create --name mailer --scope decide --scope record --expires 90d")
@click.option("--name", required=True, help="Who gets it, for the list.")
@click.option(
    "--scope", "scopes", required=True, multiple=True, type=click.Choice([scope.value for scope in Scope]),
    help="What it may do, once or more often; admin may do everything.",
)  # fmt: skip
@click.option("--expires", type=Lifetime(), help="How long it is valid, such as 90d. Not given: until it is revoked.")
@db_option
@json_option
def create(name: str, scopes: tuple[str, ...], expires: timedelta | None, db: Path, as_json: bool) -> None:
    """Make a key and show it, once."""
    if not name.isprintable() or not 0 < len(name.strip()) <= LONGEST_NAME:
        raise click.UsageError(
            f"--name needs 1 to {LONGEST_NAME} letters that can be printed: it is how the list says whose."
        )
    key_id, at = _new_id(), system_clock()
    wanted = [Scope(scope) for scope in scopes]
    with Store(db) as store:
        made = store.write(
            lambda connection: issue_key(
                connection, key_id, name, wanted, secret=random_secret(), at=at, lifetime=expires
            )
        )  # fmt: skip
    answer({"key": made, "key_id": key_id}, f"{made}\n{_SHOWN_ONCE}", as_json=as_json)


@key.command("list", epilog="Example:  manyarm key list")
@db_option
@json_option
def list_(db: Path, as_json: bool) -> None:
    """All keys there ever were, oldest first; never the keys themselves."""
    with existing(db) as store:
        found = list_keys(store.reader())
    rows = [_row(one) for one in found]
    lines = [f"{row['key_id']}  {row['state']:<8} {row['scopes']:<20} {row['name']}{_until(row)}" for row in rows]
    nothing = "No keys yet. Next: manyarm key create --name mailer --scope decide --scope record"
    answer(rows, "\n".join(lines) or nothing, as_json=as_json)


@key.command("revoke", epilog="Example:  manyarm key revoke 0a1b2c3d4e")
@click.argument("key_id")
@db_option
@json_option
def revoke(key_id: str, db: Path, as_json: bool) -> None:
    """End a key now."""
    at = system_clock()
    with existing(db) as store:
        store.write(lambda connection: revoke_key(connection, key_id, at=at))
    answer(
        {"key_id": key_id, "state": "revoked"},
        f"{key_id} is revoked; a running service knows in seconds.",
        as_json=as_json,
    )


@key.command("rotate", epilog="Example:  manyarm key rotate 0a1b2c3d4e --grace 24h")
@click.argument("key_id")
@click.option(
    "--grace", type=Lifetime(), default="24h", show_default=True,
    help="How long the old key goes on working beside the new one.",
)  # fmt: skip
@db_option
@json_option
def rotate(key_id: str, grace: timedelta, db: Path, as_json: bool) -> None:
    """Make a key like this one, with as long a life, and let this one end after a while."""
    new_id, at = _new_id(), system_clock()
    with existing(db) as store:
        made = store.write(
            lambda connection: rotate_key(
                connection, key_id, new_id=new_id, secret=random_secret(), at=at, grace=grace
            )
        )  # fmt: skip
    said = f"{made}\n{_SHOWN_ONCE} {key_id} works until {at + grace:%Y-%m-%d %H:%M} UTC at the latest."
    answer({"key": made, "key_id": new_id, "replaces": key_id}, said, as_json=as_json)


def _new_id() -> str:
    return random_id()[:ID_LETTERS]


def _row(one: ApiKey) -> dict[str, str | None]:
    times = {"created_at": one.created_at, "expires_at": one.expires_at, "revoked_at": one.revoked_at}
    return {
        "key_id": one.key_id,
        "name": one.name,
        "scopes": " ".join(sorted(one.scopes)),
        "state": one.state(system_clock()),
        "replaced_by": one.replaced_by,
        **{name: moment.isoformat() if moment else None for name, moment in times.items()},
    }


def _until(row: dict[str, str | None]) -> str:
    expires = f", until {row['expires_at'][:16]}" if row["expires_at"] else ""
    return expires + (f", rotated for {row['replaced_by']}" if row["replaced_by"] else "")
