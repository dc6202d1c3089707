"""Whole pipelines: Pipeboard's and the baselines', by `meltano run` or by a shell's pipe."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.bench_env import BASELINES, ROOT, Account, BenchEnv, program
from bench.loaders import STOCK
from bench.measuring import Command, Measured, clean_environ, run
from pipeboard.environments import demo_environment
from pipeboard.paths import Paths

BASELINE_SCHEMA = "bench_rival"
PIPEBOARD_SCHEMAS = ("pipedrive", "ops")
_numbers = itertools.count(1)


def child_name(argv: list[str]) -> str | None:
    """Return which part of the pipeline a process below Meltano is."""
    line = " ".join(argv)
    if re.search(r"bin/tap-pipedrive|sdk_tap\.py|replay_tap\.py", line):
        return "tap"
    if "bin/pipeboard-target-postgres" in line or "from target_postgres.target" in line:
        return "loader"
    return "dbt" if "bin/dbt" in line else None


@dataclass(frozen=True)
class Pipeboard:
    """Pipeboard's tap and loader, by the project's meltano.yml; deals only, as in the baselines."""

    name: str = "pipeboard"

    def environ(self, env: BenchEnv, account: Account) -> dict[str, str]:
        """Return the variables of a run that has never run before."""
        environment = demo_environment(Paths(ROOT), clean_environ(), env.server.url, account.ready)
        # No state and no notes of the tap: each run is a first one. The names of files stay the
        # same, for Meltano asks a tap for its catalog again when a setting of it changed.
        shutil.rmtree(environment.variables["PIPEBOARD_TAP_STATE_DIR"], ignore_errors=True)
        return {
            **environment.variables,
            "MELTANO_RUN_STATE_ID_SUFFIX": f"bench{next(_numbers)}",
            "TAP_PIPEDRIVE__SELECT": '["deals.*"]',
        }

    def run(self, env: BenchEnv, account: Account) -> Measured:
        """Run it as the supervisor does."""
        argv = ["run", "--force", "tap-pipedrive", "target-postgres"]
        meltano = meltano_command(env, ROOT, "demo", argv, self.environ(env, account))
        return measured_run(env, account, [meltano])

    def rows(self, env: BenchEnv) -> int:
        """Count what arrived."""
        return env.server.count("pipedrive", "deals")

    def forget(self, env: BenchEnv) -> None:
        """Delete what arrived."""
        env.server.drop(*PIPEBOARD_SCHEMAS)


class Piped(Pipeboard):
    """The same two without Meltano."""

    def run(self, env: BenchEnv, account: Account) -> Measured:
        """Join them as a shell would."""
        config = env.file("piped.json", {"sqlalchemy_url": env.server.url})
        loader = [program("loader", "pipeboard-target-postgres"), "--config", config]
        commands = [env.tap(account), Command("loader", loader)]
        return measured_run(env, account, commands)


@dataclass(frozen=True)
class Other:
    """A tap and a loader of the baselines' meltano.yml."""

    name: str
    tap: str
    loader: str
    #: Settings by plugin, and whatever else is in the environment.
    settings: Mapping[str, Mapping[str, Any]]
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self, env: BenchEnv, account: Account) -> Measured:
        """Run it as our own is run."""
        project = baseline_project(env)
        environ = Pipeboard().environ(env, account)
        environ |= {
            "PATH": f"{project / 'bin'}:{environ['PATH']}",
            "MELTANO_PROJECT_ROOT": str(project),
            "MELTANO_SYS_DIR_ROOT": str(project / ".meltano"),
            "MELTANO_ENVIRONMENT": "bench",
            **self.environ,
        }
        for plugin, settings in self.settings.items():
            for name, value in settings.items():
                word = value if isinstance(value, str) else json.dumps(value)
                environ[f"{plugin}_{name}".upper().replace("-", "_")] = word
        argv = ["run", "--force", self.tap, self.loader]
        meltano = meltano_command(env, project, "bench", argv, environ)
        return measured_run(env, account, [meltano])

    def rows(self, env: BenchEnv) -> int:
        """Count what arrived."""
        return env.server.count(BASELINE_SCHEMA, "deals")

    def forget(self, env: BenchEnv) -> None:
        """Delete what arrived."""
        env.server.drop(BASELINE_SCHEMA, "ops")


@dataclass(frozen=True)
class Baseline:
    """The SDK's tap and the stock loader."""

    name: str
    settings: Mapping[str, Any]
    tuned: bool

    def run(self, env: BenchEnv, account: Account) -> Measured:
        """Run it as our own is run."""
        return self._pipeline(env, account).run(env, account)

    def rows(self, env: BenchEnv) -> int:
        """Count what arrived."""
        return env.server.count(BASELINE_SCHEMA, "deals")

    def forget(self, env: BenchEnv) -> None:
        """Delete what arrived."""
        env.server.drop(BASELINE_SCHEMA)

    def _pipeline(self, env: BenchEnv, account: Account) -> Other:
        schema_file = env.file("deals-schema.json")
        if not schema_file.exists():
            streams = json.loads(env.catalog(account, "deals").read_text())["streams"]
            (schema,) = [s["schema"] for s in streams if s["tap_stream_id"] == "deals"]
            # What our tap adds to what the API gives.
            schema["properties"].pop("_extra", None)
            schema_file.write_text(json.dumps(schema))
        tap = {
            "api_token": account.token,
            "api_url": account.url,
            "include_fields": included_fields(),
            "schema_file": str(schema_file),
        }
        loader = {
            "sqlalchemy_url": env.server.url.replace("postgresql:", "postgresql+psycopg:"),
            "default_target_schema": BASELINE_SCHEMA,
            **self.settings,
        }
        environ = {"SDK_TAP": "tuned"} if self.tuned else {}
        settings = {"tap-sdk": tap, "target-stock": loader}
        return Other(self.name, "tap-sdk", "target-stock", settings, environ)


def baseline_project(env: BenchEnv) -> Path:
    """Create the baselines' project: its meltano.yml and its commands."""
    project = env.file("baseline project")
    if not project.exists():
        (project / "bin").mkdir(parents=True)
        shutil.copy(BASELINES / "meltano.yml", project)
        commands: dict[str, list[object]] = {
            "tap-sdk": [program("tap", "python"), BASELINES / "sdk_tap.py"],
            "tap-replay": [program("dev", "python"), BASELINES / "replay_tap.py"],
            "target-stock": [program("loader", "python"), "-c", STOCK],
            "target-pipeboard": [program("loader", "pipeboard-target-postgres")],
        }
        for name, argv in commands.items():
            path = project / "bin" / name
            path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, argv))} "$@"\n')
            path.chmod(0o755)
    return project


def included_fields() -> str:
    """Return the optional fields, as the bare loop requests them."""
    text = (BASELINES / "bare_loop.py").read_text()
    return "".join(re.findall(r'"([^"]*)"', text[text.index("FIELDS = (") : text.index("HEAD =")]))


def meltano_command(
    env: BenchEnv, project: Path, environment: str, argv: list[str], environ: dict[str, str]
) -> Command:
    """Return a call of Meltano, as the supervisor makes it."""
    no_dotenv = env.file("empty.env")
    no_dotenv.write_text("")
    options = ["--env-file", no_dotenv, "--log-format=json", f"--environment={environment}"]
    environ = {**environ, "PWD": str(project)}
    call = [program("meltano", "meltano"), "--cwd", project, *options, *argv]
    return Command("meltano", call, environ)


def measured_run(env: BenchEnv, account: Account, commands: list[Command]) -> Measured:
    """Run a pipeline; the account is measured too, because it uses the same cores."""
    return run(
        commands,
        log=env.log,
        server=env.server,
        children=child_name,
        beside={"account": account.pid},
    )
