"""The least that a durable decision can cost here: a request is parsed, a prepared row is stored, a prepared answer goes out.

Run by serve_http.py as a process of its own: serve_floor.py PORT FOLDER. No door, no opt-outs, no decision: what is left is
the server, the writer and its commit. The row bears a new id each time, as every row does.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import uvicorn
from decide import contexts
from starlette.types import Receive, Scope, Send

from bandit import read_campaign
from service.clock import RandomIds
from service.engines import engine_for
from service.rows import DECIDED
from service.schemas import DecisionRequest
from service.store import Store
from service.whole_answers import WholeAnswers


class Floor:
    """Stores the same row under ever new ids.

    Args:
        store: with the campaign's log.
        values: of a decision's row.
        due_at: when its window closes.
        body: the answer.
    """

    def __init__(self, store: Store, values: tuple[object, ...], due_at: str, body: bytes) -> None:
        self._store, self._values, self._due_at, self._body = store, values, due_at, body
        self._place, self._new_id = DECIDED.index("decision_id"), RandomIds()
        self._decoder = msgspec.json.Decoder(DecisionRequest)
        self._headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; a GET only asks whether this is ready."""
        if scope["method"] == "POST":
            self._decoder.decode((await receive())["body"])
            before, after = self._values[: self._place], self._values[self._place + 1 :]
            row = ((*before, self._new_id(), *after), self._due_at)
            await self._store.writer.submit_row(row, asyncio.get_running_loop())
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    campaign, now = read_campaign((folder / "campaign.toml").read_text()), datetime.now(UTC)
    with Store(folder / "manyarm.db") as store:
        log = store.open_log(campaign, now)
        context = contexts(np.random.default_rng(0), 1)[0]
        decision = engine_for(store, log).decide("c1", context, decision_id="floor", at=now, past=[])
        values, due_at = store.row_of(decision, log)
        body = msgspec.json.encode({"decision_id": "0" * 32, "choice": decision.choice, "texts": "." * 200})
        app = Floor(store, values, due_at, body)
        uvicorn.run(
            app, host="127.0.0.1", port=port, http=WholeAnswers, lifespan="off", log_level="error", access_log=False
        )


if __name__ == "__main__":
    main()
