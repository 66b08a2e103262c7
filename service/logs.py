"""Lines on standard error: JSON for machines, text for people, and neither ever says whom a decision was for.

A line has a time, a level, an event and the fields of `FIELDS` that belong to it. Nothing else of a record is written: not
the text of an exception, which may quote a request, but where it came from.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import msgspec

from service.settings import Settings

FIELDS = (
    "decision_id", "method", "route", "status", "milliseconds", "snapshot", "candidate", "provider", "erasure", "key_id",
    "reason", "error",
)  # fmt: skip
"""What a caller may pass in `extra`; anything else is left out, so that a new call cannot leak what nobody looked at."""


class LinesOfJson(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line."""
        head = {"time": _moment(record).isoformat(), "level": record.levelname.lower(), "event": record.getMessage()}
        # A field may hold bytes that are no text.
        return msgspec.json.encode(_sayable(head | said(record))).decode()


class LinesOfText(logging.Formatter):
    """The same for people: time, level where it matters, event, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line."""
        level = f" {record.levelname}" if record.levelno >= logging.WARNING else ""
        fields = "".join(f" {name}={value}" for name, value in _sayable(said(record)).items())
        text = f"{_moment(record):%Y-%m-%d %H:%M:%S}{level} manyarm: {_sayable({'': record.getMessage()})['']}{fields}"
        return text.replace("\r", " ").replace("\n", " ")


FORMATS: Mapping[str, type[logging.Formatter]] = {"json": LinesOfJson, "text": LinesOfText}


def write_logs(settings: Settings, stream: TextIO = sys.stderr) -> None:
    """Let this process write its log as the settings say; for a command, not for a library."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMATS[settings.text("log_format")]())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("manyarm").setLevel(settings.text("log_level").upper())


def said(record: logging.LogRecord) -> dict[str, object]:
    """The fields of a record that may be written, in the order of `FIELDS`."""
    fields = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
    return fields | (_raised(record.exc_info[1]) if record.exc_info and record.exc_info[1] else {})


def _raised(error: BaseException) -> dict[str, object]:
    """What kind of exception it was and where it came from, innermost call last."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "exception": type(error).__name__,
        "where": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-12:]],
    }


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _sayable(fields: dict[str, object]) -> dict[str, object]:
    """Texts with lone surrogates escaped: they are no UTF-8."""
    return {name: _escaped(value) if isinstance(value, str) else value for name, value in fields.items()}


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
