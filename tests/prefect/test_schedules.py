"""The deployments agree with the CronJobs, so that both schedulers do the same."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

FLOWS = ROOT / "orchestrate" / "flows"
PREFECT = yaml.safe_load((ROOT / "orchestrate" / "prefect.yaml").read_text())
DEPLOYMENTS = {found["name"]: found for found in PREFECT["deployments"]}
EVERY = yaml.safe_load((ROOT / "k8s" / "base" / "patch-cronjob.yaml").read_text())["spec"]


def cronjobs() -> dict[str, dict[str, Any]]:
    files = (ROOT / "k8s" / "base").glob("cronjob-*.yaml")
    found = map(yaml.safe_load, map(Path.read_text, files))
    return {job["metadata"]["name"]: job["spec"] for job in found}


def flow_of(deployment: dict[str, Any]) -> ast.FunctionDef:
    path, _, name = deployment["entrypoint"].rpartition(":")
    module = ast.parse((ROOT / path).read_text())
    (found,) = [n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == name]
    return found


def decorated(flow: ast.FunctionDef) -> dict[str, Any]:
    (decorator,) = flow.decorator_list
    assert isinstance(decorator, ast.Call)
    return {word.arg or "": ast.literal_eval(word.value) for word in decorator.keywords}


@pytest.mark.parametrize("name", sorted(cronjobs()))
def test_a_deployment_is_its_cronjob(name: str) -> None:
    job, deployment = cronjobs()[name], DEPLOYMENTS[name]
    (schedule,) = deployment["schedules"]
    assert schedule["cron"] == job["schedule"]
    assert schedule["timezone"] == EVERY["timeZone"] == "America/Sao_Paulo"
    assert schedule["active"] is not job["suspend"]
    limits = deployment["work_pool"]["job_variables"]
    assert limits["active_deadline_seconds"] == job["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    (container,) = job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert limits["env"] == {each["name"]: each["value"] for each in container["env"]}
    # The same command: the constants of the CronJob stand in the flow.
    constants = [n.value for n in ast.walk(flow_of(deployment)) if isinstance(n, ast.Constant)]
    assert set(container["args"]) <= set(constants)


def test_deployments_without_a_cronjob_have_no_schedule() -> None:
    others = set(DEPLOYMENTS) - set(cronjobs())
    assert others == {"people", "batch-size"}
    assert all(DEPLOYMENTS[name]["schedules"] == [] for name in others)


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_flow_has_its_function_s_name_and_ends_when_its_pod_would(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    given = decorated(flow_of(deployment))
    limits = deployment["work_pool"]["job_variables"]
    assert given["name"] == flow_of(deployment).name
    assert given["timeout_seconds"] == limits["active_deadline_seconds"]
    assert int(limits["env"]["PIPEBOARD_TIMEOUT_SECONDS"]) < given["timeout_seconds"]
    # As concurrencyPolicy: Forbid; the default would queue what a long run has missed.
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}


def test_the_two_flows_have_their_documented_names() -> None:
    assert {"main_etl_flow", "backfill_stage_history_flow"} <= {
        flow_of(found).name for found in DEPLOYMENTS.values()
    }


def test_a_deployment_needs_no_secret() -> None:
    """A block named outside `pull` would be read then, and its content stored in the deployment."""
    outside = yaml.safe_dump({k: v for k, v in PREFECT.items() if k not in ("pull", "definitions")})
    assert "prefect.blocks" not in outside
    (clone,) = PREFECT["definitions"]["by_git"]
    token = clone["prefect.deployments.steps.git_clone"]["access_token"]
    assert token == "{{ prefect.blocks.secret.github-pat }}"
