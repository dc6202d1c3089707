"""The streams of a run, by name and by what they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Generic, TypeVar

from tap_pipedrive.errors import TapError

S = TypeVar("S", bound=Any)


class StreamSet(Generic[S]):
    """The streams of one run in the order of their declaration: parents before their children."""

    def __init__(self) -> None:
        """Start without a stream; each one adds itself."""
        self._by_name: dict[str, S] = {}

    def add(self, stream: S) -> None:
        """Add the next stream."""
        self._by_name[stream.name] = stream

    def __getitem__(self, name: str) -> S:
        """Return a stream by its name."""
        return self._by_name[name]

    def __iter__(self) -> Iterator[S]:
        """Yield all streams, selected or not."""
        return iter(self._by_name.values())

    @property
    def selected(self) -> list[S]:
        """The selected streams."""
        return [stream for stream in self if stream.selected]

    @cached_property
    def lookup_lists(self) -> dict[str, S]:
        """The selected lists in which the names that records use are looked up.

        A list that is not known when the first record comes is left out: this run reads it anyway.
        """
        return {stream.name: stream for stream in self.selected if stream.can_look_up}

    def owner_of(self, error: TapError) -> S | None:
        """Find the stream whose operation failed, whichever stream called it; None if unknown."""
        return next((stream for stream in self if error.operation in stream.operations), None)
