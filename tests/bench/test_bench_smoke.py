"""One case for real, small: the benchmark runs, cleans up, and finds the tap at the optimum."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".pipeboard" / "bench"


@pytest.mark.long
def test_a_sync_costs_the_least_tokens_there_are() -> None:
    argv = [sys.executable, "-m", "bench", "--only", "calls", "--scale", "100", "--repeat", "1"]
    outcome = subprocess.run(argv, cwd=ROOT / "tests", text=True, capture_output=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    found = json.loads((LOCAL / "results" / "latest.json").read_text())
    ratios = {name: value for name, value in found["ratios"].items() if "tokens" in name}
    assert set(ratios) == {f"tokens_{s}_vs_least" for s in ("first", "incremental", "idle")}
    # Products are read for each page of deals, so the last hundred of a page may not be full.
    assert ratios["tokens_first_vs_least"] <= 1.02
    assert ratios["tokens_incremental_vs_least"] <= 1.05
    assert ratios["tokens_idle_vs_least"] == 1
    assert "API calls and tokens" in (LOCAL / "results" / "latest.md").read_text()
    assert not (LOCAL / "scratch").exists()
