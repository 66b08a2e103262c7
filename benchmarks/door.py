"""What the door costs: requests straight into the ASGI app, with it and without it, in turns; no sockets.

Run: .venv/bin/python benchmarks/door.py
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bandit import load_campaign
from service.clock import random_secret
from service.door import Door
from service.door_rules import rules_of
from service.keys_table import Scope as KeyScope
from service.keys_table import issue_key
from service.serving import Serving
from service.settings import Settings
from service.store import Store

ROUNDS, REQUESTS = 9, 20_000
CAMPAIGN = Path(__file__).parents[1] / "service" / "campaigns" / "referral_contest.toml"


async def empty(_: Scope, receive: Receive, send: Send) -> None:
    """The least an app can do: read a body and answer."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def receive() -> Message:
    return {"type": "http.request", "body": b"{}", "more_body": False}


async def send(_: Message) -> None:
    return None


async def microseconds(app: ASGIApp, headers: list[tuple[bytes, bytes]]) -> float:
    """CPU time of one request: other load on the machine counts little."""
    asked = {"type": "http", "method": "POST", "path": "/v1/decisions", "headers": headers}
    started = time.process_time()
    for _ in range(REQUESTS):
        await app(dict(asked), receive, send)
    return (time.process_time() - started) / REQUESTS * 1e6


def main() -> None:
    now = datetime.now(UTC)
    headers = [(b"host", b"127.0.0.1:8080"), (b"content-type", b"application/json"), (b"content-length", b"180")]
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "log.db") as store:
        serving = Serving(store, store.open_log(load_campaign(CAMPAIGN), now))
        limited = Settings({"rate_limit": 1e9})
        contestants = {"without": (empty, headers)}
        key = store.write(
            lambda c: issue_key(c, "0a1b2c3d4e", "x", [KeyScope.DECIDE], secret=random_secret(), at=now, lifetime=None)
        )
        keyed = [*headers, (b"authorization", b"Bearer " + key.encode())]
        contestants["with a key"] = (Door(empty, serving, rules_of(Settings(), "0.0.0.0")), keyed)
        contestants["with a key and a rate"] = (Door(empty, serving, rules_of(limited, "0.0.0.0")), keyed)
        contestants["without a key"] = (
            Door(empty, serving, rules_of(Settings({"require_keys": False}), "127.0.0.1")),
            headers,
        )
        found: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(ROUNDS):
            for name, (app, its) in contestants.items():
                found[name].append(asyncio.run(microseconds(app, its)))
    for name, times in found.items():
        print(f"{name:<24} {statistics.median(times):6.2f} microseconds (least {min(times):.2f})")


if __name__ == "__main__":
    main()
