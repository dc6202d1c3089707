"""Raw tables of an account of any size, written by SQL alone, and edits to them.

`python tests/bench/warehouse.py fill URL DEALS` makes schema `pipedrive` as the loader would have
left it, with about five changelog rows a deal; `... edit URL DEALS [ROUND]` lets that many deals
move on, each loaded anew. What is measured is the build above, not the way the rows came here.
"""

# ruff: noqa: E501 (SQL has a width of its own)
from __future__ import annotations

import argparse

import psycopg

#: Custom fields: key digit, type, label and how a value is made of a number `i`.
FIELDS = (
    ("0", "monetary", "Comissão", """jsonb_build_object('value', i % 9000, 'currency', 'BRL')"""),
    ("1", "date", "Previsão de Ganho", "to_jsonb((date '2024-01-01' + (i % 900)::int)::text)"),
    ("2", "daterange", "Vigência", """jsonb_build_object('value', (date '2024-01-01' + (i % 900)::int)::text,
        'until', (date '2024-02-01' + (i % 900)::int)::text)"""),
    ("3", "time", "Melhor horário", """jsonb_build_object('value', '09:30:00', 'timezone_name',
        'America/Sao_Paulo')"""),
    ("4", "double", "Área (m²)", "to_jsonb(i % 500 + 0.5)"),
    ("5", "enum", "Origem do lead", "to_jsonb(1 + i % 5)"),
    ("6", "set", "Módulos", "jsonb_build_array(1 + i % 5, 6 - i % 3)"),
    ("7", "user", "Pré-vendas", "to_jsonb(1 + i % 50)"),
    ("8", "org", "Parceiro", "to_jsonb(1 + i % 100)"),
    ("9", "people", "Decisor", "to_jsonb(1 + i % 100)"),
    ("a", "address", "Entrega", """jsonb_build_object('value', 'Rua ' || i, 'locality', 'Campinas')"""),
    ("b", "varchar", "Order", "to_jsonb('pedido ' || i)"),
    ("c", "varchar", "日本語", "to_jsonb('値 ' || i % 100)"),
    ("d", "varchar", "It's; drop table deals --", "to_jsonb('\"' || i % 10)"),
)  # fmt: skip

LOADED = """
    _sdc_extracted_at timestamptz default now(), _sdc_batched_at timestamptz default now(),
    _sdc_deleted_at timestamptz
"""

TABLES = f"""
create table deals (
    id bigint, title text, owner_id bigint, creator_user_id bigint, person_id bigint,
    org_id bigint, pipeline_id bigint, stage_id bigint, status text, value numeric, currency text,
    probability numeric, lost_reason text, origin text, is_deleted boolean, is_archived boolean,
    add_time timestamptz, update_time timestamptz, stage_change_time timestamptz,
    won_time timestamptz, lost_time timestamptz, close_time timestamptz,
    expected_close_date date, activities_count bigint, label_ids jsonb, custom_fields jsonb, {LOADED}
);
create table deal_changelog (
    id text, deal_id bigint, field_key text, old_value text, new_value text, actor_user_id bigint,
    "time" timestamptz, second_seq bigint, change_source text, is_bulk_update_flag boolean, {LOADED}
);
create table deal_changelog_sync (
    deal_id bigint, synced_through timestamptz, pages bigint, events bigint, complete boolean, {LOADED}
);
create table pipelines (id bigint, name text, order_nr bigint, is_deleted boolean, {LOADED});
create table stages (
    id bigint, pipeline_id bigint, name text, order_nr bigint, deal_probability bigint,
    is_deal_rot_enabled boolean, days_to_rotten bigint, is_deleted boolean, {LOADED}
);
create table users (id bigint, name text, email text, active_flag boolean, {LOADED});
create table organizations (id bigint, name text, owner_id bigint, is_deleted boolean, {LOADED});
create table persons (id bigint, name text, org_id bigint, is_deleted boolean, {LOADED});
create table deal_fields (
    field_code text, field_name text, field_type text, is_custom_field boolean, options jsonb, {LOADED}
);
"""

FIXED = """
insert into pipelines (id, name, order_nr)
select i, 'Funil ' || i, i from generate_series(1, 3) as i;
insert into stages (id, pipeline_id, name, order_nr, deal_probability, is_deal_rot_enabled, days_to_rotten)
select p * 10 + s, p, 'Etapa ' || s, s, s * 20, s > 2, 30
from generate_series(1, 3) as p, generate_series(1, 5) as s;
insert into users (id, name, email, active_flag)
select i, 'Pessoa ' || i, 'p' || i || '@example.com', true from generate_series(1, 50) as i;
insert into organizations (id, name, owner_id)
select i, 'Empresa ' || i, 1 + i % 50 from generate_series(1, greatest(%(deals)s / 5, 100)) as i;
insert into persons (id, name, org_id)
select i, 'Contato ' || i, 1 + i %% (%(deals)s / 5 + 1) from generate_series(1, greatest(%(deals)s / 3, 100)) as i;
"""

#: `depth` moves of two days each, then the closing; every number is a hash of the deal's.
DEALS = """
insert into deals (
    id, title, owner_id, creator_user_id, person_id, org_id, pipeline_id, stage_id, status, value, currency,
    lost_reason, origin, is_deleted, is_archived, add_time, update_time, stage_change_time,
    won_time, lost_time, close_time, expected_close_date, activities_count, label_ids, custom_fields
)
select
    i, 'Negócio ' || i, 1 + i % 50, 1 + i % 50, 1 + i % ({deals} / 3 + 1), 1 + i % ({deals} / 5 + 1),
    1 + i % 3, (1 + i % 3) * 10 + 1 + depth, status, 100 + i % 50000,
    'BRL', case when status = 'lost' then 'Motivo ' || i % 8 end, 'ManuallyCreated', false, false,
    added, coalesce(closed, moved), case when depth > 0 then moved end,
    case when status = 'won' then closed end, case when status = 'lost' then closed end, closed,
    added::date + 60, i % 7, '[]', {fields}
from (
    select
        i, depth, status, added, added + depth * interval '2 days' as moved,
        case when status <> 'open' then added + (depth + 3) * interval '2 days' end as closed
    from (
        select
            i, (hashint8(i) & 1023) % 5 as depth,
            (array['open', 'won', 'lost', 'lost', 'won', 'open', 'lost'])[1 + (hashint8(i + 7) & 1023) % 7] as status,
            timestamptz '2024-01-01Z' + i * (interval '900 days' / {deals}) as added
        from generate_series(1::bigint, {deals}) as i
    ) as drawn
) as timed
"""

CHANGES = """
with moves as (
    select
        deals.id as deal_id, 'stage_id' as field_key, (pipeline_id * 10 + step)::text as old_value,
        (pipeline_id * 10 + step + 1)::text as new_value, add_time + step * interval '2 days' as changed_at
    from deals cross join lateral generate_series(1, stage_id - pipeline_id * 10 - 1) as step
), closings as (
    select id, 'status', 'open', status, close_time from deals where status <> 'open'
), noise as (
    select id, field, null, (value - step)::text, add_time + step * interval '1 hour'
    from deals cross join generate_series(1, 2) as step cross join unnest(array['value', 'title']) as field
    where (hashint8(id + 3) & 3) <> 0 or field = 'value'
), changes as (
    select * from moves union all select * from closings union all select * from noise
)
insert into deal_changelog (id, deal_id, field_key, old_value, new_value, actor_user_id, "time", second_seq)
select md5(concat_ws('|', deal_id, field_key, new_value, changed_at)), deal_id, field_key, old_value, new_value,
    1 + deal_id % 50, changed_at, 0
from changes
"""

REST = """
insert into deal_changelog_sync (deal_id, synced_through, pages, events, complete)
select id, timestamptz '2026-07-01Z', 1, 5, true from deals;
alter table deals add primary key (id);
alter table deal_changelog add primary key (id);
alter table deal_changelog_sync add primary key (deal_id);
alter table organizations add primary key (id);
alter table persons add primary key (id);
analyze deals; analyze deal_changelog; analyze deal_changelog_sync; analyze organizations; analyze persons
"""

#: Deals drawn by round move a stage on, are lost, deleted, swept away, or lose their fields. Of two
#: in three the changelog is read; of the others only a later copy tells.
EDITS = """
create temp table edited on commit drop as
select
    deals.*, timestamptz '2026-07-01Z' + {round} * interval '1 day' + (id % 3600) * interval '1 second' as moment,
    id % 7 as kind, id % 3 <> 0 as is_read
from deals where not is_deleted order by hashint8(id * 31 + {round}) limit {deals};
update deals set
    stage_id = case when edited.kind < 3 then edited.pipeline_id * 10 + 1 + (edited.stage_id + {round}) % 5
        else edited.stage_id end,
    stage_change_time = case when edited.kind < 3 then edited.moment else edited.stage_change_time end,
    status = case when edited.kind = 3 then 'lost' when edited.kind = 4 then 'open' else edited.status end,
    won_time = case when edited.kind in (3, 4) then null else edited.won_time end,
    lost_time = case edited.kind when 3 then edited.moment when 4 then null else edited.lost_time end,
    close_time = case edited.kind when 3 then edited.moment when 4 then null else edited.close_time end,
    value = edited.value + edited.kind, is_deleted = edited.kind = 5,
    custom_fields = case when edited.kind = 6 then null else edited.custom_fields end,
    update_time = edited.moment, _sdc_batched_at = clock_timestamp()
from edited where deals.id = edited.id;
update deals set _sdc_deleted_at = edited.moment from edited where deals.id = edited.id and edited.id % 11 = 0;
insert into deal_changelog (id, deal_id, field_key, old_value, new_value, actor_user_id, "time", second_seq,
    _sdc_batched_at)
select md5(concat_ws('|', was.id, change.field_key, change.new_value, was.moment)), was.id, change.field_key,
    change.old_value, change.new_value, 1, was.moment, 0, clock_timestamp()
from edited as was inner join deals as is_now on was.id = is_now.id
cross join lateral (values
    ('stage_id', was.stage_id::text, is_now.stage_id::text), ('status', was.status, is_now.status),
    ('value', was.value::text, is_now.value::text)
) as change (field_key, old_value, new_value)
where was.is_read and change.old_value <> change.new_value;
update deal_changelog_sync set synced_through = edited.moment + interval '1 minute', _sdc_batched_at = clock_timestamp()
from edited where deal_changelog_sync.deal_id = edited.id and edited.is_read
"""


def fill(url: str, deals: int) -> None:
    """Write the raw tables of an account with so many deals."""
    values = ", ".join(
        f"'{digit * 40}', case when (hashint8(i + {nr}) & 7) < 3 then {value} end"
        for nr, (digit, _, _, value) in enumerate(FIELDS)
    )
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("drop schema if exists pipedrive cascade; create schema pipedrive")
        cursor.execute("set search_path = pipedrive; set work_mem = '64MB'; set jit = off")
        cursor.execute(TABLES)
        cursor.execute(FIXED.replace("%(deals)s", str(deals)).replace("%%", "%"))
        cursor.executemany(
            "insert into deal_fields (field_code, field_name, field_type, is_custom_field, options)"
            " values (%s, %s, %s, true, (select jsonb_agg(jsonb_build_object("
            "'id', o, 'label', 'Opção ' || o)) from generate_series(1, 6) as o))",
            [(digit * 40, label, kind) for digit, kind, label, _ in FIELDS],
        )
        cursor.execute(DEALS.format(deals=deals, fields=f"jsonb_build_object({values})"))
        cursor.execute(CHANGES)
        cursor.execute(REST)


def edit(url: str, deals: int, nr: int = 1) -> None:
    """Let so many deals go on, in a round that has a number."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("set search_path = pipedrive")
        cursor.execute(EDITS.format(deals=deals, round=nr))


def main() -> None:
    """Do one of the two from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("fill", "edit"))
    parser.add_argument("url")
    parser.add_argument("deals", type=int)
    parser.add_argument("round", type=int, nargs="?", default=1)
    given = parser.parse_args()
    if given.what == "fill":
        fill(given.url, given.deals)
    else:
        edit(given.url, given.deals, given.round)


if __name__ == "__main__":
    main()
