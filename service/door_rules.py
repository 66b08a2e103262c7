"""What the door of one installation asks for: from its settings, and from the address it listens on."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from bandit.errors import InvalidSettings
from service.settings import Settings

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""What a browser on this machine calls it. Another name for it is another site's, pointed here to get past the browser."""


@dataclass(frozen=True, slots=True)
class DoorRules:
    """What the door asks for.

    Attributes:
        needs_key: whether a key is needed; None for: as soon as there is one.
        is_local: whether only this machine can connect.
        hosts: names the service is called by, lower case, without port; empty for any.
        largest_body: bytes.
        rate_limit: decisions a second for each key; None for no limit.
        is_https_only: whether browsers are told to come by HTTPS only.
    """

    needs_key: bool | None = None
    is_local: bool = True
    hosts: frozenset[str] = frozenset()
    largest_body: int = 4 << 20
    rate_limit: float | None = None
    is_https_only: bool = False


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", "example.org")]
    [True, True, True, False, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def rules_of(settings: Settings, host: str) -> DoorRules:
    """The rules for a service that listens on an address.

    Raises:
        InvalidSettings: for a limit of 0, and for keys switched off where others can connect.
    """
    needs_key = None if settings["require_keys"] is None else settings.is_on("require_keys")
    is_local = is_loopback(host)
    if not is_local and needs_key is False:
        raise InvalidSettings(
            f"require_keys is false, and {host or 'every address'} can be reached by others: they could decide and erase. "
            "Listen on 127.0.0.1, or leave require_keys out."
        )
    for name in ("rate_limit", "largest_body"):
        if settings[name] == 0:
            raise InvalidSettings(f"{name} is 0, so nobody could ask for anything. Leave it out, or give more than 0.")
    named = frozenset(name.strip().lower() for name in settings.text("allowed_hosts").split(",") if name.strip())
    return DoorRules(
        needs_key=needs_key if is_local else True,
        is_local=is_local,
        hosts=named | LOCAL_NAMES | {host} if is_local else named,
        largest_body=int(settings.number("largest_body")),
        rate_limit=None if settings["rate_limit"] is None else settings.number("rate_limit"),
        is_https_only=settings.is_on("hsts"),
    )
