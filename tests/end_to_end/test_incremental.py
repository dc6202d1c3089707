"""Kept deal by deal or built from nothing, the tables are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from conftest import COMMANDS, ROOT

from pipeboard.embedded_postgres import EmbeddedPostgres
from pipeboard.paths import Paths
from pipeboard.services import Services

sys.path.insert(0, str(ROOT / "tests"))
from bench import warehouse

BY_DEAL = (
    *("intermediate.int_deal_state_changes", "intermediate.int_deal_observed_changes"),
    *("intermediate.int_deal_history", "intermediate.int_deal_states"),
    *("marts.fct_deal", "marts.fct_deal_stage_history", "marts.deal_wide", "marts.dim_stage"),
    *("marts.fct_deal_custom_field", "marts.fct_deal_custom_option", "marts.dim_custom_field"),
)
#: A field is made and a stage goes to the end of its board: both change deals that did not.
DEFINITIONS = """
    insert into pipedrive.deal_fields (field_code, field_name, field_type, is_custom_field)
    values (repeat('e', 40), 'Novo', 'double', true);
    update pipedrive.deals set
        custom_fields = custom_fields || jsonb_build_object(repeat('e', 40), id),
        _sdc_batched_at = clock_timestamp()
    where id % 50 = 0;
    update pipedrive.stages set order_nr = 9 where id = 12
"""


@dataclass(frozen=True)
class Warehouse:
    """A database with raw tables, and dbt on it."""

    url: str
    state: Path

    def dbt(self, *words: str) -> None:
        """Run dbt with a "now" that stands still."""
        outcome = subprocess.run(
            [str(COMMANDS / "dbt"), *words, "--vars", '{as_of: "2026-09-01 00:00:00+00"}'],
            cwd=ROOT / "transform",
            env={
                **os.environ,
                "PIPEBOARD_DATABASE_URL": self.url,
                "DBT_TARGET_PATH": str(self.state / "target"),
                "DBT_LOG_PATH": str(self.state / "logs"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stdout[-4000:]

    def build(self, *words: str) -> None:
        """Build everything, and leave out what only tests."""
        self.dbt("build", "--exclude-resource-type", "test", "unit_test", *words)

    def contents(self) -> dict[str, tuple[object, ...]]:
        """Return rows and fingerprint of each table, whatever the order of its columns."""
        with psycopg.connect(self.url) as connection:
            return {
                table: connection.execute(
                    "select count(*), md5(string_agg(line, '|' order by line))"
                    f" from (select to_jsonb(x)::text as line from {table} as x) as lines".encode()
                ).fetchone()
                or ()
                for table in BY_DEAL
            }


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Warehouse]:
    server = EmbeddedPostgres(tmp_path / "postgres")
    url = server.start(Services(Paths(ROOT)).binaries(), "warehouse")["warehouse"]
    yield Warehouse(url, tmp_path)
    server.destroy()


@pytest.mark.long
def test_kept_and_rebuilt_tables_are_the_same(raw: Warehouse) -> None:
    warehouse.fill(raw.url, 2_000)
    raw.build()
    for nr in (1, 2, 3):
        warehouse.edit(raw.url, 200, nr)
        if nr == 3:
            with psycopg.connect(raw.url) as connection:
                connection.execute(DEFINITIONS.encode())
        raw.build()
    kept = raw.contents()
    assert kept["intermediate.int_deal_observed_changes"][0], "no snapshot told anything"
    raw.build("--full-refresh")
    assert raw.contents() == kept
    raw.dbt("test", "--select", "test_type:singular")
