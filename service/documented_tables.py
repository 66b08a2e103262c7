"""Tables of the docs that are made from the code: `python -m service.documented_tables docs/settings.md docs/operations.md`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from service.metrics import METRICS, Metric
from service.settings import SETTINGS, Setting


def settings_table() -> str:
    """Every setting as a line of Markdown."""
    head = "| in the file | variable | kind | usual | meaning |\n| --- | --- | --- | --- | --- |\n"
    return head + "".join(map(_of_setting, SETTINGS))


def metrics_table() -> str:
    """Every metric as a line of Markdown."""
    return "| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n" + "".join(map(_of_metric, METRICS))


TABLES: Mapping[str, Callable[[], str]] = MappingProxyType({"settings": settings_table, "metrics": metrics_table})
"""The tables there are, by the name in their marks."""


def with_tables(page: str) -> str:
    """A page with each table between `<!-- name: begin -->` and `<!-- name: end -->` made anew."""
    for name, made in TABLES.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        table = f"{begin}\n{made()}{end}"
        page = re.sub(f"{begin}.*?{end}", lambda _, table=table: table, page, flags=re.DOTALL)  # type: ignore[misc]
    return page


def _of_setting(setting: Setting) -> str:
    kind = " or ".join(f"`{choice}`" for choice in setting.choices) or setting.kind
    usual = "none" if setting.usual is None else f"`{setting.usual}`"
    secret = " Secret: never shown, never logged." if setting.is_secret else ""
    return f"| `{setting.name}` | `{setting.variable}` | {kind} | {usual} | {setting.meaning}{secret} |\n"


def _of_metric(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.exposed}` | {metric.kind} | {labels} | {metric.meaning} |\n"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
