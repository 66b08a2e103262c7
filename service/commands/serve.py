"""`manyarm serve`: the HTTP service."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import click
import uvicorn

from service.app import create_app
from service.commands.options import campaign_option, db_option, note, opened
from service.serving import Serving

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@click.command(epilog="Example:  manyarm serve --port 8080")
@db_option
@campaign_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Only this machine, unless told otherwise.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option(
    "--learn-every", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="SECONDS",
    help="Pause between two steps of the trainer; 0 for no trainer in this process.",
)  # fmt: skip
def serve(db: Path, campaign: Path, host: str, port: int, learn_every: float) -> None:
    """Answer decisions over HTTP, durably: an answer is given after it is on disk."""
    if host not in LOOPBACK:
        note(f"listening on {host}: whoever reaches this address can decide and record. There are no API keys yet.")
    with _listening(host, port) as listener, opened(db, campaign) as (store, log):
        serving = Serving(store, log)
        app = create_app(serving, train_every=timedelta(seconds=learn_every) if learn_every else None)
        note(f"campaign {log.campaign.id} from {campaign}, log in {db}; http://{host}:{listener.getsockname()[1]}/docs")
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    """The address, taken before anything else is touched."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise click.UsageError(f"cannot listen on {host}:{port} ({error}). Name another --port or --host.") from error
