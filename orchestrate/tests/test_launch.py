"""The program that starts every child: which secrets it passes on, and what it cleans up."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stand_ins import MEASURED

from pipeboard import launch

GIVEN = {
    "PATH": os.environ["PATH"],
    "LANG": "pt_BR.UTF-8",
    "PIPEBOARD_RUN_ID": "run",
    "PIPEDRIVE_COMPANY_DOMAIN": "acme",
    "PIPEDRIVE_API_TOKEN": "of-the-account",
    "TAP_PIPEDRIVE_OAUTH_REFRESH_TOKEN": "of-the-account-too",
    "REDIS_URL": "redis://:of-redis@host:6379/0",
    "PIPEBOARD_DATABASE_URL": "postgresql://loader:of-the-loader@host/warehouse",
    "PIPEBOARD_METRICS_DATABASE_URL": "postgresql://metrics:of-the-metrics@host/warehouse",
    "MELTANO_DATABASE_URI": "postgresql+psycopg://loader:of-the-loader@host/warehouse",
    "TARGET_POSTGRES_SQLALCHEMY_URL": "postgresql://loader:of-the-loader@host/warehouse",
    "PGPASSWORD": "of-libpq",
    "PGHOST": "host",
    "METABASE_API_KEY": "of-metabase",
    "PREFECT_API_AUTH_STRING": "pipeboard:of-prefect",
    "AWS_SECRET_ACCESS_KEY": "of-a-cloud",
    "SOMETHING_ELSE": "https://user:of-something-else@host/",
}
OF_MELTANO = set(GIVEN) - {"PATH", "LANG"}
#: As the commands in .pipeboard/bin start it; `make coverage` measures no process without `site`.
PYTHON = [sys.executable, *([] if MEASURED else ["-I", "-S"])]


def started(name: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Start a program of this name: here one that prints its variables."""
    return subprocess.run(
        [*PYTHON, launch.__file__, name, *(arguments or (sys.executable, "-c", DUMP))],
        env={**GIVEN, **MEASURED, **environ},
        text=True,
        capture_output=True,
        check=False,
    )


DUMP = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "tap-pipedrive",
            {"PIPEDRIVE_API_TOKEN", "TAP_PIPEDRIVE_OAUTH_REFRESH_TOKEN", "REDIS_URL"},
        ),
        ("target-postgres", {"TARGET_POSTGRES_SQLALCHEMY_URL", "PGPASSWORD", "PGHOST"}),
        ("dbt", {"PIPEBOARD_DATABASE_URL", "PGPASSWORD", "PGHOST"}),
        (
            "pipeboard-metabase",
            {"PIPEBOARD_DATABASE_URL", "METABASE_API_KEY", "PGPASSWORD", "PGHOST"},
        ),
        ("pipedrive-simulator", set()),
        ("pip", set()),
    ],
)
def test_a_program_gets_the_secrets_it_needs_and_no_others(name: str, expected: set[str]) -> None:
    found = json.loads(started(name).stdout)
    public = {"PIPEBOARD_RUN_ID", "PIPEDRIVE_COMPANY_DOMAIN"}
    assert OF_MELTANO & set(found) == expected | public
    assert found["LANG"] == "pt_BR.UTF-8"


def test_meltano_gets_everything_because_its_plugins_need_it(tmp_path: Path) -> None:
    found = json.loads(started("meltano", MELTANO_SYS_DIR_ROOT=str(tmp_path)).stdout)
    assert set(found) >= OF_MELTANO


def test_dbt_connects_as_the_role_that_builds_where_there_is_one() -> None:
    url = "postgresql://transformer:of-the-transformer@host/warehouse"
    found = json.loads(started("dbt", PIPEBOARD_TRANSFORM_DATABASE_URL=url).stdout)
    assert found["PIPEBOARD_DATABASE_URL"] == url
    assert "of-the-loader" not in json.dumps(found)
    same = json.loads(started("dbt").stdout)
    assert same["PIPEBOARD_DATABASE_URL"] == GIVEN["PIPEBOARD_DATABASE_URL"]


def test_both_commands_that_build_get_one_role_and_one_fingerprint() -> None:
    url = "postgresql://transformer:of-the-transformer@host/warehouse"
    found = [
        json.loads(started(name, PIPEBOARD_TRANSFORM_DATABASE_URL=url, **given).stdout)
        for name in ("dbt", "dbt-changed")
        for given in ({}, {launch.FINGERPRINT: "of the command that started this one"})
    ]
    assert {each["PIPEBOARD_DATABASE_URL"] for each in found} == {url}
    assert len({each[launch.FINGERPRINT] for each in found}) == 1
    assert launch.FINGERPRINT not in json.loads(started("target-postgres").stdout)


def test_what_a_program_writes_is_private(tmp_path: Path) -> None:
    file = tmp_path / "new"
    assert started("tap-pipedrive", "/bin/sh", "-c", f"echo >'{file}'").returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_program_that_is_not_there_is_one_line() -> None:
    outcome = started("dbt", "/nowhere/dbt")
    assert outcome.returncode == 1
    assert outcome.stderr == (
        "pipeboard: /nowhere/dbt cannot be started: No such file or directory. Run `make setup`\n"
    )


def leftover(folder: Path) -> Path:
    config = folder / "run" / "tap-pipedrive" / "tap.0f5d3a52.config.json"
    config.parent.mkdir(parents=True)
    config.write_text('{"api_token": "of-the-account"}')
    return config


def test_the_next_meltano_deletes_what_a_killed_one_left(tmp_path: Path) -> None:
    config = leftover(tmp_path)
    other = config.with_name("tap.properties.json")
    other.touch()
    started("meltano", "/bin/true", MELTANO_SYS_DIR_ROOT=str(tmp_path))
    assert not config.exists()
    assert other.exists()
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_files_of_a_running_meltano_stay(tmp_path: Path) -> None:
    config = leftover(tmp_path)
    command = [*PYTHON, launch.__file__, "meltano", "/bin/cat"]
    with subprocess.Popen(
        command,
        env={**GIVEN, **MEASURED, "MELTANO_SYS_DIR_ROOT": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as first:
        assert first.stdin is not None and first.stdout is not None
        first.stdin.write(b"x\n")
        first.stdin.flush()
        assert first.stdout.readline() == b"x\n"
        config.write_text("{}")
        started("meltano", "/bin/true", MELTANO_SYS_DIR_ROOT=str(tmp_path))
        assert config.exists(), "it belongs to the first one"
        first.kill()
    started("meltano", "/bin/true", MELTANO_SYS_DIR_ROOT=str(tmp_path))
    assert not config.exists()


def test_a_folder_that_may_not_be_written_does_not_keep_meltano_from_starting(
    tmp_path: Path,
) -> None:
    nowhere = tmp_path / "file" / "meltano"
    nowhere.parent.touch()
    assert started("meltano", "/bin/true", MELTANO_SYS_DIR_ROOT=str(nowhere)).returncode == 0


def test_two_at_once_start_without_waiting_for_each_other(tmp_path: Path) -> None:
    with (tmp_path / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert started("meltano", "/bin/true", MELTANO_SYS_DIR_ROOT=str(tmp_path)).returncode == 0


def test_dbt_of_a_sync_is_started_with_its_own_python(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    dbt = python.with_name("dbt")
    dbt.write_text('#!/bin/sh\necho dbt "$@"\n')
    dbt.chmod(0o755)
    assert started("dbt", str(dbt), "build").stdout == "dbt build\n"
    arguments = started("dbt", str(dbt), "build", **{launch.OF_SYNC: "1"}).stdout.split()
    assert arguments == [
        "-I",
        str(Path(launch.__file__).with_name("run") / "dbt_of_sync.py"),
        "build",
    ]


@pytest.mark.parametrize(("name", "file"), [("mf", "metricflow.py"), ("meltano", "meltano.py")])
def test_a_program_with_a_file_of_its_own_is_started_with_its_python(
    tmp_path: Path, name: str, file: str
) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    program = str(python.with_name(name))
    arguments = started(name, program, "list", "metrics", MELTANO_SYS_DIR_ROOT=str(tmp_path)).stdout
    entry = str(Path(launch.__file__).with_name("run") / file)
    assert arguments.split() == ["-I", entry, "list", "metrics"]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://me:se/cret@host/db", True),
        ("postgresql://me:secret@[host/db", True),
        ("postgresql://me@[host/db", False),
        ("https://host/page?token=abc", True),
        ("https://host/page?since=1", False),
        ("no url", False),
    ],
)
def test_secrets_in_urls_are_found_also_in_broken_ones(url: str, found: bool) -> None:
    assert launch.is_private("OTHER_URL", url) is found


def test_certificates_are_those_of_the_system_unless_they_are_named(tmp_path: Path) -> None:
    named = tmp_path / "own.crt"
    named.touch()
    for given, expected in (
        ({"SSL_CERT_FILE": str(named)}, str(named)),
        ({"CURL_CA_BUNDLE": "/a/bundle", "SSL_CERT_FILE": str(named)}, None),
    ):
        found = launch.environ_of_program("tap-pipedrive", Path("/bin/tap"), given)
        assert found.get("REQUESTS_CA_BUNDLE") == expected
    assert "REQUESTS_CA_BUNDLE" not in launch.environ_of_program(
        "target-postgres", Path("/bin/target"), {"SSL_CERT_FILE": str(named)}
    )
