"""Every target of Prometheus exists: port, Service, setting and policies, of every overlay."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Rendered, render
from test_network import NAME, allowed, crosses
from test_overlays import new_account, only_pod

WITH_PROMETHEUS = ("minikube", "minikube-prefect", "prod")
#: What opens a port that a program does not serve by itself, and where its metrics are else.
OPENED_BY = {
    "prometheus": {},
    "pushgateway": {},
    "metrics-server": {},
    "grafana": {},
    "metabase": {"MB_PROMETHEUS_SERVER_PORT": "9191"},
}
UNITS = {"Gi": 2**30, "Mi": 2**20, "GB": 2**30, "MB": 2**20}


def prometheus_files(overlay: Rendered) -> dict[str, str]:
    """Return the files below /etc/prometheus, as the pod's volume puts them there."""
    pod = only_pod(overlay, "Deployment", "prometheus")["spec"]
    (volume,) = [v for v in pod["volumes"] if v["name"] == "config"]
    files = {}
    for source in volume["projected"]["sources"]:
        data = overlay.one("ConfigMap", source["configMap"]["name"])["data"]
        paths = {i["key"]: i["path"] for i in source["configMap"].get("items", [])}
        files.update({paths.get(key, key): text for key, text in data.items()})
    return files


def targets(overlay: Rendered) -> dict[str, dict[str, str]]:
    """Return every target with its labels, those of files too."""
    files = prometheus_files(overlay)
    found = {}
    for job in yaml.safe_load(files["prometheus.yml"])["scrape_configs"]:
        groups = list(job.get("static_configs", []))
        for each in job.get("file_sd_configs", []):
            for path in each["files"]:
                groups += yaml.safe_load(files[path]) or []
        relabeled = {
            rule["target_label"]: rule["replacement"] for rule in job.get("relabel_configs", [])
        }
        for group in groups:
            for target in group["targets"]:
                labels = {"job": job["job_name"], **group.get("labels", {}), **relabeled}
                found[target] = labels
    return found


def container_port(pod: dict[str, Any], port: int | str) -> int:
    ports = [p for c in pod["containers"] for p in c["ports"]]
    (found,) = [p["containerPort"] for p in ports if port in (p["containerPort"], p["name"])]
    return int(found)


@pytest.mark.parametrize("name", WITH_PROMETHEUS)
def test_every_target_answers(rendered: dict[str, Rendered], name: str) -> None:
    overlay = rendered[name]
    policies = overlay.of_kind("NetworkPolicy")
    own = only_pod(overlay, "Deployment", "prometheus")["metadata"]["labels"]
    names = set()
    for target in targets(overlay):
        host, _, port = target.partition(":")
        host = "prometheus" if host == "localhost" else host
        names.add(host)
        # A Service of that name and port leads to a port of a container ...
        (spec,) = [
            p for p in overlay.one("Service", host)["spec"]["ports"] if p["port"] == int(port)
        ]
        selector = overlay.one("Service", host)["spec"]["selector"]
        (template,) = [t for _, t in overlay.pods() if t["metadata"]["labels"][NAME] == host]
        labels = template["metadata"]["labels"]
        assert selector.items() <= labels.items(), target
        assert container_port(template["spec"], spec["targetPort"]) == int(port), target
        # ... that its program serves metrics on ...
        (container,) = template["spec"]["containers"]
        values = {e["name"]: e.get("value") for e in container.get("env", [])}
        assert OPENED_BY[host].items() <= values.items(), target
        # ... and to which the policies of both sides let Prometheus pass.
        if host != "prometheus":
            assert allowed(policies, "Egress", own, labels, int(port)), target
            assert allowed(policies, "Ingress", labels, own, int(port)), target
    assert names == OPENED_BY.keys()


def test_a_new_account_is_scraped_without_an_edit(own_k8s: Path) -> None:
    for name in ("acme", "123"):
        assert new_account(own_k8s, name).returncode == 0
    prod = render("prod", own_k8s)
    found = {t: labels for t, labels in targets(prod).items() if "account" in labels}
    assert found == {
        f"pushgateway.pipeboard-{name}.svc:9091": {"job": "pushgateway", "account": name}
        for name in ("acme", "123")
    }
    for target in found:
        service, namespace, _ = target.partition(":")[0].split(".")
        account = render(f"account-{namespace.removeprefix('pipeboard-')}", own_k8s)
        assert account.names("Namespace") == [namespace]
        (port,) = account.one("Service", service)["spec"]["ports"]
        assert port["port"] == 9091
        egress = prod.one("NetworkPolicy", "prometheus")["spec"]["egress"]
        ingress = account.one("NetworkPolicy", "pushgateway")["spec"]["ingress"]
        assert crosses(egress, "to", account, "pushgateway")
        assert crosses(ingress, "from", prod, "prometheus")


def test_the_shipped_file_names_the_accounts_that_there_are() -> None:
    folders = {p.name.removeprefix("account-") for p in (ROOT / "k8s/overlays").glob("account-*")}
    text = (ROOT / "k8s/components/prometheus/accounts/targets.yml").read_text()
    named = {group["labels"]["account"] for group in yaml.safe_load(text)}
    assert named == folders - {"template"}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_reads_the_configuration_as_it_is_mounted(own_k8s: Path, tmp_path: Path) -> None:
    assert new_account(own_k8s, "123").returncode == 0
    for name, text in prometheus_files(render("prod", own_k8s)).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    outcome = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        text=True,
        capture_output=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("name", WITH_PROMETHEUS)
def test_prometheus_drops_its_oldest_data_before_the_volume_is_full(
    rendered: dict[str, Rendered], name: str
) -> None:
    overlay = rendered[name]
    claim = overlay.one("PersistentVolumeClaim", "prometheus")
    volume = size(claim["spec"]["resources"]["requests"]["storage"])
    (container,) = only_pod(overlay, "Deployment", "prometheus")["spec"]["containers"]
    (limit,) = [a for a in container["args"] if a.startswith("--storage.tsdb.retention.size=")]
    # Compaction needs room beside it; much more room than that would never be used.
    assert 0.7 <= size(limit.partition("=")[2]) / volume <= 0.85


def size(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(\w+)", text).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]
