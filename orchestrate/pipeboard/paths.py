"""Where things are: the repository, and the local state under .pipeboard/."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipeboard.errors import ExitCode, PipeboardError


@dataclass(frozen=True)
class Paths:
    """The folders of one checkout."""

    root: Path

    @property
    def tools(self) -> Path:
        """What orchestrate/bootstrap.py builds: environments and commands."""
        return self.root / ".pipeboard"

    @property
    def local(self) -> Path:
        """Local state: databases, logs, reports. Tests set this variable."""
        named = os.environ.get("PIPEBOARD_STATE_DIR")
        return Path(named).resolve() if named else self.tools

    @property
    def binaries(self) -> Path:
        """The folder of commands."""
        return self.tools / "bin"

    @property
    def logs(self) -> Path:
        """The folder of log files, one per run."""
        return self.local / "logs"

    @property
    def postgres(self) -> Path:
        """The folder of the embedded PostgreSQL."""
        return self.local / "postgres"

    @property
    def demo(self) -> Path:
        """The folder of the simulated account."""
        return self.local / "demo"

    @property
    def meltano(self) -> Path:
        """Meltano's own folder: caches and logs; its state lives in the database."""
        return self.root / ".meltano" if self.local == self.tools else self.local / "meltano"

    @property
    def dotenv(self) -> Path:
        """The user's settings."""
        return self.root / ".env"

    @property
    def no_dotenv(self) -> Path:
        """An empty file in place of .env: Meltano gets complete variables from us."""
        self.local.mkdir(parents=True, exist_ok=True)
        empty = self.local / "meltano.env"
        empty.touch()
        return empty

    def environment(self, name: str) -> Path:
        """Return the folder of one of the environments that orchestrate/bootstrap.py builds."""
        return self.tools / "env" / name

    def dbt(self, environment: str) -> Path:
        """Return where dbt writes in a Meltano environment; meltano.yml says the same."""
        return self.local / "dbt" / environment

    def tap(self, state: str) -> Path:
        """Return where the tap keeps its notes beside a state: of one account in one database."""
        return self.local / "tap" / state

    def report(self, environment: str, concurrency_group: str = "main") -> Path:
        """Return the file in which the tap reports what the last run of a group read and spent."""
        name = environment if concurrency_group == "main" else f"{environment}-{concurrency_group}"
        return self.local / "reports" / f"{name}.json"

    def loader_report(self, environment: str, concurrency_group: str = "main") -> Path:
        """Return the file in which the loader reports what the last run of a group received."""
        return self.report(environment, concurrency_group).with_suffix(".loader.json")

    def build_report(self, environment: str, concurrency_group: str = "main") -> Path:
        """Return the file in which `dbt:changed` reports what the last run of a group built."""
        return self.report(environment, concurrency_group).with_suffix(".build.json")


def find_paths() -> Paths:
    """Find the checkout: the one named, the one we are in, or the one this file belongs to."""
    named = os.environ.get("MELTANO_PROJECT_ROOT")
    own = Path(__file__).resolve().parents[2]
    for candidate in (Path(named) if named else own, own, Path.cwd()):
        if (candidate / "meltano.yml").is_file() and (candidate / "transform").is_dir():
            return Paths(candidate.resolve())
    what = "no meltano.yml beside a folder transform/ was found"
    remedy = "Run pipeboard inside a checkout, or name one in MELTANO_PROJECT_ROOT"
    raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
