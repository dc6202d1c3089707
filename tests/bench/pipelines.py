"""Whole pipelines: ours and its rivals, by `meltano run` or by a pipe of the shell."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ground import RIVALS, ROOT, Account, Ground, program
from bench.loaders import STOCK
from bench.measuring import Command, Measured, clean_environ, run
from pipeboard.paths import Paths
from pipeboard.worlds import demo_world

RIVAL_SCHEMA = "bench_rival"
OUR_SCHEMAS = ("pipedrive", "ops")
_numbers = itertools.count(1)


def child_name(words: list[str]) -> str | None:
    """Tell which part of the pipeline a process below Meltano is."""
    line = " ".join(words)
    if re.search(r"bin/tap-pipedrive|sdk_tap\.py", line):
        return "tap"
    if "bin/pipeboard-target-postgres" in line or "from target_postgres.target" in line:
        return "loader"
    return "dbt" if "bin/dbt" in line else None


@dataclass(frozen=True)
class Ours:
    """Our tap and our loader, by the project's own meltano.yml; deals only, like the rivals."""

    name: str = "ours"

    def environ(self, ground: Ground, account: Account) -> dict[str, str]:
        """Return the world of a run that has never run before."""
        world = demo_world(Paths(ROOT), clean_environ(), ground.server.url, account.ready)
        number = next(_numbers)
        return {
            **world.environ,
            "MELTANO_RUN_STATE_ID_SUFFIX": f"bench{number}",
            "PIPEBOARD_TAP_STATE_DIR": str(ground.file(f"tap-state-{number}")),
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
class Rival:
    """The SDK's tap and the stock loader, by the rivals' meltano.yml."""

    name: str
    settings: Mapping[str, Any]
    tuned: bool

    def run(self, ground: Ground, account: Account) -> Measured:
        """Run it as our own is run."""
        project = self._project(ground, account)
        environ = Ours().environ(ground, account)
        url = ground.server.url.replace("postgresql://", "postgresql+psycopg://")
        environ |= {
            "PATH": f"{project / 'bin'}:{environ['PATH']}",
            "MELTANO_PROJECT_ROOT": str(project),
            "MELTANO_SYS_DIR_ROOT": str(project / ".meltano"),
            "MELTANO_ENVIRONMENT": "bench",
            "SDK_TAP": "tuned" if self.tuned else "",
            "TAP_SDK_API_TOKEN": account.token,
            "TAP_SDK_API_URL": account.url,
            "TAP_SDK_INCLUDE_FIELDS": included_fields(),
            "TAP_SDK_SCHEMA_FILE": str(project / "deals.json"),
            "TARGET_STOCK_SQLALCHEMY_URL": url,
            "TARGET_STOCK_DEFAULT_TARGET_SCHEMA": RIVAL_SCHEMA,
        }
        for name, value in self.settings.items():
            environ[f"TARGET_STOCK_{name.upper()}"] = json.dumps(value)
        words = ["run", "--force", "tap-sdk", "target-stock"]
        meltano = meltano_command(ground, project, "bench", words, environ)
        return measured_run(ground, account, [meltano])

    def rows(self, ground: Ground) -> int:
        """Count what arrived."""
        return ground.server.count(RIVAL_SCHEMA, "deals")

    def forget(self, ground: Ground) -> None:
        """Delete what arrived."""
        ground.server.drop(RIVAL_SCHEMA)

    def _project(self, ground: Ground, account: Account) -> Path:
        """Lay out the rivals' project: its meltano.yml, its two commands, the schema of deals."""
        project = ground.file("rival project")
        if not project.exists():
            (project / "bin").mkdir(parents=True)
            shutil.copy(RIVALS / "meltano.yml", project)
            commands: dict[str, list[object]] = {
                "tap-sdk": [program("tap", "python"), RIVALS / "sdk_tap.py"],
                "target-stock": [program("loader", "python"), "-c", STOCK],
            }
            for name, words in commands.items():
                path = project / "bin" / name
                path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n')
                path.chmod(0o755)
            streams = json.loads(ground.catalog(account, "deals").read_text())["streams"]
            (schema,) = [s["schema"] for s in streams if s["tap_stream_id"] == "deals"]
            # What our tap adds to what the API gives.
            schema["properties"].pop("_extra", None)
            (project / "deals.json").write_text(json.dumps(schema))
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
