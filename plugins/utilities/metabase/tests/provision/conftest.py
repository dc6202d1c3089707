"""A stand-in for Metabase, a small warehouse that a reader may read, and a few definitions."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from pipeboard_metabase import cli, client, connection, setup
from pipeboard_metabase.definitions import Definitions, Filter, read_card, read_dashboard
from pipeboard_metabase.words import Words, load_words
from standin import StandIn

from pipeboard.embedded_postgres import EmbeddedPostgres
from pipeboard.postgres_binaries import Binaries, wheel_binaries

PACKAGE = Path(__file__).resolve().parents[2]
ROOT = PACKAGE.parents[2]
EMAIL, PASSWORD = "admin@example.org", "correct horse battery staple"
READER_PASSWORD = "it's $a \"pass/word\""

WAREHOUSE = """
create schema marts; create schema ops; create schema pipedrive;
create table pipedrive.deals (id int);
create table marts.dim_pipeline (pipeline_id int, name text);
create table marts.dim_user (user_id int, name text);
create table marts.dim_date (date_day date);
create table marts.fct_deal (deal_id int, title text, pipeline_id int, owner_id int, value_base numeric);
create table marts.gone (x int, y int);
alter table marts.gone drop column y;
create table ops.ops_etl_run (run_id int);
create view marts.deal_wide as
    select deal_id, title, null::numeric as cf_bonus, null::text as cf_bonus_currency, 'x' as cf_tier
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
filters: {pipeline: marts.dim_pipeline.name}
unfiltered: [period]
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
filters: {pipeline: marts.dim_pipeline.name, period: marts.dim_date.date_day}
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
unfiltered: [period, pipeline]
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
    "period": Filter("period", "date", "past12months~"),
    "pipeline": Filter("pipeline", "text"),
}
OWN_WORDS = (
    *("card.total", "card.total.description", "card.by_owner", "card.by_owner.description"),
    *("card.deals", "card.deals.description", "dashboard.sales", "dashboard.sales.description"),
    *("dashboard.list", "dashboard.list.description", "tab.overview", "tab.attention"),
    *("filter.period", "filter.pipeline", "phrase.unfiltered"),
)


def small_definitions() -> Definitions:
    words = dict(load_words().texts)
    words.update({key: {"en": f"{key} in English", "pt": f"{key}, ó"} for key in OWN_WORDS})
    cards = {
        key: read_card("test", f"{key}.sql", text, FILTERS) for key, text in CARDS.items()
    }
    dashboards = {
        key: read_dashboard(f"{key}.yml", text, cards, FILTERS)
        for key, text in DASHBOARDS.items()
    }
    return Definitions(cards, dashboards, FILTERS, Words(words))


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


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The small warehouse, as its owner; its reader is made as the README says."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("server"))
    named = os.environ.get("PIPEBOARD_POSTGRES_BIN")
    demo = ROOT / ".pipeboard" / "env" / "demo"
    binaries = Binaries(Path(named)) if named else wheel_binaries(demo)
    url = server.start(binaries, "provisioned", fresh=True)["provisioned"]
    cluster = server.record.load()
    assert cluster is not None
    with psycopg.connect(url) as owner:
        owner.execute(WAREHOUSE)
        for schema in ("marts", "ops"):
            owner.execute(f"grant usage on schema {schema} to bi_read".encode())
            owner.execute(f"grant select on all tables in schema {schema} to bi_read".encode())
    with psycopg.connect(url, user="postgres", password=cluster.superuser_password) as root:
        root.execute(readme_sql().replace(":'password'", _literal(READER_PASSWORD)).encode())
    yield url
    server.destroy()


def readme_sql() -> str:
    """Return what the README tells an administrator to run."""
    (block,) = re.findall(
        r"(?m)^    create role metabase_ro.*(?:\n    .*)*", (PACKAGE / "README.md").read_text()
    )
    return block


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


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


@pytest.fixture
def site(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    for module in (setup, connection):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(client, "BACKOFF_SECONDS", 0.001)
    with psycopg.connect(warehouse) as owner:
        columns = owner.execute(
            "select table_schema, table_name, column_name from information_schema.columns"
            " where table_schema in ('marts', 'ops') order by ordinal_position"
        ).fetchall()
    standin = StandIn([(str(s), str(t), str(c)) for s, t, c in columns], READER_PASSWORD)
    parsed = psycopg.conninfo.conninfo_to_dict(warehouse)
    address = f"{parsed['host']}:{parsed['port']}/{parsed['dbname']}"
    manifest_file = tmp_path / "manifest.json"
    manifest_file.write_text(json.dumps(manifest()))
    found = Site(
        standin,
        {
            "METABASE_URL": standin.url,
            "METABASE_DATABASE_URL": (
                f"postgresql://metabase_ro:{quote(READER_PASSWORD, safe='')}@{address}"
            ),
            "METABASE_ADMIN_EMAIL": EMAIL,
            "METABASE_ADMIN_PASSWORD": PASSWORD,
            "METABASE_DBT_MANIFEST": str(manifest_file),
            "METABASE_TIMEOUT_SECONDS": "5",
            "PIPEBOARD_STATE_DIR": str(tmp_path),
        },
        tmp_path,
        small_definitions(),
    )
    monkeypatch.setattr(cli, "load", lambda: found.definitions)
    yield found
    standin.close()
    # Whatever a test is about: not one request may be what Metabase's document does not know.
    assert standin.violations == []


@pytest.fixture
def run(site: Site, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run pipeboard-metabase; return its exit code. What it said is in site.out and site.err."""

    def command(*arguments: str, **more: str) -> int:
        environ = {k: v for k, v in {**site.environ, **more}.items() if v}
        site.standin.log.clear()
        with pytest.raises(SystemExit) as end:
            cli.main(list(arguments), environ)
        site.out, site.err = capsys.readouterr()
        site.shown += [site.out, site.err]
        for said in (site.out, site.err):
            assert PASSWORD not in said and READER_PASSWORD not in said
        return int(end.value.code or 0)

    return command


_APPLIED: list[tuple[dict[str, Any], str]] = []


@pytest.fixture
def applied(site: Site, run: Command) -> Site:
    """A Metabase as the files say; applied once, and the same again for every test."""
    if not _APPLIED:
        assert run("apply") == 0, site.err
        _APPLIED.append((site.standin.save(), site.key_file.read_text()))
    state, key = _APPLIED[0]
    site.standin.load(state)
    site.key_file.parent.mkdir(exist_ok=True)
    site.key_file.write_text(key)
    return site
