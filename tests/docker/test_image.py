"""The image, without an engine to build it: the same steps in a clean folder, read-only afterwards.

What only an engine can show (layers, the base's own contents, the user) is left to hadolint and to
the assertions on the Dockerfile's text.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from pipeboard.console import Console
from pipeboard.local.services import Services
from pipeboard.local.simulator import Account
from pipeboard.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PERSONAL = ("PIPEDRIVE_", "PIPEBOARD_", "MELTANO_", "DBT_", "TAP_", "TARGET_", "PG", "REDIS_")
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(PERSONAL)}


def sent_to_the_builder() -> list[str]:
    """Name the files that .dockerignore lets through: the last pattern that fits decides."""
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    )
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    return [
        name
        for name in tracked.stdout.splitlines()
        if (ROOT / name).is_file() and not is_ignored(name, patterns)
    ]


def is_ignored(name: str, patterns: list[str]) -> bool:
    parts = name.split("/")
    ancestors = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!").rstrip("/")
        if wanted.startswith("**/"):
            fits = any(fnmatch.fnmatchcase(part, wanted[3:]) for part in parts)
        else:
            fits = any(fnmatch.fnmatchcase(path, wanted) for path in ancestors)
        if fits:
            ignored = not pattern.startswith("!")
    return ignored


@dataclass(frozen=True)
class Image:
    """What `/project` is in the image."""

    project: Path

    def files(self) -> dict[str, tuple[int, int]]:
        return {
            str(path.relative_to(self.project)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in self.project.rglob("*")
            if path.is_file() and not path.is_symlink()
        }

    def run(self, command_line: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command with the project mounted read-only (root), or with no right to write."""
        command = ["sh", "-c", f"exec {command_line}"]
        if os.geteuid() == 0:
            here = shlex.quote(str(self.project))
            mount = f"mount --bind {here} {here} && mount -o remount,ro,bind {here}"
            command = [
                "unshare",
                "--mount",
                "sh",
                "-c",
                f"{mount} && cd {here} && exec {command_line}",
            ]
        else:
            for path in (self.project, *self.project.rglob("*")):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode & ~0o222)
        return subprocess.run(
            command, cwd=self.project, env=environ, text=True, capture_output=True, check=False
        )


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    project = tmp_path_factory.mktemp("image") / "project"
    for name in sent_to_the_builder():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, project / name)
    steps = re.findall(r"^RUN .*?(\S+build\.sh)$", DOCKERFILE, re.MULTILINE)
    assert steps == ["docker/build.sh"], "the Dockerfile builds otherwise than this test does"
    built = subprocess.run(
        [f"./{steps[0]}"],
        cwd=project,
        env=PLAIN,
        text=True,
        capture_output=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "built and tried" in built.stdout
    return Image(project)


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    state_dir = os.environ.get("PIPEBOARD_STATE_DIR")
    os.environ["PIPEBOARD_STATE_DIR"] = str(tmp_path_factory.mktemp("servers"))
    found = Services(Paths(ROOT))
    yield found
    found.stop()
    found.postgres.destroy()
    os.environ.pop("PIPEBOARD_STATE_DIR")
    if state_dir:
        os.environ["PIPEBOARD_STATE_DIR"] = state_dir


def test_nothing_private_and_no_test_is_sent_to_the_builder() -> None:
    sent = sent_to_the_builder()
    assert {"meltano.yml", "docker/build.sh", "orchestrate/bootstrap.py"} <= set(sent)
    # dbt's own tests are part of every run; this project's Python tests are not.
    tests = [name for name in sent if "/tests/" in name and not name.startswith("transform/")]
    assert tests == []
    assert [name for name in sent if Path(name).name.startswith(".")] == []
    patterns = (ROOT / ".dockerignore").read_text().splitlines()[1:]
    for private in (".env", ".git/config", ".pipeboard/postgres/x", "orchestrate/.env", "build/x"):
        assert is_ignored(private, patterns), private


@pytest.mark.long
def test_the_image_holds_what_a_job_runs_and_no_installer(image: Image) -> None:
    assert sorted(p.name for p in (image.project / ".pipeboard" / "env").iterdir()) == [
        *("dbt", "loader", "meltano", "metabase", "metrics", "prefect", "tap")
    ]
    assert sorted(p.name for p in (image.project / ".pipeboard" / "bin").iterdir()) == [
        *("dbt", "dbt-changed", "meltano", "mf", "pipeboard", "pipeboard-metabase", "prefect"),
        *("query-exporter", "tap-pipedrive", "target-postgres"),
    ]


@pytest.mark.long
def test_no_container_parses_the_project_again(image: Image, tmp_path: Path) -> None:
    """With its own database, as another user, and from a target folder with nothing in it."""
    parsed = image.project / ".pipeboard" / "dbt" / "parsed" / "dev-marts.msgpack"
    assert parsed.stat().st_mode & 0o444 == 0o444
    environ = {
        **PLAIN,
        "PATH": f"{image.project / '.pipeboard' / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PIPEBOARD_WORLD": "own",
        "PIPEBOARD_DBT_OF_SYNC": "1",
        "PIPEBOARD_DATABASE_URL": "postgresql://some:thing@elsewhere.invalid:7777/else",
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
    }
    outcome = image.run("dbt parse --project-dir transform --profiles-dir transform", environ)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "Unable to do partial parsing" not in outcome.stdout


@pytest.mark.long
def test_the_image_provisions_metabase_with_what_the_models_say_of_themselves(
    image: Image, tmp_path: Path
) -> None:
    manifest = json.loads((image.project / ".pipeboard" / "dbt" / "manifest.json").read_text())
    assert manifest["nodes"]["model.pipeboard.fct_deal"]["columns"]["deal_id"]["description"]
    binaries = f"{image.project / '.pipeboard' / 'bin'}:{os.environ['PATH']}"
    environ = {
        **PLAIN,
        "PATH": binaries,
        "HOME": str(tmp_path),
        "METABASE_URL": "http://127.0.0.1:9",
    }
    # As far as one gets without a warehouse: its own words, and the code that no retry mends.
    outcome = image.run(".pipeboard/bin/pipeboard-metabase apply --early --no-key", environ)
    assert outcome.returncode == 78, outcome.stderr
    assert "METABASE_DATABASE_URL is not set" in outcome.stderr


@pytest.mark.long
def test_a_sync_runs_in_it_and_writes_nothing_but_its_state(
    image: Image, services: Services, tmp_path: Path
) -> None:
    console = Console()
    database = services.start_postgres(console, "pipeboard")
    account = services.simulator.start(Account(deals=40, seed=3))
    settings = dict(
        re.findall(r"(\w+)=(\S+)", DOCKERFILE.partition("ENV PATH=")[2].split("\n\n")[0])
    )
    before = image.files()
    environ = {
        **PLAIN,
        **settings,
        "PATH": f"{image.project / '.pipeboard' / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PIPEBOARD_STATE_DIR": str(tmp_path / "state"),
        "PIPEBOARD_GIT_SHA": "0123abc",
        "PIPEDRIVE_API_TOKEN": account["token"],
        "PIPEDRIVE_API_URL": account["url"],
        "PIPEBOARD_DATABASE_URL": database,
    }
    # What a release runs in the cluster, in its order.
    for command_line in ("migrate", "doctor", "run sync"):
        outcome = image.run(f".pipeboard/bin/pipeboard {command_line}", environ)
        assert outcome.returncode == 0, command_line + outcome.stdout + outcome.stderr
    logged = [line for line in outcome.stdout.splitlines() if line.startswith("{")]
    assert [json.loads(line) for line in logged], "no JSON in the log of a container"
    assert image.files() == before
    with psycopg.connect(database) as connection:
        (deals,) = connection.execute("select count(*) from marts.fct_deal").fetchone() or (0,)
        states = connection.execute("select state_id from meltano.state").fetchall()
    # Pipedrive purges what was deleted a month ago.
    with urllib.request.urlopen(f"{account['url']}/_control/truth/deals", timeout=60) as answer:
        assert deals == sum(not json.loads(line)["_purged"] for line in answer)
    assert states and all(state.startswith("prod:") for (state,) in states)


def test_the_dockerfile_says_what_it_must() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases == ["${PYTHON_IMAGE}"] * 2, "both stages need the same Python: venvs point at it"
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    entry = re.search(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert entry and json.loads(entry[1])[:2] == ["tini", "--"]
    assert "HEALTHCHECK" not in re.sub(r"#.*", "", DOCKERFILE)
    for label in ("version", "revision", "licenses"):
        assert f"org.opencontainers.image.{label}" in DOCKERFILE
