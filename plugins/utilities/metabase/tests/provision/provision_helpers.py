"""A small warehouse that a reader may read, a few definitions, and the command between them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pipeboard_metabase import cli
from pipeboard_metabase.definitions import (
    Column,
    Definitions,
    Filter,
    read_card,
    read_dashboard,
)
from pipeboard_metabase.translations import Translations, load_translations
from standin import StandIn

PACKAGE = Path(__file__).resolve().parents[2]
ROOT = PACKAGE.parents[2]
EMAIL, PASSWORD = "admin@example.org", "correct horse battery staple"
READER_PASSWORD = 'it\'s $a "pass/word"'

WAREHOUSE = """
create schema marts; create schema ops; create schema pipedrive;
create table pipedrive.deals (id int);
create table marts.dim_pipeline (pipeline_id int, name text);
create table marts.dim_user (user_id int, name text);
create table marts.dim_date (date_day date);
create table marts.fct_deal (
    deal_id int, title text, pipeline_id int, owner_id int, value_base numeric
);
create table marts.gone (x int, y int);
alter table marts.gone drop column y;
create table ops.ops_etl_run (run_id int);
create view marts.deal_wide as
    select
        deal_id, title, null::numeric as cf_bonus, null::text as cf_bonus_currency, 'x' as cf_tier
    from marts.fct_deal;
create table marts.dim_custom_field (
    entity text, column_name text, label text, description text, option_labels text, field_type text
);
insert into marts.dim_custom_field values
    ('deal', 'cf_bonus', 'Bônus; "drop"', null, null, 'monetary'),
    ('deal', 'cf_tier', 'Tier', 'How big. ', 'A; B', 'enum'),
    ('person', 'cf_tier', 'Not a deal''s', null, null, 'enum'),
    ('deal', 'cf_unpublished', 'Never a column', null, null, 'text');
"""

CARDS = {
    "total": """---
display: scalar
columns: [value_base]
y: value_base
format: {value_base: money}
period: now
---
select sum(value_base) as value_base from marts.fct_deal
where true [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
""",
    "by_owner": """---
display: combo
columns: [owner_name, value_base, n_deals]
x: owner_name
y: [value_base, n_deals]
lines: [n_deals]
right_axis: [n_deals]
format: {value_base: money, n_deals: integer}
size: {w: 12, h: 6}
---
select marts.dim_user.name as owner_name, sum(value_base) as value_base, count(*) as n_deals
from marts.fct_deal
inner join marts.dim_user on user_id = owner_id
where true [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
[[and current_date in (select date_day from marts.dim_date where {{period}})]]
group by 1
""",
    "deals": """---
display: table
columns: [title, deal_url, value_base]
link: {title: deal_url}
period: now
unfiltered: [pipeline]
size: {w: 24, h: 8}
---
select title, 'https://example.org' as deal_url, value_base from marts.fct_deal
""",
}
DASHBOARDS = {
    "sales": """
position: 1
filters: [period, pipeline]
tabs:
  - {key: overview, rows: [[total], [by_owner]]}
  - {key: attention, rows: [[deals], [total]]}
""",
    "list": "{position: 2, filters: [pipeline], rows: [[total], [deals]]}",
}
FILTERS = {
    "period": Filter(
        "period", "date", "past12months~", column=Column("marts", "dim_date", "date_day")
    ),
    "pipeline": Filter("pipeline", "text", column=Column("marts", "dim_pipeline", "name")),
}
OWN_TEXTS = (
    *("card.total", "card.total.description", "card.by_owner", "card.by_owner.description"),
    *("card.deals", "card.deals.description", "dashboard.sales", "dashboard.sales.description"),
    *("dashboard.list", "dashboard.list.description", "tab.overview", "tab.attention"),
    *("filter.period", "filter.pipeline", "phrase.unfiltered", "phrase.filtered"),
    *("phrase.covers", "phrase.chosen", "phrase.running", "period.now", "period.months"),
)


def small_definitions() -> Definitions:
    texts = dict(load_translations().texts)
    texts.update({key: {"en": f"{key} in English", "pt": f"{key}, ó"} for key in OWN_TEXTS})
    cards = {key: read_card("test", f"{key}.sql", text, FILTERS) for key, text in CARDS.items()}
    dashboards = {
        key: read_dashboard(f"{key}.yml", text, cards, FILTERS) for key, text in DASHBOARDS.items()
    }
    return Definitions(cards, dashboards, FILTERS, Translations(texts))


def without_card(definitions: Definitions, key: str) -> Definitions:
    """Return definitions without a card, neither as such nor on any dashboard."""
    return replace(
        definitions,
        cards={k: c for k, c in definitions.cards.items() if k != key},
        dashboards={
            k: replace(d, places=tuple(p for p in d.places if p.card != key))
            for k, d in definitions.dashboards.items()
        },
    )


MANIFEST = {
    "nodes": {
        "model.pipeboard.fct_deal": {
            "description": "One row per deal.",
            "columns": {
                "deal_id": {"name": "deal_id", "description": "The deal's id."},
                "owner_id": {"name": "owner_id", "description": "Whose it is."},
            },
        },
        "model.pipeboard.dim_user": {
            "description": "One row per user.",
            "columns": {"user_id": {"name": "user_id", "description": "The user's id."}},
        },
        "model.pipeboard.never_built": {
            "description": "Not in this warehouse.",
            "columns": {"x": {"name": "x", "description": ""}},
        },
        "model.pipeboard.stg_deals": {
            "description": "Not for people.",
            "columns": {"id": {"name": "id", "description": "Raw."}},
        },
    },
    "sources": {},
    "child_map": {},
    "parent_map": {},
    "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json"},
}


def manifest() -> dict[str, object]:
    """Return dbt's manifest, as far as dbt-metabase reads it."""
    nodes = {}
    for unique, node in MANIFEST["nodes"].items():
        name = unique.rsplit(".", 1)[1]
        schema = "staging" if name.startswith("stg_") else "marts"
        more = {"resource_type": "model", "unique_id": unique, "name": name, "alias": name}
        more |= {"schema": schema, "database": "db", "config": {"materialized": "table"}}
        nodes[unique] = {**more, "meta": {}, "tags": [], "depends_on": {"nodes": []}, **node}
    test = "test.pipeboard.relationships"
    nodes[test] = {
        "resource_type": "test",
        "unique_id": test,
        "name": "relationships_fct_deal_owner_id",
        "config": {"enabled": True},
        "column_name": "owner_id",
        "attached_node": "model.pipeboard.fct_deal",
        "test_metadata": {
            "name": "relationships",
            "kwargs": {"column_name": "owner_id", "field": "user_id", "to": "ref('dim_user')"},
        },
        "refs": [{"name": "dim_user"}, {"name": "fct_deal"}],
        "depends_on": {"nodes": ["model.pipeboard.dim_user", "model.pipeboard.fct_deal"]},
    }
    models = [n for n in nodes if n.startswith("model.")]
    children = {n: [test] if n.endswith(("fct_deal", "dim_user")) else [] for n in models}
    return {**MANIFEST, "nodes": nodes, "child_map": {**children, test: []}}


def readme_sql() -> str:
    """Return what the README tells an administrator to run."""
    (block,) = re.findall(
        r"(?m)^    create role metabase_ro.*(?:\n    .*)*", (PACKAGE / "README.md").read_text()
    )
    return block


@dataclass
class Site:
    """One Metabase, one warehouse, and the command between them."""

    standin: StandIn
    environ: dict[str, str]
    folder: Path
    definitions: Definitions
    out: str = ""
    err: str = ""
    shown: list[str] = field(default_factory=list)

    @property
    def key_file(self) -> Path:
        return self.folder / "metabase" / "api-key"


Command = Callable[..., int]


#: Opens a site: the database's address, dbt's manifest, and what is defined.
OpenSite = Callable[[str, Path, Definitions], Site]


def command(site: Site, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return pipeboard-metabase as a function; what it said is in site.out and site.err."""

    def run(*arguments: str, **more: str) -> int:
        environ = {k: v for k, v in {**site.environ, **more}.items() if v}
        site.standin.log.clear()
        with pytest.raises(SystemExit) as end:
            cli.main(list(arguments), environ)
        site.out, site.err = capsys.readouterr()
        site.shown += [site.out, site.err]
        for message in (site.out, site.err):
            assert PASSWORD not in message and READER_PASSWORD not in message
        return int(end.value.code or 0)

    return run
