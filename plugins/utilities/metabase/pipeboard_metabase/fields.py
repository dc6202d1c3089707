"""Names and descriptions of tables and fields.

What dbt models is described by dbt-metabase from the manifest. The columns that an account's custom
fields brought are in no manifest; they are described from the dictionary, marts.dim_custom_field.
Both only say what shall be: what differs from what Metabase has is sent, once per field.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dbtmetabase._models as dbt_metabase_models
from dbtmetabase import DbtMetabase, Filter
from dbtmetabase.errors import MetabaseStateError

from pipeboard_metabase.client import Client
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.run import Run
from pipeboard_metabase.settings import SCHEMAS
from pipeboard_metabase.warehouse import CustomField

WIDE = ("marts", "deal_wide")
#: What the companion columns of a custom field hold.
PARTS = (
    *("currency", "until", "timezone", "id", "ids", "street", "number", "unit", "district"),
    *("city", "county", "state", "country", "postcode", "formatted"),
)
#: A description of this length is enough for a list of options.
LONGEST = 1000


class Recorder:
    """In place of dbt-metabase's connection: gives what was read, and records what it sets."""

    def __init__(self, database: int, name: str, tables: Sequence[Mapping[str, Any]]) -> None:
        self._database = {"id": database, "name": name}
        # dbt-metabase writes into what it is given.
        self._tables = [
            {**table, "fields": [dict(field) for field in table.get("fields", [])], "db": None}
            for table in tables
        ]
        self.bodies: dict[tuple[str, int], dict[str, Any]] = {}

    def find_database(self, name: str) -> Mapping[str, Any]:
        """Return the one database, whatever its name."""
        return self._database

    def sync_database_schema(self, uid: int) -> None:
        """Nothing to do: Metabase knows every column by now."""

    def get_database_metadata(self, uid: int) -> Mapping[str, Any]:
        """Return the tables and fields that Metabase knows."""
        return {"engine": "postgres", "tables": self._tables}

    def update_table(self, uid: int, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Record the changes of a table."""
        self.bodies[("table", uid)] = dict(body)
        return body

    def update_field(self, uid: int, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Record the changes of a field."""
        self.bodies[("field", uid)] = dict(body)
        return body


class _Describer(DbtMetabase):
    """dbt-metabase over a recorder: it neither logs in nor sends anything itself."""

    def __init__(self, manifest: Any, recorder: Recorder) -> None:
        super().__init__(manifest_path=manifest, metabase_url="http://", metabase_api_key="none")
        self._recorder = recorder

    @property
    def metabase(self) -> Any:
        return self._recorder


def describe(run: Run, database: int, tables: Sequence[Mapping[str, Any]]) -> None:
    """Describe every table and field that differs."""
    if not tables:
        run.console.note("fields", "apply will describe tables and fields once Metabase knows them")
        return
    wanted = modelled(run, database, tables)
    for key, body in customs(run, tables).items():
        wanted.setdefault(key, {}).update(body)
    for kind, item, label in _items(tables):
        body = {
            name: value
            for name, value in wanted.get((kind, item["id"]), {}).items()
            if item.get(name) != value
        }
        if body:
            path = f"{kind}/{item['id']}"
            run.change("update", kind, label, _putting(path, body), _differences(item, body))


def _putting(path: str, body: Mapping[str, Any]) -> Any:
    def put(client: Client) -> Any:
        return client.put(path, body)

    return put


def _items(tables: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    for table in tables:
        name = f"{table['schema']}.{table['name']}"
        yield "table", table, name
        for field in table.get("fields", []):
            yield "field", field, f"{name}.{field['name']}"


def _differences(item: Mapping[str, Any], body: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {_short(item.get(name))} -> {_short(new)}" for name, new in body.items()]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def modelled(
    run: Run, database: int, tables: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, int], dict[str, Any]]:
    """Return what dbt-metabase would set, by kind and number."""
    if run.settings.manifest is None:
        run.console.note("fields", "no manifest of dbt: models are not described (run `make sync`)")
        return {}
    recorder = Recorder(database, run.settings.database_name, tables)
    describer = _Describer(run.settings.manifest, recorder)
    present = {(table["schema"], table["name"]) for table in tables}
    models = [
        model.name
        for model in describer.manifest.read_models()
        if (model.schema, model.alias) in present and model.schema in SCHEMAS
    ]
    if not models:
        return {}
    try:
        with _at_once():
            describer.export_models(
                metabase_database=run.settings.database_name,
                schema_filter=Filter(include=list(SCHEMAS)),
                model_filter=Filter(include=models),
                skip_sources=True,
                sync_timeout=0,
            )
    except MetabaseStateError as error:
        # A column of the manifest that the warehouse does not have: dbt built another state.
        what = f"dbt's manifest does not fit the warehouse: {error}"
        raise PipeboardError(what, "Build it again: `make sync`", ExitCode.DATA) from None
    return recorder.bodies


@contextmanager
def _at_once() -> Iterator[None]:
    """Keep dbt-metabase from waiting for a finished sync, and from logging."""
    logger = logging.getLogger("dbtmetabase")
    seconds, level = dbt_metabase_models._SYNC_PERIOD, logger.level
    dbt_metabase_models._SYNC_PERIOD = 0
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        dbt_metabase_models._SYNC_PERIOD = seconds
        logger.setLevel(level)


def customs(run: Run, tables: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """Return names and descriptions of the columns of custom fields, by kind and number."""
    columns = {
        field["name"]: int(field["id"])
        for table in tables
        if (table["schema"], table["name"]) == WIDE
        for field in table.get("fields", [])
    }
    found = {}
    for custom in run.contents.custom_fields:
        for part in ("", *PARTS):
            name = f"{custom.column}_{part}" if part else custom.column
            if name in columns:
                found[("field", columns[name])] = {
                    "display_name": f"{custom.label} ({run.text(f'part.{part}')})"
                    if part
                    else custom.label,
                    "description": _described(run, custom),
                }
    return found


def _described(run: Run, custom: CustomField) -> str:
    """Say what the account says about a field, and what it may hold."""
    parts = (
        [custom.description.strip()] if custom.description and custom.description.strip() else []
    )
    parts.append(f"{run.text('phrase.custom_field')} ({custom.type}).")
    if custom.options:
        parts.append(f"{run.text('phrase.options')}: {custom.options}.")
    text = " ".join(parts)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
