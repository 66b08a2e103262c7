"""The list to which every migration of the store belongs."""

from __future__ import annotations

from sqlite_utils.migrations import Migrations

migrations = Migrations("manyarm")
