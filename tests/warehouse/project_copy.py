"""A copy of the dbt project, and the comparison of what it built with a full refresh."""

# ruff: noqa: E501 (SQL has a width of its own)
from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from warehouse_helpers import ROOT, Finished, Warehouse

SCHEMAS = ("intermediate", "marts", "ops")
#: Columns that say when something was built. They are the only ones that may differ.
BUILD_TIMES = {
    "intermediate.int_deal_versions": {"version"},
    "intermediate.int_warehouse_clock": {"set_at"},
    "intermediate.int_raw_loads": {"noticed_at"},
    "ops.ops_row_counts": {"counted_at"},
    "ops.ops_stream_freshness": {"hours_old"},
}
#: Not results, but the engine's own notes, and what loaders and Meltano write.
NOT_COMPARED = {
    "int_build_watermarks",
    "ops_dbt_model_build",
    "ops_dbt_model_status",
    "stream_load",
    "quarantine",
    "etl_run",
    "load_run",
}
#: Instead of the clock: a full refresh sets "now" anew, which ages are counted by.
AS_OF = "2026-06-16T12:00:00Z"
RATES = {
    ("2026-01-01", "USD", "BRL"): "5.1",
    ("2026-05-01", "USD", "BRL"): "5.3",
    ("2026-06-10", "USD", "BRL"): "5.4",
    ("2026-03-01", "EUR", "BRL"): "6.2",
}


@dataclass
class Project:
    """A copy of the dbt project, the settings it is built with, and its warehouse."""

    folder: Path
    warehouse: Warehouse
    variables: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=lambda: {"AS_OF": AS_OF})
    rates: dict[tuple[str, str, str], str] = field(default_factory=lambda: dict(RATES))

    def build(self, *arguments: str) -> None:
        """Build all models, without tests."""
        exclude = ("--exclude-resource-type", "test", "unit_test")
        done = self.run("build", *exclude, *arguments)
        assert done.returncode == 0, done.stdout[-4000:]

    def run(self, *arguments: str) -> Finished:
        """Run a command of dbt in the copy."""
        self.seed(
            "fx_rates",
            "rate_date,from_currency,to_currency,rate",
            {(*k, v) for k, v in self.rates.items()},
        )
        places = (
            "--vars", yaml.safe_dump(self.variables, default_flow_style=True),
            "--project-dir", self.folder, "--profiles-dir", self.folder,
            "--target-path", self.folder / "target", "--log-path", self.folder / "logs",
        )  # fmt: skip
        return self.warehouse.dbt(*arguments, *map(str, places), **self.environ)

    def seed(self, name: str, header: str, rows: set[tuple[str, ...]]) -> None:
        lines = (",".join(row) for row in sorted(rows))
        (self.folder / "seeds" / f"{name}.csv").write_text("\n".join((header, *lines)) + "\n")

    def relations(self) -> list[str]:
        return [
            f"{schema}.{name}"
            for schema, name in self.warehouse.rows(
                "select table_schema, table_name from information_schema.tables "
                f"where table_schema in {SCHEMAS} order by 1, 2"
            )
            if name not in NOT_COMPARED
        ]

    def columns(self, relation: str) -> str:
        schema, name = relation.split(".")
        return ", ".join(
            f'"{column}"'
            for (column,) in self.warehouse.rows(
                f"select column_name from information_schema.columns where table_schema = '{schema}' "
                f"and table_name = '{name}' order by ordinal_position"
            )
            if column not in BUILD_TIMES.get(relation, set())
        )

    def differences(self, *arguments: str) -> dict[str, list[Any]]:
        """Copy what was built, build it all anew, and return the rows that differ, by relation."""
        relations = self.relations()
        queries = {name: f"select {self.columns(name)} from {name}" for name in relations}
        copies = {name: f'copies."{name}"' for name in relations}
        self.warehouse.write("drop schema if exists copies cascade; create schema copies")
        self.warehouse.write(
            "; ".join(f"create table {copies[name]} as {queries[name]}" for name in relations)
        )
        # Views of staging have no rows of their own.
        self.build("--full-refresh", *arguments, "--exclude", "staging")
        assert self.relations() == relations
        found = {}
        for name in relations:
            now, before = queries[name], f"select * from {copies[name]}"
            rows = self.warehouse.rows(
                f"(select 'only incremental', r::text from ({before} except all {now}) as r limit 3) union all "
                f"(select 'only full', r::text from ({now} except all {before}) as r limit 3)"
            )
            if rows:
                found[name] = rows
        return found


def copy_project(folder: Path, warehouse: Warehouse) -> Project:
    """Copy our project; in the copy, the environment variable AS_OF says what time it is."""
    shutil.copytree(ROOT / "transform", folder)
    # dbt parses all files for another variable, and one file for another environment variable.
    clock = folder / "models" / "intermediate" / "int_warehouse_clock.sql"
    text = clock.read_text()
    assert "var('as_of')" in text
    clock.write_text(text.replace("var('as_of')", "env_var('AS_OF')"))
    return Project(folder, warehouse)
