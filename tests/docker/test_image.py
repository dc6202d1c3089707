"""The image, built from the Dockerfile by Podman, and run as the Kubernetes manifests run it.

The simulated account and PostgreSQL are outside of the container, on the loopback of the machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from build_context import is_ignored, sent_to_the_builder
from engine import Engine

from pipeboard.console import Console
from pipeboard.local.services import Services
from pipeboard.local.simulator import Account
from pipeboard.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = ROOT / ".pipeboard" / "env" / "dev" / "bin" / "kubectl"
#: Two thirds of 1.12 GB, the size before equal files were stored once.
LARGEST_IMAGE = 750_000_000


@pytest.fixture(scope="session")
def project(engine: Engine, image: str) -> Iterator[Path]:
    """`/project` of the image."""
    yield Path(engine.podman("image", "mount", image).stdout.strip()) / "project"
    engine.podman("image", "unmount", image)


@dataclass(frozen=True)
class Finished:
    """What a container left."""

    exit_code: int
    output: str
    #: The paths that it changed outside of its volumes, mount points included.
    changed: set[str]


@dataclass
class Pods:
    """Runs containers with the rights, limits, settings and volumes of the rendered manifests."""

    engine: Engine
    image: str
    volumes: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rendered = subprocess.run(
            [str(KUBECTL), "kustomize", str(ROOT / "k8s" / "base")],
            text=True,
            capture_output=True,
            check=True,
        ).stdout
        self._documents = [d for d in yaml.safe_load_all(rendered) if d]

    def _find(self, kind: str, name: str) -> dict[str, Any]:
        (found,) = [
            d for d in self._documents if d["kind"] == kind and d["metadata"]["name"] == name
        ]
        return found

    def start(self, kind: str, name: str, memory: str = "", **environ: str) -> str:
        """Start the pod of a CronJob or Job; return the name of the container."""
        spec = self._find(kind, name)["spec"]
        pod = (spec["jobTemplate"]["spec"] if kind == "CronJob" else spec)["template"]["spec"]
        (container,) = pod["containers"]
        rights = container["securityContext"]
        owner = pod["securityContext"]
        settings = dict(self._find("ConfigMap", "settings")["data"])
        settings |= {e["name"]: e["value"] for e in container.get("env", [])}
        settings |= self.environ | environ
        run = f"{name}-{time.monotonic_ns()}"
        options = [
            f"--user={owner['runAsUser']}:{owner['runAsGroup']}",
            f"--memory={memory or container['resources']['limits']['memory'].lower()}",
            f"--read-only={str(rights['readOnlyRootFilesystem']).lower()}",
            # Kubernetes mounts nothing on its own where a program could write.
            "--read-only-tmpfs=false",
            *(f"--cap-drop={capability}" for capability in rights["capabilities"]["drop"]),
            *([] if rights["allowPrivilegeEscalation"] else ["--security-opt=no-new-privileges"]),
            *(f"--env={variable}={value}" for variable, value in settings.items()),
        ]
        for mount in container["volumeMounts"]:
            # An emptyDir belongs to root, and the group of `fsGroup` may write.
            folder = self.volumes / run / mount["name"]
            folder.mkdir(parents=True)
            os.chown(folder, 0, owner["fsGroup"])
            folder.chmod(0o2777)
            options.append(f"--volume={folder}:{mount['mountPath']}")
        self.engine.podman(
            *("run", "--detach", "--network=host", "--name", run, *options),
            *(self.image, *container["args"]),
        )
        return run

    def wait(self, container: str, seconds: float = 240) -> Finished:
        """Wait for its end; return what it left."""
        self.engine.podman("wait", container, timeout=seconds)
        exit_code = self.engine.inspect(container)["State"]["ExitCode"]
        logs = self.engine.podman("logs", container)
        diff = json.loads(self.engine.podman("diff", "--format=json", container).stdout)
        self.engine.podman("rm", container)
        changed = {path for paths in diff.values() for path in paths or ()}
        return Finished(exit_code, logs.stdout + logs.stderr, changed)

    def run(self, kind: str, name: str, memory: str = "", **environ: str) -> Finished:
        """Run the pod of a CronJob or Job to its end."""
        return self.wait(self.start(kind, name, memory, **environ))


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


@pytest.fixture(scope="session")
def account(services: Services) -> dict[str, Any]:
    return services.simulator.start(Account(deals=40, seed=3))


@pytest.fixture(scope="session")
def database(services: Services) -> str:
    return services.start_postgres(Console(), "pipeboard")


@pytest.fixture(scope="session")
def pods(
    engine: Engine,
    image: str,
    account: dict[str, Any],
    database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Pods:
    environ = {
        "PIPEDRIVE_API_TOKEN": account["token"],
        "PIPEDRIVE_API_URL": account["url"],
        "PIPEBOARD_DATABASE_URL": database,
    }
    found = Pods(engine, image, tmp_path_factory.mktemp("volumes"), environ)
    # What a release runs in the cluster before the CronJobs.
    for name in ("migrate", "smoke"):
        done = found.run("Job", name)
        assert done.exit_code == 0, name + done.output
    return found


def control(account: Mapping[str, Any], action: str, method: str = "GET", **body: Any) -> bytes:
    request = urllib.request.Request(
        f"{account['url']}/_control/{action}",
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()  # type: ignore[no-any-return]


def last_run(database: str) -> tuple[Any, ...]:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "select status, exit_code, reason from ops.etl_run order by started_at desc limit 1"
        ).fetchone()
    assert row is not None
    return row


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
def test_the_image_starts_pipeboard_as_an_unprivileged_user(engine: Engine, image: str) -> None:
    config = engine.inspect(image)["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"][:2] == ["tini", "--"]
    assert "Healthcheck" not in config
    for label in ("version", "revision", "licenses"):
        assert config["Labels"][f"org.opencontainers.image.{label}"]
    # Both stages need the same Python: the environments point at it.
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert bases == ["${PYTHON_IMAGE}"] * 2


@pytest.mark.long
def test_the_image_is_small(engine: Engine, image: str, project: Path) -> None:
    assert engine.inspect(image)["Size"] < LARGEST_IMAGE
    environments = project / ".pipeboard" / "env"
    # The same package in two environments is stored once, and so is its bytecode.
    for name in ("__init__.py", "__pycache__/__init__.*.pyc"):
        modules = environments.glob(f"*/lib/python*/site-packages/sqlalchemy/{name}")
        assert len({path.stat().st_ino for path in modules}) == 2, "SQLAlchemy 2.0 and 2.1"


@pytest.mark.long
def test_the_image_holds_what_a_job_runs_and_no_installer(project: Path) -> None:
    environments = project / ".pipeboard" / "env"
    assert sorted(p.name for p in environments.iterdir()) == [
        *("dbt", "loader", "meltano", "metabase", "metrics", "prefect", "tap")
    ]
    assert sorted(p.name for p in (project / ".pipeboard" / "bin").iterdir()) == [
        *("dbt", "dbt-changed", "meltano", "mf", "pipeboard", "pipeboard-metabase", "prefect"),
        *("query-exporter", "tap-pipedrive", "target-postgres"),
    ]
    for installer in ("pip", "uv"):
        assert list(environments.glob(f"*/bin/{installer}")) == []
        assert list(environments.glob(f"*/lib/python*/site-packages/{installer}")) == []


@pytest.mark.long
def test_no_container_parses_the_project_again(engine: Engine, image: str, project: Path) -> None:
    """With its own database, as another user, and from a target folder with nothing in it."""
    parsed = project / ".pipeboard" / "dbt" / "parsed" / "dev-marts.msgpack"
    assert parsed.stat().st_mode & 0o444 == 0o444
    url = "postgresql://some:thing@elsewhere.invalid:7777/else"
    done = engine.podman(
        *("run", "--rm", "--network=none", "--read-only", "--user=12345:12345"),
        *(f"--env=PIPEBOARD_DATABASE_URL={url}", "--env=PIPEBOARD_WORLD=own"),
        *("--env=PIPEBOARD_DBT_OF_SYNC=1", "--env=DBT_TARGET_PATH=/tmp/target"),
        *("--env=DBT_LOG_PATH=/tmp/logs", "--entrypoint=dbt", image),
        *("parse", "--project-dir=transform", "--profiles-dir=transform"),
    )
    assert "Unable to do partial parsing" not in done.stdout


@pytest.mark.long
def test_the_image_provisions_metabase_with_the_descriptions_of_the_models(
    engine: Engine, image: str, project: Path
) -> None:
    manifest = json.loads((project / ".pipeboard" / "dbt" / "manifest.json").read_text())
    assert manifest["nodes"]["model.pipeboard.fct_deal"]["columns"]["deal_id"]["description"]
    # As far as one gets without a warehouse: its own words, and the code that no retry mends.
    done = engine.podman(
        *("run", "--rm", "--network=none", "--read-only", "--env=METABASE_URL=http://127.0.0.1:9"),
        *("--entrypoint=pipeboard-metabase", image, "apply", "--early", "--no-key"),
        check=False,
    )
    assert done.returncode == 78, done.stderr
    assert "METABASE_DATABASE_URL is not set" in done.stderr


@pytest.mark.long
def test_the_sync_of_the_cluster_ends_with_0_and_writes_to_its_volumes_only(
    pods: Pods, account: dict[str, Any], database: str
) -> None:
    done = pods.run("CronJob", "sync")
    assert done.exit_code == 0, done.output
    logged = [line for line in done.output.splitlines() if line.startswith("{")]
    assert [json.loads(line) for line in logged], "no JSON in the log of a container"
    # Podman makes these to mount its own files and the volumes.
    assert done.changed <= {"/etc", "/run", "/run/.containerenv", "/state", "/tmp"}, done.changed
    with psycopg.connect(database) as connection:
        (deals,) = connection.execute("select count(*) from marts.fct_deal").fetchone() or (0,)
        states = connection.execute("select state_id from meltano.state").fetchall()
    # Pipedrive purges what was deleted a month ago.
    truth = control(account, "truth/deals").splitlines()
    assert deals == sum(not json.loads(line)["_purged"] for line in truth)
    assert states and all(state.startswith("prod:") for (state,) in states)


@pytest.mark.long
def test_a_container_that_is_stopped_ends_with_143(
    pods: Pods, account: dict[str, Any], database: str
) -> None:
    control(account, "advance", "POST", deals=5)
    control(account, "faults", "POST", kind="hang", operation="getDeals")
    try:
        container = pods.start("CronJob", "sync")
        deadline = time.monotonic() + 90
        while not json.loads(control(account, "faults"))[0]["fired"]:
            assert time.monotonic() < deadline, "the sync did not ask for deals"
            time.sleep(0.5)
        pods.engine.podman("stop", "--time=120", container, timeout=150)
    finally:
        control(account, "faults", "DELETE")
    done = pods.wait(container)
    assert done.exit_code == 143, done.output
    assert last_run(database)[:2] == ("interrupted", 143)


@pytest.mark.long
def test_a_run_without_enough_memory_says_that_it_was_killed(pods: Pods, database: str) -> None:
    done = pods.run("CronJob", "sync", memory="150m")
    assert done.exit_code == 69, done.output
    status, code, reason = last_run(database)
    assert (status, code) == ("failed", 69)
    assert "killed by signal 9 (SIGKILL): out of memory, by the count of the kernel" in reason


@pytest.mark.long
def test_a_wrong_password_ends_with_77_and_is_reported_as_such(pods: Pods, database: str) -> None:
    wrong = re.sub(r":[^:@]+@", ":wrong@", database)
    done = pods.run("CronJob", "sync", PIPEBOARD_DATABASE_URL=wrong)
    assert done.exit_code == 77, done.output
    assert "the database refuses the password of" in done.output
    assert "PIPEBOARD_DATABASE_URL" in done.output
