"""The metrics declared are the metrics pushed, also by a load that fails, to a real Pushgateway."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import typing as t
import urllib.request
from collections.abc import Iterator

import pytest
from loader_helpers import Warehouse, record, schema, state
from prometheus_client.parser import text_string_to_metric_families

from pipeboard_target_postgres.errors import DataRefusedError
from pipeboard_target_postgres.metrics import DECLARED
from pipeboard_target_postgres.target import TargetPostgres

GATEWAY = shutil.which("prometheus-pushgateway")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def gateway() -> Iterator[str]:
    if GATEWAY is None:
        pytest.skip("prometheus-pushgateway is not installed: pushing was NOT tested")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [GATEWAY, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            try:
                DIRECT.open(f"http://{address}/-/ready", timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def pushed(url: str) -> dict[str, dict[tuple[str, ...], float]]:
    """The loader's metrics on the gateway: {metric: {values of its own labels: value}}."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    with DIRECT.open(f"{url}/metrics", timeout=5) as response:
        text = response.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("job") == "pipedrive_etl" and sample.name in DECLARED:
                own = tuple(sample.labels[name] for name in DECLARED[sample.name][1])
                found.setdefault(sample.name, {})[own] = sample.value
    return found


MESSAGES = [
    schema({"id": "integer", "n": "integer"}),
    schema({"id": "integer"}, stream="idle"),
    *(record(id=i, n=i) for i in range(50)),
    record(id="no number"),
    state({"bookmark": 1}),
]


def load(warehouse: Warehouse, gateway: str, *messages: t.Any, **changes: t.Any) -> TargetPostgres:
    config = {"pushgateway_url": gateway, "batch_size_rows": 20, **changes}
    target: t.Any = None
    try:
        target = warehouse.load(messages, **config)
    finally:
        if target is not None:
            target.metrics.push(target.streams())
    return target


def test_a_load_pushes_everything_declared(warehouse: Warehouse, gateway: str) -> None:
    load(warehouse, gateway, *MESSAGES)
    metrics = pushed(gateway)
    assert metrics.keys() == DECLARED.keys()
    rows = metrics["pipedrive_etl_loader_rows"]
    assert (rows["s", "inserted"], rows["s", "quarantined"], rows["idle", "inserted"]) == (50, 1, 0)
    assert metrics["pipedrive_etl_loader_batches"][()] == 3
    assert metrics["pipedrive_etl_loader_batch_rows"][("1.0",)] == 20
    assert 0 < metrics["pipedrive_etl_loader_busy_seconds"][()] < 60
    assert metrics["pipedrive_etl_loader_peak_memory_bytes"][()] > 20 * 2**20
    load(warehouse, gateway, *MESSAGES)
    assert pushed(gateway)["pipedrive_etl_loader_rows"]["s", "unchanged"] == 50


def test_a_load_that_fails_pushes_too(
    warehouse: Warehouse, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeboard_target_postgres.metrics.PUSH_SECONDS", 0.0)
    with pytest.raises(DataRefusedError):
        load(warehouse, gateway, *MESSAGES, max_refused_share=0.001)
    assert pushed(gateway)["pipedrive_etl_loader_rows"]["s", "quarantined"] == 1


def test_an_unreachable_gateway_does_not_fail_the_load(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipeboard_target_postgres.metrics.PUSH_SECONDS", 0.0)
    load(warehouse, "http://127.0.0.1:9", *MESSAGES)
    assert warehouse.one("select count(*) from {s}.s") == 50
    # Three batches, one try among them, and one at the end.
    assert len([r for r in caplog.records if "could not be pushed" in r.getMessage()]) == 2
