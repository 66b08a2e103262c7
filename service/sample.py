"""Sample campaigns that ship with the package."""

from __future__ import annotations

from importlib import resources

SAMPLES = {"referral-contest": "referral_contest.toml", "winback-es": "winback_es.toml"}
"""File of each sample, by its name."""


def sample_text(name: str) -> str:
    """The campaign file of a sample.

    >>> sample_text("referral-contest").splitlines()[2]
    '[campaign]'
    """
    return resources.files("service").joinpath("campaigns", SAMPLES[name]).read_text(encoding="utf-8")
