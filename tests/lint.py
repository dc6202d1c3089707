"""Run every linter of the project; go on after a failure, so that one run shows all.

Two run side by side. SQL that was found clean before is not linted again: sqlfluff takes longer
than all others together.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
MELTANO = ROOT / ".pipeboard" / "env" / "meltano"
PREFECT_PYTHON = ROOT / ".pipeboard" / "env" / "prefect" / "bin" / "python"
TRANSFORM = ROOT / "transform"
#: Fingerprints of clean SQL files, one a line.
CLEAN_SQL = ROOT / ".pipeboard" / "cache" / "clean-sql.txt"
SQLFLUFF = ("python", str(ROOT / "tests" / "lint_sql.py"))
#: Calls of sqlfluff, so that the two threads end at about the same time.
SHARES = 4
DBT_LINT = ROOT / ".pipeboard" / "env" / "dbt-lint" / "bin" / "dbt-bouncer"


#: What it is called, where it runs, and one command or several, each if the one before passed.
Step = tuple[str, str, list[str]] | tuple[str, str, list[str], list[str]]


def main() -> int:
    """Run all linters; return 0 only if all pass."""
    schema = next(MELTANO.glob("lib/python*/site-packages/meltano/schemas/meltano.schema.json"))
    shell = [".ci/run", ".pipeboard/bin/meltano", "run_project.sh", "docker/build.sh"]
    shell += ["k8s/new-account.sh", "tests/run_project/stand-ins/minikube"]
    sql = fingerprints()
    known = set(CLEAN_SQL.read_text().split()) if CLEAN_SQL.exists() else set()
    unknown = sorted(name for name, fingerprint in sql.items() if fingerprint not in known)
    steps: list[Step] = [
        *(
            (f"sqlfluff {nr + 1} of {SHARES}", "transform", [*SQLFLUFF, "lint", "-q", *share])
            for nr in range(SHARES)
            if (share := unknown[nr::SHARES])
        ),
        ("ruff check", ".", ["ruff", "check", "."]),
        ("ruff format", ".", ["ruff", "format", "--check", "."]),
        ("mypy", ".", ["mypy"]),
        ("imports of the tap", "tap-pipedrive", ["lint-imports", "--no-cache"]),
        ("imports of the supervisor", "orchestrate", ["lint-imports", "--no-cache"]),
        (
            "mypy flows",
            "orchestrate/flows",
            ["mypy", "--strict", "--python-executable", str(PREFECT_PYTHON), "."],
        ),
        ("vocabulary", ".", ["python", "tests/docs/vocabulary.py"]),
        *dbt_project(),
        ("yamllint", ".", ["yamllint", "--strict", "."]),
        *shell_scripts(shell),
        ("hadolint", ".", ["hadolint", "Dockerfile"]),
        (
            "compose.yaml",
            ".",
            ["check-jsonschema", "--builtin-schema", "vendor.compose-spec"] + ["compose.yaml"],
        ),
        (
            "issue forms",
            ".",
            ["check-jsonschema", "--builtin-schema", "vendor.github-issue-forms"]
            + [f".github/ISSUE_TEMPLATE/{name}.yml" for name in ("fault", "wish")],
        ),
        (
            "dependabot",
            ".",
            ["check-jsonschema", "--builtin-schema", "vendor.dependabot"]
            + [".github/dependabot.yml"],
        ),
        ("changelog.d", ".", ["towncrier", "build", "--draft", "--version", "next"]),
        ("workflows", ".", ["actionlint"]),
        *security_of_workflows(),
        (
            "time limits of workflows",
            ".",
            ["check-jsonschema", "--builtin-schema", "custom.github-workflows-require-timeout"]
            + [str(path) for path in sorted((ROOT / ".github/workflows").glob("*.yml"))],
        ),
        ("meltano.yml", ".", ["check-jsonschema", "--schemafile", str(schema), "meltano.yml"]),
    ]
    # A dependency that a package names but nobody pinned; dbt's is left out on purpose.
    uv = str(ROOT / ".pipeboard" / "env" / "uv" / "bin" / "uv")
    for name in ("meltano", "tap", "loader", "metabase", "demo", "prefect"):
        python = str(ROOT / ".pipeboard" / "env" / name / "bin" / "python")
        steps.append((f"pins of {name}", ".", [uv, "pip", "check", "--python", python]))
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda step: content(*step), steps)
    unhappy = [name for (name, *_), well in zip(steps, done, strict=True) if not well]
    if not any(name.startswith("sqlfluff") for name in unhappy):
        CLEAN_SQL.parent.mkdir(parents=True, exist_ok=True)
        CLEAN_SQL.write_text("\n".join(sql.values()))
    if unhappy:
        print(f"\nnot content: {', '.join(unhappy)}")
    return 1 if unhappy else 0


def fingerprints() -> dict[str, str]:
    """Return, for each SQL file to lint, what its result depends on."""
    ignored = [
        line
        for line in (TRANSFORM / ".sqlfluffignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    rules = sha256(f"{version('sqlfluff')} {(TRANSFORM / '.sqlfluff').read_text()}".encode())
    for macro in sorted((TRANSFORM / "macros").rglob("*.sql")):
        rules.update(macro.read_bytes())
    found = {}
    for path in TRANSFORM.rglob("*.sql"):
        name = str(path.relative_to(TRANSFORM))
        if not name.startswith(tuple(ignored)):
            of_file = rules.copy()
            of_file.update(f"{name}\0".encode() + path.read_bytes())
            found[name] = of_file.hexdigest()
    return found


def dbt_project() -> list[Step]:
    """Hold the dbt project to its rules; its linter needs a newer Python than the rest."""
    if not DBT_LINT.exists():
        print("dbt-bouncer                      left out: it needs Python 3.11", flush=True)
        return []
    # As a sync runs it, dbt leaves what it parsed for the tests.
    parse = [str(ROOT / ".pipeboard" / "bin" / "dbt"), "--quiet", "parse"]
    return [("dbt project", "transform", parse, [str(DBT_LINT), "run"])]


def shell_scripts(scripts: list[str]) -> list[Step]:
    """Check shell scripts, where its package has a program for this machine."""
    if not (TOOLS / "shellcheck").exists():
        print("shellcheck                       left out: not on Linux on aarch64", flush=True)
        return []
    return [("shellcheck", ".", ["shellcheck", *scripts])]


def security_of_workflows() -> list[Step]:
    """Hold the workflows to least rights and pinned actions; the tool needs a newer Python, too."""
    if not (TOOLS / "zizmor").exists():
        print("security of workflows            left out: it needs Python 3.11", flush=True)
        return []
    command = ["zizmor", "--offline", "--quiet", "--no-progress", "--strict-collection", "."]
    return [("security of workflows", ".", command)]


def content(name: str, folder: str, *commands: list[str]) -> bool:
    """Run one linter; print its output only if it fails."""
    began = time.monotonic()
    for command in commands:
        outcome = run(folder, command)
        if outcome.returncode:
            break
    well = outcome.returncode == 0
    summary = f"{name:<32} {'ok' if well else 'NOT OK':<7} {time.monotonic() - began:5.1f} s"
    print(summary if well else f"{summary}\n{outcome.stdout}{outcome.stderr}", flush=True)
    return well


def run(folder: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command with the tools' environment first on its path."""
    # Compiled code of the tools is stored for the next ones.
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if "CI" in environ:  # nothing reads it there again
        environ["MYPY_CACHE_DIR"] = os.devnull
    return subprocess.run(
        [str(TOOLS / command[0]), *command[1:]],
        cwd=ROOT / folder,
        env={
            **environ,
            "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
            "PIPEBOARD_WORLD": "own",
            "PIPEBOARD_DBT_OF_SYNC": "1",
            # dbt needs an address to parse the project; it opens no connection.
            "PIPEBOARD_DATABASE_URL": "postgresql://lint:lint@localhost/lint",
            "DBT_TARGET_PATH": str(ROOT / ".pipeboard" / "dbt" / "lint"),
            "COLUMNS": "160",
        },
        text=True,
        capture_output=True,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
