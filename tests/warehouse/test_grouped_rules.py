"""The rules of models, checked by one query per group of models, with the same results."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import NewWarehouse
from warehouse_helpers import Warehouse

#: Tests that read models which are not built here.
EXCLUDED = (
    "--exclude", "assert_stage_history_invariants", "assert_every_deal_reaches_the_marts",
)  # fmt: skip
#: Models whose rules read no others.
SELECTION = (
    "--select", "path:models/staging", "+int_deal_current", "ops_dbt_test_result",
    "int_build_watermarks", *EXCLUDED,
)  # fmt: skip
GROUPED = ("tag:grouped",)
KEY = "primary_key_stg_pipedrive__pipelines_pipeline_id"
REFERENCE = "relationships_int_deal_current_person_id__person_id__ref_stg_pipedrive__persons_"


@pytest.fixture(scope="module")
def warehouse(new_warehouse: NewWarehouse) -> Warehouse:
    warehouse = new_warehouse("grouped_rules", DBT_WRITE_JSON="true")
    warehouse.raw("pipelines", {"id": "bigint", "name": "text"}, [(1, "Sales"), (2, "Renewals")])
    warehouse.build("build", *SELECTION)
    return warehouse


def results(warehouse: Warehouse) -> dict[str, list[Any]]:
    """Return status, rows found and time of each test, by its name."""
    found = warehouse.rows(
        "select test_name, status, n_failures, model, column_name, tested_at "
        "from ops.ops_dbt_test_result"
    )
    return {name: rest for name, *rest in found}


def test_each_grouped_rule_is_in_one_group_with_all_that_it_reads(warehouse: Warehouse) -> None:
    manifest = json.loads((warehouse.dbt_folder / "target" / "manifest.json").read_text())
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    groups = [node for node in tests if "group_of_rules" in node["tags"]]
    rules = [node for node in tests if "grouped" in node["tags"] and node["config"]["enabled"]]
    assert len(rules) > 150
    for rule in rules:
        model = rule["attached_node"].rpartition(".")[2]
        severity = rule["config"]["severity"].lower()
        found = [
            group
            for group in groups
            if model in group["config"]["meta"]["rules_of"]
            and group["config"]["severity"].lower() == severity
        ]
        names = [group["name"] for group in found]
        assert len(found) == 1, f"{rule['name']} ({severity}) is in {names} of tests/groups"
        unread = set(rule["depends_on"]["nodes"]) - set(found[0]["depends_on"]["nodes"])
        assert not unread, f"{names[0]} does not name what {rule['name']} reads: {unread}"
        # What a group would not heed.
        config = rule["config"]
        assert (config["limit"], config["warn_if"], config["error_if"]) == (None, "!= 0", "!= 0")
        assert config["fail_calc"] == "count(*)"


@pytest.mark.long
def test_a_group_checks_the_rules_that_tests_of_their_own_check(warehouse: Warehouse) -> None:
    alone = results(warehouse)
    assert alone[KEY][:2] == ["pass", 0], sorted(alone)
    assert not any(name.startswith("rules_") for name in alone)
    warehouse.build("build", *SELECTION, *GROUPED)
    grouped = results(warehouse)
    assert {name: row[:-1] for name, row in grouped.items()} == {
        name: row[:-1] for name, row in alone.items()
    }
    assert all(row[-1] > alone[name][-1] for name, row in grouped.items())


@pytest.mark.long
def test_a_broken_rule_of_a_group_is_named_and_its_rows_are_stored(warehouse: Warehouse) -> None:
    warehouse.write("insert into pipedrive.pipelines (id, name) values (2, 'twice')")
    select = ("--select", "stg_pipedrive__pipelines", *EXCLUDED, *GROUPED)
    done = warehouse.dbt("build", *select)
    assert done.returncode == 1
    assert f"Broken: {KEY}, 1 rows (fail)" in done.stdout
    broken = {name: row[:4] for name, row in results(warehouse).items() if row[0] != "pass"}
    assert broken[KEY] == ["fail", 1, "stg_pipedrive__pipelines", "pipeline_id"]
    assert warehouse.rows(f"select pipeline_id, n from test_failures.{KEY}") == [(2, 2)]

    warehouse.write("delete from pipedrive.pipelines where name = 'twice'")
    warehouse.build("build", *select)
    assert {row[0] for row in results(warehouse).values()} == {"pass"}
    assert warehouse.rows(f"select to_regclass('test_failures.{KEY}') is null") == [(True,)]


@pytest.mark.long
def test_a_rule_is_checked_when_one_of_its_two_models_is_built(warehouse: Warehouse) -> None:
    before = results(warehouse)[REFERENCE][-1]
    warehouse.build("build", "--select", "stg_pipedrive__persons", *EXCLUDED, *GROUPED)
    assert results(warehouse)[REFERENCE][-1] > before
    assert results(warehouse)[KEY][-1] < results(warehouse)[REFERENCE][-1], "not of others"
