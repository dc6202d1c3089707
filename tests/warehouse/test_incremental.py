"""What the materializations of `macros/incremental` promise, in a small project: see the README there."""

# ruff: noqa: E501 (SQL has a width of its own)
from __future__ import annotations

import shutil

import pytest
from conftest import NewWarehouse
from test_publishing import Project
from warehouse_helpers import ROOT, Warehouse

PROJECT = """
name: pipeboard
profile: pipeboard
flags: {send_anonymous_usage_stats: false, version_check: false, log_level_file: none}
vars: {factor: 1, schema_prefix: null}
"""
SOURCES = """
sources:
  - name: pipedrive
    schema: input
    tables: [{name: deals}, {name: deal_changelog}, {name: deal_changelog_sync}]
"""
INPUT = """
drop schema if exists marts, input cascade;
create schema input;
create table input.deals (deal_id bigint primary key, name text, stage_id bigint);
insert into input.deals select id, 'deal ' || id, id % 3 from generate_series(1, 9) as deal (id);
create table input.versions (deal_id bigint, version timestamptz);
insert into input.versions select deal_id, '2026-01-01Z' from input.deals;
create table input.stages (stage_id bigint, weight int, label text);
insert into input.stages values (0, 1, 'a'), (1, 10, 'b'), (2, 100, 'c');
"""
VERSIONS = "select * from input.versions"
WATERMARKS = (ROOT / "transform/models/intermediate/int_build_watermarks.sql").read_text()
DEALS = "{{ config(materialized='published_view') }} select * from {{ source('pipedrive', 'deals') }} where name is not null"
STAGES = "{{ config(materialized='published_table') }} select * from input.stages"
BY_DEAL = """
{{ config(materialized='incremental_by_deal', summed_into={
    'sums': {'by': {'stage_id': 'stage_id'}, 'sums': {'n': 'count(*)', 'weight': 'sum(weight)'},
             'lists': {'deals': {'value': 'deal_id % 5', 'where': 'deal_id <> 4'}}},
    'odd_sums': {'by': {'name': 'name'}, 'sums': {'n': 'count(*)'}, 'where': 'deal_id % 2 = 1'},
}) }}
-- depends_on: {{ ref('sums') }} {{ ref('odd_sums') }}
with deals as (select * from {{ ref('deals') }} {{ where_deal_changed() }}),
stages as (select stage_id, weight from {{ ref('stages') }})
select deal_id, name, stage_id, weight * {{ var('factor') }} as weight from deals left join stages using (stage_id)
"""
SUMS = """
{{ config(materialized='published_incremental', incremental_strategy='append',
          indexes=[{'columns': ['stage_id'], 'unique': true}]) }}
select null::bigint as stage_id, null::bigint as n, null::numeric as weight, null::bigint[] as deals where false
"""
ODD_SUMS = """
{{ config(materialized='published_incremental', incremental_strategy='append',
          indexes=[{'columns': ['name'], 'unique': true}]) }}
select null::text as name, null::bigint as n where false
"""
ABOVE = """
{{ config(materialized='incremental_by_deal') }}
select deal_id, weight from {{ ref('by_deal') }} {{ where_deal_changed() }}
"""


@pytest.fixture(scope="module")
def warehouse(new_warehouse: NewWarehouse) -> Warehouse:
    return new_warehouse("engine", DBT_THREADS="1")


@pytest.fixture
def project(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.getbasetemp() / "engine"
    shutil.rmtree(folder / "models", ignore_errors=True)
    (folder / "models").mkdir(parents=True)
    for name in ("publishing", "incremental"):
        place = ROOT / "transform" / "macros" / name
        shutil.copytree(place, folder / "macros" / name, dirs_exist_ok=True)
    shutil.copy(ROOT / "transform" / "macros" / "places.sql", folder / "macros")
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "models" / "sources.yml").write_text(SOURCES)
    warehouse.write(INPUT)
    project = Project(folder, warehouse)
    for name, text in {
        "int_deal_versions": VERSIONS, "int_build_watermarks": WATERMARKS, "deals": DEALS, "stages": STAGES,
        "sums": SUMS, "odd_sums": ODD_SUMS, "by_deal": BY_DEAL, "above": ABOVE,
    }.items():  # fmt: skip
        project.model(name, text)
    project.build()
    return project


def new_version(project: Project, *deals: int) -> None:
    """Tell that deals changed."""
    for deal in deals:
        project.sql(f"delete from input.versions where deal_id = {deal}")
        project.sql(f"insert into input.versions values ({deal}, now())")


def rewritten(project: Project, *relations: str) -> list[set[int]]:
    """Build, and return the deals of which rows were written, for each table."""
    before = [project.written(relation) for relation in relations]
    project.build()
    after = [project.written(relation) for relation in relations]
    return [
        {deal for deal in old.keys() | new.keys() if old.get(deal) != new.get(deal)}
        for old, new in zip(before, after, strict=True)
    ]


def assert_as_a_full_refresh(project: Project) -> None:
    queries = (
        "select * from marts.by_deal order by 1",
        "select * from marts.above order by 1",
        "select * from marts.sums order by 1",
        "select * from marts.odd_sums order by 1",
    )
    found = [project.rows(query) for query in queries]
    project.build("run", "--full-refresh")
    assert found == [project.rows(query) for query in queries]


BY_DEAL_TABLES = ("marts.by_deal", "marts.above")
ALL_DEALS = set(range(1, 10))


def test_a_build_without_changes_writes_nothing(project: Project) -> None:
    watermarks = project.rows("select * from marts.int_build_watermarks order by 1")
    assert rewritten(project, *BY_DEAL_TABLES) == [set(), set()]
    assert project.rows("select * from marts.int_build_watermarks order by 1") == watermarks


def test_deals_with_a_new_version_are_replaced_and_no_others(project: Project) -> None:
    project.sql("update input.deals set name = 'changed', stage_id = 2 where deal_id = 3")
    project.sql("update input.deals set name = 'not told' where deal_id = 4")
    new_version(project, 3)
    assert rewritten(project, *BY_DEAL_TABLES) == [{3}, {3}]
    assert project.rows(
        "select name from marts.by_deal where deal_id in (3, 4) order by deal_id"
    ) == [
        ("changed",),
        ("deal 4",),
    ]
    assert project.rows("select n, weight from marts.sums order by stage_id") == [
        (2, 2),
        (3, 30),
        (4, 400),
    ]


def test_rows_of_a_deleted_deal_are_deleted(project: Project) -> None:
    project.sql("delete from input.deals where deal_id in (3, 6, 9)")
    new_version(project, 3, 6, 9)
    assert rewritten(project, *BY_DEAL_TABLES) == [{3, 6, 9}, {3, 6, 9}]
    # nothing is left of that stage, not even a sum of nothing
    assert project.rows("select stage_id, n from marts.sums order by 1") == [(1, 3), (2, 3)]
    assert_as_a_full_refresh(project)


def test_a_small_table_is_followed_in_the_columns_that_are_read(project: Project) -> None:
    project.sql("update input.stages set label = 'nobody reads this'")
    assert rewritten(project, *BY_DEAL_TABLES) == [set(), set()]
    project.sql("update input.stages set weight = 7 where stage_id = 1")
    assert rewritten(project, *BY_DEAL_TABLES) == [{1, 4, 7}, {1, 4, 7}]
    assert_as_a_full_refresh(project)


def test_the_text_and_the_variables_of_a_model_are_followed(project: Project) -> None:
    project.build("run", "--vars", "{factor: 5}")
    assert project.rows("select sum(weight) from marts.by_deal") == [(5 * 333,)]
    assert project.rows("select sum(weight) from marts.above") == [(5 * 333,)], (
        "what stands on it is built, too"
    )
    project.model("by_deal", BY_DEAL.replace("deal_id, name", "deal_id, upper(name) as name"))
    project.build()
    assert project.rows("select name from marts.by_deal where deal_id = 1") == [("DEAL 1",)]
    assert_as_a_full_refresh(project)


def test_a_sum_that_is_new_or_defined_differently_is_computed_for_all_rows(
    project: Project,
) -> None:
    project.model("sums", SUMS.replace("as deals where", "as deals, null::numeric as most where"))
    changed = BY_DEAL.replace("'sum(weight)'", "'sum(weight * 2)', 'most': 'sum(weight * 3)'")
    project.model("by_deal", changed)
    project.build()
    assert project.rows("select sum(weight), sum(most) from marts.sums") == [(2 * 333, 3 * 333)]


def test_the_text_of_a_view_between_is_followed(project: Project) -> None:
    project.model("deals", DEALS + " and deal_id <> 5")
    assert rewritten(project, *BY_DEAL_TABLES) == [{5}, {5}]
    assert_as_a_full_refresh(project)


def test_the_build_after_a_failed_one_is_complete(project: Project) -> None:
    project.sql("update input.deals set name = 'changed' where deal_id = 1")
    new_version(project, 1)
    project.sql("update input.stages set weight = 11 where stage_id = 1")
    project.model("by_deal", BY_DEAL.replace("deal_id, name", "deal_id, name, 1 / 0 as broken"))
    with pytest.raises(AssertionError, match="division by zero"):
        project.build()
    # Another deal changes before the next build.
    project.model("by_deal", BY_DEAL)
    project.sql("update input.deals set name = 'changed later' where deal_id = 2")
    new_version(project, 2)
    project.build("run", "--select", "int_deal_versions", "above")
    project.build("run", "--select", "by_deal")
    project.build()
    assert project.rows(
        "select name, weight from marts.by_deal where deal_id < 3 order by deal_id"
    ) == [("changed", 11), ("changed later", 100)]
    assert_as_a_full_refresh(project)


def test_relations_in_follows_are_not_compared(project: Project) -> None:
    project.model("by_deal", BY_DEAL.replace("materialized=", "follows=['stages'], materialized="))
    project.build()
    project.sql("update input.stages set weight = 12 where stage_id = 1")
    assert rewritten(project, *BY_DEAL_TABLES) == [set(), set()]


def test_rows_of_the_same_key_are_replaced(project: Project) -> None:
    """A model may compute some rows anew of deals that did not change."""
    text = BY_DEAL.replace("materialized=", "unique_key='deal_id', materialized=")
    again = "{% if is_incremental() %} /* only changes: */ union all select deal_id, 'again', stage_id, 1 from {{ this }} where deal_id = 8 /* :only changes */ {% endif %}"
    project.model("by_deal", text + again)
    project.build()
    project.build()
    assert project.rows("select name from marts.by_deal where deal_id = 8") == [("again",)]
    assert project.rows("select count(*) from marts.by_deal") == [(9,)]
    assert project.rows("select sum(weight) from marts.sums") == project.rows(
        "select sum(weight) from marts.by_deal"
    )
