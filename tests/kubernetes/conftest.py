"""Every overlay, rendered once, as the cluster would get it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
OVERLAYS = sorted(path.parent.name for path in ROOT.glob("k8s/overlays/*/kustomization.yaml"))
WORKLOADS = ("CronJob", "Job", "Deployment", "StatefulSet")


@dataclass(frozen=True)
class Rendered:
    """The manifests of one overlay."""

    name: str
    text: str
    documents: tuple[dict[str, Any], ...]

    def of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        return [document for document in self.documents if document["kind"] in kinds]

    def one(self, kind: str, name: str) -> dict[str, Any]:
        (found,) = [d for d in self.of_kind(kind) if d["metadata"]["name"] == name]
        return found

    def names(self, kind: str) -> list[str]:
        return [document["metadata"]["name"] for document in self.of_kind(kind)]

    def pods(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give every pod template with the name of what makes it."""
        for document in self.of_kind(*WORKLOADS):
            spec = document["spec"]
            if document["kind"] == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            yield f"{document['kind']}/{document['metadata']['name']}", spec["template"]

    def containers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, template in self.pods():
            pod = template["spec"]
            for container in (*pod.get("initContainers", []), *pod["containers"]):
                yield f"{name}/{container['name']}", container


def render(name: str, k8s: Path = ROOT / "k8s") -> Rendered:
    outcome = subprocess.run(
        [str(TOOLS / "kubectl"), "kustomize", str(k8s / "overlays" / name)],
        # kubectl ends before it would be worth to collect garbage.
        env={**os.environ, "GOGC": "off"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    documents = tuple(d for d in yaml.load_all(outcome.stdout, yaml.CSafeLoader) if d)
    return Rendered(name, outcome.stdout, documents)


@pytest.fixture(scope="session")
def rendered() -> dict[str, Rendered]:
    return {name: render(name) for name in OVERLAYS}


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, rendered: dict[str, Rendered]) -> Rendered:
    return rendered[request.param]


@pytest.fixture
def own_k8s(tmp_path: Path) -> Path:
    """A copy of k8s/ to make accounts in."""
    copied = tmp_path / "k8s"
    shutil.copytree(ROOT / "k8s", copied)
    return copied
