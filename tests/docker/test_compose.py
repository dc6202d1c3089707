"""compose.yaml agrees with what its programs ask for, and with the cluster's manifests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from pipeboard.checks.doctor import LOW_DISK

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def size(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]+)", text).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


def in_memory(service: dict[str, Any]) -> dict[str, int]:
    """Return the size of each folder that lies in memory."""
    folders = {}
    for entry in service.get("tmpfs", []):
        path, _, options = entry.partition(":")
        folders[path] = size(dict(o.split("=") for o in options.split(","))["size"])
    return folders


def of_the_cluster(name: str) -> dict[str, Any] | None:
    """Return the container of the same name in Kubernetes."""
    for path in ROOT.glob(f"k8s/components/{name}/*.yaml"):
        document = yaml.safe_load(path.read_text())
        if document["kind"] in ("Deployment", "StatefulSet"):
            (container,) = document["spec"]["template"]["spec"]["containers"]
            return container  # type: ignore[no-any-return]
    return None


def test_the_doctor_finds_room_where_logs_grow() -> None:
    for name in ("schedule", "metrics-server", "dashboards"):
        folders = in_memory(SERVICES[name])
        assert folders.get("/state", LOW_DISK) >= LOW_DISK
        # The root file system is read-only, so that what a run writes needs a place.
        places = {*folders, *(v.split(":")[0] for v in SERVICES[name]["volumes"])}
        assert places == {"/state", "/tmp"}, name


def test_each_service_has_a_limit_and_files_in_memory_fit_into_it() -> None:
    for name, service in SERVICES.items():
        limit = size(service["mem_limit"])
        assert sum(in_memory(service).values()) <= limit / 2, name
        twin = of_the_cluster(name)
        if twin:
            assert limit == size(twin["resources"]["limits"]["memory"]), name


def test_the_heap_of_metabase_is_that_of_the_cluster() -> None:
    twin = of_the_cluster("metabase")
    assert twin is not None
    (options,) = [e["value"] for e in twin["env"] if e["name"] == "JAVA_OPTS"]
    (heap,) = re.findall(r"-Xmx(\d+m)", options)
    assert f"-Xmx{heap}" in SERVICES["metabase"]["environment"]["JAVA_OPTS"]
    assert size(heap) < 0.65 * size(SERVICES["metabase"]["mem_limit"])


def test_one_setting_gives_the_time_zone_to_all() -> None:
    zone = "${PIPEBOARD_REPORTING_TIMEZONE:-America/Sao_Paulo}"
    assert SERVICES["metabase"]["environment"]["JAVA_TIMEZONE"] == zone
    for name in ("schedule", "dashboards"):
        assert SERVICES[name]["environment"]["PIPEBOARD_REPORTING_TIMEZONE"] == zone


def test_every_target_of_prometheus_is_a_service_that_opens_the_port() -> None:
    folder = ROOT / "k8s/components/prometheus"
    config = yaml.safe_load((folder / "prometheus.yml").read_text())
    targets = {
        target
        for job in config["scrape_configs"]
        for group in job.get("static_configs", [])
        for target in group["targets"]
    }
    assert len(targets) == 5
    for target in targets:
        name, _, port = target.partition(":")
        twin = of_the_cluster("prometheus" if name == "localhost" else name)
        assert twin is not None
        assert int(port) in [p["containerPort"] for p in twin["ports"]], target
        assert name in {*SERVICES, "localhost"}, target
    assert SERVICES["metabase"]["environment"]["MB_PROMETHEUS_SERVER_PORT"] == "9191"
    # The whole folder is mounted, with the file of accounts.
    assert f"./{folder.relative_to(ROOT)}:/etc/prometheus:ro" in SERVICES["prometheus"]["volumes"]


def test_prometheus_keeps_as_long_as_in_the_cluster() -> None:
    twin = of_the_cluster("prometheus")
    assert twin is not None
    retention = [word for word in twin["args"] if "retention" in word]
    assert retention == [word for word in SERVICES["prometheus"]["command"] if "retention" in word]
