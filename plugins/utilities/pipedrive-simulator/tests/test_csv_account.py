"""The account from CSV files: rules with small test files, counts with the real ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pipedrive_simulator.csvfiles.load import CsvError, read_files
from simulator_helpers import TINY_CSV, Caller, make_account, make_caller


def from_folder(folder: Path) -> Caller:
    return make_caller(make_account(kind="csv", csv_dir=str(folder), now=None))


@pytest.fixture
def tiny() -> Caller:
    return from_folder(TINY_CSV)


def test_rows_become_deals(tiny: Caller) -> None:
    deals = tiny.all("/api/v2/deals", limit=500)
    assert [d["status"] for d in deals] == ["won", "lost", "open", "open", "won", "open"]
    assert [d["value"] for d in deals] == [90, 0, 250, 100, 275, 100]
    assert [d["stage_id"] for d in deals] == [2, 2, 2, 1, 2, 1]
    assert [d["org_id"] for d in deals] == [1, 2, None, 3, 3, None]
    assert {d["currency"] for d in deals} == {"USD"}
    won = deals[0]
    assert (won["add_time"], won["won_time"]) == ("2019-01-10T12:00:00Z", "2019-02-20T12:00:00Z")
    assert won["close_time"] == won["update_time"] == won["won_time"]
    assert deals[1]["lost_time"] == "2019-03-01T12:00:00Z"
    assert tiny.account.clock.text() == "2019-05-01T12:00:00Z"


def test_prospecting_deals_are_spread_over_the_last_days(tiny: Caller) -> None:
    added = [d["add_time"] for d in tiny.all("/api/v2/deals", stage_id=1)]
    assert added == ["2019-03-31T12:00:00Z", "2019-04-15T12:00:00Z"]


def test_history_has_only_facts_of_the_file(tiny: Caller) -> None:
    rows = tiny.get("/v1/deals/1/changelog")["data"]
    assert {r["field_key"]: r["new_value"] for r in rows} == {
        "status": "won", "won_time": "2019-02-20 12:00:00", "value": "90",
    }  # fmt: skip
    assert tiny.get("/v1/deals/3/changelog")["data"] == []


def test_names_become_custom_fields(tiny: Caller) -> None:
    (deal,) = tiny.get("/api/v2/deals", ids=2, include_option_labels="true")["data"]
    names = {f.code: f.name for f in tiny.account.fields["deal"].custom}
    values = {names[key]: value for key, value in deal["custom_fields"].items()}
    assert values["Product"]["label"] == "Box Two"
    assert values["Manager"]["label"] == "Nair Pinho"
    assert values["Regional office"]["label"] == "North"
    assert values["Opportunity ID"] == "AAAA0002"


def test_accounts_become_organizations(tiny: Caller) -> None:
    organizations = tiny.get("/api/v2/organizations", include_option_labels="true")["data"]
    names = {f.name: f.code for f in tiny.account.fields["organization"].custom}
    child = organizations[2]
    assert child["custom_fields"][names["Subsidiary of"]] == 1
    assert child["custom_fields"][names["Sector"]]["label"] == "food"
    assert (child["employee_count"], child["annual_revenue"]) == (75, None)
    assert organizations[0]["annual_revenue"] == 12_500_000
    assert organizations[1]["address"]["country"] == "Portugal"


def test_product_lines_add_up_and_lost_ones_are_disabled(tiny: Caller) -> None:
    lines = tiny.get("/api/v2/deals/products", deal_ids="1,2,3,5")["data"]
    assert [(r["sum"], r["item_price"], r["discount"], r["is_enabled"]) for r in lines] == [
        (90, 100, 10, True), (250, 250, 0, False), (250, 250, 0, True), (275, 275, 0, True),
    ]  # fmt: skip
    assert {p["name"] for p in tiny.get("/api/v2/products")["data"]} == {"Box One", "Box Two"}


def test_agents_become_users_and_there_are_no_persons(tiny: Caller) -> None:
    assert [u["name"] for u in tiny.get("/v1/users")["data"]] == ["Rita Melo", "Joel Brito"]
    assert tiny.get("/api/v2/persons")["data"] == []


def test_a_csv_account_can_advance(tiny: Caller) -> None:
    summary = tiny.account.advance(deals=5, hours=2)
    assert sum(len(ids) for ids in summary["deal_ids"].values()) == 5


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CsvError, match=r"accounts\.csv is missing"):
        read_files(tmp_path)


def test_counts_of_the_real_files(crm_dir: Path) -> None:
    caller = from_folder(crm_dir)
    deals = caller.all("/api/v2/deals", limit=500, sort_by="update_time")
    assert Counter(d["status"] for d in deals) == {"won": 4238, "lost": 2473, "open": 2089}
    assert len(deals) == 8800
    won = [d for d in deals if d["status"] == "won"]
    assert sum(d["value"] for d in won) == 10_005_534
    quarters = Counter((d["won_time"][:4], (int(d["won_time"][5:7]) + 2) // 3) for d in won)
    assert quarters == {("2017", 1): 531, ("2017", 2): 1254, ("2017", 3): 1257, ("2017", 4): 1196}
    stages = {s["id"]: s["name"] for s in caller.get("/api/v2/stages")["data"]}
    still_open = Counter(stages[d["stage_id"]] for d in deals if d["status"] == "open")
    assert still_open == {"Engaging": 1589, "Prospecting": 500}
    assert len(caller.get("/api/v2/organizations")["data"]) == 85
    product = caller.account.fields["deal"].find("Product").code
    assert all(d["custom_fields"][product] for d in deals)


def test_a_product_that_is_not_in_the_list_gives_a_deal_without_a_line(tmp_path: Path) -> None:
    caller = from_folder(changed_pipeline(tmp_path, "Box One,Padaria", "Box Nine,Padaria"))
    deal = caller.get("/api/v2/deals/1")["data"]
    assert (deal["title"], deal["value"]) == ("Padaria Lua - Box Nine", 90)
    assert caller.get("/api/v2/deals/products", deal_ids=1)["data"] == []


def test_an_open_deal_with_a_close_date_is_refused(tmp_path: Path) -> None:
    folder = changed_pipeline(tmp_path, "Lua,Won", "Lua,Engaging")
    with pytest.raises(CsvError, match="row 1: 'Engaging' with a close_date"):
        from_folder(folder)


def changed_pipeline(folder: Path, old: str, new: str) -> Path:
    """A copy of the small files whose first deal has something else."""
    for path in TINY_CSV.iterdir():
        (folder / path.name).write_text(path.read_text().replace(old, new, 1))
    return folder
