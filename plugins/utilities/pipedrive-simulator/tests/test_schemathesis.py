"""Schemathesis calls every operation with generated parameters, by the official documents."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import simulator_openapi as openapi
from conftest import REPOSITORY
from pipedrive_simulator.operations import OPERATIONS
from pipedrive_simulator.testing import RunningSimulator, running_simulator

#: In an environment of its own: as a plugin of pytest it would slow down each start.
SCHEMATHESIS = REPOSITORY / ".pipeboard" / "env" / "schemathesis" / "bin" / "schemathesis"
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"


@pytest.fixture
def simulator() -> Iterator[RunningSimulator]:
    with running_simulator(deals=60) as running:
        yield running


@pytest.fixture(scope="module")
def document(spec_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("schemathesis") / "openapi.json"
    path.write_text(json.dumps(openapi.served(spec_dir)))
    return path


def call_all(
    simulator: RunningSimulator, document: Path, phases: str, mode: str, examples: int
) -> subprocess.CompletedProcess[str]:
    """Call all operations; 1 is the exit code if a response breaks one of the checks."""
    return subprocess.run(
        [
            SCHEMATHESIS, "run", document, "--url", simulator.url, "--checks", CHECKS,
            "--header", f"x-api-token: {simulator.token}", "--phases", phases, "--mode", mode,
            "--max-examples", str(examples), "--warnings", "off", "--no-color",
            "--generation-database", "none",
        ],
        cwd=document.parent,
        env={**os.environ, "HOME": str(document.parent)},
        text=True,
        capture_output=True,
        check=False,
    )  # fmt: skip


def called(simulator: RunningSimulator) -> set[str]:
    return set(simulator.api.stats.summary()["operations"])


def test_a_few_calls_of_each_operation_follow_the_documents(
    simulator: RunningSimulator, document: Path
) -> None:
    done = call_all(simulator, document, "fuzzing", "positive", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert called(simulator) >= {op.id for op in OPERATIONS}


@pytest.mark.nightly
def test_many_calls_of_each_operation_follow_the_documents(
    simulator: RunningSimulator, document: Path
) -> None:
    done = call_all(simulator, document, "examples,coverage,fuzzing", "all", 50)
    assert done.returncode == 0, done.stdout + done.stderr
    assert called(simulator) >= {op.id for op in OPERATIONS}


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ({"kind": "500"}, "Server error"),
        (
            {"kind": "status", "status": 200, "headers": {"content-type": "text/html"}},
            "Undocumented Content-Type",
        ),
        ({"kind": "wrong_types"}, "Response violates schema"),
    ],
)
def test_a_wrong_response_is_found(
    simulator: RunningSimulator, document: Path, fault: dict[str, Any], found: str
) -> None:
    simulator.control("POST", "faults", {**fault, "operation": "getStages"})
    done = call_all(simulator, document, "fuzzing", "positive", 1)
    assert done.returncode == 1, done.stdout + done.stderr
    assert found in done.stdout
