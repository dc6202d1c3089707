"""The record of a database cluster: its folder, port, passwords and checkout."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local.loopback import HOST, free_port
from pipeboard.local.postgres_binaries import Unprivileged

OWNER = "pipeboard"


@dataclass(frozen=True)
class Cluster:
    """One database cluster. It holds passwords, so its file is private."""

    id: str
    home: str
    port: int
    superuser_password: str
    password: str

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return Path(self.home) / "data"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return Path(self.home) / "log" / "server.log"

    @property
    def orphan(self) -> Path:
        """Where the data of a deleted checkout is kept, until the next such case."""
        return Path(f"{self.home}.orphan")

    def url(self, database: str) -> str:
        """Return the URL of a database, as the role that owns it."""
        return f"postgresql://{OWNER}:{self.password}@{HOST}:{self.port}/{quote(database)}"


class ClusterRecord:
    """The record of one checkout's cluster, in its private folder `state`."""

    def __init__(self, state: Path, roots_home: Path, user: Unprivileged | None) -> None:
        self.state = state
        self.roots_home = roots_home
        self.user = user
        self.path = state / "cluster.json"

    def load(self) -> Cluster | None:
        """Return the cluster of this checkout, None if there is none yet."""
        try:
            cluster = Cluster(**json.loads(self.path.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        if self.user is None:
            # All files are beside the record, also after the checkout was moved.
            return replace(cluster, home=str(self.state))
        return cluster if self._is_own(cluster) else None

    def save(self, cluster: Cluster) -> None:
        """Write the record, whole or not at all."""
        fresh = self.path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(asdict(cluster), out)
        fresh.replace(self.path)

    def create(self, end: Callable[[Cluster], object]) -> Cluster:
        """Decide on a new cluster; `end` shuts down one that a deleted checkout left running."""
        place = sha256(str(self.state).encode()).hexdigest()[:12]
        cluster = Cluster(
            id=secrets.token_hex(8),
            home=str(self.roots_home / place if self.user else self.state),
            port=free_port(),
            superuser_password=secrets.token_urlsafe(18),
            password=secrets.token_urlsafe(18),
        )
        if self.user:
            self._take_over(cluster, end)
        self.save(cluster)
        return cluster

    def _is_own(self, cluster: Cluster) -> bool:
        """Tell whether a folder outside the checkout belongs to this record.

        A checkout that was copied brings the record along, but its original keeps the data.
        """
        owner = Path(cluster.home) / "owner.json"
        try:
            known = json.loads(owner.read_text())
        except (OSError, ValueError):
            return False
        if known.get("id") != cluster.id:
            return False
        if known["state"] != str(self.state):
            if (Path(known["state"]) / self.path.name).exists():
                return False
            self._sign(cluster)
        return True

    def _take_over(self, cluster: Cluster, end: Callable[[Cluster], object]) -> None:
        """Prepare a folder outside the checkout; move the data of a deleted checkout aside."""
        home = Path(cluster.home)
        if (home / "owner.json").exists():
            end(cluster)
            shutil.rmtree(cluster.orphan, ignore_errors=True)
            home.rename(cluster.orphan)
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"the embedded PostgreSQL has no place: {home} cannot be created ({error})"
            remedy = "Run as an ordinary user, or name a database in PIPEBOARD_DATABASE_URL"
            raise PipeboardError(what, remedy, ExitCode.CONFIGURATION) from error
        for folder in (home.parent, home):
            folder.chmod(0o755)
        self._sign(cluster)

    def _sign(self, cluster: Cluster) -> None:
        """Leave a note of whose the place is."""
        owner = {"id": cluster.id, "state": str(self.state)}
        (Path(cluster.home) / "owner.json").write_text(json.dumps(owner))
