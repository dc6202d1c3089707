"""A warehouse from nothing on: empty, a part of the streams, all of them, edits, a full refresh.

On the way: every type of custom field, under every kind of label, becomes a named and typed column
without any action, and keeps its name.
"""

# ruff: noqa: E501 (SQL has a width of its own)
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest
from conftest import NewWarehouse
from pipedrive_simulator.account.fields import CUSTOM_TYPES, FieldDefinition
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from warehouse_helpers import BUILD, Warehouse

DEALS = 60
PART = ("deals", "stages")
ALL = (
    *PART, "deal_changelog", "deal_changelog_sync", "deal_products", "persons", "organizations", "products",
    "activities", "activity_types", "leads", "lead_labels", "notes", "pipelines", "users", "roles", "teams",
    "deal_fields", "person_fields", "organization_fields", "product_fields", "activity_fields", "goals", "currencies",
)  # fmt: skip
#: Beside those that the simulated account has anyway: labels that want to be something else.
MALICE = (
    "x'); drop table deals; --", '"quoted" \\ back', "{{ target.password }}", "{% raw %}", "100% %s %(x)s %I",
    "line\nbreak\ttab", "עברית مرحبا", "İstanbul ıĞ", "a" * 200, "   ", "$comment$", "cf_valor", "deal_id", "null",
)  # fmt: skip
#: The type of a field's own column, where it is not text.
TYPES = {
    "double": "numeric", "monetary": "numeric", "date": "date", "daterange": "date",
    "time": "time without time zone", "timerange": "time without time zone",
}  # fmt: skip
ADDRESS = {
    "route": "street", "street_number": "number", "subpremise": "unit", "sublocality": "district",
    "locality": "city", "admin_area_level_2": "county", "admin_area_level_1": "state",
    "country": "country", "postal_code": "postcode", "formatted_address": "formatted",
}  # fmt: skip


@dataclass
class Lifetime:
    """The account, its warehouse, and what was seen on the way."""

    simulator: RunningSimulator
    warehouse: Warehouse
    seen: dict[str, Any] = field(default_factory=dict)

    def sync(self, *streams: str, sweep: bool = False) -> None:
        source = {"api_url": self.simulator.url, "api_token": self.simulator.token, "sweep": sweep}
        self.warehouse.sync(source, streams)

    @property
    def fields(self) -> list[FieldDefinition]:
        return list(self.simulator.account.fields["deal"].custom)

    def columns(self) -> dict[str, str]:
        """Return the column of each custom field of deals, by key."""
        return dict(
            self.warehouse.rows(
                "select field_code, column_name from intermediate.int_custom_field_registry "
                "where entity = 'deal'"
            )
        )

    def wide(self, *columns: str) -> dict[int, dict[str, Any]]:
        """Return rows of deal_wide by deal."""
        found = self.warehouse.rows(f"select deal_id, {', '.join(columns)} from marts.deal_wide")
        return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in found}


def made_up(of: FieldDefinition) -> Any:
    return {"double": 1.5, "date": "2026-02-28"}.get(of.type, f"value of {of.name[:20]!r}")


@pytest.fixture(scope="module")
def lifetime(new_warehouse: NewWarehouse) -> Iterator[Lifetime]:
    warehouse: Warehouse = new_warehouse("lifetime")
    with running_simulator(deals=DEALS) as simulator:
        account = simulator.account
        alive = [
            d.id for d in account.deals.records.values() if not d.is_deleted and not d.is_archived
        ]
        for number, label in enumerate(MALICE):
            kind = ("varchar", "double", "date")[number % 3]
            made = account.add_field("deal", label, kind)
            account.update_deal(alive[number], custom_fields={made.code: made_up(made)})
        yield Lifetime(simulator, warehouse)


def test_an_empty_database_builds_and_every_unit_test_passes(lifetime: Lifetime) -> None:
    lifetime.warehouse.build("build", "--exclude", "tag:grouped")


@pytest.mark.long
def test_a_partial_warehouse_builds_and_passes_its_tests(lifetime: Lifetime) -> None:
    """Nothing else was called before: no seed, no snapshot."""
    lifetime.warehouse.forget_models()
    lifetime.sync(*PART)
    lifetime.warehouse.build("run")
    lifetime.warehouse.build("test", "--exclude", "test_type:unit", "tag:grouped")
    assert len(lifetime.wide("stage_name")) >= DEALS
    ((n_named,),) = lifetime.warehouse.rows(
        "select count(*) from marts.deal_wide where stage_name is null or pipeline_name is null"
    )
    assert n_named == 0, "pipelines that are not read have a name all the same"


def test_each_label_becomes_a_safe_name_of_its_own(lifetime: Lifetime) -> None:
    lifetime.sync(*ALL)
    lifetime.warehouse.build("run")
    columns = lifetime.columns()
    assert columns.keys() == {f.code for f in lifetime.fields}
    assert {f.type for f in lifetime.fields} == set(CUSTOM_TYPES), "every type is there"
    assert all(re.fullmatch("cf_[a-z0-9_]+", c) and len(c) <= 63 for c in columns.values())
    assert len(set(columns.values())) == len(columns)
    by_label = {f.name: columns[f.code] for f in lifetime.fields}
    for label, column in {
        "Previsão de Ganho": "cf_previsao_de_ganho", "order": "cf_order", "status": "cf_status",
        "select": "cf_select", "Nº de usuários": "cf_no_de_usuarios", "Valor": "cf_valor",
        "Straße ½ Ø": "cf_strasse_1_2_o", "🔥 Prioridade 🔥": "cf_prioridade",
        "x'); drop table deals; --": "cf_x_drop_table_deals", "100% %s %(x)s %I": "cf_100_s_x_s_i",
        "{{ target.password }}": "cf_target_password", "İstanbul ıĞ": "cf_istanbul_ig",
        "a" * 200: "cf_" + "a" * 44, "null": "cf_null", "deal_id": "cf_deal_id",
    }.items():  # fmt: skip
        assert re.fullmatch(f"{column}(_[0-9a-f]{{4}})?", by_label[label]), (label, by_label[label])
    for label in ("日本語メモ", "   ", "עברית مرحبا"):
        assert re.match("cf_field_[0-9a-f]{8}", by_label[label]), label
    twice = [columns[f.code] for f in lifetime.fields if f.name == "Observações"]
    assert len(twice) == 2
    assert "cf_observacoes" in twice
    lifetime.seen |= {"columns": columns}


def test_every_value_is_in_its_column(lifetime: Lifetime) -> None:
    columns = lifetime.columns()
    types = dict(
        lifetime.warehouse.rows(
            "select column_name, data_type from information_schema.columns "
            "where table_schema = 'marts' and table_name = 'deal_wide'"
        )
    )
    names = {
        kind: dict(lifetime.warehouse.rows(f"select {key}, name from marts.{mart}"))
        for kind, key, mart in (
            ("user", "user_id", "dim_user"), ("org", "org_id", "dim_organization"),
            ("people", "person_id", "dim_person"),
        )
    }  # fmt: skip
    deals = [d for d in lifetime.simulator.truth("deals") if d["_listed"]]
    used = set()
    for of in lifetime.fields:
        assert types[columns[of.code]] == TYPES.get(of.type, "text"), of.name
        expected = {
            deal["id"]: readable_value(of, deal["custom_fields"].get(of.code), names)
            for deal in deals
        }
        parts = [""] if all(e is None for e in expected.values()) else suffixes(expected)
        found = lifetime.wide(*(columns[of.code] + part for part in parts))
        for deal, values in expected.items():
            shown = {part: found[deal][columns[of.code] + part] for part in parts}
            assert shown == (values or dict.fromkeys(parts)), (of.name, of.type, deal)
            used |= {of.type} if values else set()
    assert used == set(CUSTOM_TYPES), "a value of every type was looked at"


def suffixes(expected: dict[int, dict[str, Any] | None]) -> list[str]:
    return list(next(values for values in expected.values() if values))


def readable_value(
    of: FieldDefinition, value: Any, names: dict[str, dict[int, str]]
) -> dict[str, Any] | None:
    """Return what the columns of a field have to show, by suffix."""
    labels = {o.id: o.label for o in of.options or []}
    order = list(labels)
    if value is None:
        return None
    if of.type == "double":
        return {"": Decimal(str(value))}
    if of.type == "monetary":
        return {"": Decimal(str(value["value"])), "_currency": value["currency"]}
    if of.type == "date":
        return {"": date.fromisoformat(value)}
    if of.type == "daterange":
        return {
            "": date.fromisoformat(value["value"]),
            "_until": date.fromisoformat(value["until"]),
        }
    if of.type == "time":
        return {"": time.fromisoformat(value["value"]), "_timezone": value["timezone_name"]}
    if of.type == "timerange":
        return {
            "": time.fromisoformat(value["value"]),
            "_until": time.fromisoformat(value["until"]),
            "_timezone": value["timezone_name"],
        }
    if of.type == "enum":
        return {"": labels.get(value, f"#{value}"), "_id": value}
    if of.type == "set":
        shown = sorted(value, key=lambda i: order.index(i) if i in order else len(order))
        return {
            "": "; ".join(labels.get(i, f"#{i}") for i in shown),
            "_ids": "; ".join(str(i) for i in value),
        }
    if of.type in names:
        return {"": names[of.type].get(value), "_id": value}
    if of.type == "address":
        return {"": value["value"], **{f"_{to}": value[part] for part, to in ADDRESS.items()}}
    return {"": value}


def test_the_long_table_and_the_bridge_hold_the_same(lifetime: Lifetime) -> None:
    ((n_long,),) = lifetime.warehouse.rows("select count(*) from marts.fct_deal_custom_field")
    deals = [d for d in lifetime.simulator.truth("deals") if d["_listed"]]
    filled = [v for d in deals for v in d["custom_fields"].values() if v is not None]
    assert n_long == len(filled) > 500
    sets = {f.code for f in lifetime.fields if f.type == "set"}
    chosen = {
        (d["id"], key, str(option))
        for d in deals for key in sets for option in d["custom_fields"].get(key) or ()
    }  # fmt: skip
    bridged = lifetime.warehouse.rows(
        "select deal_id, field_key, option_id from marts.fct_deal_custom_option"
    )
    assert {row for row in bridged if row[1] in sets} == chosen
    alive = [d for d in deals if not d["is_deleted"]]
    for code, n_filled, rate in lifetime.warehouse.rows(
        "select field_key, n_filled, fill_rate from marts.dim_custom_field where entity = 'deal'"
    ):
        expected = sum(d["custom_fields"].get(code) is not None for d in alive)
        assert (n_filled, rate) == (expected, round(Decimal(expected) / len(alive), 4)), code


def test_a_field_made_today_is_a_column_after_the_next_sync(lifetime: Lifetime) -> None:
    account = lifetime.simulator.account
    account.advance_clock(3600)
    alive = [d for d in account.deals.records.values() if not d.is_deleted and not d.is_archived]
    heat = account.fields["deal"].find("Temperatura do lead")
    hot, _, cold = (o.id for o in heat.options or [])
    was = {
        key: value["cf_temperatura_do_lead_id"]
        for key, value in lifetime.wide("cf_temperatura_do_lead_id").items()
    }
    ((stage, published),) = lifetime.warehouse.rows(
        "select stage_id, moved_to_column from marts.dim_stage where is_active order by 1 limit 1"
    )
    lifetime.seen |= {"stage column": published}
    account.rename_field("deal", "Concorrente", "Competidor principal")
    account.rename_option("deal", heat.code, int(hot), "Fervendo")
    account.remove_option("deal", heat.code, int(cold))
    account.remove_field("deal", "select")
    account.rename_stage(stage, "Outro nome")
    new = account.add_field("deal", "Campo novo", "enum", ["Um", "Dois"])
    named_again = account.add_field("deal", "Concorrente", "double")
    first, second = (o.id for o in new.options or [])
    account.update_deal(alive[0].id, custom_fields={new.code: first, named_again.code: 7})
    account.update_deal(alive[1].id, custom_fields={new.code: second})

    lifetime.sync(*ALL)
    # That a field is gone is what the daily sweep finds.
    lifetime.sync("deal_fields", sweep=True)
    lifetime.warehouse.build("build", "--exclude-resource-type", "test", "unit_test")

    wide = lifetime.wide("cf_campo_novo", "cf_temperatura_do_lead", published)
    values_by_deal = {
        deal: row["cf_campo_novo"] for deal, row in wide.items() if row["cf_campo_novo"]
    }
    assert values_by_deal == {alive[0].id: "Um", alive[1].id: "Dois"}
    columns = lifetime.columns()
    assert lifetime.seen["columns"].items() <= columns.items(), "names once published stay"
    assert re.fullmatch("cf_concorrente_[0-9a-f]{4}", columns[named_again.code])
    # Nobody touched these deals: their options go by what is known of them now.
    labels = {hot: "Fervendo", cold: "Frio"}
    for deal, option in was.items():
        if option in labels:
            assert wide[deal]["cf_temperatura_do_lead"] == labels[option]
    dictionary = {
        column: (label, was_label, deleted)
        for column, label, was_label, deleted in lifetime.warehouse.rows(
            "select column_name, label, label_when_published, is_deleted from marts.dim_custom_field "
            "where entity = 'deal'"
        )
    }
    assert dictionary["cf_concorrente"] == ("Competidor principal", "Concorrente", False)
    assert dictionary["cf_select"][2], "a removed field stays, and says so"
    assert lifetime.warehouse.rows(
        f"select name, moved_to_column from marts.dim_stage where stage_id = {stage}"
    ) == [("Outro nome", published)]
    assert published.startswith("moved_to_stage_")
    assert published.endswith(f"_{stage}")


SURVIVING = {
    "custom field names": "select entity, field_code, column_name, column_names from intermediate.int_custom_field_registry",
    "stage columns": "select stage_id, column_name, slug from intermediate.int_stage_column_registry",
    "options": "select entity, field_code, option_id, label, is_deleted from intermediate.int_field_options",
    "forecasts": "select * from marts.fct_forecast_snapshot",
    "copies of deals": "select dbt_scd_id, deal_id, stage_id, status, dbt_valid_from from snapshots.snap_deals",
    "comparisons": "select * from ops.ops_reconciliation",
}  # fmt: skip


def test_what_cannot_be_recomputed_survives_a_full_refresh(lifetime: Lifetime) -> None:
    warehouse = lifetime.warehouse
    # What the source cannot tell again: a copy of a deal as it was, and how far apart we once were.
    warehouse.write(
        "insert into snapshots.snap_deals (dbt_scd_id, deal_id, stage_id, status, dbt_valid_from, "
        "dbt_valid_to, _loaded_at) select 'kept', deal_id, stage_id, 'open', now() - interval '9 days', now(), "
        "_loaded_at from snapshots.snap_deals limit 1"
    )
    warehouse.write(
        "insert into ops.ops_reconciliation (subject, measure, theirs, ours, is_within_tolerance, asked_at) "
        "values ('kept', 'deals', 1, 1, true, '2020-01-01Z')"
    )
    before = {name: sorted(map(repr, warehouse.rows(query))) for name, query in SURVIVING.items()}
    history = "select * from marts.fct_deal_field_change order by change_id"
    changes = warehouse.rows(history)
    warehouse.build(*BUILD, "--full-refresh")
    for name, query in SURVIVING.items():
        assert before[name], name
        assert sorted(map(repr, warehouse.rows(query))) == before[name], name
    assert warehouse.rows(history) == changes, "the changelog is raw, and comes out the same again"


def test_results_of_tests_are_in_the_warehouse(lifetime: Lifetime) -> None:
    went = dict(
        lifetime.warehouse.rows(
            "select status, count(*) from ops.ops_dbt_test_result group by status"
        )
    )
    assert went.keys() <= {"pass", "warn"}
    assert went["pass"] > 150


def test_every_column_is_described_in_the_database(lifetime: Lifetime) -> None:
    mute = lifetime.warehouse.rows(
        "select nspname, relname, attname from pg_attribute "
        "join pg_class on pg_class.oid = attrelid join pg_namespace on pg_namespace.oid = relnamespace "
        "where nspname in ('staging', 'intermediate', 'marts', 'snapshots', 'ops') and attnum > 0 "
        "and not attisdropped and relkind in ('r', 'v') and col_description(attrelid, attnum) is null "
        "and relname not in ('int_deal_wide', 'stream_load', 'quarantine', 'etl_run', 'load_run') "
        "and attname not like 'dbt_%'"
    )
    assert not mute


def test_a_quiet_stream_is_not_stale(lifetime: Lifetime) -> None:
    (row,) = lifetime.warehouse.rows(
        "select newest_row_extracted_at, data_as_of, hours_old from ops.ops_stream_freshness "
        "where stream = 'activity_types'"
    )
    assert row[1] > row[0], "read again, although nothing in it changed"
    assert 0 <= row[2] < 1


def test_the_calendar_knows_holidays_and_weeks(lifetime: Lifetime) -> None:
    days = {
        row[0]: row[1:]
        for row in lifetime.warehouse.rows(
            "select date_day, is_business_day, holiday_name is not null, iso_week, quarter_label "
            "from marts.dim_date where date_day between '2026-04-17' and '2026-04-22'"
        )
    }
    assert days[date(2026, 4, 17)] == (True, False, 16, "2026-Q2")
    assert days[date(2026, 4, 18)][:2] == (False, False)
    assert days[date(2026, 4, 21)][:2] == (False, True)


def test_activities_that_are_new_are_written_and_no_others(lifetime: Lifetime) -> None:
    warehouse = lifetime.warehouse
    query = (
        "select activity_id, subject, is_deleted, xmin::text "
        "from intermediate.int_activities order by activity_id"
    )
    gone, swept, renamed, *others = warehouse.rows(query)
    warehouse.write(f"delete from pipedrive.activities where id = {gone[0]}")
    warehouse.write(
        f"update pipedrive.activities set _sdc_deleted_at = now() where id = {swept[0]}"
    )
    warehouse.write(
        "update pipedrive.activities set subject = 'new', _sdc_batched_at = now() "
        f"where id = {renamed[0]}"
    )
    warehouse.build("run", "--select", "int_raw_loads", "int_activities")
    first, second, *rest = warehouse.rows(query)
    assert first[:3] == (swept[0], swept[1], True)
    assert second[:2] == (renamed[0], "new")
    assert len(others) > 100
    assert rest == others


def test_rows_stamped_before_and_committed_after_a_build_are_read(
    lifetime: Lifetime,
) -> None:
    """A backfill loads beside a sync, and its batch may commit when the sync's build has begun."""
    warehouse = lifetime.warehouse
    built = ["int_deal_versions", "fct_deal_field_change", "int_activities"]
    select = ["int_raw_loads", *built]
    warehouse.build("run", "--select", *select)
    deal, other, activity = warehouse.rows(
        "select min(deal_id), max(deal_id), (select min(id) from pipedrive.activities) "
        "from pipedrive.deal_changelog"
    )[0]
    late = "now() - interval '5 minutes'"
    columns = ", ".join(
        f'"{name}"'
        for (name,) in warehouse.rows(
            "select column_name from information_schema.columns where table_schema = 'pipedrive' "
            "and table_name = 'deal_changelog' and column_name not in ('id', '_sdc_batched_at')"
        )
    )
    warehouse.write(
        f"insert into pipedrive.deal_changelog (id, _sdc_batched_at, {columns}) "
        f"select 'late', {late}, {columns} from pipedrive.deal_changelog "
        f"where deal_id = {deal} limit 1"
    )
    warehouse.write(
        f"update pipedrive.deals set title = 'late', _sdc_batched_at = {late} where id = {other}"
    )
    warehouse.write(
        f"update pipedrive.activities set subject = 'late', _sdc_batched_at = {late} "
        f"where id = {activity}"
    )
    # Committed after a build has noticed the loads: none of its models takes it in, the next build does.
    before = warehouse.rows("select max(version) from intermediate.int_deal_versions")
    warehouse.build("run", "--select", *built)
    assert warehouse.rows("select max(version) from intermediate.int_deal_versions") == before
    warehouse.build("run", "--select", *select)
    newest = "select deal_id from intermediate.int_deal_versions order by version desc, deal_id"
    assert {deal, other} <= {row[0] for row in warehouse.rows(f"{newest} limit 2")}
    found = "select count(*) from marts.fct_deal_field_change where change_id = 'late'"
    assert warehouse.rows(found) == [(1,)]
    found = "select subject from intermediate.int_activities where activity_id = "
    assert warehouse.rows(f"{found}{activity}") == [("late",)]
    # A load is taken in once.
    before = warehouse.rows("select max(version) from intermediate.int_deal_versions")
    warehouse.build("run", "--select", *select)
    assert warehouse.rows("select max(version) from intermediate.int_deal_versions") == before
    # A loader whose clock is ahead hides nothing that others bring after it.
    stamp = "update pipedrive.deals set _sdc_batched_at = now() + interval '{}' where id = {}"
    for hours, changed in (("3 hours", other), ("0 hours", deal)):
        warehouse.write(stamp.format(hours, changed))
        warehouse.build("run", "--select", *select)
        assert warehouse.rows(f"{newest} limit 1") == [(changed,)]


def test_a_row_without_a_stamp_is_read_each_time(lifetime: Lifetime) -> None:
    """Another loader may write none: when such a row came, nothing tells."""
    warehouse = lifetime.warehouse
    select = ["int_raw_loads", "int_deal_versions", "int_deal_current", "int_activities"]
    tables = (
        ("deals", "title", "int_deal_current", "deal_id"),
        ("activities", "subject", "int_activities", "activity_id"),
    )
    for name in ("unstamped", "unstamped again"):
        for table, column, _, _ in tables:
            warehouse.write(
                f"update pipedrive.{table} set {column} = '{name}', _sdc_batched_at = null "
                f"where id = (select min(id) from pipedrive.{table})"
            )
        warehouse.build("run", "--select", *select)
        for table, column, model, key in tables:
            (found,) = warehouse.rows(
                f"select {column} from intermediate.{model} "
                f"where {key} = (select min(id) from pipedrive.{table})"
            )
            assert found == (name,), table


def test_a_row_without_a_stamp_is_tested(lifetime: Lifetime) -> None:
    """Tests of what came since they last passed cannot tell when it came."""
    warehouse = lifetime.warehouse
    lines = ("test", "--select", "stg_pipedrive__deal_products")
    assert " WARN=0 " in warehouse.dbt(*lines).stdout
    warehouse.write(
        "update pipedrive.deal_products set deal_id = 404404, _sdc_batched_at = null "
        "where id = (select min(id) from pipedrive.deal_products)"
    )
    assert " WARN=1 " in warehouse.dbt(*lines).stdout
