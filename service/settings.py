"""Settings of an installation: from `MANYARM_` variables and one TOML file, all of them listed in one table.

A campaign says what may be said; settings say how this machine runs it. A variable wins over the file.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from bandit.errors import InvalidSettings
from bandit.fault import shown
from bandit.reward import parse_window

PREFIX = "MANYARM_"
FROM_FILE = "_FILE"
"""MANYARM_X_FILE names a file whose text is the value of MANYARM_X, as containers hand over secrets."""

Value = str | int | float | bool | timedelta | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table.

    Attributes:
        name: in the file; the variable is `MANYARM_` and the name in capitals.
        kind: what a value must be, one of `KINDS`.
        usual: the value where nobody gives one, as it would be written; None for none.
        meaning: one sentence for the docs.
        is_secret: never shown, never logged.
    """

    name: str
    kind: str
    usual: str | None
    meaning: str
    is_secret: bool = False

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return PREFIX + self.name.upper()


SETTINGS: tuple[Setting, ...] = (
    Setting("db", "text", "manyarm.db", "The database file."),
    Setting("campaign", "text", "campaign.toml", "The campaign file."),
)
"""Every setting there is. A new one is a line here; docs/settings.md is held to it by a test."""


class Settings(Mapping[str, Value]):
    """Values by name; a setting that nobody gave has its usual value.

    >>> Settings({"db": "/var/lib/manyarm/log.db"})["db"], Settings()["campaign"]
    ('/var/lib/manyarm/log.db', 'campaign.toml')

    Raises:
        InvalidSettings: at construction, naming every value that cannot be one, secrets unshown.
    """

    def __init__(self, given: Mapping[str, object] = MappingProxyType({})) -> None:
        faults = [_unknown(name) for name in given if name not in _BY_NAME]
        self._values: dict[str, Value] = {}
        for setting in SETTINGS:
            try:
                self._values[setting.name] = _parsed(setting, given.get(setting.name, setting.usual))
            except ValueError as error:
                faults.append(str(error))
        if faults:
            raise InvalidSettings("; ".join(faults) + ". Nothing was started; docs/settings.md lists every setting.")

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        hidden = {one.name: "***" for one in SETTINGS if one.is_secret and self._values[one.name] is not None}
        return f"Settings({self._values | hidden})"

    def text(self, name: str) -> str:
        """A setting that is a text; empty where there is none."""
        value = self._values[name]
        return "" if value is None else str(value)

    def number(self, name: str) -> float:
        """A setting that is a number or an integer, with a usual value."""
        value = self._values[name]
        return float(value) if isinstance(value, (int, float)) else math.nan

    def pause(self, name: str) -> timedelta | None:
        """A setting that is a duration; None where there is none."""
        value = self._values[name]
        return value if isinstance(value, timedelta) else None

    def is_on(self, name: str) -> bool:
        """A setting that is true or false."""
        return self._values[name] is True


_BY_NAME = MappingProxyType({setting.name: setting for setting in SETTINGS})


def read_settings(environment: Mapping[str, str], path: Path | None = None) -> Settings:
    """Settings of a file and of the environment, which wins.

    Args:
        environment: all variables of the process; those that do not begin with `MANYARM_` are none of ours.
        path: a TOML file of names and values; None for no file.

    Raises:
        InvalidSettings: for a name nobody knows, a value that cannot be one, or a file that cannot be read.
    """
    given: dict[str, object] = dict(_of_file(path)) if path else {}
    for variable in sorted(environment):
        if variable.startswith(PREFIX):
            name, value = _of_variable(variable, environment[variable])
            given[name] = value
    return Settings(given)


def _of_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidSettings(f"{path} cannot be read as settings ({error}). Write TOML: a name = a value.") from error


def _of_variable(variable: str, value: str) -> tuple[str, str]:
    name = variable.removeprefix(PREFIX).lower()
    if name in _BY_NAME or not variable.endswith(FROM_FILE):
        return name, value
    try:
        return name.removesuffix(FROM_FILE.lower()), Path(value).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"{variable} names {shown(value)}, which cannot be read ({error}).") from error


def _unknown(name: str) -> str:
    close = get_close_matches(name, _BY_NAME, n=1)
    return f"no setting is called {shown(name)}" + (f"; {close[0]!r} is" if close else "")


def _parsed(setting: Setting, found: object) -> Value:
    if found is None:
        return None
    wanted, parse = KINDS[setting.kind]
    value = parse(found)
    if value is None:
        said = "a secret that cannot be one" if setting.is_secret else shown(found)
        raise ValueError(f"{setting.name} (variable {setting.variable}) is {said}, need {wanted}")
    return value


def _text(found: object) -> str | None:
    return found if isinstance(found, str) and found else None


def _integer(found: object) -> int | None:
    value = _number(found)
    return int(value) if value is not None and value == int(value) else None


def _number(found: object) -> float | None:
    if isinstance(found, bool) or not isinstance(found, (int, float, str)):
        return None
    try:
        value = float(found)
    except (ValueError, OverflowError):
        return None
    return value if 0.0 <= value < math.inf else None


def _boolean(found: object) -> bool | None:
    return found if isinstance(found, bool) else {"true": True, "false": False}.get(str(found).lower())


def _duration(found: object) -> timedelta | None:
    return parse_window(found) if isinstance(found, str) else None


KINDS: Mapping[str, tuple[str, Callable[[object], Value]]] = MappingProxyType(
    {
        "text": ("a text that is not empty", _text),
        "integer": ("a whole number from 0 on", _integer),
        "number": ("a number from 0 on", _number),
        "boolean": ("true or false", _boolean),
        "duration": ("a duration such as 90m, 72h or 7d", _duration),
    }
)
"""What a value may be: in words, and how it is read; None says it cannot be one."""
