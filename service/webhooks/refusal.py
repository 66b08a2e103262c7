"""Why a webhook is not taken; nothing of it is stored."""

from __future__ import annotations

from bandit.errors import EngineError


class NoSuchWebhook(EngineError):
    """No provider of that name, or one whose settings are missing."""


class RefusedWebhook(EngineError):
    """A signature, secret or time that is not the provider's."""


class UncheckableWebhook(EngineError):
    """What could be a provider's, and cannot be checked just now: it is to come again."""


class UnreadableWebhook(EngineError):
    """A body or an event that does not have the provider's form."""
