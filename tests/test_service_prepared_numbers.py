"""Where a campaign asks for numbers about customers, what makes them is loaded before the service is ready; else it is not."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from bandit.profile.calibration import Calibration
from bandit.profile.customer_models import CustomerModels
from bandit.profile.customer_value import CustomerValue
from bandit.profile.judgement import Judgement
from bandit.profile.models_spec import ModelsSpec
from bandit.profile.order_value import OrderValue
from bandit.profile.outcome_model import OutcomeModel
from bandit.profile.purchase_process import PurchaseProcess
from bandit.profile.shapes import AdditiveModel, NumberShape
from service.app import create_app
from service.serving import Serving
from service.store import Store

SHAPE = {"kind": "numeric", "range": [-1e6, 1e6]}
DECIDED = """
import sys
from starlette.testclient import TestClient
from bandit.campaign_file import read_campaign
from service.app import create_app
from service.clock import system_clock
from service.kept_models import KEPT, MODELS, Kept, keep
from service.serving import Serving
from service.store import Store

def heavy():
    return {name for name in sys.modules if name.split(".")[0] in {"pandas", "scipy", "sklearn", "statsmodels", "bandit"}}

with Store(sys.argv[1]) as store, open(sys.argv[2], encoding="utf-8") as file, open(sys.argv[3], "rb") as models:
    campaign, kept, now = read_campaign(file.read()), Kept(KEPT, models.read()), system_clock()
    serving = Serving(store, store.open_log(campaign, now))
    store.write(lambda connection: keep(connection, campaign.id, campaign.profile.sums_hash, MODELS, kept, now))
    with TestClient(create_app(serving)) as client:
        started = heavy()
        assert client.get("/readyz").status_code == 200
        event = {"event_id": "e1", "type": "login"}
        assert client.post("/v1/customers/ann/events", json={"events": [event]}).status_code == 200
        made = client.post("/v1/decisions", json={"customer_id": "ann", "context": {}}).json()
        context = client.get("/v1/decisions/" + made["decision_id"]).json()["context"]
        print(sorted(name for name, value in context.items() if value is not None))
        print(sorted({name.split(".")[0] for name in started}), sorted(heavy() - started))
"""


def started(tmp_path, worlds, context, profile=None):
    """Whether what makes contexts of events is there once the service has started."""
    campaign = worlds.campaign(context=context, profile=profile)
    with Store(tmp_path / "m.db", salt=worlds.salt, secret=worlds.secret) as store:
        serving = Serving(store, store.open_log(campaign, worlds.noon), clock=lambda: worlds.noon)
        with TestClient(create_app(serving)) as client:
            assert client.get("/readyz").status_code == 200
            return "live_profile" in vars(serving)


@pytest.mark.parametrize("name", ["churn_risk", "customer_value_upper", "days_to_next_purchase"])
def test_a_campaign_that_asks_for_a_number_has_it_prepared_before_the_service_is_ready(tmp_path, worlds, name):
    assert started(tmp_path, worlds, {name: SHAPE}, {})


def test_a_number_under_another_name_is_prepared_too(tmp_path, worlds):
    assert started(tmp_path, worlds, {"risk": SHAPE}, {"fields": {"risk": "churn_risk"}})


@pytest.mark.parametrize(
    ("context", "profile"),
    [
        ({"engagement_score": SHAPE}, {}),
        ({"churn_risk": SHAPE}, None),
        ({"risk": SHAPE}, {"fields": {"risk": "recency_days"}}),
    ],
)
def test_a_campaign_that_asks_for_no_number_of_ours_starts_without_what_makes_them(tmp_path, worlds, context, profile):
    assert not started(tmp_path, worlds, context, profile)


def test_the_first_decision_with_numbers_loads_nothing_that_the_start_did_not(tmp_path, worlds):
    toml = worlds.toml(worlds.document(context={"customer_value": SHAPE, "churn_risk": SHAPE}, profile={}))
    (tmp_path / "campaign.toml").write_text(toml, encoding="utf-8")
    (tmp_path / "models.json").write_text(made_up_models(worlds.noon - timedelta(days=3000)).text())
    files = [str(tmp_path / name) for name in ("m.db", "campaign.toml", "models.json")]
    done = subprocess.run(
        [sys.executable, "-c", DECIDED, *files], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines() == ["['churn_risk', 'customer_value']", "['bandit', 'pandas', 'scipy'] []"]


def made_up_models(made_at):
    """One that gives a chance and one that gives a value."""
    shape = NumberShape("days_since_active", (0.0, 7.3, 50.1), (0.31, -0.17, -0.9), 0.03, 5.0)
    judgement = Judgement(9, 0.5, 0.5, 0.6, 0.7, 0.2, 0.3, 0.6, ())
    even = Calibration("sigmoid", (), (0.0, 1.0))
    chance = OutcomeModel("churn_risk", 30, AdditiveModel(-0.3, (shape,)), even, "lines", {}, judgement, 9)
    value = CustomerValue(PurchaseProcess(0.9, 20.3, 0.8, 3.1), OrderValue(31.7, 40.0, 90.0), (0.5, 1.0, 30.0))
    return CustomerModels(made_at, ModelsSpec(), churn=chance, value=value)
