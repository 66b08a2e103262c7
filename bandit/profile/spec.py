"""The `[profile]` table of the campaign file: what events mean, and how features are made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Final

from bandit.fault import Reader, repeated
from bandit.local_time import known_zone
from bandit.profile.engagement_spec import EngagementSpec, read_engagement
from bandit.profile.models_spec import ModelsSpec, read_models
from bandit.profile.segment_spec import SegmentSpec, read_segments
from bandit.reward import parse_window

ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "login": ("login",),
    "feature_use": ("feature_use",),
    "social": ("share", "social"),
    "referral": ("referral",),
    "email_sent": ("email_sent",),
    "email_open": ("email_open",),
    "email_click": ("email_click",),
    "support": ("support",),
    "purchase": ("purchase",),
    "session_start": ("session_start",),
    "session_end": ("session_end",),
    "signup": ("signup",),
    "passive": ("email_delivered", "email_bounce", "push_sent", "sms_sent"),
}
"""What events mean, and the types that usually mean it. Those in `NOT_ACTIVE` are nothing that the customer did."""
NOT_ACTIVE: Final = frozenset({"email_sent", "passive"})
HOME: Final = "UTC"
"""Where customers live of whom neither an event nor the campaign says it."""
LONGEST_WINDOW: Final = timedelta(days=1100)
_DAY: Final = timedelta(days=1)
_WANTED_WINDOW: Final = "a duration of whole days, 1d to 1100d, such as 30d"
_WANTED_GAP: Final = "a duration of 1 minute to 24 hours, such as 30m"


@dataclass(frozen=True, slots=True)
class Windows:
    """The `[profile.windows]` table: how many days back events count, for each kind of feature.

    A window of 30 days holds the events of the day on which features are made and of the 30 days before it, by the
    calendar of UTC.
    """

    usage: int = 30
    social: int = 30
    email: int = 90
    support: int = 90
    purchases: int = 365
    sessions: int = 90
    preferences: int = 180
    activity: int = 180
    trend: int = 30

    @property
    def longest_count(self) -> int:
        """The days for which counts are kept by the day; the trend compares its window with the one before it."""
        return max(self.usage, self.social, self.email, self.support, self.purchases, 2 * self.trend + 1)


@dataclass(frozen=True, slots=True)
class LifecycleSpec:
    """The `[profile.lifecycle]` table.

    Attributes:
        new: days since the first event (or sign-up) during which a customer is new.
        growing: days during which a customer is growing, if not new.
        at_risk, dormant: days without any activity after which a customer is that.
        growth: how many times as active as in the window before makes a customer growing, however old.
    """

    new: int = 30
    growing: int = 180
    at_risk: int = 60
    dormant: int = 180
    growth: float = 1.5


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """The `[profile.shrinkage]` table: how many events of the population a customer begins with.

    Attributes:
        rates: events, for open and click rates, price sensitivity and brand loyalty.
        activity: events, for the hours of the week and the months of the year.
    """

    rates: float = 10.0
    activity: float = 20.0


@dataclass(frozen=True, slots=True)
class Missing:
    """The `[profile.missing]` table: what stands in for a missing cell. Nothing is made up that does not stand here.

    Attributes:
        value: amount of an event that has none, such as 0; None leaves its amount unknown, and the event counts without it.
        channel, device, content, zone: texts for missing cells; empty leaves them unknown.
        time_zone: the IANA zone of times that were written without one; empty leaves such events out.
    """

    value: float | None = None
    channel: str = ""
    device: str = ""
    content: str = ""
    zone: str = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """The whole table; the defaults are those of a campaign file whose `[profile]` is empty.

    Attributes:
        roles: event types by what they mean; a type has one role at most.
        engagement, windows, lifecycle, shrinkage, missing: the tables of the same names.
        session_gap: a session ends when nothing happens for so long.
        drop_duplicates: whether an event that says the same as another one in every column counts once.
        fields: the feature that each of these context fields gets, where it has another name.
        segments: rules for segments, and how segments are learned.
        models: how far ahead the models of customers look.

    >>> ProfileSpec().role_of("share"), ProfileSpec().role_of("sneeze")
    ('social', '')
    """

    roles: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(ROLES))
    engagement: EngagementSpec = field(default_factory=EngagementSpec)
    windows: Windows = field(default_factory=Windows)
    lifecycle: LifecycleSpec = field(default_factory=LifecycleSpec)
    shrinkage: Shrinkage = field(default_factory=Shrinkage)
    missing: Missing = field(default_factory=Missing)
    session_gap: timedelta = timedelta(minutes=30)
    drop_duplicates: bool = True
    fields: Mapping[str, str] = field(default_factory=dict)
    segments: SegmentSpec = field(default_factory=SegmentSpec)
    models: ModelsSpec = field(default_factory=ModelsSpec)

    def role_of(self, event_type: str) -> str:
        """What a type of event means; empty where the campaign says nothing, and it counts as activity alone."""
        return next((role for role, types in self.roles.items() if event_type in types), "")

    @property
    def role_by_type(self) -> dict[str, str]:
        """The same for every type that means something."""
        return {event_type: role for role, types in self.roles.items() for event_type in types}

    def at_home(self, zone: str) -> ProfileSpec:
        """The same where customers of whom no zone is known live in the campaign's, unless `[profile.missing]` says another.

        >>> ProfileSpec().at_home("Europe/Madrid").missing.zone
        'Europe/Madrid'
        """
        return self if self.missing.zone else replace(self, missing=replace(self.missing, zone=zone))

    @property
    def sums_hash(self) -> str:
        """Of all that the sums of events depend on, 16 hex digits: sums made under another one cannot be read by this."""
        said = (sorted(self.roles.items()), self.windows, self.session_gap, self.missing)
        return hashlib.blake2b(repr(said).encode(), digest_size=8).hexdigest()


def read_profile(table: Reader) -> ProfileSpec:
    """The table, with its faults noted."""
    usual = ProfileSpec()
    spec = ProfileSpec(
        roles=_roles(table.table("events")),
        engagement=read_engagement(table.table("engagement")),
        windows=_windows(table.table("windows")),
        lifecycle=_lifecycle(table.table("lifecycle")),
        shrinkage=_shrinkage(table.table("shrinkage")),
        missing=_missing(table.table("missing")),
        session_gap=_session_gap(table, usual.session_gap),
        drop_duplicates=table.boolean("drop_duplicates", default=usual.drop_duplicates),
        fields=_fields(table.table("fields")),
        segments=read_segments(table.table("segments")),
        models=read_models(table.table("models")),
    )
    table.refuse_the_rest(item.name if item.name != "roles" else "events" for item in fields(ProfileSpec))
    return spec


def _roles(table: Reader) -> dict[str, tuple[str, ...]]:
    wanted = "a list of event types, as they stand in the column `type`"
    given = {role: table.texts(role, wanted=wanted) for role in ROLES if role in table.names()}
    table.refuse_the_rest(ROLES)
    taken = {event_type for types in given.values() for event_type in types}
    # A type that the file gives another role no longer has its usual one.
    usual = {role: tuple(one for one in types if one not in taken) for role, types in ROLES.items()}
    twice = repeated(event_type for types in given.values() for event_type in types)
    if twice:
        table.fault("", f"{twice} under more than one", "each event type once: it means one thing")
    return {**usual, **given}


def _days(table: Reader, key: str, usual: int) -> int:
    text = table.text(key, wanted=_WANTED_WINDOW, default=f"{usual}d")
    window = parse_window(text)
    if window and window <= LONGEST_WINDOW and window % _DAY == timedelta(0):
        return window.days
    if text:
        table.fault(key, text, _WANTED_WINDOW)
    return usual


def _windows(table: Reader) -> Windows:
    names = [item.name for item in fields(Windows)]
    found = {name: _days(table, name, getattr(Windows(), name)) for name in names}
    table.refuse_the_rest(names)
    return Windows(**found)


def _lifecycle(table: Reader) -> LifecycleSpec:
    usual = LifecycleSpec()
    days = {name: _days(table, name, getattr(usual, name)) for name in ("new", "growing", "at_risk", "dormant")}
    wanted = "a number from 1 on: how many times as active as before"
    growth = table.number("growth", low=1.0, high=1000.0, default=usual.growth, wanted=wanted)
    for early, late in (("new", "growing"), ("at_risk", "dormant")):
        if days[late] < days[early]:
            table.fault(late, f"{days[late]}d", f"at least the {days[early]}d of {early}")
    table.refuse_the_rest(item.name for item in fields(LifecycleSpec))
    return LifecycleSpec(**days, growth=growth)


def _shrinkage(table: Reader) -> Shrinkage:
    usual = Shrinkage()
    wanted = "a number of events in [0.1, 10000] that a customer is believed to be like everybody"
    names = [item.name for item in fields(Shrinkage)]
    found = {
        name: table.number(name, low=0.1, high=10_000.0, default=getattr(usual, name), wanted=wanted) for name in names
    }
    table.refuse_the_rest(names)
    return Shrinkage(**found)


def _missing(table: Reader) -> Missing:
    value = None
    if "value" in table.names():
        value = table.number("value", low=-1e9, high=1e9, default=None, wanted="an amount, such as 0")
    texts = ("channel", "device", "content", "zone", "time_zone")
    names = [name for name in texts if name in table.names()]
    found = {name: table.text(name, wanted="what stands in for a missing cell, such as unknown") for name in names}
    for key in ("zone", "time_zone"):
        if found.get(key) and known_zone(found[key]) is None:
            table.fault(key, found[key], "an IANA zone such as Europe/Berlin")
    table.refuse_the_rest(("value", *texts))
    return Missing(value=value, **found)


def _session_gap(table: Reader, usual: timedelta) -> timedelta:
    if "session_gap" not in table.names():
        return usual
    text = table.text("session_gap", wanted=_WANTED_GAP)
    gap = parse_window(text)
    if gap and gap <= _DAY:
        return gap
    if text:
        table.fault("session_gap", text, _WANTED_GAP)
    return usual


def _fields(table: Reader) -> dict[str, str]:
    """Which feature goes into which field; whether these exist is checked where features are made."""
    names = table.names()
    return {name: table.text(name, wanted="the name of a feature, such as engagement_level") for name in names}
