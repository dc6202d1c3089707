"""The command line: what is refused, with which exit code and remedy, and what is asked first."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from conftest import Site

import pipeboard.errors
from deploy.cli import COMMANDS, HELP, parser
from deploy.errors import ExitCode

SMALL = ("--env", "minikube-small")


@pytest.mark.parametrize(
    "line",
    ["fly", "up --fast", "up --env mars", "deploy --env ../prod", "up --timeout soon", "up --tag"],
)
def test_a_wrong_command_line_is_refused_with_a_remedy(site: Site, line: str) -> None:
    output = site.run(*line.split(), code=64)
    assert output.startswith("run_project.sh: ")
    assert re.search("--help|new-account.sh", output)
    assert site.calls() == []


def test_the_help_explains_every_command_and_option(site: Site) -> None:
    assert site.script("--help") == HELP
    options = [a.option_strings[-1] for a in parser()._actions if a.option_strings]
    for word in {*COMMANDS, *options} - {"--help"}:
        assert re.search(rf"^  {word} ", HELP, re.MULTILINE), word
    assert site.calls() == []


def test_exit_codes_mean_what_they_mean_in_the_supervisor() -> None:
    for code in ExitCode:
        assert pipeboard.errors.ExitCode[code.name] == code


def test_settings_that_are_missing_are_named_before_anything_is_done(site: Site) -> None:
    site.env_file.write_text("PIPEDRIVE_COMPANY_DOMAIN=acme\n")
    assert "PIPEDRIVE_API_TOKEN is not set" in site.run("up", code=78)
    assert site.changes() == []


@pytest.mark.parametrize(
    ("arguments", "tool"),
    [("up", "docker"), ("deploy", "kubectl"), ("down", "minikube"), ("up --tag x", "minikube")],
)
def test_a_tool_that_is_missing_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch, arguments: str, tool: str
) -> None:
    monkeypatch.setenv("PATH", str(site.folder))
    output = site.run(*arguments.split(), code=78)
    assert f"{tool} is not installed, or not on the PATH" in output


def test_a_python_that_is_too_old_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = site.folder / "bin"
    folder.mkdir()
    (folder / "python3").write_text("#!/bin/sh\nexit 1\n")
    (folder / "python3").chmod(0o755)
    (folder / "dirname").symlink_to(find("dirname"))
    monkeypatch.setenv("PATH", str(folder))
    assert "Python 3.10 or newer is not installed" in site.script("status", code=78)


def test_it_runs_from_anywhere_and_by_a_newer_python(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = site.folder / "bin"
    folder.mkdir()
    (folder / "python3.10").symlink_to(find("python3"))
    (folder / "dirname").symlink_to(find("dirname"))
    monkeypatch.setenv("PATH", str(folder))
    done = subprocess.run(
        [str(site.checkout / "run_project.sh"), "--help"],
        cwd="/",
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout == HELP


def test_down_keeps_the_data_and_delete_asks_for_the_namespace_by_name(deployed: Site) -> None:
    for answer in ("no\n", ""):
        output = deployed.run("down", *SMALL, "--delete", answer=answer, code=64)
        assert "delete namespace pipeboard in context minikube, with all its data?" in output
        assert "nothing was deleted" in output
        assert deployed.exists("statefulset/redis")
    deployed.run("down", *SMALL, "--delete", answer="pipeboard\n")
    assert not deployed.exists("statefulset/redis")


@pytest.mark.parametrize(("flag", "stays"), [("--yes", False), ("--dry-run", True)])
def test_a_deletion_asks_nothing_with_yes_and_in_a_dry_run(
    deployed: Site, flag: str, stays: bool
) -> None:
    output = deployed.run("down", *SMALL, "--delete", flag)
    assert "Type the namespace" not in output
    assert deployed.exists("statefulset/redis") == stays


def test_an_overlay_without_a_namespace_is_refused(site: Site) -> None:
    overlay = site.checkout / "k8s" / "overlays" / "minikube-small" / "kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("namespace: pipeboard\n", ""))
    output = site.run("status", *SMALL, code=78)
    assert "k8s/overlays/minikube-small/kustomization.yaml names no namespace" in output


def find(program: str) -> Path:
    done = subprocess.run(
        ["sh", "-c", f"command -v {program}"], text=True, capture_output=True, check=True
    )
    return Path(done.stdout.strip()).resolve()
