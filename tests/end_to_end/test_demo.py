"""`make demo`: from nothing to answers; again, only what changed."""

from __future__ import annotations

import json
import re
import runpy
from typing import Any

from conftest import CHANGES, DEALS, ROOT, Checkout, Run, SecondDemo, truth

from pipeboard.commands.static_dashboard import page_of

QUESTIONS = (
    "How many deals do we win?",
    "What is open, by stage?",
    "How long does a deal stay in a stage?",
    "Why do we lose?",
    "Deals by custom field",
)


def test_the_first_run_prints_the_demo_queries(checkout: Checkout, first_demo: Run) -> None:
    assert first_demo.code == 0, first_demo.out + first_demo.err
    for text in (*QUESTIONS, "Rows and API tokens", "psql 'postgresql://", "What next"):
        assert text in first_demo.out
    assert "Traceback" not in first_demo.out + first_demo.err
    assert "\x1b[" not in first_demo.out, "colours are for terminals"
    assert first_demo.rows("deals") > DEALS * 0.9
    assert checkout.query("pipeboard_demo", "select count(*) > 0 from marts.deal_wide") == [(True,)]


def rows_of(page: dict[str, Any], card: str) -> list[dict[str, Any]]:
    found = page["cards"][card]
    names = [column["name"] for column in found["columns"]]
    return [dict(zip(names, row, strict=True)) for row in found["rows"]]


def test_the_page_of_the_demo_has_something_of_everything(
    checkout: Checkout, first_demo: Run
) -> None:
    text = page_of(checkout.services.paths).read_text(encoding="utf-8")
    data = re.search(r'id="page-data">([^<]*)<', text)
    assert data
    page = json.loads(data[1])
    attained = [goal["attainment"] for goal in rows_of(page, "goals")]
    assert any(attained) and None not in attained
    assert all(month["won_value_target"] for month in rows_of(page, "target_by_month"))
    rates = rows_of(page, "exchange_rates")
    assert {rate["currency"] for rate in rates} == {"USD", "EUR"}
    assert all(rate["rate"] and not rate["deals_without_rate"] for rate in rates)
    assert any(month["n_converted"] for month in rows_of(page, "leads_by_month"))
    stages = {row["stage_name"] for row in rows_of(page, "time_in_stage")}
    assert {"Apresentação · Vendas", "Apresentação · Inside Sales"} <= stages
    assert any(month["n_won_back"] for month in rows_of(page, "customers_by_month"))
    assert "lost" in {row["customer_status"] for row in rows_of(page, "top_customers")}
    assert page["choices"]["team"]
    left = checkout.query("pipeboard_demo", "select name from marts.dim_user where not is_active")
    assert {name for (name,) in left} & set(page["choices"]["owner"])


def test_the_marts_equal_the_account(checkout: Checkout, second_demo: SecondDemo) -> None:
    assert second_demo.run.code == 0, second_demo.run.out + second_demo.run.err
    # What was purged before anybody read it cannot be known.
    really = {
        deal["id"]: (deal["status"], deal["stage_id"], deal["is_archived"], deal["value"])
        for deal in truth(checkout.services.simulator, "deals")
        if not deal["_purged"] and not deal["is_deleted"]
    }
    rows = checkout.query(
        "pipeboard_demo",
        "select deal_id, status, stage_id, is_archived, value::float from marts.fct_deal "
        "where not is_deleted",
    )
    assert {row[0]: row[1:] for row in rows} == really


def test_the_second_run_syncs_only_changes_and_prints_so(second_demo: SecondDemo) -> None:
    run = second_demo.run
    assert run.code == 0, run.out + run.err
    assert f"the account has changed: {CHANGES} deals changed" in run.out
    assert "Only what changed was synced" in run.out
    # The records that share the bookmark's window come again; the account's others do not.
    assert CHANGES * 0.8 <= run.rows("deals") < DEALS / 4
    assert run.rows("persons") < 100


def test_the_readme_can_show_what_both_runs_print(first_demo: Run, second_demo: SecondDemo) -> None:
    readme = runpy.run_path(str(ROOT / "tests" / "docs" / "readme.py"))
    for name, output in (("first", first_demo.out), ("second", second_demo.run.out)):
        assert readme["excerpt"](output, readme["SHOWN"][name])


def test_only_changed_deals_have_their_history_read(second_demo: SecondDemo) -> None:
    assert 0 < second_demo.calls("getDealChangelog") <= second_demo.run.rows("deals")


def test_state_is_in_the_warehouse(checkout: Checkout, first_demo: Run) -> None:
    ids = checkout.query("pipeboard_demo", "select state_id from meltano.state")
    assert ids == [("demo:tap-pipedrive-to-target-postgres:simulated",)]


def test_no_secret_is_logged(checkout: Checkout, first_demo: Run) -> None:
    token = checkout.services.simulator.ready()["token"]  # type: ignore[index]
    urls = checkout.services.postgres.urls("pipeboard_demo")
    assert urls is not None
    password = urls["pipeboard_demo"].split("@")[0].rpartition(":")[2]
    logs = list((checkout.state / "logs").glob("*.jsonl"))
    assert logs
    for log in logs:
        text = log.read_text()
        assert token not in text
        assert password not in text


def test_local_state_is_private(checkout: Checkout, first_demo: Run) -> None:
    """Tokens, logs, rows of tables: no other user of this machine reads what the demo wrote."""
    open_to_others = [
        f"{path.relative_to(checkout.state)} {path.lstat().st_mode & 0o777:o}"
        for path in checkout.state.rglob("*")
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    ]
    assert open_to_others == []
