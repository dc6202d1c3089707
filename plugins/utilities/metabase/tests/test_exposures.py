"""Lineage from dbt to the dashboards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from card_helpers import Server
from pipeboard_metabase import exposures
from pipeboard_metabase.definitions import Definitions
from pipeboard_metabase.sql import render
from pipeboard_metabase.translations import DefinitionError
from warehouse_helpers import Warehouse


@pytest.fixture(scope="session")
def manifest(nothing: Warehouse, server: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((server.folder / "target" / "manifest.json").read_text())
    return found


def test_the_file_is_current() -> None:
    assert exposures.main(["--check"]) == 0, "run python -m pipeboard_metabase.exposures"


def test_a_faulty_definition_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def faulty() -> Definitions:
        message = "cards/a.sql: unknown colour"
        raise DefinitionError(message)

    monkeypatch.setattr(exposures, "load", faulty)
    assert exposures.main(["--check"]) == 1
    output = capsys.readouterr().err
    assert output.startswith("cards/a.sql: unknown colour. The keys: ") and output.count("\n") == 1


@pytest.mark.long
def test_dbt_knows_every_dashboard(manifest: dict[str, Any], definitions: Definitions) -> None:
    found = {each["name"]: each for each in manifest["exposures"].values()}
    assert set(found) == {f"dashboard_{key}" for key in definitions.dashboards}
    losses = found["dashboard_losses"]
    assert "model.pipeboard.rpt_lost_reasons" in losses["depends_on"]["nodes"]
    assert losses["url"] == "http://localhost:3000/search?q=Wins%20and%20losses"
    assert losses["owner"]["name"] == "Pipeboard"


def test_no_relation_is_overlooked(definitions: Definitions) -> None:
    for card in definitions.cards.values():
        tree = sqlglot.parse_one(render(card)[0].replace("%%", "%"), read="postgres")
        tables = {table.name for table in tree.find_all(sqlglot.exp.Table) if table.db}
        in_filters = {column.relation for column in card.filters.values()}
        assert tables <= exposures.relations(card) <= tables | in_filters, card.key


def test_the_file_is_written_and_then_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "exposures.yml"
    shipped = exposures.FILE.read_text(encoding="utf-8")
    monkeypatch.setattr(exposures, "FILE", file)
    assert exposures.main(["--check"]) == 1
    assert "exposures.yml is not current: run python -m" in capsys.readouterr().out
    assert exposures.main([]) == 0
    assert file.read_text(encoding="utf-8") == shipped
    assert exposures.main(["--check"]) == 0
    file.write_text(shipped + "# by hand\n")
    assert exposures.main(["--check"]) == 1


def test_the_command_ends_with_the_outcome() -> None:
    command = [sys.executable, "-m", "pipeboard_metabase.exposures", "--check"]
    assert subprocess.run(command, check=False).returncode == 0
