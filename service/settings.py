"""Settings of an installation: from `MANYARM_` variables and one TOML file, all of them listed in one table.

A campaign says what may be said; settings say how this machine runs it. A variable wins over the file.
"""

from __future__ import annotations

import math
import re
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
from service.service_links import advice_on

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
        choices: what a text may be; empty for anything.
    """

    name: str
    kind: str
    usual: str | None
    meaning: str
    is_secret: bool = False
    choices: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return PREFIX + self.name.upper()


SETTINGS: tuple[Setting, ...] = (
    Setting("db", "text", "manyarm.db", "The database file."),
    Setting("campaign", "text", "campaign.toml", "The campaign file."),
    Setting("require_keys", "boolean", None, "Whether requests need an API key. Not given: as soon as there is one."),
    Setting(
        "allowed_hosts", "text", None, "Names the service is called by, with commas between. On loopback also its own."
    ),
    Setting("rate_limit", "number", None, "Decisions a second for each API key. Not given: no limit."),
    Setting("largest_body", "integer", "4194304", "Bytes of a request's body, NDJSON batches excepted."),
    Setting("hsts", "boolean", "false", "Whether browsers are told to come by HTTPS only: true behind a TLS proxy."),
    Setting("docs_page", "boolean", "true", "Whether /docs is there. It loads Swagger UI from a public CDN."),
    Setting("host", "text", "127.0.0.1", "The address to listen on; the usual one is reached from this machine only."),
    Setting("port", "integer", "8080", "The port to listen on."),
    Setting("drain", "duration", "30s", "After SIGTERM the process has so long to answer what it accepted."),
    Setting(
        "drain_notice",
        "duration",
        "1s",
        "Of that, so long /readyz says 503 while requests are still accepted; let it be longer than a load balancer's pause.",
    ),
    Setting(
        "deferred_for", "duration", "7d", "A deferred decision that nobody reports as sent within this time expires."
    ),
    Setting(
        "retention", "duration", None, "Rows older than this are erased, where the campaign's [privacy] does not say."
    ),
    Setting("least_free_disk", "number", "100", "Megabytes; with less free on the database's disk /readyz says 503."),
    Setting(
        "log_format",
        "text",
        "text",
        "How lines on standard error look: `text` for people, `json` for machines.",
        choices=("text", "json"),
    ),
    Setting(
        "log_level",
        "text",
        "info",
        "The least important lines that are written.",
        choices=("debug", "info", "warning", "error"),
    ),
    Setting(
        "personalizer_retention", "duration", None, "Rankings older than this are erased; without it as decisions are."
    ),
    Setting("personalizer_wait", "duration", "10m", "How long rewards and activations of a ranking count."),
    Setting(
        "personalizer_floor",
        "number",
        "0.2",
        "Share of each ranking's pmf that is spread evenly over the actions on offer.",
    ),
    Setting(
        "personalizer_policy",
        "text",
        "squarecb",
        "What turns expected rewards of a ranking into probabilities.",
        choices=("squarecb", "epsilon-greedy", "softmax", "uniform"),
    ),
    Setting("personalizer_random", "number", "0", "Share of the rankings that are drawn evenly, whatever was learned."),
    Setting("personalizer_control", "number", "0", "Share of the rankings that get the first action, for comparison."),
    Setting("personalizer_default_reward", "number", "0", "The reward of a ranking for which none came in time."),
    Setting(
        "personalizer_aggregation",
        "text",
        "earliest",
        "Which of several rewards of one ranking counts.",
        choices=("earliest", "sum"),
    ),
    Setting("webhook_brevo_secret", "text", None, "Bearer token of Brevo's webhook.", is_secret=True),
    Setting("webhook_customerio_key", "text", None, "Signing key of Customer.io's webhook.", is_secret=True),
    Setting("webhook_mailgun_key", "text", None, "HTTP webhook signing key of Mailgun.", is_secret=True),
    Setting("webhook_postmark_secret", "text", None, "Password or token of Postmark's webhook.", is_secret=True),
    Setting("webhook_resend_secret", "text", None, "Signing secret of Resend's webhook, whsec_...", is_secret=True),
    Setting("webhook_sendgrid_public_key", "text", None, "Verification key of SendGrid's event webhook, base64."),
    Setting("webhook_ses_certificate", "text", None, "Certificate in PEM with which SNS signs what SES tells."),
    Setting("webhook_ses_topic_arn", "text", None, "The one SNS topic whose messages are taken."),
    Setting("webhook_tolerance", "duration", "1h", "A webhook that was signed longer ago is refused."),
    Setting("log_requests", "boolean", "false", "One line a request; it costs throughput."),
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
            faults[-1] += advice_on(given)
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
    if setting.choices and value not in setting.choices:
        value, wanted = None, f"one of {', '.join(setting.choices)}"
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
    """As windows are written, and seconds, of which none are allowed too."""
    if not isinstance(found, str):
        return None
    seconds = re.fullmatch(r"(\d{1,6})s", found)
    return timedelta(seconds=int(seconds[1])) if seconds else parse_window(found)


KINDS: Mapping[str, tuple[str, Callable[[object], Value]]] = MappingProxyType(
    {
        "text": ("a text that is not empty", _text),
        "integer": ("a whole number from 0 on", _integer),
        "number": ("a number from 0 on", _number),
        "boolean": ("true or false", _boolean),
        "duration": ("a duration such as 30s, 90m, 72h or 7d", _duration),
    }
)
"""What a value may be: in words, and how it is read; None says it cannot be one."""
