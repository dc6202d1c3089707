"""Whole pipelines: ours and its rivals, by `meltano run` or by a pipe of the shell."""

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

from bench.ground import RIVALS, ROOT, Account, Ground, program
from bench.loaders import STOCK
from bench.measuring import Command, Measured, clean_environ, run
from pipeboard.environments import demo_environment
from pipeboard.paths import Paths

RIVAL_SCHEMA = "bench_rival"
OUR_SCHEMAS = ("pipedrive", "ops")
_numbers = itertools.count(1)


def child_name(words: list[str]) -> str | None:
    """Tell which part of the pipeline a process below Meltano is."""
    line = " ".join(words)
    if re.search(r"bin/tap-pipedrive|sdk_tap\.py|replay_tap\.py", line):
        return "tap"
    if "bin/pipeboard-target-postgres" in line or "from target_postgres.target" in line:
        return "loader"
    return "dbt" if "bin/dbt" in line else None


@dataclass(frozen=True)
class Ours:
    """Our tap and our loader, by the project's own meltano.yml; deals only, like the rivals."""

    name: str = "ours"

    def environ(self, ground: Ground, account: Account) -> dict[str, str]:
        """Return the variables of a run that has never run before."""
        environment = demo_environment(
            Paths(ROOT), clean_environ(), ground.server.url, account.ready
        )
        # No state and no notes of the tap: each run is a first one. The names of files stay the
        # same, for Meltano asks a tap for its catalog again when a setting of it changed.
        shutil.rmtree(environment.variables["PIPEBOARD_TAP_STATE_DIR"], ignore_errors=True)
        return {
            **environment.variables,
            "MELTANO_RUN_STATE_ID_SUFFIX": f"bench{next(_numbers)}",
            "TAP_PIPEDRIVE__SELECT": '["deals.*"]',
        }

    def run(self, ground: Ground, account: Account) -> Measured:
        """Run it as the supervisor does."""
        words = ["run", "--force", "tap-pipedrive", "target-postgres"]
        meltano = meltano_command(ground, ROOT, "demo", words, self.environ(ground, account))
        return measured_run(ground, account, [meltano])

    def rows(self, ground: Ground) -> int:
        """Count what arrived."""
        return ground.server.count("pipedrive", "deals")

    def forget(self, ground: Ground) -> None:
        """Delete what arrived."""
        ground.server.drop(*OUR_SCHEMAS)


class Piped(Ours):
    """The same two without Meltano."""

    def run(self, ground: Ground, account: Account) -> Measured:
        """Join them as a shell would."""
        config = ground.file("piped.json", {"sqlalchemy_url": ground.server.url})
        loader = [program("loader", "pipeboard-target-postgres"), "--config", config]
        commands = [ground.tap(account), Command("loader", loader)]
        return measured_run(ground, account, commands)


@dataclass(frozen=True)
class Other:
    """A tap and a loader of the rivals' meltano.yml."""

    name: str
    tap: str
    loader: str
    #: Settings by plugin, and whatever else is in the environment.
    settings: Mapping[str, Mapping[str, Any]]
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self, ground: Ground, account: Account) -> Measured:
        """Run it as our own is run."""
        project = rival_project(ground)
        environ = Ours().environ(ground, account)
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
        words = ["run", "--force", self.tap, self.loader]
        meltano = meltano_command(ground, project, "bench", words, environ)
        return measured_run(ground, account, [meltano])

    def rows(self, ground: Ground) -> int:
        """Count what arrived."""
        return ground.server.count(RIVAL_SCHEMA, "deals")

    def forget(self, ground: Ground) -> None:
        """Delete what arrived."""
        ground.server.drop(RIVAL_SCHEMA, "ops")


@dataclass(frozen=True)
class Rival:
    """The SDK's tap and the stock loader."""

    name: str
    settings: Mapping[str, Any]
    tuned: bool

    def run(self, ground: Ground, account: Account) -> Measured:
        """Run it as our own is run."""
        return self._pipeline(ground, account).run(ground, account)

    def rows(self, ground: Ground) -> int:
        """Count what arrived."""
        return ground.server.count(RIVAL_SCHEMA, "deals")

    def forget(self, ground: Ground) -> None:
        """Delete what arrived."""
        ground.server.drop(RIVAL_SCHEMA)

    def _pipeline(self, ground: Ground, account: Account) -> Other:
        schema_file = ground.file("deals-schema.json")
        if not schema_file.exists():
            streams = json.loads(ground.catalog(account, "deals").read_text())["streams"]
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
            "sqlalchemy_url": ground.server.url.replace("postgresql:", "postgresql+psycopg:"),
            "default_target_schema": RIVAL_SCHEMA,
            **self.settings,
        }
        environ = {"SDK_TAP": "tuned"} if self.tuned else {}
        settings = {"tap-sdk": tap, "target-stock": loader}
        return Other(self.name, "tap-sdk", "target-stock", settings, environ)


def rival_project(ground: Ground) -> Path:
    """Lay out the rivals' project: its meltano.yml and its commands."""
    project = ground.file("rival project")
    if not project.exists():
        (project / "bin").mkdir(parents=True)
        shutil.copy(RIVALS / "meltano.yml", project)
        commands: dict[str, list[object]] = {
            "tap-sdk": [program("tap", "python"), RIVALS / "sdk_tap.py"],
            "tap-replay": [program("dev", "python"), RIVALS / "replay_tap.py"],
            "target-stock": [program("loader", "python"), "-c", STOCK],
            "target-ours": [program("loader", "pipeboard-target-postgres")],
        }
        for name, words in commands.items():
            path = project / "bin" / name
            path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n')
            path.chmod(0o755)
    return project


def included_fields() -> str:
    """Return the fields that are only sent when asked for, as the bare loop asks for them."""
    text = (RIVALS / "bare_loop.py").read_text()
    return "".join(re.findall(r'"([^"]*)"', text[text.index("FIELDS = (") : text.index("HEAD =")]))


def meltano_command(
    ground: Ground, project: Path, environment: str, words: list[str], environ: dict[str, str]
) -> Command:
    """Return a call of Meltano, as the supervisor makes it."""
    no_dotenv = ground.file("empty.env")
    no_dotenv.write_text("")
    options = ["--env-file", no_dotenv, "--log-format=json", f"--environment={environment}"]
    environ = {**environ, "PWD": str(project)}
    call = [program("meltano", "meltano"), "--cwd", project, *options, *words]
    return Command("meltano", call, environ)


def measured_run(ground: Ground, account: Account, commands: list[Command]) -> Measured:
    """Run a pipeline; the account's own work is seen too, for it needs the same cores."""
    return run(
        commands,
        log=ground.log,
        server=ground.server,
        children=child_name,
        beside={"account": account.pid},
    )
