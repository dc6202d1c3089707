"""Run every linter of the project; go on after a failure, so that one run shows all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
MELTANO = ROOT / ".pipeboard" / "env" / "meltano"
PREFECT_PYTHON = ROOT / ".pipeboard" / "env" / "prefect" / "bin" / "python"
DBT_LINT = ROOT / ".pipeboard" / "env" / "dbt-lint" / "bin" / "dbt-bouncer"
PACKAGES = (
    ("tap-pipedrive", "tap_pipedrive"),
    ("plugins/loaders/target-postgres", "pipeboard_target_postgres"),
    ("plugins/utilities/pipedrive-simulator", "pipedrive_simulator"),
    ("plugins/utilities/metabase", "pipeboard_metabase"),
    ("orchestrate", "pipeboard"),
    ("tests", "bench"),
    ("k8s/components/grafana/generate", "."),
)


def main() -> int:
    """Run them all; 0 only if all are content."""
    schema = next(MELTANO.glob("lib/python*/site-packages/meltano/schemas/meltano.schema.json"))
    shell = [".ci/run", ".pipeboard/bin/meltano", "run_project.sh", "docker/build.sh"]
    shell += ["k8s/new-account.sh", "tests/run_project/stand-ins/minikube"]
    steps: list[tuple[str, str, list[str]]] = [
        ("ruff check", ".", ["ruff", "check", "."]),
        ("ruff format", ".", ["ruff", "format", "--check", "."]),
        *(
            (f"mypy {folder if package == '.' else package}", folder, ["mypy", package])
            for folder, package in PACKAGES
        ),
        (
            "mypy flows",
            "orchestrate/flows",
            ["mypy", "--strict", "--python-executable", str(PREFECT_PYTHON), "."],
        ),
        ("mypy bootstrap", ".", ["mypy", "orchestrate/bootstrap.py", "tests/run.py", __file__]),
        (
            "sqlfluff",
            "transform",
            ["sqlfluff", "lint", "-p", "2", "--disable-progress-bar", "-q", "."],
        ),
        *dbt_project(),
        ("yamllint", ".", ["yamllint", "--strict", "."]),
        ("shellcheck", ".", ["shellcheck", *shell]),
        ("hadolint", ".", ["hadolint", "Dockerfile"]),
        (
            "compose.yaml",
            ".",
            ["check-jsonschema", "--builtin-schema", "vendor.compose-spec"] + ["compose.yaml"],
        ),
        ("meltano.yml", ".", ["check-jsonschema", "--schemafile", str(schema), "meltano.yml"]),
    ]
    # A dependency that a package names but nobody pinned; dbt's is left out on purpose.
    uv = str(ROOT / ".pipeboard" / "env" / "uv" / "bin" / "uv")
    for name in ("meltano", "tap", "loader", "metabase", "demo", "prefect"):
        python = str(ROOT / ".pipeboard" / "env" / name / "bin" / "python")
        steps.append((f"pins of {name}", ".", [uv, "pip", "check", "--python", python]))
    unhappy = [name for name, folder, command in steps if not content(name, folder, command)]
    if unhappy:
        print(f"\nnot content: {', '.join(unhappy)}")
    return 1 if unhappy else 0


def dbt_project() -> list[tuple[str, str, list[str]]]:
    """Hold the dbt project to its rules; its linter needs a newer Python than the rest."""
    if not DBT_LINT.exists():
        print("dbt-bouncer                      left out: it needs Python 3.11", flush=True)
        return []
    return [
        ("dbt parse", "transform", ["dbt", "--quiet", "parse"]),
        ("dbt-bouncer", "transform", [str(DBT_LINT), "run"]),
    ]


def content(name: str, folder: str, command: list[str]) -> bool:
    """Run one linter; show its words only if it has something to say."""
    began = time.monotonic()
    outcome = subprocess.run(
        [str(TOOLS / command[0]), *command[1:]],
        cwd=ROOT / folder,
        env={
            **os.environ,
            "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
            # What dbt wants to be told before it reads; it connects to nothing.
            "PIPEBOARD_DATABASE_URL": "postgresql://lint:lint@localhost/lint",
            "DBT_TARGET_PATH": str(ROOT / ".pipeboard" / "dbt" / "lint"),
            "COLUMNS": "160",
        },
        text=True,
        capture_output=True,
        check=False,
    )
    well = outcome.returncode == 0
    print(
        f"{name:<32} {'ok' if well else 'NOT OK':<7} {time.monotonic() - began:5.1f} s", flush=True
    )
    if not well:
        print(outcome.stdout + outcome.stderr, flush=True)
    return well


if __name__ == "__main__":
    sys.exit(main())
