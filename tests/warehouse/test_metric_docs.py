"""docs/metrics.md says what the models say, and every metric of the catalogue is there."""

from __future__ import annotations

import subprocess
import sys

import yaml
from warehouse_helpers import ROOT

MODELS = ROOT / "transform" / "models"


def described() -> dict[str, dict]:
    return {
        model["name"]: model
        for path in MODELS.rglob("*.yml")
        for model in (yaml.safe_load(path.read_text()) or {}).get("models", [])
    }


def test_the_page_is_current() -> None:
    script = [sys.executable, str(ROOT / "transform" / "metric_docs.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_metrics_are_numbered_and_each_is_in_existing_columns() -> None:
    numbers = set()
    for name, model in described().items():
        columns = {column["name"] for column in model.get("columns", [])}
        for metric in model.get("config", {}).get("meta", {}).get("metrics", []):
            numbers.add(metric["number"])
            named = {part.strip() for part in metric["columns"].split(",")}
            assert named <= columns, (name, metric["name"], named - columns)
    assert numbers == set(range(1, len(numbers) + 1))
    assert len(numbers) >= 30
