"""Rules for every overlay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from conftest import ROOT, Rendered
from cron import cron_problem

import pipeboard.local.schedule
from deploy.manifest import JOB_PHASES, SCHEDULE_PHASE, WORKLOAD_PHASES, Manifest

PINNED = re.compile(r"[\w./-]+:[\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?")
EXIT_CODES_NOT_MENDED_BY_RETRYING = [64, 65, 77, 78]


def test_manifests_match_the_schema_of_kubernetes(overlay: Rendered) -> None:
    for document in overlay.documents:
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_the_schema_check_can_fail(overlay: Rendered) -> None:
    job = yaml.safe_load(yaml.safe_dump(overlay.one("CronJob", "sync")))
    job["spec"]["concurencyPolicy"] = job["spec"].pop("concurrencyPolicy")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.37", strict=True)


def test_every_object_is_in_the_overlays_namespace(overlay: Rendered) -> None:
    (namespace,) = overlay.names("Namespace")
    others = [d["metadata"] for d in overlay.documents if d["kind"] != "Namespace"]
    assert {metadata["namespace"] for metadata in others} == {namespace}
    (object_,) = overlay.of_kind("Namespace")
    assert object_["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_secret_is_in_a_manifest(overlay: Rendered) -> None:
    assert overlay.of_kind("Secret") == []
    for document in overlay.of_kind("ConfigMap"):
        for name in document.get("data") or {}:
            assert not re.search("PASSWORD|TOKEN$|SECRET|_KEY$", name.upper()), name


def test_images_are_pinned_and_have_a_version(overlay: Rendered) -> None:
    package = (ROOT / "orchestrate" / "pyproject.toml").read_text()
    (version,) = re.findall(r'^version = "(.+)"$', package, re.MULTILINE)
    for name, container in overlay.containers():
        assert PINNED.fullmatch(container["image"]), f"{name}: {container['image']}"
        if container["image"].startswith("pipeboard:"):
            assert container["image"] == f"pipeboard:{version}", name


def test_no_container_has_more_rights_than_it_needs(overlay: Rendered) -> None:
    for name, template in overlay.pods():
        security = template["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True and security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert template["spec"]["enableServiceLinks"] is False, name
        assert not any("hostPath" in volume for volume in template["spec"].get("volumes", [])), name
        for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
            assert forbidden not in template["spec"], name
    for name, container in overlay.containers():
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"]), name
        assert "memory" in resources["limits"] and "cpu" not in resources["limits"], name


def test_only_prefects_worker_gets_a_token_for_the_cluster(overlay: Rendered) -> None:
    accounts = {a["metadata"]["name"]: a for a in overlay.of_kind("ServiceAccount")}
    assert all(a["automountServiceAccountToken"] is False for a in accounts.values())
    with_token = []
    for name, template in overlay.pods():
        assert template["spec"]["serviceAccountName"] in accounts, name
        if template["spec"]["automountServiceAccountToken"] is not False:
            with_token.append(name)
    wanted = ["Deployment/prefect-worker"] if "prefect" in overlay.name else []
    assert with_token == wanted
    (rules,) = [role["rules"] for role in overlay.of_kind("Role")] or [[]]
    assert all("*" not in rule["verbs"] + rule["resources"] for rule in rules)
    assert overlay.of_kind("ClusterRole", "ClusterRoleBinding") == []


def test_services_have_probes_and_jobs_have_none(overlay: Rendered) -> None:
    for name, template in overlay.pods():
        for container in template["spec"]["containers"]:
            probes = {"readinessProbe", "livenessProbe"} & set(container)
            assert len(probes) == (0 if "Job/" in name else 2), name


def test_jobs_write_no_permanent_data(overlay: Rendered) -> None:
    for name, template in overlay.pods():
        if "Job/" in name:
            kinds = {key for v in template["spec"]["volumes"] for key in v if key != "name"}
            assert kinds == {"emptyDir"}, name


def test_cronjobs_never_overlap_never_hang_and_never_pile_up(overlay: Rendered) -> None:
    jobs = {job["metadata"]["name"]: job["spec"] for job in overlay.of_kind("CronJob")}
    assert sorted(jobs) == ["backfill", "reference", "sweep", "sync"]
    for name, spec in jobs.items():
        assert cron_problem(spec["schedule"]) is None, name
        assert spec["concurrencyPolicy"] == "Forbid", name
        assert spec["timeZone"] == "America/Sao_Paulo", name
        assert spec["startingDeadlineSeconds"] >= 10, name
        job = spec["jobTemplate"]["spec"]
        (container,) = job["template"]["spec"]["containers"]
        (timeout,) = [e for e in container["env"] if e["name"] == "PIPEBOARD_TIMEOUT_SECONDS"]
        grace = job["template"]["spec"]["terminationGracePeriodSeconds"]
        assert int(timeout["value"]) + grace < job["activeDeadlineSeconds"], name
        assert_a_failed_job_ends_well(name, job)
    assert jobs["backfill"]["suspend"] is True
    (minutes, *rest) = jobs["sync"]["schedule"].split()
    assert minutes.endswith("/30") and rest == ["*"] * 4


def test_meltano_yml_and_the_cronjobs_have_the_same_schedules() -> None:
    """All schedulers use one schedule: `make up` and `docker compose` read meltano.yml's."""
    base = [yaml.safe_load(path.read_text()) for path in (ROOT / "k8s/base").glob("cronjob-*.yaml")]
    cronjobs = {}
    for document in base:
        spec = document["spec"]
        (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        if not spec["suspend"]:
            assert container["args"] == ["run", document["metadata"]["name"]]
            cronjobs[document["metadata"]["name"]] = spec["schedule"]
    found = yaml.safe_load((ROOT / "meltano.yml").read_text())["schedules"]
    assert {schedule["job"]: schedule["interval"] for schedule in found} == cronjobs
    shared = yaml.safe_load((ROOT / "k8s/base/patch-cronjob.yaml").read_text())["spec"]
    assert shared["timeZone"] == pipeboard.local.schedule.ZONE


def test_migrate_and_smoke_are_jobs_of_the_same_image_with_fewer_secrets(overlay: Rendered) -> None:
    def secrets(job: dict[str, Any]) -> set[str]:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        return {s["secretRef"]["name"] for s in container["envFrom"] if "secretRef" in s}

    for name in ("migrate", "smoke"):
        job = overlay.one("Job", name)
        assert job["metadata"]["labels"]["pipeboard/phase"] == name
        assert job["spec"]["activeDeadlineSeconds"] <= 600
        assert_a_failed_job_ends_well(name, job["spec"])
    assert secrets(overlay.one("Job", "migrate")) == {"warehouse"}
    assert secrets(overlay.one("Job", "smoke")) == {"warehouse", "pipedrive", "redis"}


def assert_a_failed_job_ends_well(name: str, job: dict[str, Any]) -> None:
    assert job["backoffLimit"] == 1, name
    assert job["ttlSecondsAfterFinished"] == 86400, name
    assert job["template"]["spec"]["restartPolicy"] == "Never", name
    drained, failed = job["podFailurePolicy"]["rules"]
    assert drained == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    assert failed["action"] == "FailJob"
    assert failed["onExitCodes"]["values"] == EXIT_CODES_NOT_MENDED_BY_RETRYING
    (container,) = job["template"]["spec"]["containers"]
    assert failed["onExitCodes"]["containerName"] == container["name"]


def test_a_run_that_is_behind_is_no_failed_job(overlay: Rendered) -> None:
    """The day's tokens are spent: exit code 75, which no rule of a Job can call a success."""
    jobs = [(n, t) for n, t in overlay.pods() if "Job/" in n and "metabase" not in n]
    assert len(jobs) == 6
    for name, template in jobs:
        (container,) = template["spec"]["containers"]
        assert environment(container)["PIPEBOARD_EXIT_CODE_BEHIND"] == "0", name
    # Prefect runs the same pod, and wants the true code: its state is called Behind.
    (settings,) = [d for d in overlay.of_kind("ConfigMap") if d["metadata"]["name"] == "settings"]
    assert "PIPEBOARD_EXIT_CODE_BEHIND" not in settings["data"]


def environment(container: dict[str, Any]) -> dict[str, str | None]:
    return {entry["name"]: entry.get("value") for entry in container.get("env", [])}


def test_one_scheduler_owns_an_overlay(overlay: Rendered) -> None:
    active = [j["metadata"]["name"] for j in overlay.of_kind("CronJob") if not j["spec"]["suspend"]]
    if "prefect-worker" in overlay.names("Deployment"):
        assert active == []
        # What the worker's pod registers is scheduled instead, and no less.
        deployments = yaml.safe_load((ROOT / "orchestrate" / "prefect.yaml").read_text())
        scheduled = [
            deployment["name"]
            for deployment in deployments["deployments"]
            if any(schedule["active"] for schedule in deployment["schedules"])
        ]
        assert sorted(scheduled) == ["reference", "sweep", "sync"]
    else:
        assert active == ["reference", "sweep", "sync"]


def test_every_phase_of_a_release_is_one_that_a_deployment_knows(overlay: Rendered) -> None:
    known = {
        "Job": JOB_PHASES,
        "CronJob": (SCHEDULE_PHASE,),
        "Deployment": WORKLOAD_PHASES,
        "StatefulSet": WORKLOAD_PHASES,
    }
    for document in overlay.documents:
        phase = document["metadata"].get("labels", {}).get("pipeboard/phase")
        kind = document["kind"]
        if kind in ("Job", "CronJob", "Deployment", "StatefulSet"):
            assert phase in known[kind], f"{kind}/{document['metadata']['name']}"
        else:
            assert phase is None, f"{kind} must be there before anything runs"


def test_a_deployment_reads_the_manifest_as_a_yaml_parser_does(overlay: Rendered) -> None:
    manifest = Manifest(overlay.text)
    assert [(r.kind, r.name, r.phase) for r in manifest.resources()] == [
        (
            document["kind"].lower(),
            document["metadata"]["name"],
            document["metadata"].get("labels", {}).get("pipeboard/phase", ""),
        )
        for document in overlay.documents
    ]
    assert manifest.secrets() == sorted(set(needed_secrets(overlay.documents)))


def needed_secrets(part: Any) -> Iterator[str]:
    if isinstance(part, (list, tuple)):
        for each in part:
            yield from needed_secrets(each)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in ("secretRef", "secretKeyRef") and not value.get("optional"):
                yield value["name"]
            yield from needed_secrets(value)


def test_every_file_of_rules_and_dashboards_is_shipped(rendered: dict[str, Rendered]) -> None:
    shipped = {
        name
        for document in rendered["minikube"].of_kind("ConfigMap")
        for name in document.get("data") or {}
    }
    components = ROOT / "k8s" / "components"
    files = {p.name for p in components.glob("prometheus/*.yml") if "_test" not in p.name}
    files |= {p.name for p in components.glob("grafana/dashboards/**/*.json")}
    files |= {p.name for p in components.glob("grafana/provisioning/*.yml")}
    assert files <= shipped, f"not named in a kustomization.yaml: {sorted(files - shipped)}"


def test_metabase_is_provisioned_by_our_image_with_the_readers_login_only(
    overlay: Rendered,
) -> None:
    jobs = [j for j in overlay.of_kind("Job") if j["metadata"]["name"] == "metabase-provision"]
    assert len(jobs) == ("metabase" in overlay.names("Deployment"))
    for job in jobs:
        assert job["metadata"]["labels"]["pipeboard/phase"] == "provision"
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["command"][-1] == "pipeboard-metabase"
        assert container["args"] == ["apply", "--early", "--no-key"]
        # Not the owner's database URL, and nothing of Pipedrive.
        secrets = {s["secretRef"]["name"] for s in container["envFrom"] if "secretRef" in s}
        assert secrets == {"metabase-provision"}
        (url,) = [e["value"] for e in container["env"] if e["name"] == "METABASE_URL"]
        ports = overlay.one("Service", "metabase")["spec"]["ports"]
        (port,) = [p["port"] for p in ports if p["name"] == "http"]
        assert url == f"http://metabase:{port}"
        assert_a_failed_job_ends_well("metabase-provision", job["spec"])
