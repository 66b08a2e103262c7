"""--settings: a file whose values stand where neither the command line nor a variable says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import click

from service.settings import Settings, read_settings


def _read(ctx: click.Context, _: click.Parameter, path: Path | None) -> Settings:
    """Read the settings first, so that options of the same names get their values from them."""
    settings = read_settings(os.environ, path)
    named = {str(one.name) for one in ctx.command.params} & set(settings)
    ctx.default_map = {**(ctx.default_map or {}), **{name: settings[name] for name in named if name != "settings"}}
    return settings


settings_option = click.option(
    "--settings", "settings", type=click.Path(path_type=Path), is_eager=True, callback=_read,
    help="A TOML file of settings (docs/settings.md); MANYARM_ variables win over it, options over both.",
)  # fmt: skip
