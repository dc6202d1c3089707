"""The moment of a phase, in the tap and in the loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from pipeboard_target_postgres.loader import Loader
from pipeboard_target_postgres.merge import Merge


def is_call_of(phase: str, calls: int, path: str) -> bool:
    """Tell whether the tap is in this phase when it makes a call; `calls` counts this one too."""
    return calls >= 3 and (phase != "history" or "/changelog" in path)


@contextmanager
def at_a_load(phase: str, strike: Callable[[], None]) -> Iterator[None]:
    """Strike whenever the loader is in this phase."""
    load, merge, activate = Loader._load, Merge.run, Loader.activate

    def loading(self: Loader, batch: Any, cursor: Any) -> Any:
        wanted = {"first sync", "incremental", "backfill"}
        if phase in wanted or (phase == "history" and batch.stream.name == "deal_changelog"):
            strike()
        return load(self, batch, cursor)

    def merging(self: Merge, *arguments: Any, **more: Any) -> Any:
        if phase == "merge":
            strike()
        return merge(self, *arguments, **more)

    def activating(self: Loader, *arguments: Any) -> Any:
        if phase == "sweep":
            strike()
        return activate(self, *arguments)

    with (
        mock.patch.object(Loader, "_load", loading),
        mock.patch.object(Merge, "run", merging),
        mock.patch.object(Loader, "activate", activating),
    ):
        yield
