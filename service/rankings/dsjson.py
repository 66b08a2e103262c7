"""Rankings as Vowpal Wabbit's DSJSON, the form in which Azure Personalizer handed out its logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from bandit.errors import UnusableLog
from bandit.group import Group
from bandit.reward import State
from service.rankings.rows import KeptRanking
from service.table_writer import replacing

ENDINGS = (".dsjson", ".json")
CONTROL = "of the control group, whose probabilities are 1"
UNSETTLED = "not matured: no reward is known"


def require_dsjson(path: Path) -> None:
    """Refuse a place where no log can be written, before any work is done for it.

    Raises:
        UnusableLog: for an unknown ending or a folder that is not there.
    """
    if path.suffix not in ENDINGS:
        raise UnusableLog(f"{path}: found the ending {path.suffix!r}, need {' or '.join(ENDINGS)}.")
    if not path.parent.is_dir():
        raise UnusableLog(f"{path}: the folder {path.parent} does not exist. Make it, or name another one.")


def write_dsjson(path: Path, rows: Iterable[KeptRanking]) -> tuple[int, Counter[str]]:
    """Write matured rankings, one a line; returns how many, and why the others were left out.

    Args:
        path: what is there stays until the new file is whole.
        rows: rankings in any state. Those of the control group are left out: with probability 1 they can answer nothing.
    """
    left_out: Counter[str] = Counter()
    n_rows = 0
    with replacing(path) as draft, draft.open("wb") as file:
        for line in _lines(rows, left_out):
            file.write(line + b"\n")
            n_rows += 1
    return n_rows, left_out


def _lines(rows: Iterable[KeptRanking], left_out: Counter[str]) -> Iterator[bytes]:
    for kept in rows:
        if kept.state != State.MATURED:
            left_out[UNSETTLED] += 1
        elif kept.ranking.group is Group.CONTROL:
            left_out[CONTROL] += 1
        else:
            yield msgspec.json.encode(_line(kept))


def _line(kept: KeptRanking) -> dict[str, object]:
    ranking, request = kept.ranking, kept.ranking.request
    # Actions count from 1; the drawn one stands first. Excluded ones were not on offer.
    order = [ranking.chosen, *(place for place in request.offered if place != ranking.chosen)]
    actions = [{"_tag": one.id, "i": {"id": one.id}, "j": one.features} for one in request.actions]
    return {
        "_label_cost": -(kept.reward or 0.0) + 0.0,
        "_label_probability": ranking.propensity,
        "_label_Action": ranking.chosen + 1,
        "_labelIndex": ranking.chosen,
        "Version": "1",
        "EventId": request.event_id,
        "Timestamp": ranking.decided_at,
        "a": [place + 1 for place in order],
        "p": [ranking.pmf[place] for place in order],
        "c": {"FromUrl": request.context, "_multi": actions},
        "VWState": {"m": ranking.snapshot or ""},
        "pdrop": 0.0,
    }
