"""Products per customer: candidates come from the request or the store, stand in the row, and every reader knows of them."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from bandit import Context
from bandit.campaign_file import read_campaign
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.dimension import Arm, Dimension
from bandit.errors import InvalidCampaign, InvalidCandidates, UnusableCatalogue
from bandit.exclusion import BY_CALLER, Excluded, unwritten, written
from bandit.product_candidates import NOT_A_CANDIDATE, NOT_POPULAR, ProductOffers
from service.app import create_app
from service.cli import main
from service.customer_keys import retire_keys, rotate_key
from service.erasing import Order, erase_customer
from service.erasure import Reason
from service.person import person_document
from service.product_campaign import with_products
from service.product_pmf import pmf_bytes, pmf_rows, probabilities_in
from service.product_table import KeptCandidates, load_candidates
from service.serving import Serving
from service.store import Store
from service.verification import verify_store

N = 80
IDS = [f"p{k}" for k in range(N)]


@pytest.fixture
def shop(worlds):
    """A campaign of two subjects and 80 products, of which each customer is offered three."""
    products = worlds.dimension("product", *[{"id": one, "features": {"price": k / N}} for k, one in enumerate(IDS)])
    subjects = worlds.dimension("subject", "plain", "champion")
    return worlds.campaign(dimension=[subjects, products | {"candidates": 3}])


def load(store, lists, noon, campaign="contest"):
    return load_candidates(store, campaign, "product", lists.items(), noon)


def asked(cli, *arguments):
    return json.loads(cli.run(*arguments, "--json"))


def offered(pmf):
    return {one for one, p in pmf["product"].items() if p > 0.0}


# What is on offer.


@given(
    st.lists(st.integers(0, 9), max_size=6),
    st.sets(st.integers(0, 9), max_size=7),
    st.integers(1, 4),
)
def test_the_first_usable_candidates_are_on_offer_and_each_other_arm_is_out_once(ids, kept_out, n):
    dimension = Dimension("product", tuple(Arm(f"p{k}") for k in range(10)), n)
    excluded = tuple(Excluded(0, arm) for arm in sorted(kept_out))
    out = ProductOffers([dimension]).out({}, excluded, {"product": [f"p{k}" for k in ids]})
    usable = [k for k in dict.fromkeys(ids) if k not in kept_out]
    expected = (usable or [k for k in range(10) if k not in kept_out])[:n]
    assert sorted(one.arm for one in out) == sorted(set(range(10)) - set(expected))
    assert list(out) == sorted(out)
    assert {one.arm for one in out if one.rule == BY_CALLER} == kept_out
    assert {one.rule for one in out} <= {BY_CALLER, NOT_A_CANDIDATE if usable else NOT_POPULAR}


def test_a_candidate_whose_rule_does_not_hold_leaves_its_place_to_the_next():
    arms = (Arm("a", when={"level": frozenset(("high",))}), Arm("b"), Arm("c"))
    offers = ProductOffers([Dimension("product", arms, 1)])
    for level, arm in (("high", "a"), ("low", "b")):
        out = offers.out({"level": level}, (), {"product": ["a", "b"]})
        assert {"a", "b", "c"} - {arms[one.arm].id for one in out} == {arm}


def test_one_by_one_and_together_the_same_is_decided(shop, worlds):
    engine = worlds.engine(shop)
    rng = np.random.default_rng(0)
    lists = [{"product": rng.choice(IDS, 4, replace=False).tolist()} if k % 3 else {} for k in range(40)]
    customers, ids = [f"c{k}" for k in range(40)], [f"d{k}" for k in range(40)]
    contexts = [Context.of(level="low")] * 40
    together = decide_many(engine, Requests(customers, contexts, ids, [worlds.noon] * 40, candidates=lists))
    for row, mine in enumerate(lists):
        alone = engine.decide(customers[row], contexts[row], decision_id=ids[row], at=worlds.noon, candidates=mine)
        assert together.decision(row) == alone
        pmf = dict(zip(IDS, alone.picks[1].pmf.probabilities, strict=True))
        assert {one for one, p in pmf.items() if p} == set(mine.get("product", IDS)[:3])


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        ({"subject": ["plain"]}, "offers none"),
        ({"product": ["p0", "sugar"]}, "'sugar', which is none of its 80 products"),
    ],
)
def test_candidates_that_the_campaign_does_not_have_are_refused(shop, worlds, serve, candidates, words):
    with pytest.raises(InvalidCandidates, match=words):
        worlds.engine(shop).decide("ann", Context.of(), decision_id="d", at=worlds.noon, candidates=candidates)
    answer = serve(shop).decide(candidates=candidates)
    assert (answer["status"], answer["title"]) == (422, "InvalidCandidates")


@pytest.mark.parametrize("wrong", [0, 51, "five", True, 2.5])
def test_a_number_of_candidates_that_cannot_be_is_a_fault_of_the_file(worlds, wrong):
    dimension = worlds.dimension("product", "a", "b") | {"candidates": wrong}
    with pytest.raises(InvalidCampaign, match="how many of the products"):
        worlds.campaign(dimension=[dimension])


def test_an_arm_that_sends_nothing_is_on_offer_beside_the_candidates(worlds):
    subjects = worlds.dimension("subject", "plain", {"id": "nothing", "no_send": True})
    products = worlds.dimension("product", *IDS[:6]) | {"candidates": 2}
    engine = worlds.engine(worlds.campaign(dimension=[subjects, products]))
    made = [
        engine.decide("ann", Context.of(), decision_id=f"d{k}", at=worlds.noon, candidates={"product": ["p4", "p5"]})
        for k in range(30)
    ]
    assert {(one.choice["subject"], one.choice["product"]) for one in made} == {
        ("plain", "p4"),
        ("plain", "p5"),
        ("nothing", "no_send"),
    }


# Rows.


@given(st.sets(st.integers(0, 199)), st.sets(st.integers(0, 199)))
def test_excluded_arms_are_read_as_they_were_written(mine, others):
    excluded = tuple(
        sorted([Excluded(0, arm) for arm in mine] + [Excluded(0, arm, NOT_A_CANDIDATE) for arm in others - mine])
    )
    text = json.dumps(written(excluded))
    assert unwritten(json.loads(text)) == excluded


def test_rows_of_earlier_versions_are_still_read():
    assert unwritten([[0, 1], [1, 0, "quiet hours"]]) == (Excluded(0, 1), Excluded(1, 0, "quiet hours"))
    for wrong in ([[0, "x", "r"]], [[0, 1, 2]], [["0", 1]], [[0, "0-999999999", "r"]]):
        with pytest.raises(ValueError):  # noqa: PT011 - any
            unwritten(wrong)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=200))
def test_probabilities_are_read_as_they_were_written(values):
    array = np.array(values)
    kept = pmf_bytes(array)
    assert probabilities_in(kept, len(array)).tobytes() == array.tobytes() or 0.0 in values
    assert (probabilities_in(kept, len(array)) == array).all()
    assert pmf_rows(array[None, :]) == [kept]
    assert probabilities_in(array.tobytes(), len(array)).tolist() == values


def test_a_row_of_500_products_is_small_and_holds_everything(worlds):
    products = worlds.dimension("product", *[f"item-{k}" for k in range(500)]) | {"candidates": 5}
    made = worlds.engine(worlds.campaign(dimension=[products])).decide(
        "ann", Context.of(), decision_id="d", at=worlds.noon, candidates={"product": ["item-7", "item-400", "item-33"]}
    )
    assert len(made.excluded) == 497
    assert len(json.dumps(written(made.excluded))) < 120
    assert len(pmf_bytes(np.array(made.picks[0].pmf.probabilities))) < 100


# The service.


def test_a_request_brings_candidates_and_a_retry_gets_the_stored_decision(shop, serve, worlds):
    service = serve(shop)
    body = {"decision_id": "d", "candidates": {"product": ["p9", "p50", "p70", "p2"]}}
    first = service.decide(**body)
    assert first["choice"]["product"] in {"p9", "p50", "p70"}
    assert service.decide(**body) == first
    other = service.decide(decision_id="d", candidates={"product": ["p9", "p50", "p71"]})
    assert (other["status"], "with other candidates" in other["detail"]) == (409, True)
    assert offered(service.show("d")["pmf"]) == {"p9", "p50", "p70"}
    assert service.decide(decision_id="d") == first  # no candidates named: whatever they were


def test_loaded_candidates_are_offered_everywhere_and_others_get_popular_products(shop, serve, worlds):
    service = serve(shop)
    load(service.store, {"ann": ["p9", "p50", "gone", "p70"], "bob": ["gone"]}, worlds.noon)
    service.decide("ann", decision_id="a")
    service.decide("bob", decision_id="b")
    service.decide("cem", decision_id="c")
    assert [offered(service.show(one)["pmf"]) for one in "abc"] == [{"p9", "p50", "p70"}, *[{"p0", "p1", "p2"}] * 2]
    kept = KeptCandidates(service.store, service.log)
    assert kept.of_many(["cem", "ann"]) == [{}, {"product": ["p9", "p50", "p70"]}]
    load(service.store, {"cem": ["p5"]}, worlds.noon)
    assert kept.of_many(["cem", "ann"]) == [{"product": ["p5"]}, {}]


def test_a_log_with_products_verifies_is_learned_from_and_served_from(shop, serve, worlds):
    service = serve(shop)
    lists = {f"c{k}": [f"p{(7 * k + j) % N}" for j in range(4)] for k in range(60)}
    load(service.store, lists, worlds.noon)
    service.learn()
    for k in range(60):
        service.decide(f"c{k}", decision_id=f"s{k}", exclude={"product": [lists[f"c{k}"][0]]} if k % 4 == 0 else {})
    assert any(service.show(f"s{k}")["snapshot"] for k in range(60))
    assert offered(service.show("s4")["pmf"]) == set(lists["c4"][1:4])
    checks = verify_store(service.store).checks
    assert checks
    assert not any(check.n_failed for check in checks)


# Privacy.


def test_candidates_go_with_the_customer_and_are_part_of_what_is_known_of_them(shop, serve, worlds):
    store = serve(shop).store
    load(store, {"ann": ["p9"], "bob": ["p8"]}, worlds.noon)
    assert person_document(store, "ann")["product_candidates"][0]["products"] == ["p9"]
    erase_customer(store, "ann", Order("r1", worlds.noon, Reason.REQUEST))
    assert person_document(store, "ann")["product_candidates"] == []
    assert person_document(store, "bob")["product_candidates"][0]["products"] == ["p8"]
    rows = store.reader().execute("SELECT customer_key, products FROM product_candidates").fetchall()
    assert len(rows) == 1
    assert "bob" not in rows[0][0]


def test_candidates_are_found_under_an_older_key_until_it_is_retired(shop, serve, worlds):
    service = serve(shop)
    store, kept = service.store, KeptCandidates(service.store, service.log)
    load(store, {"ann": ["p9"]}, worlds.noon)
    store.write(lambda c: rotate_key(c, worlds.noon))
    store.reload_keys()
    assert kept.of("ann") == {"product": ["p9"]}
    assert kept.of_many(["ann"]) == [{"product": ["p9"]}]
    store.write(lambda c: retire_keys(c, worlds.noon, worlds.noon, dropping=False))
    store.reload_keys()
    assert kept.of("ann") == {}
    assert store.reader().execute("SELECT count(*) FROM product_candidates").fetchone() == (0,)


# The campaign file.


def test_products_replace_arms_and_everything_else_stays_as_it_was(worlds):
    text = "# mine\n" + worlds.toml(
        worlds.document(groups={"control": {"share": 0.2, "choice": {"subject": "plain", "cta": "join"}}})
    )
    made = with_products(text, "product", [Arm("tea", "Tea", features={"price": 1.5}), Arm("cup")], offer=2)
    assert made.text.startswith("# mine\n")
    assert (made.control, made.n_kept, made.n_removed) == ("tea", 0, 0)
    campaign = read_campaign(made.text)
    assert campaign.dimensions[:2] == read_campaign(text).dimensions
    assert (campaign.dimensions[2].ids, campaign.dimensions[2].candidates) == (("tea", "cup"), 2)
    mine = made.text.replace('id = "cup"', 'id = "cup"\ntext = "My own cup"\nwhen = { level = ["high"] }')
    again = with_products(mine, "product", [Arm("tea"), Arm("cup", "Cup", features={"price": 2.0}), Arm("pot")])
    cup = read_campaign(again.text).dimensions[2].arms[1]
    assert (cup.text, cup.features["price"], set(cup.when)) == ("My own cup", 2.0, {"level"})
    assert (again.n_kept, again.n_removed, read_campaign(again.text).dimensions[2].candidates) == (2, 0, 2)


def test_the_command_makes_loads_and_the_table_is_decided(cli, worlds, tmp_path):
    (tmp_path / "c.toml").write_text(worlds.toml(worlds.document()), encoding="utf-8")
    (tmp_path / "catalogue.csv").write_text(
        "product,name,category,price\n" + "".join(f"{one},Thing {k % 4},k{k % 4},{k}\n" for k, one in enumerate(IDS))
    )
    events = [
        f"c{k % 20},2026-10-{1 + k % 28:02d}T09:00:00Z,{'purchase' if k % 3 else 'view'},p{(3 * k + k % 20) % N}"
        for k in range(200)
    ]
    (tmp_path / "events.csv").write_text("customer_id,at,type,product\n" + "\n".join(events) + "\n")
    made = asked(
        cli, "products", tmp_path / "catalogue.csv", "--events", tmp_path / "events.csv", "--campaign", tmp_path / "c.toml",
        "--out", tmp_path / "shop.toml", "--candidates", tmp_path / "candidates.parquet", "--offer", 3,
        "--at", worlds.noon.isoformat(),
        "--source", "content", "--source", "popular=0.5",
    )  # fmt: skip
    assert (made["n_arms"], made["n_customers"], made["choice"]) == (N, 20, None)
    assert sum(made["by_source"].values()) == 20 * 6
    db = ("--db", tmp_path / "m.db", "--campaign", tmp_path / "shop.toml")
    assert asked(cli, "products", "--load", tmp_path / "candidates.parquet", *db)["n_customers"] == 20
    (tmp_path / "users.csv").write_text("customer_id\n" + "".join(f"c{k}\n" for k in range(25)))
    cli.run("decide", tmp_path / "users.csv", "--out", tmp_path / "choices.csv", *db)
    cli.run("verify", "--db", tmp_path / "m.db")
    with sqlite3.connect(tmp_path / "m.db") as connection:
        rules = [NOT_POPULAR in one for (one,) in connection.execute("SELECT excluded FROM decisions ORDER BY seq")]
    assert rules == [False] * 20 + [True] * 5
    long = "customer_id,product\nc0,p70\nc0,p71\nc1,sugar\n"
    (tmp_path / "own.csv").write_text(long)
    assert asked(cli, "products", "--load", tmp_path / "own.csv", *db) == {
        "n_customers": 1,
        "dimension": "product",
        "n_unknown": 1,
    }


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_of_customers_may_bring_its_own_candidates_and_decides_as_a_request_does(
    cli, shop, worlds, tmp_path, ending
):
    (tmp_path / "shop.toml").write_text(shop.toml, encoding="utf-8")
    db = ("--db", tmp_path / "m.db", "--campaign", tmp_path / "shop.toml")
    (tmp_path / "loaded.csv").write_text("customer_id,product\nc0,p70\nc0,p71\nc1,p60\nc1,p61\nc1,p62\n")
    asked(cli, "products", "--load", tmp_path / "loaded.csv", *db)
    given = [["p9", "p8", "p7", "p6"], None, ["p5"]]
    table = pa.table({
        "customer_id": ["c0", "c1", "c2"], "decision_id": ["t0", "t1", "t2"],
        "candidates.product": ["|".join(one or ()) for one in given] if ending == "csv" else given,
    })  # fmt: skip
    write = pa_csv.write_csv if ending == "csv" else pq.write_table
    write(table, tmp_path / f"users.{ending}")
    decide = (
        "decide",
        tmp_path / f"users.{ending}",
        "--out",
        tmp_path / "choices.csv",
        "--at",
        worlds.noon.isoformat(),
        *db,
    )
    cli.run(*decide)
    cli.run("verify", "--db", tmp_path / "m.db")
    with Store(tmp_path / "m.db") as store:
        log = store.open_log(shop, worlds.noon)
        rows = {one.decision_id: one for one in store.decisions(log)}
        assert [on_offer(rows[f"t{k}"], shop) for k in range(3)] == [{"p9", "p8", "p7"}, {"p60", "p61", "p62"}, {"p5"}]
        client = TestClient(create_app(Serving(store, log, clock=lambda: worlds.noon)))
        body = {"customer_id": "c0", "decision_id": "t0", "candidates": {"product": given[0]}}
        assert client.post("/v1/decisions", json=body).status_code == 200
    assert "3 rows" not in cli.run(*decide)
    write(table.set_column(2, "candidates.product", pa.array(["p4", "", "p5"])), tmp_path / f"users.{ending}")
    assert "with other candidates" in refused(*decide)


def test_candidates_of_a_table_that_cannot_be_offered_are_refused_by_row(shop, tmp_path):
    (tmp_path / "shop.toml").write_text(shop.toml, encoding="utf-8")
    db = ("--db", tmp_path / "m.db", "--campaign", tmp_path / "shop.toml")
    (tmp_path / "users.csv").write_text("customer_id,candidates.product\nc0,p1|sugar\nc1,p2\n")
    assert "row 1: candidates of 'product' names 'sugar'" in refused("decide", tmp_path / "users.csv", *db)
    (tmp_path / "users.csv").write_text("customer_id,candidates.subject\nc0,plain\n")
    assert "offers none" in refused("decide", tmp_path / "users.csv", *db)


def refused(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    return result.output


def on_offer(row, campaign):
    out = {one.arm for one in row.excluded if one.dimension == 1}
    return {arm.id for place, arm in enumerate(campaign.dimensions[1].arms) if place not in out}


def test_a_load_in_slices_serves_all_of_it_or_the_one_before_and_a_killed_one_leaves_nothing(
    shop, worlds, tmp_path, monkeypatch
):
    monkeypatch.setattr("service.product_table._AT_ONCE", 4)
    with Store(tmp_path / "m.db") as store:
        log = store.open_log(shop, worlds.noon)
        kept = KeptCandidates(store, log)
        load(store, {f"c{k}": ["p1"] for k in range(10)}, worlds.noon)
        seen = []

        def rows():
            for k in range(10):
                seen.append({tuple(kept.of(f"c{j}").get("product", ())) for j in range(10)})
                yield f"c{k}", ["p2"]
                if k == 8:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            load_candidates(store, "contest", "product", rows(), worlds.noon)
        assert seen == [{("p1",)}] * 9
        assert store.reader().execute("SELECT count(*) FROM product_candidates").fetchone() == (18,)
        assert load(store, {f"c{k}": ["p3"] for k in range(9)}, worlds.noon) == 9
        assert [kept.of(f"c{k}").get("product") for k in (0, 8, 9)] == [["p3"], ["p3"], None]
        assert store.reader().execute("SELECT count(*) FROM product_candidates").fetchone() == (9,)


def test_of_two_loads_at_once_the_one_that_began_later_stands(shop, worlds, tmp_path, monkeypatch):
    monkeypatch.setattr("service.product_table._AT_ONCE", 2)
    with Store(tmp_path / "m.db") as store:
        kept = KeptCandidates(store, store.open_log(shop, worlds.noon))

        def rows():
            for k in range(6):
                if k == 5:
                    load(store, {"c0": ["p7"]}, worlds.noon)
                yield f"c{k}", ["p6"]

        with pytest.raises(UnusableCatalogue, match="it stands"):
            load_candidates(store, "contest", "product", rows(), worlds.noon)
        assert kept.of("c0")["product"] == ["p7"]
        assert store.reader().execute("SELECT count(*) FROM product_candidates").fetchone() == (1,)
