from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipeboard.cli import command_in, means_demo
from pipeboard.environments import demo_environment, own_environment, settings
from pipeboard.errors import PipeboardError
from pipeboard.local.services import Services
from pipeboard.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
URL = "postgresql://ana:secret@db/crm"
STREAMS = ("deals", "goals")
ACCOUNT = {"token": "simulated-token", "company_domain": "simulated", "url": "http://127.0.0.1:1"}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / ".pipeboard").mkdir()
    shutil.copy(ROOT / "meltano.yml", tmp_path)
    return Paths(tmp_path)


def test_what_is_set_wins_over_the_file_and_empty_means_not_set(paths: Paths) -> None:
    paths.dotenv.write_text(
        "PIPEDRIVE_API_TOKEN=from-file\nPIPEDRIVE_COMPANY_DOMAIN=acme  # a comment\n"
        "PIPEDRIVE_DAILY_TOKENS=\nexport REDIS_URL='redis://x'\n"
    )
    found = settings(paths, {"PIPEDRIVE_API_TOKEN": "set", "PIPEDRIVE_API_URL": "", "A": ""})
    assert found == {
        "PIPEDRIVE_API_TOKEN": "set",
        "PIPEDRIVE_COMPANY_DOMAIN": "acme",
        "REDIS_URL": "redis://x",
        "A": "",
    }


def test_an_empty_variable_hides_the_file(paths: Paths) -> None:
    paths.dotenv.write_text("PIPEDRIVE_API_TOKEN=from-file\n")
    assert settings(paths, {"PIPEDRIVE_API_TOKEN": ""}) == {}


def test_nothing_personal_is_in_the_demo(paths: Paths) -> None:
    paths.dotenv.write_text("PIPEDRIVE_API_TOKEN=real\nPIPEDRIVE_START_DATE=2020-01-01\n")
    personal = {
        "PIPEDRIVE_API_TOKEN": "real",
        "PIPEDRIVE_START_DATE": "2020-01-01",
        "TAP_PIPEDRIVE_PAGE_SIZE": "1",
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "elsewhere",
        "PIPEBOARD_BASE_CURRENCY": "EUR",
        "MELTANO_DATABASE_URI": "postgresql://real/state",
        "DBT_TARGET": "prod",
        "PGHOST": "real",
        "REDIS_URL": "redis://real",
        "PUSHGATEWAY_URL": "http://real",
        "HOME": "/home/ana",
        "PIPEBOARD_SCHEDULED": "true",
    }
    environment = demo_environment(paths, personal, URL, ACCOUNT, None, STREAMS)
    assert environment.variables["PIPEBOARD_SCHEDULED"] == "true", "a schedule may start it"
    assert "real" not in " ".join(environment.variables.values())
    assert not {"PIPEDRIVE_START_DATE", "TAP_PIPEDRIVE_PAGE_SIZE", "DBT_TARGET"} & set(
        environment.variables
    )
    assert environment.variables["PIPEDRIVE_API_TOKEN"] == "simulated-token"
    assert environment.variables["MELTANO_ENVIRONMENT"] == "demo"
    assert environment.variables["TAP_PIPEDRIVE__SELECT"] == '["deals.*", "goals.*"]'
    assert environment.variables["PYTHON_DOTENV_DISABLED"] == "1"
    assert environment.variables["HOME"] == "/home/ana"


def test_a_program_inside_the_demo_never_reads_dotenv(paths: Paths) -> None:
    """As the flows start one: `pipeboard env --demo -- pipeboard run reference`."""
    paths.dotenv.write_text("PIPEDRIVE_DAILY_TOKENS=500\nREDIS_URL=redis://real\n")
    inside = demo_environment(paths, {"PIPEBOARD_LOG_FORMAT": "json"}, URL, ACCOUNT).variables
    assert inside["PIPEBOARD_LOG_FORMAT"] == "json"
    environment = own_environment(paths, settings(paths, inside), URL, embedded=False)
    assert not {"PIPEDRIVE_DAILY_TOKENS", "REDIS_URL"} & set(environment.variables)
    assert (environment.name, environment.variables["MELTANO_RUN_STATE_ID_SUFFIX"]) == (
        *("demo", "simulated"),
    )


def suffix(paths: Paths, url: str = URL, **given: str) -> str:
    return own_environment(paths, given, url, embedded=False).variables[
        "MELTANO_RUN_STATE_ID_SUFFIX"
    ]


def test_another_account_or_database_has_another_state(paths: Paths) -> None:
    acme = suffix(paths, PIPEDRIVE_COMPANY_DOMAIN="acme")
    assert acme == suffix(paths, PIPEDRIVE_COMPANY_DOMAIN="Acme", PIPEDRIVE_API_TOKEN="renewed")
    assert acme == suffix(paths, PIPEDRIVE_COMPANY_DOMAIN="https://ACME.pipedrive.com/")
    assert acme != suffix(paths, PIPEDRIVE_COMPANY_DOMAIN="other")
    assert acme != suffix(paths, f"{URL}2", PIPEDRIVE_COMPANY_DOMAIN="acme")
    assert acme != suffix(
        paths, PIPEDRIVE_COMPANY_DOMAIN="acme", PIPEDRIVE_API_URL="http://127.0.0.1:1"
    )


def test_a_restored_database_goes_on_but_state_elsewhere_names_its_host(paths: Paths) -> None:
    moved = URL.replace("@db/", "@restored/")
    assert suffix(paths) == suffix(paths, moved)
    elsewhere = {"MELTANO_DATABASE_URI": "postgresql+psycopg://x/y"}
    assert suffix(paths, **elsewhere) != suffix(paths, moved, **elsewhere)


def test_a_run_does_not_get_the_administrator_of_the_database(paths: Paths) -> None:
    given = {"PIPEBOARD_ADMIN_DATABASE_URL": URL, "TRANSFORM_PASSWORD": "secret", "LANG": "C"}
    environ = own_environment(paths, given, URL, embedded=False).variables
    assert set(given) & set(environ) == {"LANG"}


def test_a_role_that_builds_is_checked_like_the_other(paths: Paths) -> None:
    given = {"PIPEBOARD_TRANSFORM_DATABASE_URL": "postgresql://builder:secret@db/crm"}
    transformer = own_environment(paths, given, URL, embedded=False).transformer
    assert transformer is not None
    assert transformer.user == "builder"
    assert own_environment(paths, {}, URL, embedded=False).transformer is None
    broken = own_environment(
        paths, {"PIPEBOARD_TRANSFORM_DATABASE_URL": "mysql://a"}, URL, embedded=False
    )
    with pytest.raises(
        PipeboardError, match="PIPEBOARD_TRANSFORM_DATABASE_URL is not a PostgreSQL URL"
    ):
        _ = broken.transformer


def test_loopback_never_goes_through_a_proxy(paths: Paths) -> None:
    given = {"HTTPS_PROXY": "http://proxy", "no_proxy": "corp"}
    environ = own_environment(paths, given, URL, embedded=False).variables
    assert environ["no_proxy"] == "corp,127.0.0.1,localhost,::1"
    assert environ["NO_PROXY"] == "127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("command", "demo"),
    [
        ("meltano --environment=demo run sync", True),
        ("meltano --environment demo run sync", True),
        ("meltano --environment=prod run sync", False),
        ("meltano run sync", False),
        ("echo --environment=demo", False),
    ],
)
def test_meltanos_environment_demo_gets_the_simulated_account(command: str, demo: bool) -> None:
    assert means_demo(command.split()) is demo


def test_meltano_does_not_read_the_file_itself(paths: Paths) -> None:
    command = command_in(Services(paths), ["meltano", "run", "sync"])
    assert command[:2] == ["meltano", "--env-file"]
    assert Path(command[2]).read_text() == ""
    assert command[3:] == ["run", "sync"]
    assert command_in(Services(paths), ["dbt", "build"]) == ["dbt", "build"]


def test_our_commands_come_first(paths: Paths) -> None:
    path = own_environment(paths, {}, URL, embedded=False).variables["PATH"]
    assert path.split(os.pathsep)[0] == str(paths.binaries)
