"""Contexts with what is known of customers from their own events, where the campaign has a `[profile]`."""

from __future__ import annotations

from datetime import datetime

from starlette.concurrency import run_in_threadpool

from bandit.context import Context
from service.store import Log, Store


async def profiled(store: Store, log: Log, customer_id: str, context: Context, at: datetime) -> Context:
    """The context with what the customer's events say in the fields that the caller left out; see `profiled_now`."""
    if log.campaign.profile is None:
        return context
    return await run_in_threadpool(profiled_now, store, log, customer_id, context, at)


def profiled_now(store: Store, log: Log, customer_id: str, context: Context, at: datetime) -> Context:
    """The same in this thread; the first one takes a second, in which what makes features of events is loaded."""
    if log.campaign.profile is None:
        return context
    from service.live_profile import LiveProfile  # noqa: PLC0415 - a service without a profile starts without it

    return LiveProfile(store, log).completed(customer_id, context, at)
