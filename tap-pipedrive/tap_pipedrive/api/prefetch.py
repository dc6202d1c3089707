"""Ask for the first pages of the next few lists while one list is being read.

Half an hour after the last sync nearly every list is a page or less, so such a sync is a row of
round trips: at 300 ms each, twenty lists take six seconds one after the other. Every list has a
first page, so asking for it early costs no call more. Later pages are asked for in turn, and long
lists are read in windows (:mod:`tap_pipedrive.sync.windows`).

A page may have waited when it is used. That is safe, because a walk's bookmark never passes the
time at which its own first page was answered (``Page.answered_at``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tap_pipedrive.api.look_ahead import LookAhead
from tap_pipedrive.api.responses import Page


@dataclass(frozen=True)
class Beginning:
    """Where a walk begins: the stream, the operation, and the time asked from."""

    stream: str
    operation: str
    since: str | None = None
    pages: Callable[[], Iterable[Page]] = field(compare=False, kw_only=True)


class Beginnings:
    """Walks whose first page is under way."""

    def __init__(self, width: int) -> None:
        """Ask for nothing yet.

        Args:
            width: first pages under way, or waiting to be used, at the most; 1 asks for none early.

        """
        self._ahead: LookAhead[Beginning, tuple[list[Page], Iterator[Page]]]
        self._ahead = LookAhead(_begin, width)
        self._coming: Iterable[Beginning] = ()

    def expect(self, coming: Iterable[Beginning]) -> None:
        """Say which walks come, in their order; the first one's answer lets the others begin.

        By then the source's date is known, without which tokens would be booked on another day.
        """
        self._coming = coming

    def walk(self, beginning: Beginning) -> Iterator[Page]:
        """Walk a list, from the page that is there already if it was expected.

        Raises:
            TapError: whatever asking for a page raised, in this thread or another.

        """
        first, rest = self._ahead.take(beginning)
        coming, self._coming = self._coming, ()
        if coming:
            self._ahead.expect(other for other in coming if other != beginning)
        yield from first
        yield from rest

    def close(self, *, wait: bool = True) -> None:
        """Give up what is under way."""
        self._ahead.close(wait=wait)


def _begin(beginning: Beginning) -> tuple[list[Page], Iterator[Page]]:
    rest = iter(beginning.pages())
    return [page for page in [next(rest, None)] if page is not None], rest
