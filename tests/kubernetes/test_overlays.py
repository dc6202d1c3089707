"""Differences of overlays: prod and minikube, Prefect and cron, an account."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from conftest import ROOT, Rendered, render

COMPONENTS = {"redis", "pushgateway", "prometheus", "grafana", "metabase", "metrics-server"}


def objects(overlay: Rendered) -> set[str]:
    return {
        f"{d['kind']}/{d['metadata']['name'].rpartition('-')[0]}-*"
        if d["kind"] == "ConfigMap" and d["metadata"]["name"] != "settings"
        else f"{d['kind']}/{d['metadata']['name']}"
        for d in overlay.documents
    }


def only_pod(overlay: Rendered, kind: str, name: str) -> dict[str, Any]:
    (found,) = [t for of, t in overlay.pods() if of == f"{kind}/{name}"]
    return found


def test_what_prod_adds_to_base_and_to_minikube(rendered: dict[str, Rendered]) -> None:
    prod, minikube = rendered["prod"], rendered["minikube"]
    # The warehouse is outside: no server and no volume for it, but the way there.
    assert objects(minikube) - objects(prod) == {
        "ConfigMap/postgres-init-*",
        "NetworkPolicy/postgres",
        "Service/postgres",
        "ServiceAccount/postgres",
        "StatefulSet/postgres",
    }
    assert objects(prod) - objects(minikube) == {
        "NetworkPolicy/warehouse",
        "ResourceQuota/pipeboard",
        "PodDisruptionBudget/metabase",
        "HorizontalPodAutoscaler/metabase",
    }
    changed = {}
    for document in prod.documents:
        kind, name = document["kind"], document["metadata"]["name"]
        twins = [d for d in minikube.of_kind(kind) if d["metadata"]["name"] == name]
        if twins and twins[0] != document:
            changed[f"{kind}/{name}"] = differences(twins[0], document)
    memory = "/spec/jobTemplate/spec/template/spec/containers/0/resources"
    bigger = {f"{memory}/limits/memory", f"{memory}/requests/cpu", f"{memory}/requests/memory"}
    assert changed == {
        **{f"CronJob/{name}": bigger for name in ("backfill", "reference", "sweep", "sync")},
        "PersistentVolumeClaim/prometheus": {"/spec/resources/requests/storage"},
        "Deployment/prometheus": {"/spec/template/spec/containers/0/args/3"},
        "Deployment/metabase": {
            "/spec/replicas",
            "/spec/template/spec/topologySpreadConstraints",
            "/spec/template/spec/containers/0/resources/requests/cpu",
        },
    }


def differences(one: Any, other: Any, path: str = "") -> set[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return set().union(
            *(differences(one.get(key), other.get(key), f"{path}/{key}") for key in keys)
        )
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return set().union(*(differences(a, b, f"{path}/{n}") for n, (a, b) in pairs))
    return set() if one == other else {path}


def test_a_budget_only_where_a_second_pod_stays(rendered: dict[str, Rendered]) -> None:
    prod = rendered["prod"]
    (scaler,) = prod.of_kind("HorizontalPodAutoscaler")
    assert scaler["spec"]["minReplicas"] == 2
    for budget in prod.of_kind("PodDisruptionBudget"):
        name = budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert budget["spec"]["minAvailable"] < scaler["spec"]["minReplicas"]
    assert "replicas" not in prod.one("Deployment", "metabase")["spec"]
    assert rendered["minikube"].of_kind("PodDisruptionBudget", "HorizontalPodAutoscaler") == []


def test_prefect_runs_the_pod_of_a_cronjob(rendered: dict[str, Rendered]) -> None:
    overlay = rendered["minikube-prefect"]
    (pool,) = [
        d for d in overlay.of_kind("ConfigMap") if "prefect-work-pool" in d["metadata"]["name"]
    ]
    template = json.loads(pool["data"]["base-job-template.json"])
    job = template["job_configuration"]["job_manifest"]["spec"]
    cronjob = only_pod(overlay, "CronJob", "sync")
    pod, wanted = dict(job["template"]["spec"]), dict(cronjob["spec"])
    # Prefect insists on these two in the pod, where Kubernetes has no use for them.
    assert (pod.pop("completions"), pod.pop("parallelism")) == (1, 1)
    (container,), (wanted_container,) = pod.pop("containers"), wanted.pop("containers")
    defaults = {k: v.get("default") for k, v in template["variables"]["properties"].items()}
    assert filled(pod, defaults) == wanted
    assert job["template"]["metadata"]["annotations"] == cronjob["metadata"]["annotations"]
    assert container["command"] == ["tini", "--"]
    for key in (
        "image",
        "imagePullPolicy",
        "envFrom",
        "resources",
        "securityContext",
        "volumeMounts",
    ):
        assert filled(container[key], defaults) == wanted_container[key], key
    # Retries are the flow's affair: the two must not multiply.
    assert defaults["backoff_limit"] == 0


def test_flows_are_deployed_and_rolled_back_with_the_worker(rendered: dict[str, Rendered]) -> None:
    overlay = rendered["minikube-prefect"]
    pod = only_pod(overlay, "Deployment", "prefect-worker")["spec"]
    (register,) = pod["initContainers"]
    image = only_pod(overlay, "CronJob", "sync")["spec"]["containers"][0]["image"]
    assert register["image"] == image
    # Where run_project.sh writes which image it deploys.
    assert register["env"][0] == {"name": "PIPEBOARD_IMAGE", "value": image}
    argv = [*register["command"], *register["args"]]
    for program in (w.removeprefix("/project/") for w in argv if w.endswith(".py")):
        assert (ROOT / program).is_file()
    worker = pod["containers"][0]["args"]
    for option in ("--pool", "--type"):
        assert argv[argv.index(option) + 1] == worker[worker.index(option) + 1] == "kubernetes"
    # Secrets of the cluster do what blocks do elsewhere.
    assert "--no-blocks" in argv


def filled(template: Any, values: dict[str, Any]) -> Any:
    if isinstance(template, dict):
        return {key: filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    if isinstance(template, str) and template.startswith("{{"):
        return values[template.strip("{} ")]
    return template


def test_prefects_worker_watches_its_own_namespace(own_k8s: Path) -> None:
    """A watch of the whole cluster is forbidden to it, and a run that crashes goes unnoticed."""
    assert new_account(own_k8s, "acme").returncode == 0
    account = own_k8s / "overlays" / "account-acme" / "kustomization.yaml"
    component = "components: [../../components/pushgateway"
    account.write_text(
        account.read_text().replace(component, f"{component}, ../../components/prefect")
    )
    for overlay in (render("minikube-prefect", own_k8s), render("account-acme", own_k8s)):
        (namespace,) = overlay.names("Namespace")
        pod = only_pod(overlay, "Deployment", "prefect-worker")["spec"]
        own_namespace = {"fieldRef": {"fieldPath": "metadata.namespace"}}
        assert {
            "name": "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES",
            "valueFrom": own_namespace,
        } in pod["containers"][0]["env"]
        # What it may there: look at Jobs and pods, and read the log of one that crashed.
        rights = {
            (resource, verb)
            for rule in overlay.one("Role", "prefect-worker")["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        assert rights >= {(r, v) for r in ("jobs", "pods") for v in ("get", "list", "watch")}
        assert ("pods/log", "get") in rights
        (subject,) = overlay.one("RoleBinding", "prefect-worker")["subjects"]
        assert subject["namespace"] == namespace
        # Its Jobs run where it looks.
        (register,) = pod["initContainers"]
        assert {"name": "POD_NAMESPACE", "valueFrom": own_namespace} in register["env"]
        argv = register["args"]
        assert argv[argv.index("--namespace") + 1] == "$(POD_NAMESPACE)"


def test_metabase_computes_in_the_reporting_time_zone(own_k8s: Path) -> None:
    for name in ("minikube", "minikube-prefect", "prod"):
        overlay = render(name, own_k8s)
        (container,) = only_pod(overlay, "Deployment", "metabase")["spec"]["containers"]
        (zone,) = [e for e in container["env"] if e["name"] == "JAVA_TIMEZONE"]
        of = zone["valueFrom"]["configMapKeyRef"]
        assert of == {"name": "settings", "key": "PIPEBOARD_REPORTING_TIMEZONE"}
        assert overlay.one("ConfigMap", of["name"])["data"][of["key"]] == "America/Sao_Paulo"


def new_account(k8s: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(k8s / "new-account.sh"), *argv], text=True, capture_output=True, check=False
    )


def test_an_account_is_a_namespace_with_a_minute_of_its_own(own_k8s: Path) -> None:
    for name in ("acme", "globex"):
        made = new_account(own_k8s, name, f"{name}-corp")
        assert made.returncode == 0, made.stderr
    acme, globex = (render(f"account-{name}", own_k8s) for name in ("acme", "globex"))
    assert acme.names("Namespace") == ["pipeboard-acme"]
    assert "example" not in acme.text
    settings = acme.one("ConfigMap", "settings")["data"]
    assert settings["PIPEDRIVE_COMPANY_DOMAIN"] == "acme-corp"
    assert settings["PIPEBOARD_REPORTING_TIMEZONE"] == "America/Sao_Paulo"
    schedules = [
        tuple(job["spec"]["schedule"] for job in account.of_kind("CronJob"))
        for account in (acme, globex)
    ]
    assert all(a != b for a, b in zip(*(s[1:] for s in schedules), strict=True)), schedules
    # Servers are shared; what an account has of its own is what runs and what it may reach.
    servers = {d["metadata"]["name"] for d in acme.of_kind("Deployment", "StatefulSet", "Service")}
    assert servers == {"pushgateway"}


@pytest.mark.parametrize("name", ["123", "no", "1e3", "a-b"])
def test_any_name_of_an_account_renders(own_k8s: Path, name: str) -> None:
    assert new_account(own_k8s, name).returncode == 0
    overlay = render(f"account-{name}", own_k8s)
    for document in overlay.documents:
        kubernetes_validate.validate(document, "1.37", strict=True)
    (namespace,) = overlay.of_kind("Namespace")
    assert namespace["metadata"]["labels"]["pipeboard/account"] == name


def test_an_account_is_never_overwritten_and_its_name_is_checked(own_k8s: Path) -> None:
    assert new_account(own_k8s, "acme").returncode == 0
    again = new_account(own_k8s, "acme", "other")
    assert again.returncode == 64 and "nothing was changed" in again.stderr
    for argv in ([], ["Acme"], ["a/b"], ["acme.corp"], ["x", "y z"], ["-x"], ["x", "y", "z"]):
        assert new_account(own_k8s, *argv).returncode == 64, argv
    assert sorted(p.name for p in (own_k8s / "overlays").glob("account-*")) == [
        *("account-acme", "account-template")
    ]


@pytest.mark.parametrize("component", sorted(COMPONENTS))
def test_a_component_brings_its_own_policy(rendered: dict[str, Rendered], component: str) -> None:
    policy = rendered["prod"].one("NetworkPolicy", component)
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": component}}
    assert "Ingress" in policy["spec"]["policyTypes"]
