"""A PostgreSQL of its own for the stories, which does not wait for the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeboard.local import embedded_postgres
from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.postgres_binaries import Binaries, wheel_binaries

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database."""
    # What is in it is gone with the stories anyway.
    embedded_postgres.SETTINGS.update(
        fsync="off", full_page_writes="off", synchronous_commit="off", shared_buffers="32MB"
    )
    server = EmbeddedPostgres(folder)
    named = os.environ.get("PIPEBOARD_POSTGRES_BIN")
    binaries = (
        Binaries(Path(named)) if named else wheel_binaries(ROOT / ".pipeboard" / "env" / "demo")
    )
    try:
        yield server.start(binaries, "trust", fresh=True)["trust"]
    finally:
        server.destroy()
