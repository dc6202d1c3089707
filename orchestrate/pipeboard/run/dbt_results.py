"""What dbt left in its target folder: results of models and tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

FAULTY = ("error", "fail", "runtime error")
#: How the names of tests of many rules begin, see transform/tests/groups.
GROUPS = ("rules_of_", "rules_that_")


@dataclass(frozen=True)
class Result:
    """The result of one node.

    Attributes:
        kind: model, test, seed, snapshot, unit test ..
        status: success, pass, warn, fail, error, runtime error or skipped.
        failures: rows that a test found, None where it does not count any.

    """

    kind: str
    name: str
    status: str
    message: str
    seconds: float
    failures: int | None
    severity: str

    @property
    def is_faulty(self) -> bool:
        """Whether the node failed, or was skipped because another one failed."""
        return self.status in FAULTY

    @property
    def is_hook(self) -> bool:
        """Whether it is one of the project's hooks, which dbt does not count as nodes."""
        return self.kind == "operation"


@dataclass(frozen=True)
class Build:
    """One `dbt build`."""

    results: list[Result]
    seconds: float

    @property
    def nodes(self) -> list[Result]:
        """The results that dbt counts when it says how many nodes it will run."""
        return [result for result in self.results if not result.is_hook]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many nodes of each kind were ok, warned, failed or were skipped."""
        labels = {"success": "ok", "pass": "ok", "warn": "warned", "skipped": "skipped"}
        labels |= dict.fromkeys(FAULTY, "failed")
        found: dict[str, dict[str, int]] = {}
        for result in self.results:
            counts = found.setdefault(
                f"{result.kind}s", dict.fromkeys(("ok", "warned", "failed", "skipped"), 0)
            )
            if result.status in labels:
                counts[labels[result.status]] += 1
        return found


def name_broken_rules(build: Build, rules: Mapping[str, Sequence[str]]) -> Build:
    """Name the broken rules in the results of tests of many rules.

    Args:
        build: what dbt wrote; of such a test it only says how many rules are broken.
        rules: by status, the broken rules with their rows.

    """
    results = [
        replace(one, message="; ".join(rules[one.status]))
        if one.kind == "test" and one.name.startswith(GROUPS) and one.status in rules
        else one
        for one in build.results
    ]
    return replace(build, results=results)


def read_build(target: Path, since: float) -> Build | None:
    """Read the results that were written since a time; None if there are none."""
    path = target / "run_results.json"
    try:
        if path.stat().st_mtime < since:
            return None
        return build_of(json.loads(path.read_text()), _severities(target))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def build_of(found: dict[str, Any], severities: dict[str, str]) -> Build:
    """Return the build that a run_results.json tells of."""
    results = [_result(one, severities) for one in found["results"]]
    return Build(results, float(found.get("elapsed_time") or 0))


def _result(one: dict[str, Any], severities: dict[str, str]) -> Result:
    parts = str(one["unique_id"]).split(".")
    return Result(
        kind=parts[0].replace("_", " "),
        name=parts[2] if len(parts) > 2 else parts[-1],
        status=str(one["status"]),
        message=" ".join(str(one.get("message") or "").split()),
        seconds=float(one.get("execution_time") or 0),
        failures=one.get("failures"),
        severity=severities.get(str(one["unique_id"]), "error"),
    )


def _severities(target: Path) -> dict[str, str]:
    """Return the severity of each test; results do not say it, the manifest does."""
    try:
        nodes = json.loads((target / "manifest.json").read_text())["nodes"]
    except (OSError, ValueError, KeyError):
        return {}
    return {
        name: str(node["config"].get("severity") or "error").lower()
        for name, node in nodes.items()
        if node.get("resource_type") == "test"
    }
