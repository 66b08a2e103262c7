"""A fault in a simulated campaign shows in a check of its log, or leaves the log as it was."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from itertools import chain

import pytest

from bandit.campaign_file import read_campaign
from bandit.errors import UnusableLog
from evaluation.audit import AuditVerdict
from evaluation.audit_log import AuditSettings
from service.provider_counts import check_provider, counts_in_log, read_counts, write_counts
from service.sample import sample_text
from service.simulation import Simulation, provider_counts
from service.store import Store
from service.verification import verify_store
from simulator.faults import FAULTS, faults_of
from simulator.referral_contest import ReferralContest

SEED, N_SENDS = 5, 500
DIMENSIONS = {"subject": ("plain", "champion", "dominate", "thank-you"), "cta": ("join", "invite-now")}
OF_ROWS = ("wrong-propensities", "stale-propensities", "swapped-arms", "swapped-rows")
HARMLESS = ("duplicated-events=1.0", "disordered-events=1.0")
TABLES = {
    "decisions": "SELECT * FROM decisions ORDER BY seq",
    "outcomes": "SELECT event_id, decision_id, type, at, received_at, late FROM outcomes ORDER BY event_id",
    "snapshots": "SELECT * FROM snapshots ORDER BY snapshot",
}


def small_campaign():
    """The referral contest with two dimensions and two events; a customer's past does not matter."""
    text = sample_text("referral-contest").partition("[wear_out]")[0]
    text = re.sub(r"events = .*", "events = { click = 0.2, conversion = 1.0 }", text)
    text = text.replace(', benefit = "base", send_slot = "weekday-09"', "").replace("random = 0.05", "random = 0.2")
    text += '[learner]\nname = "regression"\nlearning_rate = 0.1\n'
    for name, arms in DIMENSIONS.items():
        text += f'[[dimension]]\nname = "{name}"\n' + "".join(f'[[dimension.arm]]\nid = "{arm}"\n' for arm in arms)
    return read_campaign(text)


class Run:
    """A campaign that was simulated: its file, its sends, and what the provider counted."""

    def __init__(self, path, *faults):
        self.path, campaign = path, small_campaign()
        world = ReferralContest(
            SEED,
            n_customers=120,
            dimensions=DIMENSIONS,
            reward_events=campaign.reward.events,
            window=campaign.reward.window,
            days=28,
            rates={"click": 0.3, "conversion": 0.4, "unsubscribe": 1e-9, "complaint": 1e-9},
        )
        with Store(path, salt=b"salt", secret=b"secret") as store:
            simulation = Simulation(
                world, store, store.open_log(campaign, world.start), timedelta(days=9), faults_of(faults)
            )
            self.sends = list(chain.from_iterable(simulation.run(N_SENDS)))
        self.counted = provider_counts(self.sends, simulation.end)

    def verify(self):
        """Failures in words by check, and what the audits say by name."""
        with Store(self.path) as store:
            found = verify_store(store, statistics=AuditSettings(), provider=self.counted)
        return {one.name: one.failures for one in found.checks if one.failures}, {
            one.name: one for one in found.audits[1]
        }

    def provider(self):
        """What the provider's counts say alone."""
        with Store(self.path) as store:
            return check_provider(store, store.logs()[0], self.counted)

    def tables(self):
        """Everything that was stored."""
        with Store(self.path) as store:
            return {name: store.reader().execute(query).fetchall() for name, query in TABLES.items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Simulates a campaign with faults, each once."""
    made = {}

    def simulated(*faults):
        if faults not in made:
            made[faults] = Run(tmp_path_factory.mktemp("faults") / "manyarm.db", *faults)
        return made[faults]

    return simulated


def test_without_a_fault_nothing_is_noticed(run):
    failures, audits = run().verify()
    assert failures == {}
    assert [name for name, one in audits.items() if one.verdict is AuditVerdict.ALARM] == []
    assert run().provider().n_checked == 2 + 2 + 4 + 2


def test_repeated_and_disordered_events_leave_the_log_as_it_is(run):
    with_faults, without = run(*HARMLESS).tables(), run().tables()
    assert len(without["outcomes"]) > 100
    for name in TABLES:
        assert with_faults[name] == without[name], name


@pytest.mark.parametrize("fault", OF_ROWS)
def test_every_row_that_is_named_was_hit(fault, run):
    failures, _ = run(fault).verify()
    drawn = {send.decision.decision_id: send.decision for send in run(fault).sends}
    with Store(run(fault).path) as store:
        stored = {row.decision_id: row for row in store.decisions(store.logs()[0])}
    hit = {
        name for name, row in stored.items() if row.pmfs != tuple(pick.pmf.probabilities for pick in drawn[name].picks)
    }
    assert 20 < len(hit) < len(stored)
    assert failures.keys() <= {"draw", "recomputed", "propensity", "1/p honesty", "eligibility"}
    assert {"draw", "recomputed"} <= failures.keys()
    for check in failures.keys() - {"1/p honesty"}:
        assert {re.search(r"decision (\S+):", words)[1] for words in failures[check]} <= hit, check


def test_every_row_that_was_hit_is_named_where_its_snapshot_gave_another_pmf(run):
    path, drawn = (
        run("swapped-arms").path,
        {send.decision.decision_id: send.decision for send in run("swapped-arms").sends},
    )
    with Store(path) as store:
        stored = list(store.decisions(store.logs()[0]))
        found = {check.name: check for check in verify_store(store).checks}
    wrong = sum(
        abs(written - pick.pmf.probabilities[arm]) > 1e-6
        for row in stored
        for pmf, pick in zip(row.pmfs, drawn[row.decision_id].picks, strict=True)
        for arm, written in enumerate(pmf[:1])
    )
    assert found["recomputed"].n_failed == wrong


def test_a_misguided_policy_is_named_by_deciding_again_and_its_draws_are_honest(run):
    failures, audits = run("misguided-policy").verify()
    assert failures.keys() == {"recomputed"}
    assert all("differs by" in words for words in failures["recomputed"])
    drawn = [one for name, one in audits.items() if name.startswith(("groups", "arms", "1/p", "calibration"))]
    assert drawn
    assert not any(one.breaks_log for one in drawn)


def test_late_events_raise_the_alarm_of_late_rewards_and_of_nothing_else_in_the_log(run):
    failures, audits = run("late-events").verify()
    assert failures == {}
    assert audits["rewards: late"].verdict is AuditVerdict.ALARM
    assert run("late-events").provider().passed


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("lost-events", {"click", "conversion"}),
        ("unvoided-sends", {"sent"}),
        ("unsent-choice", {"subject=plain", "cta=join"}),
        ("changed-ids", {"customers"}),
    ],
)
def test_what_no_log_can_show_is_shown_by_what_the_provider_counted(fault, named, run):
    assert run().provider().passed
    check = run(fault).provider()
    assert named <= {words.partition(":")[0] for words in check.failures}


def test_a_send_that_never_went_out_brings_nothing_and_is_logged_as_chosen(run):
    unsent = [send for send in run("unvoided-sends").sends if send.sent is None]
    assert 0.2 * N_SENDS < len(unsent) < 0.4 * N_SENDS
    assert not any(send.events for send in unsent)
    assert len(run("unvoided-sends").tables()["decisions"]) == N_SENDS


def test_customers_react_to_what_was_sent_and_the_log_says_what_was_chosen(run):
    sends = run("unsent-choice").sends
    other = [send for send in sends if send.sent != send.decision.choice]
    assert len(other) > 0.15 * N_SENDS
    assert all(set(send.sent.values()) == {"plain", "join"} for send in other)
    with Store(run("unsent-choice").path) as store:
        counts = counts_in_log(store, store.logs()[0])
    chosen = sum(send.decision.choice["subject"] == "plain" for send in sends)
    assert counts["subject=plain"] == chosen < run("unsent-choice").counted["subject=plain"]


def test_the_same_faults_leave_the_same_bytes(run, tmp_path):
    again = Run(tmp_path / "again.db", "late-events")
    assert again.tables() == run("late-events").tables()


def test_counts_are_read_as_they_were_written_and_small_gaps_are_forgiven(run, tmp_path):
    write_counts(tmp_path / "provider.csv", run().counted)
    assert read_counts(tmp_path / "provider.csv") == run().counted
    with Store(run().path) as store:
        log = store.logs()[0]
        assert check_provider(store, log, {"sent": N_SENDS + 5}).passed
        assert check_provider(store, log, {"sent": N_SENDS + 6}).failures == [
            "sent: the provider counts 506, the log 500 (-6)"
        ]
        with pytest.raises(
            UnusableLog, match=r"'opens' is of nothing in the log. Count some of sent, customers, click"
        ):
            check_provider(store, log, {"opens": 3})


@pytest.mark.parametrize("row", ["sent,many", "sent,-1", ",5", "sent,1.5"])
def test_a_count_that_is_none_is_refused_by_its_row(row, tmp_path):
    (tmp_path / "provider.csv").write_text(f"what,count\nclick,3\n{row}\n")
    with pytest.raises(UnusableLog, match=r"row 2: what is .* Give two columns"):
        read_counts(tmp_path / "provider.csv")


def test_verify_takes_the_providers_counts(run, cli, tmp_path):
    path = tmp_path / "provider.csv"
    write_counts(path, run("lost-events").counted)
    text = cli.run("verify", "--db", run("lost-events").path, "--provider", path, code=1)
    assert re.search(r"provider +10 +2 FAILED", text)
    assert re.search(r"click: the provider counts \d+, the log \d+ \(-\d+\)", text)
    cli.run("verify", "--db", run("lost-events").path)


def test_the_demo_says_what_went_wrong_and_who_noticed(cli, tmp_path):
    out = tmp_path / "out"
    # A short campaign: each day costs a snapshot.
    told = cli.run("demo", "--sends", "100", "--days", "2", "--fault", "unvoided-sends=1.0", "--out", out, "--json")
    document = json.loads(told)
    assert document["faults"] == ["unvoided-sends=1.0"]
    assert "check provider" in document["alarms"]
    text = (out / "report.txt").read_text()
    assert "Went wrong on purpose, from 2026-01-06 on:\n  unvoided-sends=1.0: Nothing goes out" in text
    assert f"--provider {out / 'provider.csv'}" in text
    assert read_counts(out / "provider.csv")["sent"] == 50


def test_the_demo_refuses_an_unknown_fault_and_writes_nothing(cli, tmp_path):
    cli.run("demo", "--fault", "nonsense", "--out", tmp_path / "out", code=2)
    assert not (tmp_path / "out").exists()


def test_every_fault_of_the_registry_is_held_against_a_log_here():
    seen = {
        *OF_ROWS,
        "misguided-policy",
        "late-events",
        "lost-events",
        "unvoided-sends",
        "unsent-choice",
        "changed-ids",
    }
    assert seen | {text.partition("=")[0] for text in HARMLESS} == FAULTS.keys()
