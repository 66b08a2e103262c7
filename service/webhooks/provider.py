"""What each provider's file says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.settings import Settings
from service.webhooks.event import Delivery, RawEvent, Reading

Door = Callable[[Delivery], None]
"""Lets a delivery in, or raises `RefusedWebhook`."""


def _nothing(_: bytes) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider.

    Attributes:
        name: in the path of its webhook.
        needs: settings that must be given before anything of it is taken.
        door: makes its door from the settings; raises `InvalidSettings` for one that cannot be used.
        split: a delivery that was let in as single events; raises `UnreadableWebhook`.
        read: what one event says; raises `UnreadableWebhook`.
        notice: what somebody has to do by hand about an event; empty for nothing.
    """

    name: str
    needs: tuple[str, ...]
    door: Callable[[Settings], Door]
    split: Callable[[Delivery], tuple[RawEvent, ...]]
    read: Callable[[bytes], Reading]
    notice: Callable[[bytes], str] = _nothing

    def missing(self, settings: Settings) -> tuple[str, ...]:
        """Settings that it needs and that nobody gave."""
        return tuple(name for name in self.needs if not settings.text(name))
