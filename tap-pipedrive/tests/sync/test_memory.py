"""Memory and state do not grow with the account."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pipedrive_simulator.testing import running_simulator
from tap_runs import PYTHON

# Runs the tap as a process, counts what it writes without keeping it, and reports its memory.
MEASURE = """
import json, resource, subprocess, sys
tap = subprocess.Popen([sys.executable, "-m", "tap_pipedrive", *sys.argv[1:]],
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
records, state = 0, b""
for line in tap.stdout:
    if line.startswith(b'{"type":"RECORD"'):
        records += 1
    elif line.startswith(b'{"type":"STATE"'):
        state = line
code = tap.wait()
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"code": code, "records": records, "state": len(state), "peak": peak}))
"""


def deals_only(folder: Path) -> Path:
    """A catalog that selects only deals."""
    found = subprocess.run(
        [PYTHON, "-m", "tap_pipedrive", "--discover"], capture_output=True, check=True
    )
    catalog = json.loads(found.stdout)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] == "deals"
    file = folder / "catalog.json"
    file.write_text(json.dumps(catalog))
    return file


def run(deals: int, folder: Path, catalog: Path, windows: int = 1) -> dict[str, Any]:
    with running_simulator(kind="endless", deals=deals, process=True) as simulator:
        config = folder / f"{deals}.json"
        settings = {"api_token": simulator.token, "api_url": simulator.url, "windows": windows}
        config.write_text(json.dumps(settings))
        arguments = ["--config", str(config), "--catalog", str(catalog)]
        done = subprocess.run(
            [PYTHON, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True
        )
        stats = simulator.control("GET", "stats")
    return {**json.loads(done.stdout), "calls": stats["calls"]}


@pytest.mark.long
def test_memory_and_state_do_not_grow_with_the_account(tmp_path: Path) -> None:
    catalog = deals_only(tmp_path)
    small, large = (run(deals, tmp_path, catalog) for deals in (4_000, 40_000))
    assert small["code"] == large["code"] == 0
    assert large["records"] == 10 * small["records"] == 40_000
    assert large["calls"] <= 40_000 / 500 + 2, "500 a call; each of the two lists may end early"
    assert large["peak"] - small["peak"] < 8 * 1024, "kilobytes; records that are kept need 150 MB"
    assert large["state"] < 64 * 1024


@pytest.mark.nightly
def test_windows_need_memory_for_a_few_pages_only(tmp_path: Path) -> None:
    found = run(45_000, tmp_path, deals_only(tmp_path), windows=16)
    assert found["code"] == 0 and found["records"] >= 45_000
    assert found["peak"] < 130 * 1024, "kilobytes; with records that are kept 290 MB"
    assert found["state"] < 64 * 1024
