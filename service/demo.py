"""A demo: a sample campaign, simulated end to end with known truth."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from bandit.campaign_file import read_campaign
from bandit.errors import UnusableStore
from evaluation.audit import AuditVerdict
from evaluation.audit_log import AuditSettings
from service.chart import Curve, draw_curves
from service.demos.demo import Demo, Findings, Played, faulty_from
from service.group_report import GroupReport, report_groups
from service.provider_counts import write_counts
from service.sample import sample_text
from service.simulation import Send, Simulation, provider_counts
from service.store import Store
from service.verification import Verification, Watch, verify_store
from simulator.faults import faults_of
from simulator.truth import Truth, value_of_choices

CAMPAIGN, DATABASE, CHART, REPORT = "campaign.toml", "manyarm.db", "learning_curve.png", "report.txt"
PROVIDER = "provider.csv"
"""What the provider counted; written where something goes wrong on purpose."""
_DATABASE_FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")

WatchSends = Callable[[Iterator[list[Send]]], Iterator[list[Send]]]
"""Passes the steps through, so that a progress bar can watch them."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What a demo found; the truth is known because the customers are simulated.

    Attributes:
        demo: that was played.
        folder: where its files are.
        seed: of customers, draws and faults.
        report: what the log says the groups earned.
        verification: of the log; with the statistical audits and the provider's counts where there are faults.
        learned_value, uniform_value, best_value: true reward a send in the later half of the learner's.
        faults: what went wrong on purpose.
        findings: what this demo says and others do not.
    """

    demo: Demo
    folder: Path
    seed: int
    report: GroupReport
    verification: Verification
    learned_value: float
    uniform_value: float
    best_value: float
    faults: tuple[str, ...] = ()
    findings: Findings = field(default_factory=Findings)

    @property
    def alarms(self) -> tuple[str, ...]:
        """Names of the checks that failed, and of the audits that raised an alarm."""
        failed = [f"check {check.name}" for check in self.verification.checks if not check.passed]
        found = [audit for audits in self.verification.audits.values() for audit in audits]
        return (*failed, *(f"audit {audit.name}" for audit in found if audit.verdict is AuditVerdict.ALARM))


@contextmanager
def whole_or_nothing(demo: Demo, folder: Path) -> Iterator[None]:
    """A folder for a demo's files; one that is not finished takes them away again, or they would be in its way the next time.

    Args:
        demo: whose files.
        folder: made if it is not there.

    Raises:
        UnusableStore: if the folder holds a database already: its log would be mixed with another world's.
    """
    _refuse_used(folder, demo)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    files = [folder / name for name in (CAMPAIGN, *_DATABASE_FILES, CHART, PROVIDER, REPORT, *demo.files)]
    with ExitStack() as undo:
        undo.callback(_take_away, [path for path in files if not path.exists()], made)
        folder.mkdir(parents=True, exist_ok=True)
        yield
        undo.pop_all()


def demonstrate(
    demo: Demo,
    folder: Path,
    *,
    n_sends: int,
    seed: int,
    watch: WatchSends,
    watch_rows: Watch,
    faults: Sequence[str] = (),
) -> Demonstration:
    """Run the campaign, leave its files in a folder, and check its own log.

    Args:
        demo: which.
        folder: as `whole_or_nothing` makes it.
        n_sends: of the whole campaign.
        seed: below 2**64; the same one gives the same report, the same chart and the same rows in the log.
        watch: sees the steps pass by.
        watch_rows: sees the rows pass by that are verified.
        faults: what goes wrong on purpose from the middle of the campaign on, as `faults_of` reads it.

    Raises:
        InvalidSettings: for a fault that is none.
    """
    going_wrong = faults_of(faults, seed=seed, since=faulty_from(demo))
    text = sample_text(demo.example)
    (folder / CAMPAIGN).write_text(text, encoding="utf-8")
    campaign = read_campaign(text)
    world = demo.world(campaign, folder, n_sends, seed)
    salt = f"demo {seed}".encode()
    with Store(folder / DATABASE, salt=salt, secret=salt) as store:
        log = store.open_log(campaign, demo.start)
        simulation = Simulation(world, store, log, demo.step, going_wrong)
        sends = [send for step in watch(simulation.run(n_sends)) for send in step]
        report = report_groups(store.decisions(log), campaign, by=demo.by)
        if faults:
            counts = provider_counts(sends, simulation.end, campaign)
            write_counts(folder / PROVIDER, counts)
            verification = verify_store(store, watch=watch_rows, statistics=AuditSettings(), provider=counts)
        else:
            verification = verify_store(store, watch=watch_rows)
    played = Played(folder, campaign, world, sends, simulation.caps.n_capped)
    truth = _truth_of(played)
    _draw(folder / CHART, played, truth, demo)
    late = played.late
    return Demonstration(
        demo,
        folder,
        seed,
        report,
        verification,
        float(truth.values[late].mean()),
        float(truth.uniform[late].mean()),
        float(truth.best[late].mean()),
        tuple(faults),
        demo.findings(played),
    )


def _refuse_used(folder: Path, demo: Demo) -> None:
    for there in (folder / name for name in (DATABASE, CAMPAIGN, *demo.files)):
        if there.exists():
            raise UnusableStore(
                f"{there} is there already. Name another folder with --out, or move it; nothing was changed."
            )


def _take_away(files: Sequence[Path], folders: Sequence[Path]) -> None:
    """Files and whole folders of a demo, then the folders around them, the innermost first, if nothing else is there."""
    for path in files:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _truth_of(played: Played) -> Truth:
    """Of what really went out; nothing is worth nothing."""
    sends = played.sends
    truth = value_of_choices(played.world, [s.arrival for s in sends], [s.sent or s.decision.choice for s in sends])
    return replace(truth, values=np.where([s.sent is None for s in sends], 0.0, truth.values))


def _draw(path: Path, played: Played, truth: Truth, demo: Demo) -> None:
    days = np.array([(send.arrival.at - demo.start) / timedelta(days=1) for send in played.sends])
    groups = np.array([send.decision.group.value for send in played.sends])
    curves = [
        Curve(name, days[groups == name], truth.values[groups == name]) for name in ("learner", "random", "control")
    ]
    curves.append(Curve("best possible (knows every customer)", days, truth.best))
    draw_curves(
        path, curves, title=demo.title, x_label="day of the campaign", y_label="expected reward a send, running mean"
    )
