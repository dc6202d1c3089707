"""Creates the work pool, blocks and deployments on a Prefect server.

    PREFECT_API_URL=... .pipeboard/env/prefect/bin/python orchestrate/flows/register.py --pool local

Run again it changes nothing, unless the flows, the settings or the pool's template have changed. It
says what it did by names; what a block holds is never shown.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml  # type: ignore[import-untyped]
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from blocks import BLOCKS, held_by, load, made_of

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PREFECT_FILE = HERE.parent / "prefect.yaml"
UNAVAILABLE, CONFIGURATION = 69, 78


def main() -> int:
    """Register everything; return an exit code as pipeboard's are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pool", default="local", help="its name (local)")
    parser.add_argument("--type", default="process", help="process or kubernetes (process)")
    parser.add_argument("--template", type=Path, help="the pool's base job template, a JSON file")
    parser.add_argument("--image", help="the default image of the pool's jobs")
    parser.add_argument("--namespace", help="the namespace that the pool's jobs run in")
    parser.add_argument("--no-blocks", action="store_true", help="where Secrets of the cluster do")
    parser.add_argument("--wait", type=float, default=120, help="seconds to wait for the server")
    given = parser.parse_args()
    if given.type != "process" and not given.template:
        parser.error(f"a pool of type {given.type} wants --template")
    if not os.environ.get("PREFECT_API_URL"):
        sys.stderr.write("register.py: PREFECT_API_URL is not set: it says where the server is\n")
        return CONFIGURATION
    with get_client(sync_client=True) as client:
        if not is_up(client, given.wait):
            sys.stderr.write(f"register.py: no Prefect server answers at {client.api_url}\n")
            return UNAVAILABLE
        report("work pool", given.pool, register_pool(client, given))
        if not given.no_blocks:
            register_blocks()
        return deploy(client, given.pool)


def report(what: str, name: str, how: str) -> None:
    """Print the result for one object."""
    print(f"{what:<13} {name}: {how}", flush=True)


def is_up(client: SyncPrefectClient, timeout_seconds: float) -> bool:
    """Wait for the server."""
    deadline = time.monotonic() + timeout_seconds
    while client.api_healthcheck() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True


def register_pool(client: SyncPrefectClient, given: argparse.Namespace) -> str:
    """Make the pool, or bring its template up to date."""
    if given.template:
        template = json.loads(given.template.read_text())
    else:
        template = ProcessWorker.get_default_base_job_template()
    if given.image:
        template["variables"]["properties"]["image"]["default"] = given.image
    if given.namespace:
        template["variables"]["properties"]["namespace"]["default"] = given.namespace
    try:
        found = client.read_work_pool(given.pool)
    except ObjectNotFound:
        made = WorkPoolCreate(name=given.pool, type=given.type, base_job_template=template)
        client.create_work_pool(made)
        return "made"
    if found.base_job_template == template:
        return "unchanged"
    client.update_work_pool(given.pool, WorkPoolUpdate(base_job_template=template))
    return "brought up to date"


def register_blocks() -> None:
    """Make a block of every setting that the environment has. One it lacks is left as it is."""
    for setting, (kind, name) in BLOCKS.items():
        value = os.environ.get(setting)
        if not value:
            report("block", name, f"left alone ({setting} is not set)")
            continue
        found = load(kind, name)
        if found is not None and held_by(found) == value:
            report("block", name, "unchanged")
            continue
        made_of(kind, value).save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
        report("block", name, "made" if found is None else "brought up to date")


def deploy(client: SyncPrefectClient, pool: str) -> int:
    """Deploy prefect.yaml, unless the server has this version already."""
    version = fingerprint(pool)
    wanted = [
        f"{each['entrypoint'].rpartition(':')[2]}/{each['name']}"
        for each in yaml.safe_load(PREFECT_FILE.read_text())["deployments"]
    ]
    if all(deployed_version(client, name) == version for name in wanted):
        report("deployments", ", ".join(wanted), "unchanged")
        return 0
    # Whether a schedule is active is part of the deployment: a change in the UI is reset.
    outcome = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        + ["--prefect-file", str(PREFECT_FILE)],
        cwd=ROOT,
        env={
            **os.environ,
            "PIPEBOARD_WORK_POOL": pool,
            "PIPEBOARD_FLOWS_ROOT": str(ROOT),
            "PIPEBOARD_FLOWS_VERSION": version,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    missing = [name for name in wanted if deployed_version(client, name) != version]
    if outcome.returncode or missing:
        sys.stderr.write(outcome.stdout)
        sys.stderr.write(f"register.py: not deployed: {', '.join(missing) or 'see above'}\n")
        return outcome.returncode or 1
    report("deployments", ", ".join(wanted), "deployed")
    return 0


def deployed_version(client: SyncPrefectClient, name: str) -> str | None:
    """Return the version of a deployment on the server, None without it."""
    try:
        return client.read_deployment_by_name(name).version
    except ObjectNotFound:
        return None


def fingerprint(pool: str) -> str:
    """Return a short hash of the deployments and their target."""
    digest = hashlib.sha256(f"{pool}|{ROOT}".encode())
    for path in (PREFECT_FILE, *sorted(HERE.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main())
