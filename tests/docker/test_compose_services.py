"""`compose.yaml` is started by Podman: the services whose images can be made of Debian packages.

Grafana and Metabase have no such package. PostgreSQL's image is known for what its entry point does
with variables and files, so a short one that does the same stands in for it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from engine import Engine, whole_name

from pipeboard.local.loopback import free_port

pytestmark = pytest.mark.nightly
ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / ".pipeboard" / "env" / "dev" / "bin" / "podman-compose"
PROJECT = "pipeboard-of-tests"
PACKAGES = ("postgresql", "redis-server", "prometheus", "prometheus-pushgateway")
#: Folders that the images of the same names have, with their owners.
FOLDERS = {"/data": "999:1000", "/prometheus": "65534:65534"}
#: For each service the entry point of its image, the user and the working directory.
IMAGES = {
    "postgres": ('["/entrypoint"]', "root", "/"),
    # The image has this mode off: its clients are in other containers.
    "redis": ('["/bin/sh", "-c", "exec \\"$@\\" --protected-mode no", "sh"]', "root", "/data"),
    "pushgateway": ('["/usr/bin/prometheus-pushgateway"]', "nobody", "/"),
    "prometheus": ('["/usr/bin/prometheus"]', "nobody", "/prometheus"),
}
OWN = ("schedule", "metrics-server")
#: An empty volume gets a server, and what docker-entrypoint-initdb.d has; then the server starts.
ENTRY_POINT = """#!/bin/bash
set -eu
data=/var/lib/postgresql/data
bin=$(echo /usr/lib/postgresql/*/bin)
as_owner() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
install -d -m 700 -o postgres -g postgres $data /run/postgresql
if [ ! -e $data/PG_VERSION ]; then
    echo "$POSTGRES_PASSWORD" | install -m 600 -o postgres /dev/stdin /tmp/password
    as_owner $bin/initdb -D $data --encoding=UTF8 --locale=C.UTF-8 \\
        --pwfile=/tmp/password $POSTGRES_INITDB_ARGS
    rm /tmp/password
    echo "host all all all scram-sha-256" >>$data/pg_hba.conf
    as_owner $bin/pg_ctl -D $data -w -o "-c listen_addresses=" start
    for file in /docker-entrypoint-initdb.d/*.sql; do
        as_owner psql -v ON_ERROR_STOP=1 -f $file
    done
    as_owner $bin/pg_ctl -D $data -w stop
fi
echo "listen_addresses = '*'" >>$data/postgresql.conf
exec setpriv --reuid=postgres --regid=postgres --init-groups $bin/postgres -D $data
"""


@dataclass
class Stack:
    """The started services."""

    engine: Engine
    file: Path
    environ: dict[str, str]
    password: str
    #: The port of each published service on this machine.
    ports: dict[str, int]

    def compose(self, *argv: str) -> subprocess.Popen[str]:
        """Start a command of podman-compose."""
        options = ["--podman-args", " ".join(self.engine.options), "--file", str(self.file)]
        return subprocess.Popen(
            [str(COMPOSE), *options, "--project-name", PROJECT, *argv],
            cwd=ROOT, env=self.environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def container(self, service: str) -> str:
        return f"{PROJECT}_{service}_1"

    def state(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = self.engine.inspect(self.container(service))["State"]
        return found

    def logs(self, service: str) -> str:
        done = self.engine.podman("logs", self.container(service))
        return done.stdout + done.stderr


def until(what: str, look: Callable[[], Any], seconds: float = 90) -> Any:
    """Wait until `look` returns a true value, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(1)
    message = f"{what}: not within {seconds} s"
    raise AssertionError(message)


def connected(url: str) -> psycopg.Connection | None:
    """Return a connection; None if the server does not answer yet."""
    try:
        return psycopg.connect(url)
    except psycopg.OperationalError:
        return None


def make_images(engine: Engine, services: dict[str, Any], scratch: Path) -> None:
    """Make one image of Debian packages, under the names that the services have."""
    made_of = hashlib.sha256(f"{PACKAGES} {FOLDERS} {IMAGES} {ENTRY_POINT}".encode()).hexdigest()
    names = [whole_name(services[name]["image"]) for name in IMAGES]
    if all(made_of in engine.podman("inspect", name, check=False).stdout for name in names):
        return
    entry_point = scratch / "entrypoint"
    entry_point.write_text(ENTRY_POINT)
    hooks = [f"upload {entry_point} /entrypoint", 'chmod 755 "$1/entrypoint"']
    hooks += [
        f'install -d -o {owner.partition(":")[0]} -g {owner.partition(":")[2]} "$1{path}"'
        for path, owner in FOLDERS.items()
    ]
    archive = engine.debian(PACKAGES, *hooks)
    for name, (entry, user, folder) in IMAGES.items():
        changes = [f"ENTRYPOINT {entry}", f"USER {user}", f"WORKDIR {folder}"]
        changes.append(f"LABEL made-of={made_of}")
        options = [word for change in changes for word in ("--change", change)]
        image = whole_name(services[name]["image"])
        engine.podman("import", "--quiet", *options, str(archive), image)
    archive.unlink()


@pytest.fixture(scope="module")
def stack(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("compose")
    whole = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = {name: whole["services"][name] for name in (*IMAGES, *OWN)}
    make_images(engine, services, folder)
    engine.podman("tag", image, f"localhost/{services['schedule']['image']}")
    ports: dict[str, int] = {}
    for name, service in services.items():
        service.pop("build", None)
        # Paths are relative to the file; ports of this machine may be in use.
        service["volumes"] = [
            v.replace("./", f"{ROOT}/", 1) if v.startswith("./") else v
            for v in service.get("volumes", [])
        ]
        if "ports" in service:
            ports[name] = free_port()
            inner = service["ports"][0].rpartition(":")[2]
            service["ports"] = [f"127.0.0.1:{ports[name]}:{inner}"]
    file = folder / "compose.yaml"
    file.write_text(yaml.safe_dump({**whole, "services": services}, sort_keys=False))
    password = secrets.token_hex(24)
    environ = {
        **engine.environ,
        "PIPEBOARD_COMPOSE_PASSWORD": password,
        "PIPEDRIVE_API_TOKEN": "x" * 40,
        "PIPEDRIVE_COMPANY_DOMAIN": "acme",
    }
    found = Stack(engine, file, environ, password, ports)
    up = found.compose("up", "--detach", "--no-build")
    try:
        # Podman leaves health checks to systemd, which a container of CI has not.
        while up.poll() is None:
            engine.podman("healthcheck", "run", found.container("postgres"), check=False)
            time.sleep(1)
        output, _ = up.communicate()
        assert up.returncode == 0, output
        yield found
    finally:
        found.compose("down", "--volumes").communicate(timeout=120)


def test_every_service_is_running(stack: Stack) -> None:
    time.sleep(5)
    stopped = [name for name in (*IMAGES, *OWN) if not stack.state(name)["Running"]]
    assert not stopped, {name: stack.logs(name)[-1500:] for name in stopped}


def test_the_server_has_the_roles_of_the_services(stack: Stack) -> None:
    for role in ("pipeboard", "pipeboard_transform", "pipeboard_metrics", "metabase_ro"):
        url = f"postgresql://{role}:{stack.password}@127.0.0.1:{stack.ports['postgres']}/pipeboard"
        with until(f"{role} at {url}", lambda url=url: connected(url)) as connection:
            assert connection.execute("select current_user").fetchone() == (role,)


def test_the_schedule_names_the_next_run_of_each_job(stack: Stack) -> None:
    until("the times of the next runs", lambda: "sync" in stack.logs("schedule"))
    # The settings reach it, and so do the services that it names.
    doctor = stack.engine.podman(
        "exec", stack.container("schedule"), "pipeboard", "doctor", check=False
    )
    output = doctor.stdout + doctor.stderr
    assert "Redis 7" in output, output
    assert "Pushgateway" in output
    assert "PostgreSQL" in output


def test_prometheus_reads_the_metrics_of_the_services(stack: Stack) -> None:
    address = f"http://127.0.0.1:{stack.ports['prometheus']}/api/v1/targets"

    def healthy() -> set[str]:
        with urllib.request.urlopen(address, timeout=10) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
        return {t["labels"]["instance"] for t in targets if t["health"] == "up"}

    wanted = {"pushgateway:9091", "metrics-server:9560"}
    until("the targets", lambda: wanted <= healthy(), 120)


def test_a_schedule_without_a_run_ends_when_it_is_stopped(stack: Stack) -> None:
    stack.engine.podman("stop", "--time=60", stack.container("schedule"))
    # Not 137, a kill after the time.
    assert stack.state("schedule")["ExitCode"] == 0, stack.logs("schedule")
