"""Each claim of SECURITY.md in bold has a test, here or where its subject is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

HERE = "tests/release/test_security.py"
#: The tests of each claim.
TESTS = {
    "The API token": (
        "tap-pipedrive/tests/api/test_auth.py::test_no_secret_appears_in_output_or_logs",
        "tests/end_to_end/test_demo.py::test_no_secret_is_logged",
    ),
    "Read-only by default": (f"{HERE}::test_the_tap_only_reads",),
    "Database passwords": (
        "orchestrate/tests/test_redaction.py::test_no_message_of_a_library_shows_a_password",
        "plugins/loaders/target-postgres/tests/test_loader_cli.py::test_passwords_are_redacted",
    ),
    "The embedded PostgreSQL": (
        "orchestrate/tests/test_embedded_postgres.py::test_secrets_are_private",
    ),
    "The simulated account": (
        "plugins/utilities/pipedrive-simulator/tests/test_control_and_cli.py"
        "::test_only_loopback_is_served",
    ),
    "Each program gets only the secrets it needs": (
        "orchestrate/tests/test_launch.py::test_a_program_gets_the_secrets_it_needs_and_no_others",
    ),
    "Files are private": (
        "orchestrate/tests/test_launch.py::test_what_a_program_writes_is_private",
        "tests/end_to_end/test_secrets.py"
        "::test_each_child_has_its_secrets_only_and_files_are_private_also_after_a_kill",
    ),
    "Database roles": (
        "tests/end_to_end/test_roles.py::test_the_reader_reads_marts_and_ops_and_no_raw_record",
    ),
    "Packages": (
        f"{HERE}::test_packages_are_pinned_by_hash_and_name_no_registry",
        f"{HERE}::test_telemetry_is_off",
    ),
}


def test_each_claim_has_a_test() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^- \*\*(.+?)\*\*", page, re.M)) == set(TESTS)


@pytest.mark.parametrize("name", [test for tests in TESTS.values() for test in tests])
def test_the_tests_of_a_claim_exist(name: str) -> None:
    path, _, function = name.partition("::")
    assert re.search(rf"^def {function}\(", (ROOT / path).read_text(encoding="utf-8"), re.M)


def test_the_tap_only_reads() -> None:
    """No request but GET, except to the server that renews an OAuth token."""
    writing = {}
    for path in (ROOT / "tap-pipedrive" / "tap_pipedrive").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if found := re.findall(r"(?:session|requests)\.(post|put|patch|delete|request)\(", text):
            writing[path.name] = found
    assert writing == {"auth.py": ["post"]}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda p: p.stem
)
def test_packages_are_pinned_by_hash_and_name_no_registry(path: Path) -> None:
    text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines
    assert [line for line in lines if not re.match(r"\S+==\S+ .*--hash=sha256:", line)] == []
    assert "://" not in text


def test_telemetry_is_off() -> None:
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    assert project["send_anonymous_usage_stats"] is False
    (dbt,) = (plugin for plugin in project["plugins"]["utilities"] if plugin["name"] == "dbt")
    off = {each["name"]: each.get("value") for each in dbt["settings"]}
    assert off["send_anonymous_usage_stats"] is False
    assert off["version_check"] is False


def test_no_file_of_secrets_is_tracked() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    private = re.compile(r"(^|/)\.env$|\.pem$|\.key$|id_rsa")
    assert [name for name in tracked if private.search(name)] == []
