"""`pipeboard docs` and `pipeboard look`: of which environment, and what dbt's failure shows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from stand_ins import program

from pipeboard.commands.data_dictionary import described_environment, write_data_dictionary
from pipeboard.commands.static_dashboard import write_static_dashboard
from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import DEMO_DATABASE, OWN_DATABASE
from pipeboard.errors import PipeboardError
from pipeboard.local.postgres_binaries import Binaries
from pipeboard.local.services import Services
from pipeboard.paths import Paths

WRITE_PAGE = 'mkdir -p "$DBT_TARGET_PATH" && echo page > "$DBT_TARGET_PATH/static_index.html"'


@pytest.fixture
def services(tmp_path: Path, database: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> Services:
    """Of an account whose database is named."""
    monkeypatch.setenv("PIPEBOARD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", database.url)
    return Services(Paths(tmp_path))


def test_the_dictionary_is_written_below_build(services: Services, database: DatabaseUrl) -> None:
    out = io.StringIO()
    program(services.paths, "dbt", f'[ "$*" = "docs generate --static" ] && {WRITE_PAGE}')
    page = write_data_dictionary(services, Console(out))
    assert page == services.paths.root / "build" / "docs" / "index.html"
    assert page.read_text() == "page\n"
    assert out.getvalue().splitlines() == [
        f"docs          of {database.place}",
        "docs          build/docs/index.html",
    ]


def test_a_failure_of_dbt_is_shown_without_secrets(
    services: Services, database: DatabaseUrl
) -> None:
    program(services.paths, "dbt", 'echo "no $PIPEBOARD_DATABASE_URL"', "exit 2")
    with pytest.raises(PipeboardError, match="dbt cannot write the data dictionary: no") as caught:
        write_data_dictionary(services, Console(io.StringIO()))
    assert database.password not in str(caught.value)
    assert caught.value.code == 65


@pytest.mark.parametrize(("exit_code", "expected"), [(0, 0), (65, 65)])
def test_the_static_dashboard_shows_its_gaps(
    services: Services, exit_code: int, expected: int
) -> None:
    complaint = "echo 'pipeboard-metabase: card x: no' >&2"
    program(services.paths, "pipeboard-metabase", complaint, "echo file:///p", f"exit {exit_code}")
    out = io.StringIO()
    assert write_static_dashboard(services, Console(out)) == expected
    assert ("card x: no" in out.getvalue()) == bool(exit_code)
    assert "dashboard     file:///p" in out.getvalue()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, binaries: Binaries) -> Iterator[Services]:
    """Of an account that names no database."""
    folder = tmp_path_factory.mktemp("embedded")
    (folder / "meltano.yml").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPEBOARD_STATE_DIR", str(folder / "state"))
        patch.setenv("PIPEBOARD_POSTGRES_BIN", str(binaries.folder))
        patch.delenv("PIPEBOARD_DATABASE_URL", raising=False)
        found = Services(Paths(folder))
        yield found
        found.postgres.destroy()


@pytest.mark.long
def test_the_environment_whose_marts_are_built_is_described(embedded: Services) -> None:
    embedded.postgres.destroy()
    out = io.StringIO()
    with pytest.raises(PipeboardError, match="no marts are built yet"):
        described_environment(embedded, Console(out))
    assert out.getvalue().startswith("postgres      embedded, on 127.0.0.1:")
    url = embedded.start_postgres(Console(out), OWN_DATABASE)
    with psycopg.connect(url) as connection:
        connection.execute("create schema marts; create table marts.fct_deal ()")
    assert described_environment(embedded, Console(out)).database.database == OWN_DATABASE


@pytest.mark.long
def test_the_demo_is_described_where_only_its_marts_are_built(
    embedded: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.start_postgres(Console(io.StringIO()), OWN_DATABASE, fresh=True)
    url = embedded.start_postgres(Console(io.StringIO()), DEMO_DATABASE)
    with psycopg.connect(url) as connection:
        connection.execute("create schema if not exists marts; create table marts.fct_deal ()")
    root = Path(__file__).parents[2]
    (embedded.paths.root / "meltano.yml").write_bytes((root / "meltano.yml").read_bytes())
    (embedded.paths.binaries).parent.mkdir(exist_ok=True)
    embedded.paths.binaries.symlink_to(root / ".pipeboard" / "bin")
    embedded.paths.demo.mkdir(parents=True)
    # The account of the demo: it exists already, so that its database is not made anew.
    (embedded.paths.demo / "account.state").touch()
    (embedded.paths.demo / "plan.json").write_text('{"deals": 20, "seed": 1}')
    try:
        found = described_environment(embedded, Console(io.StringIO()))
    finally:
        embedded.simulator.stop()
    assert (found.kind, found.database.database) == ("demo", DEMO_DATABASE)
