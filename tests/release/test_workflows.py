"""Workflows and hooks start what exists, on the versions that the project supports."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
import yaml
from conftest import ROOT

sys.path.insert(0, str(ROOT / "orchestrate"))
from bootstrap import NEWEST, OLDEST

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def matrix(job: str, name: str) -> list[str]:
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    versions: list[str] = workflow["jobs"][job]["strategy"]["matrix"][name]
    return versions


def test_tests_run_on_every_supported_python() -> None:
    supported = [f"{OLDEST[0]}.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    assert matrix("python", "python") == supported


def test_tests_run_on_every_promised_postgres() -> None:
    assert matrix("postgres", "postgres") == ["15", "16", "17", "18"]
    assert "from version 15" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_targets_and_programs_of_a_workflow_exist(path: Any) -> None:
    text = path.read_text()
    assert set(re.findall(r"(?:run: |`)make ([a-z-]+)", text)) <= TARGETS
    programs = re.findall(r"(?:python|bin/python) ((?:tests|orchestrate)/\S+\.py)", text)
    assert [name for name in programs if not (ROOT / name).exists()] == []


def test_hooks_are_local_and_start_installed_programs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
    for hook in hooks["repos"][0]["hooks"]:
        program, *arguments = hook["entry"].split()
        if program == "make":
            assert arguments[0] in TARGETS
        else:
            assert (ROOT / program).exists(), hook["id"]


def test_the_devcontainer_has_the_python_of_the_image() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    base = re.search(
        r"^ARG PYTHON_IMAGE=python:([\d.]+)-slim-(\w+)$", (ROOT / "Dockerfile").read_text(), re.M
    )
    assert base
    assert container["image"] == f"python:{base[1]}-{base[2]}"
