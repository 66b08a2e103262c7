"""Stopping without losing anything: on SIGTERM say so, go on for a moment, answer what was accepted, then end well.

The order is that of a load balancer: /readyz says 503 and answers carry `Connection: close`, so that nobody comes back;
after the notice the listening socket is closed; requests in flight are answered; the trainer finishes its step and the
writer writes what waits. The exit status is 0.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from datetime import timedelta
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from service.serving import Serving
from service.whole_answers import WholeAnswers

_log = logging.getLogger("manyarm")
NONE = timedelta(0)


class DrainingServer(uvicorn.Server):
    """Uvicorn with a notice before it stops listening.

    A second signal ends the notice, a third one ends everything at once.

    Args:
        app: the service.
        serving: is told to drain; its settings `drain` and `drain_notice` say how long that may take.
        leaving: called once draining begins, so that another server may begin.
    """

    def __init__(self, app: ASGIApp, serving: Serving, leaving: Callable[[], None] = lambda: None) -> None:
        notice, whole = (serving.settings.pause(name) or NONE for name in ("drain_notice", "drain"))
        left = max(whole - notice, timedelta(seconds=1))
        super().__init__(
            uvicorn.Config(
                app,
                http=WholeAnswers,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(left / timedelta(seconds=1)),
            )
        )
        self._serving, self._leaving = serving, leaving
        self._notice = notice / timedelta(seconds=1)
        self._stops_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop; not raised again at the end, so that the exit status is 0."""
        del frame
        if self.should_exit:
            self.force_exit = True
        elif self._serving.is_draining:
            self.should_exit = True
        else:
            self._serving.drain()
            self._leaving()
            _log.info("draining", extra={"reason": signal.Signals(sig).name})

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to stop listening."""
        if self._serving.is_draining:
            now = asyncio.get_running_loop().time()
            if self._stops_at is None:
                self._stops_at = now + self._notice
            self.should_exit = self.should_exit or now >= self._stops_at
        return await super().on_tick(counter)
