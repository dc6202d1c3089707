"""The merge: which rows it writes, and which it does not touch."""

from __future__ import annotations

import typing as t

import psycopg
import pytest
from loader_helpers import DATE, DATE_TIME, Warehouse, record, schema, state

from pipeboard_target_postgres import staging
from pipeboard_target_postgres.columns import Column
from pipeboard_target_postgres.evolve import Table
from pipeboard_target_postgres.merge import Counts, Merge
from pipeboard_target_postgres.staging import Staging

Way = dict[str, t.Any]
S = schema({"id": "integer", "v": "string", "n": "number", "o": "object", "at": DATE_TIME})


def _rows(n: int, **changes: t.Any) -> list[dict]:
    return [
        record(id=i, v=f"v{i}", n=i / 4, o={"k": i}, at="2024-01-01T00:00:00Z", **changes)
        for i in range(n)
    ]


def test_unchanged_rows_are_not_rewritten(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *_rows(50)], **way)
    before = warehouse.sql("select ctid::text, xmin::text, _sdc_batched_at from {s}.s order by id")
    # The same values, written differently.
    same = [
        {
            **m,
            "record": {
                **m["record"],
                "n": m["record"]["n"] + 0.0,
                "at": "2023-12-31T21:00:00-03:00",
            },
            "time_extracted": "2026-01-01T00:00:00Z",
            "version": 3,
        }
        for m in _rows(50)
    ]
    warehouse.load([S, *same], **way)
    after = warehouse.sql("select ctid::text, xmin::text, _sdc_batched_at from {s}.s order by id")
    assert after == before
    assert warehouse.load_row() == {
        "records_read": 50,
        "rows_inserted": 0,
        "rows_updated": 0,
        "rows_unchanged": 50,
        "rows_deleted": 0,
        "quarantined": 0,
    }


def test_new_rows_are_copied_into_the_table_without_staging(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended: list[int] = []
    append = Merge.append

    def spy(self: Merge, cursor: t.Any, rows: t.Any, constants: t.Any) -> Counts:
        counts = append(self, cursor, rows, constants)
        appended.append(counts.inserted)
        return counts

    monkeypatch.setattr(Merge, "append", spy)
    warehouse.load([S, *_rows(30)])
    assert appended == [30], "none of them was there"
    straight = warehouse.sql("select * from {s}.s order by id")
    warehouse.load([S, *_rows(40)])
    assert appended == [30], "some were there: staged, and merged"
    assert warehouse.load_row()["rows_inserted"] == 10
    warehouse.sql("truncate {s}.s")
    twice = [*_rows(30), record(id=3, v="latest")]
    warehouse.load([S, *twice])
    assert appended == [30], "a key came twice"
    assert warehouse.one("select v from {s}.s where id = 3") == "latest"
    metadata = warehouse.sql(
        "select count(*), count(distinct _sdc_received_at), min(_sdc_sequence) > 0,"
        " bool_and(_sdc_batched_at is not null and _sdc_sync_started_at > 0) from {s}.s"
    )
    assert metadata == [(30, 1, True, True)]
    assert len(straight) == 30


ODD = (
    'quo"te', "back\\slash", "tab\t", "line\nfeed", "\r", "{brace}", "com,ma", "NULL", "null",
    "\\N", "", " ", "\u00e9\U0001f600", "\u0000", "%s %(c0)s %%", "a" * 3000,
)  # fmt: skip


def test_few_rows_are_stored_as_many_without_a_staging_table(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {"v": "string", "n": "number", "i": "integer", "b": "boolean", "o": "object"}
    wide = schema(
        {"id": "integer", **kinds, "a": "array", "at": DATE_TIME, "on": DATE, 'x"%s': "string"}
    )
    odd = [
        record(id=at, v=text, n=at / 4, i=-at, b=bool(at % 2), o={text: [text, at]}, a=[text, None],
               at=f"2024-01-{at + 1:02}T00:00:00+03:00", on="2024-02-29", **{'x"%s': text})
        for at, text in enumerate(ODD)
    ]  # fmt: skip
    odd.append(record(id=len(ODD), i="x", v="wrong", at="never", on="2024-02-30"))
    columns = 'id, v, n, i, b, o, a, at, "on", "x""%s", _sdc_table_version'
    found = []
    created: list[Staging] = []
    create = Staging.create

    def spy(self: Staging, cursor: t.Any) -> None:
        created.append(self)
        create(self, cursor)

    monkeypatch.setattr(Staging, "create", spy)
    for most in (len(odd), 0):
        monkeypatch.setattr(staging, "MOST_ROWS_AS_PARAMETERS", most)
        warehouse.sql("drop schema if exists {s} cascade")
        # Half of the keys are there: rows are inserted and updated.
        warehouse.load([wide, *(record(id=at) for at in range(0, len(ODD), 2))])
        warehouse.load([wide, *odd])
        counts = warehouse.load_row()
        assert counts["rows_updated"] == len(ODD) // 2
        assert counts["rows_inserted"] == len(ODD) // 2 + 1
        found.append(warehouse.sql(f"select {columns} from {{s}}.s order by id"))
        assert bool(created) is (most == 0)
    assert found[0] == found[1]
    assert [row[1] for row in found[0][:-1]] == [text.replace("\0", "\ufffd") for text in ODD]
    assert len(found[0]) == len(odd)


def test_a_few_rows_of_many_columns_are_merged(warehouse: Warehouse) -> None:
    names = [f"c{at}" for at in range(300)]
    many = schema({"id": "integer", **dict.fromkeys(names, "string")})
    for value in ("first", "second"):
        warehouse.load([many, record(id=1, **dict.fromkeys(names, value))])
    assert warehouse.sql("select c0, c299 from {s}.s") == [("second", "second")]


def test_large_batches_leave_no_rows_in_the_staging_table(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MOST_ROWS_AS_PARAMETERS", 0)
    warehouse.load([S, *_rows(30)])
    changed = [{**m, "record": {**m["record"], "v": "new"}} for m in _rows(30)]
    warehouse.load([S, *changed], batch_size_rows=7)
    assert warehouse.load_row()["rows_updated"] == 30
    assert warehouse.one("select count(*) from {s}.s where v = 'new'") == 30


def test_keys_inserted_between_lookup_and_copy_are_merged(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.load([S, *_rows(10)])
    monkeypatch.setattr(Merge, "existing", lambda *_: 0)
    changed = [record(id=i, v="new", o={"k": i}) for i in range(20)]
    warehouse.load([S, *changed])
    assert warehouse.sql("select count(*), count(*) filter (where v = 'new') from {s}.s") == [
        (20, 20)
    ]
    assert warehouse.load_row()["rows_updated"] == 10


def test_escaped_and_composite_keys_are_stored_once(warehouse: Warehouse) -> None:
    keys = ["a", 'quo"te', "com,ma", "back\\slash", "{brace}", "tab\t", "", "null", "\u00e9"]
    two = schema({"k": "string", "n": "integer", "v": "string"}, keys=["k", "n"])
    for value in ("first", "second"):
        warehouse.load([two, *(record(k=k, n=n, v=value) for k in keys for n in (0, -7, 10**12))])
        found = warehouse.sql("select k, n, v from {s}.s")
        assert sorted(found) == sorted((k, n, value) for k in keys for n in (0, -7, 10**12))
    warehouse.load([two, *(record(k=k, n=3, v="third") for k in keys)])
    assert warehouse.one("select count(*) from {s}.s") == 4 * len(keys)


def test_an_unchanged_load_leaves_the_tables_statistics(warehouse: Warehouse) -> None:
    warehouse.load([S, *_rows(20)])
    warehouse.load([S, *_rows(20)])
    stats = "select n_tup_ins, n_tup_upd, n_dead_tup from pg_stat_user_tables where schemaname=%s"
    for _ in range(50):
        rows = warehouse.sql("select pg_stat_force_next_flush()") and warehouse.sql(
            stats + " and relname = 's'", warehouse.schema
        )
        if rows and rows[0][0] == 20:
            break
    assert rows == [(20, 0, 0)]


def test_only_changed_rows_are_updated(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *_rows(10)], **way)
    for change in ({"v": "x"}, {"v": None}, {"o": {"k": 1, "l": None}}, {"n": 0.3}):
        warehouse.load([S, {**record(), "record": {**_rows(5)[4]["record"], **change}}], **way)
        assert warehouse.load_row()["rows_updated"] == 1
        name, value = next(iter(change.items()))
        got = warehouse.one(f"select {name} from {{s}}.s where id = 4")
        assert (float(got) if name == "n" else got) == value
    assert warehouse.one("select count(*) from {s}.s") == 10


def test_the_latest_version_of_a_key_wins(warehouse: Warehouse, way: Way) -> None:
    messages = [record(id=i % 3, v=str(i)) for i in range(10)]
    warehouse.load([S, *messages], **way)
    assert warehouse.sql("select id, v from {s}.s order by id") == [(0, "9"), (1, "7"), (2, "8")]
    # Equal to PostgreSQL, not to the eye.
    odd = '{"type":"RECORD","stream":"s","record":{"id":"1","v":"last"}}'
    warehouse.load(
        [S, record(id=1, v="first"), odd],
        **({"stream_maps": {"s": {"id": "record['id']"}}} if way else {}),
    )
    assert warehouse.one("select v from {s}.s where id = 1") == "last"


def test_versions_across_batches_keep_their_order(warehouse: Warehouse, way: Way) -> None:
    warehouse.load([S, *[record(id=1, v=str(i)) for i in range(25)]], batch_size_rows=4, **way)
    assert warehouse.one("select v from {s}.s") == "24"


def test_a_property_that_is_absent_is_null(warehouse: Warehouse, way: Way) -> None:
    """As with the stock target: a record is the whole row."""
    warehouse.load([S, record(id=1, v="x")], **way)
    warehouse.load([S, record(id=1)], **way)
    assert warehouse.one("select v from {s}.s") is None


def test_without_keys_rows_are_appended_in_order(warehouse: Warehouse, way: Way) -> None:
    bare = schema({"v": "string"}, keys=[])
    for _ in range(2):
        warehouse.load([bare, *[record(v=str(i)) for i in range(7)]], batch_size_rows=3, **way)
    assert [v for (v,) in warehouse.sql("select v from {s}.s order by _sdc_sequence")] == [
        str(i) for i in range(7)
    ] * 2


def test_composite_and_text_keys_are_merged(warehouse: Warehouse, way: Way) -> None:
    two = schema({"a": "string", "b": "integer", "v": "string"}, keys=["b", "a"])
    warehouse.load(
        [two, record(a="x", b=1, v="1"), record(a="null", b=1, v="2"), record(a="x", b=1, v="3")],
        **way,
    )
    assert warehouse.sql("select a, b, v from {s}.s order by a") == [
        ("null", 1, "2"),
        ("x", 1, "3"),
    ]


def test_metadata_is_filled(warehouse: Warehouse, way: Way) -> None:
    message = {**record(id=1, v="x", version=7), "time_extracted": "2024-01-01T00:00:00+00:00"}
    warehouse.load([S, message], **way)
    row = warehouse.sql(
        "select _sdc_extracted_at::text, _sdc_table_version, _sdc_deleted_at,"
        " _sdc_received_at <= _sdc_batched_at, _sdc_batched_at > now() - interval '1 hour',"
        " _sdc_sequence > 1e12, _sdc_sync_started_at > 1e12 from {s}.s"
    )
    assert row == [("2024-01-01 00:00:00+00", 7, None, True, True, True, True)]


def test_metadata_can_be_left_out(warehouse: Warehouse, way: Way) -> None:
    warehouse.load(
        [S, record(id=1, v="x", version=1)],
        add_record_metadata=False,
        activate_version=False,
        **way,
    )
    columns = warehouse.sql(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0",
        f"{warehouse.schema}.s",
    )
    assert [c for (c,) in columns] == ["id", "v", "n", "o", "at"]


def test_a_table_without_an_index_is_merged_too(warehouse: Warehouse) -> None:
    warehouse.sql("create schema {s}")
    warehouse.sql("create table {s}.s (id bigint, v text)")
    for v in ("1", "2"):
        warehouse.load([S, *[record(id=i, v=v) for i in range(5)]])
    assert warehouse.sql("select count(*), count(distinct id), min(v) from {s}.s") == [(5, 5, "2")]


def test_two_streams_load_in_one_run(warehouse: Warehouse, way: Way) -> None:
    a, b = schema({"id": "integer"}, stream="a"), schema({"id": "integer"}, stream="b")
    messages = [record(stream="ab"[i % 2], id=i) for i in range(40)]
    warehouse.load([a, b, *messages, state({"x": 1})], batch_size_rows=7, **way)
    assert warehouse.one("select count(*) from {s}.a") == warehouse.one(
        "select count(*) from {s}.b"
    )
    assert warehouse.states[-1] == {"x": 1}


def test_messages_may_have_their_keys_in_any_order(warehouse: Warehouse) -> None:
    warehouse.load(
        [
            S,
            '{"stream":"s","record":{"v":"a","id":1},"type":"RECORD"}',
            '{"record": {"id": 2}, "stream": "s", "type": "RECORD"}',
            '{ "type" : "RECORD" , "stream" : "s" , "record" : { "id" : 3 , "v" : null } }',
            "",
            record(id=4),
        ]
    )
    assert warehouse.one("select array_agg(id order by id) from {s}.s") == [1, 2, 3, 4]


def test_bookkeeping_older_than_bookkeeping_days_is_deleted(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [schema({"id": "integer"}), record(id=1)]
    warehouse.load(messages)
    warehouse.sql("update {o}.stream_load set started_at = now() - interval '31 days'")
    monkeypatch.setenv("PIPEBOARD_RUN_ID", "the one of the supervisor")
    warehouse.load(messages, bookkeeping_days=30)
    assert warehouse.sql("select run_id from {o}.stream_load") == [("the one of the supervisor",)]


# The statements, and their counts

ID, V, DOC = Column("id", "id", "bigint"), Column("v%", "v%", "text"), Column("doc", "doc", "json")
EXTRACTED, BATCHED, SEQUENCE = (
    Column(f"_sdc_{name}", f"_sdc_{name}", sql_type)
    for name, sql_type in (
        ("extracted_at", "timestamp with time zone"),
        ("batched_at", "timestamp with time zone"),
        ("sequence", "bigint"),
    )
)
CONSTANTS = {"batched_at": "2026-01-01T00:00:00Z", "sequence": 100}


def test_the_statements_of_a_table_with_keys() -> None:
    columns = (ID, V, DOC, EXTRACTED, BATCHED, SEQUENCE)
    table = Table("raw", "deals", columns, ("id",), unique=True, stale_columns=("v__text",))
    merge = Merge(table, [ID, V, DOC, EXTRACTED], "stage")
    assert merge.insert == (
        'insert into "raw"."deals" ("id", "v%%", "doc", "_sdc_extracted_at", "_sdc_batched_at",'
        ' "_sdc_sequence") select s."id", s."v%%", s."doc", s."_sdc_extracted_at",'
        " %(batched_at)s::timestamptz, %(sequence)s::bigint from stage s where not exists"
        ' (select from "raw"."deals" t where t."id" = s."id")'
    )
    assert merge.update == (
        'update "raw"."deals" t set "v%%" = s."v%%", "doc" = s."doc", "_sdc_extracted_at" ='
        ' s."_sdc_extracted_at", "_sdc_batched_at" = %(batched_at)s::timestamptz,'
        ' "_sdc_sequence" = %(sequence)s::bigint, "v__text" = null from stage s'
        ' where t."id" = s."id" and (t."v%%" is distinct from s."v%%"'
        ' or t."doc"::text is distinct from s."doc"::text or t."v__text" is not null)'
    )


def test_the_statements_of_tables_without_keys_or_without_other_columns() -> None:
    bare = Table("raw", "log", (V, SEQUENCE), (), unique=False)
    merge = Merge(bare, [V], "stage", position="r.nr")
    assert merge.insert == (
        'insert into "raw"."log" ("v%%", "_sdc_sequence")'
        ' select s."v%%", %(sequence)s::bigint + r.nr from stage s'
    )
    assert merge.update == ""
    assert "row_number() over () - 1" in Merge(bare, [V], "stage").insert
    of_keys = Table("raw", "ids", (ID, EXTRACTED), ("id",), unique=True)
    assert Merge(of_keys, [ID, EXTRACTED], "stage").update == "", "there is nothing to compare"


@pytest.fixture
def merging(warehouse: Warehouse) -> t.Iterator[t.Callable[..., Counts]]:
    """Merge rows of a staging table (a query) into a table of the test, and commit."""
    with psycopg.connect(warehouse.url, autocommit=True) as connection:

        def merge(
            rows: str, keys: tuple[str, ...] = ("id",), distinct: bool = True, **given: t.Any
        ) -> Counts:
            columns = (Column("id", "id", "bigint"), Column("v", "v", "text"))
            table = Table(warehouse.schema, "s", columns, keys, unique=bool(keys))
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute("create temp table stage (id bigint, v text) on commit drop")
                cursor.execute(t.cast("t.Any", f"insert into stage {rows}"))
                staged = cursor.rowcount
                counts = Merge(table, columns, "stage").run(cursor, staged, {}, distinct, **given)
                merge.last = cursor.statusmessage  # type: ignore[attr-defined]
                return counts

        yield merge


def counts_of(counts: Counts) -> tuple[int, ...]:
    return counts.inserted, counts.updated, counts.unchanged, counts.superseded


def test_each_staged_row_has_one_outcome(warehouse: Warehouse, merging: t.Any) -> None:
    warehouse.sql("create schema {s}; create table {s}.s (id bigint primary key, v text)")
    warehouse.sql("insert into {s}.s values (1, 'old'), (2, 'same')")
    rows = "values (1, 'a'), (2, 'same'), (3, 'new'), (3, 'newer'), (1, 'b')"
    assert counts_of(merging(rows, distinct=False)) == (1, 1, 1, 2)
    stored = "select id, v from {s}.s order by id"
    assert warehouse.sql(stored) == [(1, "b"), (2, "same"), (3, "newer")]
    rows = "values (1, 'c'), (2, 'same')"
    assert counts_of(merging(rows, all_there=True)) == (0, 1, 1, 0)
    assert counts_of(merging("values (4, 'x')", all_there=True)) == (0, 0, 1, 0), "not looked for"
    assert counts_of(merging("values (4, 'x'), (5, 'x')")) == (2, 0, 0, 0)
    assert merging.last == "INSERT 0 2", "nothing is left to update"


def test_rows_that_a_trigger_drops_are_unchanged(warehouse: Warehouse, merging: t.Any) -> None:
    warehouse.sql(
        "create schema {s}; create table {s}.s (id bigint, v text);"
        " create function {s}.drop_row() returns trigger language plpgsql as"
        " 'begin return null; end';"
        " create trigger drops before insert on {s}.s for each row when (new.v = 'x')"
        " execute function {s}.drop_row()"
    )
    rows = "values (1, 'a'), (1, 'a'), (2, 'x')"
    assert counts_of(merging(rows, keys=(), distinct=False)) == (2, 0, 1, 0)
    assert warehouse.sql("select id, v from {s}.s") == [(1, "a"), (1, "a")]


def test_a_record_that_changes_several_rows_counts_once(
    warehouse: Warehouse, merging: t.Any
) -> None:
    warehouse.sql("create schema {s}; create table {s}.s (id bigint, v text)")
    warehouse.sql("insert into {s}.s values (1, 'old'), (1, 'old'), (1, 'old')")
    assert counts_of(merging("values (1, 'new'), (2, 'new')")) == (1, 1, 0, 0)


def test_the_keys_that_a_table_has_are_counted(warehouse: Warehouse) -> None:
    warehouse.sql("create schema {s}; create table {s}.s (id bigint, k text, primary key (k, id))")
    warehouse.sql("insert into {s}.s values (1, 'a'), (-7, 'b,\"{}'), (3, 'c')")
    columns = (Column("k", "k", "text"), Column("id", "id", "bigint"))

    def existing(*keys: tuple[bytes, ...], unique: bool = True) -> int | None:
        table = Table(warehouse.schema, "s", columns, ("k", "id"), unique)
        with psycopg.connect(warehouse.url) as connection, connection.cursor() as cursor:
            return Merge(table, columns, "stage").existing(cursor, keys)

    assert existing((b"a", b"1"), (b'b,"{}', b"-7"), (b"c", b"4")) == 2
    assert existing((b"a", b"2")) == 0
    assert existing((b"a", b"1"), unique=False) is None
    assert existing((b"a", b"1"), (b"\\\\", b"1")) is None, "an escape is not a plain text"


def test_a_key_with_a_percent_sign_may_come_twice(warehouse: Warehouse) -> None:
    s = schema({"id%": "integer", "v": "string"}, ["id%"])
    rows = [{**record(), "record": {"id%": 1, "v": v}} for v in ("first", "last")]
    warehouse.load([s, *rows])
    assert warehouse.sql("select v from {s}.s") == [("last",)]


def test_counts_are_added_by_outcome() -> None:
    counts = Counts(read=5, inserted=2, nulled_values=1)
    counts.add(Counts(read=3, inserted=1, updated=2, filtered=4))
    assert counts == Counts(read=8, inserted=3, updated=2, nulled_values=1, filtered=4)
