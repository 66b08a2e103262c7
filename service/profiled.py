"""Contexts with what is known of customers from their own events, where the campaign has a `[profile]`."""

from __future__ import annotations

from datetime import datetime

from starlette.concurrency import run_in_threadpool

from bandit.context import Context
from service.serving import Serving


async def profiled(serving: Serving, customer_id: str, context: Context, at: datetime) -> Context:
    """The context with what the customer's events say in the fields that the caller left out; see `profiled_now`."""
    if serving.log.campaign.profile is None:
        return context
    return await run_in_threadpool(profiled_now, serving, customer_id, context, at)


def profiled_now(serving: Serving, customer_id: str, context: Context, at: datetime) -> Context:
    """The same in this thread; the first one takes a second, in which what makes features of events is loaded."""
    if serving.log.campaign.profile is None:
        return context
    return serving.live_profile.completed(customer_id, context, at)
