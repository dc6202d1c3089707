"""The flows on a real server and worker, against the simulator and a real PostgreSQL.

Runs take half a minute each, so they build on each other, in the order of this file.
"""

from __future__ import annotations

import json
import subprocess
import urllib.error
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import DEALS, IN_DEMO, LOG_TIMEOUT_SECONDS, PAT, ROOT, Site, called, in_prefect

# On every other day, when the live alerts in tests/observability are for the night.
pytestmark = pytest.mark.long if date.today().toordinal() % 2 else pytest.mark.nightly

WANTED = {
    "main_etl_flow/sync",
    "reference_flow/reference",
    "sweep_flow/sweep",
    "backfill_stage_history_flow/backfill",
    "people_flow/people",
    "batch_size_experiment_flow/batch-size",
}
#: Read enough of the account to have its deals, and few of their histories.
FEW_TOKENS = {"PIPEDRIVE_DAILY_TOKENS": "2000", "PIPEBOARD_FLOWS_RETRY_SECONDS": "1"}


def test_a_second_start_changes_nothing(site: Site) -> None:
    first, again = site.outputs
    for name in ("pipedrive-api-token", "pipeboard-warehouse", "github-pat"):
        assert f"{name}: made" in first and f"{name}: unchanged" in again
    assert "pipeboard-redis: left alone (REDIS_URL is not set)" in first
    assert "deployed" in first and "batch-size: unchanged" in again
    assert "the server starts" not in again and "worker of pool" not in again
    for word in (site.environ["PIPEDRIVE_API_TOKEN"], site.database, PAT):
        assert word not in first + again
    status = site.pipeboard("status").stdout
    assert f"for the own environment, on {site.service.url}; its worker waits for runs" in status


def test_the_server_refuses_clients_without_its_password(site: Site) -> None:
    assert site.service.password_file.stat().st_mode & 0o077 == 0
    with pytest.raises(urllib.error.HTTPError) as refused:
        called(f"{site.service.url}/api/deployments/filter", {})
    assert refused.value.code == 401


def test_the_page_calls_the_server_that_served_it(site: Site) -> None:
    """Prefect's default is its own port, whatever port the server has."""
    assert called(f"{site.service.url}/ui-settings")["api_url"] == "/api"


def test_deployments_and_blocks_are_on_the_server(site: Site) -> None:
    flows = {flow["id"]: flow["name"] for flow in site.api("/flows/filter", {})}
    found = {f"{flows[d['flow_id']]}/{d['name']}": d for d in site.api("/deployments/filter", {})}
    assert set(found) == WANTED
    (schedule,) = found["main_etl_flow/sync"]["schedules"]
    assert schedule["schedule"]["cron"] == "*/30 * * * *"
    assert schedule["schedule"]["timezone"] == "America/Sao_Paulo"
    assert schedule["active"] is True
    (backfill,) = found["backfill_stage_history_flow/backfill"]["schedules"]
    assert backfill["active"] is False
    limit = found["main_etl_flow/sync"]
    assert limit["global_concurrency_limit"]["limit"] == 1
    assert limit["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert limit["pull_steps"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}
    ]
    blocks = site.api("/block_documents/filter", {"include_secrets": False})
    values = {block["name"]: block["data"] for block in blocks}
    assert {"pipedrive-api-token", "pipeboard-warehouse", "github-pat"} <= set(values)
    for data in values.values():
        assert site.environ["PIPEDRIVE_API_TOKEN"] not in str(data) and PAT not in str(data)


def test_a_changed_setting_changes_its_block_alone(site: Site) -> None:
    environ = {**site.environ, **prefect_of(site), "GITHUB_PAT": "another one"}
    command = [str(ROOT / ".pipeboard" / "env" / "prefect" / "bin" / "python")]
    command += [str(ROOT / "orchestrate" / "flows" / "register.py")]
    outcome = subprocess.run(command, env=environ, text=True, capture_output=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "github-pat: brought up to date" in outcome.stdout
    assert outcome.stdout.count("unchanged") == 4


def prefect_of(site: Site) -> dict[str, str]:
    return {
        "PREFECT_API_URL": f"{site.service.url}/api",
        "PREFECT_API_AUTH_STRING": site.service.auth or "",
        "PREFECT_HOME": str(site.state / "prefect home of a test"),
    }


@pytest.fixture(scope="session")
def main_run(site: Site) -> str:
    """A main run whose first attempt meets an API that is down, and whose second one saves."""
    # From here on only runs requested by a test may start, at any time of day.
    for found in site.api("/deployments/filter", {}):
        site.api(f"/deployments/{found['id']}/pause_deployment", {})
    site.control("faults", {"kind": "503", "operation": "getCurrentUser", "count": 1})
    run = site.run("main_etl_flow/sync", **FEW_TOKENS)
    site.final_state(run)
    return run


def test_a_sync_that_ran_out_of_tokens_is_completed_and_behind(site: Site, main_run: str) -> None:
    state = site.state_of(main_run)
    assert (state["type"], state["name"]) == ("COMPLETED", "Behind"), texts(site, main_run)
    assert "goes on with deal_changelog, deal_changelog_sync" in state["message"]
    query = "select (select count(*) from marts.fct_deal), (select count(*) from pipedrive.deals)"
    ((deals, loaded),) = site.query(query)
    assert deals == loaded > DEALS * 0.9


def test_an_unavailable_source_is_tried_exactly_twice(site: Site, main_run: str) -> None:
    (task,) = site.tasks(main_run)
    assert task["run_count"] == 2
    rows = site.query("select status, exit_code from ops.etl_run order by started_at")
    assert rows == [("failed", 69), ("behind", 0)]


def texts(site: Site, run: str) -> str:
    return "\n".join(text for _, text in site.log(run))


def test_the_log_of_the_supervisor_is_the_log_of_the_run(site: Site, main_run: str) -> None:
    # The first attempt has logged its end, too.
    last = "status=behind exit_code=0"
    site.until("the last line", lambda: last in texts(site, main_run), LOG_TIMEOUT_SECONDS)
    log = texts(site, main_run)
    assert "returned a server error (503)" in log
    assert "run started job=sync" in log and "run ended job=sync" in log
    assert "extract and load:" in log or "dbt build" in log
    for secret in (site.environ["PIPEDRIVE_API_TOKEN"], site.database.split(":")[2].split("@")[0]):
        assert secret not in log


def test_artifacts_have_rows_tokens_results_and_streams_that_are_behind(
    site: Site, main_run: str
) -> None:
    found = site.artifacts(main_run)
    text = found["main-etl"]
    (rows, calls, tokens) = site.query(
        "select rows, calls, tokens from ops.etl_run where exit_code = 0"
    )[0]
    assert f"| {rows:,} | {calls:,} | {tokens:,} |" in text
    assert "`deal_changelog`" in text.partition("Behind")[2]
    assert "| models |" in text and "| tests |" in text
    streams = table(found["main-etl-streams"])
    assert {"deals", "deal_changelog", "stages"} <= {row["stream"] for row in streams}
    assert sum(row["tokens"] for row in streams) == tokens


def table(data: Any) -> list[dict[str, Any]]:
    return list(json.loads(data) if isinstance(data, str) else data)


@pytest.mark.nightly
def test_the_backfill_reads_the_histories_that_are_left(site: Site, main_run: str) -> None:
    missing = """
        select count(*) from pipedrive.deals as d where not exists (
            select from pipedrive.deal_changelog_sync as s where s.deal_id = d.id)
    """
    assert site.query(missing)[0][0] > 0
    run = site.run("backfill_stage_history_flow/backfill")
    state = site.final_state(run)
    assert (state["type"], state["name"]) == ("COMPLETED", "Completed"), texts(site, run)
    assert site.query(missing) == [(0,)]
    text = site.artifacts(run)["backfill-stage-history"]
    assert "backfill-history" in text and "build" in text
    assert len(site.tasks(run)) == 1


class Slow:
    """Pages of deals come slowly, until the block ends."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def __enter__(self) -> None:
        rule = {"kind": "slow_body", "operation": "getDealChangelog", "seconds": 3}
        self.site.control("faults", rule)

    def __exit__(self, *_: object) -> None:
        self.site.control("faults", method="DELETE")


def site_is_slow(site: Site) -> Any:
    def fired() -> bool:
        # Other faults, of runs before this one, are listed too.
        rules = site.control("faults", method="GET")
        return any(rule["fired"] for rule in rules if rule["kind"] == "slow_body")

    return fired


@pytest.fixture(scope="session")
def slow_run(site: Site, main_run: str) -> dict[str, Any]:
    """A long run: its effect on other runs, and its own cancellation."""
    with Slow(site):
        found = site.api("/deployments/name/main_etl_flow/sync")
        body = {"state": {"type": "SCHEDULED"}, "parameters": {"full_refresh": True}}
        run = str(site.api(f"/deployments/{found['id']}/create_flow_run", body)["id"])
        is_slow = site_is_slow(site)
        site.until("a run in the middle", lambda: is_slow() or site.is_final(run))
        assert not site.is_final(run), texts(site, run)
        second = site.run("main_etl_flow/sync")
        other = site.run("reference_flow/reference", PIPEBOARD_WAIT_SECONDS="0")
        states = {"second": site.final_state(second), "other": site.final_state(other)}
        site.api(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
        return {"id": run, "cancelled": site.final_state(run), **states}


@pytest.mark.nightly
def test_a_second_run_meanwhile_is_skipped(slow_run: dict[str, Any]) -> None:
    """As the concurrencyPolicy of the CronJobs would: not queued."""
    assert slow_run["second"]["type"] == "CANCELLED"


@pytest.mark.nightly
def test_a_taken_run_lock_is_a_skipped_run(slow_run: dict[str, Any]) -> None:
    state = slow_run["other"]
    assert (state["type"], state["name"]) == ("COMPLETED", "Skipped"), state
    assert "of sync has been running since" in state["message"]


@pytest.mark.nightly
def test_a_cancelled_run_ends_gently(site: Site, slow_run: dict[str, Any]) -> None:
    run = slow_run["id"]
    assert slow_run["cancelled"]["type"] == "CANCELLED", texts(site, run)
    (status, code, reason) = site.query(
        "select status, exit_code, reason from ops.etl_run where job = 'sync' "
        "order by started_at desc limit 1"
    )[0]
    assert (status, code, reason) == ("interrupted", 143, "interrupted by SIGTERM")
    ended = "pipeboard ended with exit code 143"
    site.until("its last lines", lambda: ended in texts(site, run), LOG_TIMEOUT_SECONDS)
    assert "pipeboard gets SIGTERM" in texts(site, run)
    assert running("meltano", str(site.state)) == []


def running(word: str, state: str) -> list[str]:
    """Return the processes of this site with a word in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environ = (folder / "environ").read_bytes().decode(errors="replace")
            text = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if state in environ and f"/{word}" in text and "python" in text:
            found.append(text)
    return found


def test_a_wrong_token_fails_at_once_and_is_not_tried_again(site: Site, main_run: str) -> None:
    run = site.run("main_etl_flow/sync", PIPEDRIVE_API_TOKEN="0000000000000000wrong")
    state = site.final_state(run)
    assert (state["type"], state["name"]) == ("FAILED", "NotPermitted"), state
    assert "does not accept the API token (401)" in state["message"]
    (task,) = site.tasks(run)
    assert task["run_count"] == 1
    assert "Check the token" in site.artifacts(run)["main-etl"]
    assert "0000000000000000wrong" not in texts(site, run)


@pytest.mark.nightly
def test_the_batch_size_experiment_keeps_what_later_runs_use(site: Site, main_run: str) -> None:
    found = site.api("/deployments/name/batch_size_experiment_flow/batch-size")
    few = {"rows": 1_000, "rounds": 1, "sizes": [500, 1_000]}
    body = {"state": {"type": "SCHEDULED"}, "parameters": few}
    run = str(site.api(f"/deployments/{found['id']}/create_flow_run", body)["id"])
    state = site.final_state(run)
    assert state["name"] == "Completed", texts(site, run)
    ((batch_size,),) = site.query(
        "select (details -> 'tuning' ->> 'batch_size_rows')::int from ops.etl_run "
        "where job = 'tune'"
    )
    assert batch_size in (500, 1_000)
    text = site.artifacts(run)["batch-size-experiment"]
    assert f"| {batch_size:,} |" in text and "chosen" in text
    # Nothing of it is left in the warehouse.
    left = site.query("select nspname from pg_namespace where nspname = 'pipeboard_tune'")
    assert left == []


#: Runs flows in one process, without a worker; prints name and id of each run.
RUN_FLOWS = """
import importlib, json, os, sys

found = []
for module, name, parameters, environ in json.loads(sys.argv[1]):
    os.environ.update(environ)
    flow = getattr(importlib.import_module(module), name)
    state = flow(**parameters, return_state=True)
    found.append([state.name, str(state.state_details.flow_run_id)])
print(json.dumps(found))
"""
#: The same of one flow where pipeboard is not installed.
RUN_WITHOUT_PIPEBOARD = """
import json, os
from pathlib import Path
import auxiliary, supervised

supervised.ROOT = Path("/nonexistent")
os.environ["PATH"] = ""
state = auxiliary.people_flow(return_state=True)
print(json.dumps([state.name, state.message, str(state.state_details.flow_run_id)]))
"""
#: The same of a flow whose artifacts the server refuses.
RUN_WITHOUT_ARTIFACTS = """
import json
from prefect import flow
import supervised

@flow
def flow_with_a_wrong_key():
    return supervised.supervise("NOT A KEY", ["run", "people"])

state = flow_with_a_wrong_key(return_state=True)
print(json.dumps([state.name, str(state.state_details.flow_run_id)]))
"""
#: A setting that ends every command before it does anything.
WRONG_DATABASE = {"PIPEDRIVE_API_TOKEN": "x" * 40, "PIPEBOARD_DATABASE_URL": "nonsense"}


def test_parameters_of_a_flow_are_arguments_of_pipeboard(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    demo = {**IN_DEMO, "PIPEBOARD_STATE_DIR": str(tmp_path / "file")}
    backfill = {"max_deals": 5, "updated_since": "2025-01-01"}
    history = "backfill --history --yes --max-deals 5 --from 2025-01-01"
    flows: list[tuple[str, str, dict[str, Any], dict[str, str], str]] = [
        ("auxiliary", "people_flow", {}, WRONG_DATABASE, "run people"),
        ("auxiliary", "sweep_flow", {}, {}, "run sweep"),
        ("backfill_stage_history", "backfill_stage_history_flow", backfill, {}, history),
        ("batch_size", "batch_size_experiment_flow", {}, {}, "tune --rows 30000 --rounds 3"),
        ("main_etl", "main_etl_flow", {"full_refresh": True}, {}, "run sync --full-refresh"),
        # An account that is simulated changes only when the demo advances it.
        ("main_etl", "main_etl_flow", {}, demo, "demo"),
    ]
    runs = in_prefect(RUN_FLOWS, json.dumps([flow[:4] for flow in flows]), **prefect_of(site))
    for (name, run), flow in zip(runs, flows, strict=True):
        assert name == "Misconfigured", texts(site, run)
        assert [task["name"] for task in site.tasks(run)] == [f"pipeboard {flow[4]}"]


def test_a_worker_without_pipeboard_fails_once_and_says_so(site: Site) -> None:
    name, message, run = in_prefect(RUN_WITHOUT_PIPEBOARD, **prefect_of(site))
    assert name == "Failed"
    assert "pipeboard is not installed: run `make setup`" in message
    assert [task["run_count"] for task in site.tasks(run)] == [1]


def test_artifacts_that_cannot_be_made_leave_the_state_as_it_is(site: Site) -> None:
    name, run = in_prefect(RUN_WITHOUT_ARTIFACTS, **WRONG_DATABASE, **prefect_of(site))
    assert name == "Misconfigured"
    site.until("the log", lambda: "no artifact: " in texts(site, run), LOG_TIMEOUT_SECONDS)


def test_a_block_gives_what_neither_the_environment_nor_env_sets(
    site: Site, tmp_path: Path
) -> None:
    program = """
import json, sys
from pathlib import Path
from blocks import settings_from_blocks
print(json.dumps([settings_from_blocks(Path(file)) for file in sys.argv[1:]]))
"""
    (tmp_path / "env").write_text("PIPEBOARD_DATABASE_URL=postgresql://of-env\n")
    token = {"PIPEDRIVE_API_TOKEN": site.environ["PIPEDRIVE_API_TOKEN"]}
    files = (str(tmp_path / "none"), str(tmp_path / "env"))
    assert in_prefect(program, *files, **prefect_of(site)) == [
        {**token, "PIPEBOARD_DATABASE_URL": site.database},
        token,
    ]
    environ = {**prefect_of(site), "PIPEDRIVE_API_TOKEN": "of-environment"}
    assert in_prefect(program, files[1], **environ) == [{}]


def test_a_pool_of_a_cluster_has_its_template_with_image_and_namespace(site: Site) -> None:
    program = """
import json, sys
from argparse import Namespace
from pathlib import Path
from prefect.client.orchestration import get_client
from register import register_pool

pool = {"pool": "cluster", "type": "kubernetes", "template": Path(sys.argv[1])}
with get_client(sync_client=True) as client:
    print(json.dumps([
        register_pool(client, Namespace(**pool, image=image, namespace="pipeboard-acme"))
        for image in sys.argv[2:]
    ]))
"""
    template = str(ROOT / "k8s" / "components" / "prefect" / "base-job-template.json")
    results = in_prefect(program, template, "a:1", "a:1", "a:2", **prefect_of(site))
    assert results == ["made", "unchanged", "brought up to date"]
    pool = site.api("/work_pools/cluster")
    variables = pool["base_job_template"]["variables"]["properties"]
    defaults = [variables[name]["default"] for name in ("image", "namespace")]
    assert (pool["type"], defaults) == ("kubernetes", ["a:2", "pipeboard-acme"])


def test_flows_that_cannot_be_deployed_are_named(site: Site) -> None:
    program = """
import contextlib, io, json
from prefect.client.orchestration import get_client
from register import deploy

errors = io.StringIO()
with get_client(sync_client=True) as client, contextlib.redirect_stderr(errors):
    code = deploy(client, "nowhere")
print(json.dumps([code, errors.getvalue()]))
"""
    code, errors = in_prefect(program, **prefect_of(site))
    assert code == 1
    assert "register.py: not deployed: main_etl_flow/sync, " in errors
    assert "nowhere" in errors
    pools = {each["work_pool_name"] for each in site.api("/deployments/filter", {})}
    assert pools == {"local"}
