"""Secrets on minikube: what they hold, and who sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cluster_secrets import StoredSecrets, secret_contents
from deploy.settings import Settings


def contents(
    stored: dict[str, dict[str, str]], root: Path = Path("/nonexistent")
) -> dict[str, dict[str, str]]:
    return secret_contents("pipeboard", Settings(root), StoredSecrets(stored))


def test_passwords_are_long_and_differ() -> None:
    made = contents({})
    passwords = [v for values in made.values() for key, v in values.items() if "PASSWORD" in key]
    assert min(map(len, passwords)) >= 32
    # Grafana logs in as the role that reads metrics.
    assert len(set(passwords)) == len(passwords) - 1
    assert contents(made) == made


def test_dbt_has_a_role_of_its_own_except_on_a_volume_from_before_there_was_one() -> None:
    made = contents({})
    password = made["postgres"]["TRANSFORM_PASSWORD"]
    assert made["warehouse"]["PIPEBOARD_TRANSFORM_DATABASE_URL"] == (
        f"postgresql://pipeboard_transform:{password}@postgres.pipeboard.svc:5432/pipeboard"
    )
    del made["postgres"]["TRANSFORM_PASSWORD"]
    again = contents(made)
    assert "TRANSFORM_PASSWORD" not in again["postgres"]
    assert list(again["warehouse"]) == ["PIPEBOARD_DATABASE_URL"]


def test_the_administrator_of_metabase_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIPEBOARD_ENV_FILE", raising=False)
    (tmp_path / ".env").write_text("METABASE_ADMIN_EMAIL='ana@acme.example'\n")
    made = contents({}, tmp_path)
    assert made["metabase-provision"]["METABASE_ADMIN_EMAIL"] == "ana@acme.example"
    (tmp_path / ".env").unlink()
    assert contents(made, tmp_path) == made
    assert contents({})["metabase-provision"]["METABASE_ADMIN_EMAIL"] == "admin@pipeboard.internal"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ('A="b c"', "b c"),
        ("A='b=c'", "b=c"),
        ("A=first\nA=last", "last"),
        ("BA=b\n# A=b", ""),
    ],
)
def test_a_setting_is_read_from_env_unless_the_environment_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, value: str
) -> None:
    monkeypatch.delenv("PIPEBOARD_ENV_FILE", raising=False)
    (tmp_path / ".env").write_text(f"{line}\n")
    assert Settings(tmp_path).get("A") == value
    monkeypatch.setenv("A", "environment")
    assert Settings(tmp_path).get("A") == "environment"
