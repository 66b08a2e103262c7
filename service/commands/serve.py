"""`manyarm serve`: the HTTP service."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path

import click
import uvicorn

from bandit.campaign import Campaign
from service.app import create_app
from service.commands.options import campaign_option, db_option, note, opened
from service.serving import Serving
from service.settings import read_settings

USUAL_PAUSE = timedelta(minutes=1)
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


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
    "--settings", "settings_file", type=click.Path(path_type=Path),
    help="A TOML file of settings; MANYARM_ variables win over it.",
)  # fmt: skip
def serve(
    db: Path, campaign: Path, host: str, port: int, learn_every: float | None, settings_file: Path | None
) -> None:
    """Answer decisions over HTTP, durably: an answer is given after it is on disk."""
    settings = read_settings(os.environ, settings_file)
    if host not in LOOPBACK:
        note(f"listening on {host}: whoever reaches this address can decide and record. There are no API keys yet.")
    with _listening(host, port) as listener, opened(db, campaign) as (store, log):
        serving = Serving(store, log, settings=settings)
        app = create_app(serving, train_every=pause_of(log.campaign, learn_every))
        note(f"campaign {log.campaign.id} from {campaign}, log in {db}; http://{host}:{listener.getsockname()[1]}/docs")
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


def pause_of(campaign: Campaign, seconds: float | None) -> timedelta | None:
    """The trainer's pause: what the command line says, else the campaign, else a minute; None for no trainer."""
    if seconds is None:
        return campaign.learn_every or USUAL_PAUSE
    return timedelta(seconds=seconds) if seconds else None


def _listening(host: str, port: int) -> socket.socket:
    """The address, taken before anything else is touched."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise click.UsageError(f"cannot listen on {host}:{port} ({error}). Name another --port or --host.") from error
