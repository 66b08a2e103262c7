"""Every demo by the name of its sample campaign."""

from __future__ import annotations

from service.demos.demo import Demo
from service.demos.referral_contest import ReferralContestDemo
from service.demos.winback_es import WinbackDemo

_ALL: tuple[Demo, ...] = (ReferralContestDemo(), WinbackDemo())

DEMOS: dict[str, Demo] = {demo.example: demo for demo in _ALL}
"""The first one is played where none is named."""
