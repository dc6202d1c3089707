"""The pushed metrics are the declared ones, also after a failure, with a real Pushgateway."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from tap_runs import Output

from tap_pipedrive.errors import NotPermittedError
from tap_pipedrive.reporting.metrics import DECLARED, PUSH_TIMEOUT_SECONDS

Sync = Callable[..., Output]
GATEWAY = shutil.which("prometheus-pushgateway")


@pytest.fixture
def gateway() -> Iterator[str]:
    if GATEWAY is None:
        pytest.skip("prometheus-pushgateway is not installed: pushing was NOT tested")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        # Debian's keeps what it got in a file, and would show what others pushed.
        [GATEWAY, f"--web.listen-address={address}", "--persistence.file="],
        stderr=subprocess.DEVNULL,
    )
    url = f"http://{address}"
    try:
        for _ in range(200):
            try:
                if requests.get(f"{url}/-/ready", timeout=1).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.02)
        yield url
    finally:
        process.kill()
        process.wait()


def pushed(url: str) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """The tap's metrics that the gateway serves: ``{metric: {labels: value}}``."""
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=5).text):
        for sample in family.samples:
            if sample.labels.get("job") == "pipedrive_etl" and sample.name.startswith("pipedrive"):
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def value(series: dict[frozenset[tuple[str, str]], float], **labels: str) -> float:
    (found,) = [v for k, v in series.items() if labels.items() <= dict(k).items()]
    return found


def test_a_successful_run_pushes_every_declared_metric(
    simulator: Any, sync: Sync, gateway: str
) -> None:
    simulator.control("POST", "faults", {"kind": "500", "operation": "getPersons", "count": 1})
    simulator.control("POST", "faults", {"kind": "429_burst", "operation": "getStages", "count": 1})
    simulator.control("POST", "faults", {"kind": "unknown_properties", "operation": "getUsers"})
    simulator.control("POST", "faults", {"kind": "403", "operation": "getLeadLabels"})
    output = sync(pushgateway_url=gateway, daily_tokens=10_000_000)
    stats = simulator.control("GET", "stats")
    metrics = pushed(gateway)
    assert metrics.keys() == DECLARED.keys()
    for series in metrics.values():
        assert all(dict(k)["pipeline"] == "main" and not dict(k)["instance"] for k in series)
    records = metrics["pipedrive_etl_last_run_records"]
    assert value(records, stream="deals") == len(output.records["deals"])
    assert metrics["pipedrive_etl_api_tokens_used"].popitem()[1] == stats["tokens"]
    assert sum(metrics["pipedrive_etl_api_requests"].values()) == stats["calls"]
    assert value(metrics["pipedrive_etl_api_rate_limited_requests"], endpoint="v2 /stages") == 1
    assert value(metrics["pipedrive_etl_api_retries"], endpoint="v2 /stages") == 1
    assert value(metrics["pipedrive_etl_api_errors"], endpoint="v1 /leadLabels") == 1
    assert value(metrics["pipedrive_etl_schema_changes"], kind="unknown_property") > 0
    assert value(metrics["pipedrive_etl_circuit_breaker_state"], name="pipedrive") == 0


def test_a_failing_run_pushes_metrics(simulator: Any, sync: Sync, gateway: str) -> None:
    simulator.control("POST", "faults", {"kind": "401", "after": 10})
    with pytest.raises(NotPermittedError):
        sync(pushgateway_url=gateway)
    errors = pushed(gateway)["pipedrive_etl_api_errors"]
    # Calls that were under way together are refused together, each at its endpoint.
    assert sum(v for k, v in errors.items() if ("reason", "notpermitted") in k) >= 1


@contextlib.contextmanager
def answering(answer: bytes | None) -> Iterator[str]:
    """Yield the URL of a port that gives this answer, or none, to each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connections.append(listener.accept()[0])
                    if answer is not None:
                        connections[-1].recv(65536)
                        connections[-1].sendall(answer)
                        connections[-1].shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    "gateway_at_fault",
    [
        lambda: contextlib.nullcontext("http://127.0.0.1:9"),
        lambda: answering(b"no HTTP here"),
        pytest.param(lambda: answering(None), marks=pytest.mark.nightly),
    ],
    ids=["gone", "garbage", "silent"],
)
def test_a_gateway_that_fails_does_not_fail_the_run(
    sync: Sync, caplog: pytest.LogCaptureFixture, gateway_at_fault: Any
) -> None:
    begun = time.monotonic()
    with gateway_at_fault() as url:
        assert sync(pushgateway_url=url, only={"users"}).records["users"]
    assert any("could not be pushed" in record.getMessage() for record in caplog.records)
    assert time.monotonic() - begun < 6 * PUSH_TIMEOUT_SECONDS
