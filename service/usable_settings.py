"""Settings that are each a value of their kind and still cannot be served with: `check` names them before `serve` meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from bandit.errors import EngineError, InvalidSettings
from service.door_rules import rules_of
from service.rankings.trainer import policy_under, rules_from
from service.settings import Settings
from service.webhooks.registry import PROVIDERS

THIS_MACHINE = "127.0.0.1"


def refuse_unusable(settings: Settings) -> None:
    """Make of the settings what a service makes of them at its start.

    Raises:
        InvalidSettings: with everything that cannot be, not the first alone.
    """
    faults = [fault for fault in map(_fault_of, _made(settings)) if fault]
    if faults:
        raise InvalidSettings(" ".join(faults))


def _made(settings: Settings) -> Iterator[Callable[[], object]]:
    yield lambda: rules_of(settings, THIS_MACHINE)
    yield lambda: policy_under(rules_from(settings))
    yield lambda: _drain(settings)
    for provider in PROVIDERS.values():
        if not provider.missing(settings):
            yield lambda provider=provider: provider.door(settings)  # type: ignore[misc]


def _fault_of(make: Callable[[], object]) -> str:
    try:
        make()
    except EngineError as error:
        return str(error)
    return ""


def _drain(settings: Settings) -> None:
    notice, whole = (settings.pause(name) or timedelta() for name in ("drain_notice", "drain"))
    if notice > whole:
        raise InvalidSettings(
            f"drain_notice is {_seconds(notice)} and drain, which is all the time there is to stop in, {_seconds(whole)}: "
            "nothing would be left for requests under way. Give drain more, or drain_notice less."
        )


def _seconds(pause: timedelta) -> str:
    return f"{pause / timedelta(seconds=1):g} s"
