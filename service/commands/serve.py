"""`manyarm serve`: the HTTP service."""

from __future__ import annotations

import logging
import socket
from datetime import timedelta
from pathlib import Path

import click

from bandit.campaign import Campaign
from service.app import create_app
from service.clock import system_clock
from service.commands.options import campaign_option, db_option, opened
from service.commands.settings_option import settings_option
from service.door_rules import rules_of
from service.draining import DrainingServer
from service.keys_table import list_keys
from service.logs import write_logs
from service.one_server import OneServer
from service.patience import Patience
from service.serving import Serving
from service.settings import Settings
from service.store import Store
from service.usable_settings import refuse_unusable

USUAL_PAUSE = timedelta(minutes=1)
_log = logging.getLogger("manyarm")


@click.command(epilog="Example:  manyarm serve --port 8080")
@db_option
@campaign_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Only this machine, unless told otherwise.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option(
    "--learn-every", type=click.FloatRange(min=0), metavar="SECONDS",
    help="Pause between two steps of the trainer; 0 for no trainer in this process. Where it is not given, the campaign's "
    "learn_every, or 60 seconds.",
)  # fmt: skip
@click.option(
    "--wait", type=click.FloatRange(min=0), default=0.0, show_default=True, metavar="SECONDS",
    help="How long to wait for another server of the same database that is being stopped, and for its address.",
)  # fmt: skip
@settings_option
def serve(
    db: Path, campaign: Path, host: str, port: int, learn_every: float | None, wait: float, settings: Settings
) -> None:
    """Answer decisions over HTTP, durably: an answer is given after it is on disk.

    One server a database: a second one is refused, and --wait is how it takes over. Other commands may run beside it.
    """
    write_logs(settings)
    refuse_unusable(settings)
    rules = rules_of(settings, host)
    patience = timedelta(seconds=wait)
    with (
        _bound(host, port, patience) as listener,
        OneServer(db, f"http://{host}:{listener.getsockname()[1]}", patience) as only,
        opened(db, campaign, say=_log.warning) as (store, log),
    ):
        if not rules.is_local:
            _require_a_key(store, host, db)
        _listen(listener)
        serving = Serving(store, log, settings=settings)
        app = create_app(serving, train_every=pause_of(log.campaign, learn_every), rules=rules)
        port = listener.getsockname()[1]
        _log.info("campaign %s from %s, log in %s; http://%s:%s/docs", log.campaign.id, campaign, db, host, port)
        try:
            DrainingServer(app, serving, only.leave).run(sockets=[listener])
        finally:
            serving.stop()


def pause_of(campaign: Campaign, seconds: float | None) -> timedelta | None:
    """The trainer's pause: what the command line says, else the campaign, else a minute; None for no trainer."""
    if seconds is None:
        return campaign.learn_every or USUAL_PAUSE
    return timedelta(seconds=seconds) if seconds else None


def _require_a_key(store: Store, host: str, db: Path) -> None:
    """Refuse to let others connect to a service that anybody could use, or nobody.

    Raises:
        UsageError: if there is no key that is valid now.
    """
    now = system_clock()
    if not any(key.state(now) == "valid" for key in list_keys(store.reader())):
        raise click.UsageError(
            f"others can connect to {host or 'every address of this machine'}, and {db} has no valid API key. Make one for "
            f"whoever decides, `manyarm key create --db {db} --name mailer --scope decide --scope record`, and start "
            "again; or leave --host out, and only this machine can connect."
        )


def _bound(host: str, port: int, wait: timedelta) -> socket.socket:
    """The address, taken before anything else is touched; nobody can connect before the database is ours."""
    patience = Patience(wait)
    while True:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
        except OSError as error:
            listener.close()
            if not patience.pause():
                raise _not_free(host, port, error) from error
        else:
            return listener


def _listen(listener: socket.socket) -> None:
    """From here on others can connect; an address that two took at the same moment is told apart here."""
    try:
        listener.listen()
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise _not_free(host, port, error) from error


def _not_free(host: str, port: int, error: OSError) -> click.UsageError:
    return click.UsageError(f"cannot listen on {host}:{port} ({error}). Name another --port or --host.")
