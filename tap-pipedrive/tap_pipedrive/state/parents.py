"""Parent records whose rows could not be read: they are read again in later runs.

A deal's log, a product's variations: 403, 404 or 410 for one of them, or pages that lead in a
circle, say nothing about the others. Such a parent counts as incomplete, is noted in the state and
read again: in the next run, then after one hour, four, sixteen and so on, at most
:data:`MOST_TRIES` times. A state holds at most :data:`MOST_NOTED` parents, and a run reads at most
:data:`MOST_RETRIED` of them.

When every parent is refused, the stream is refused. After several refusals in a row, a parent that
could be read before is read again; if there is none, or it is refused too, the stream is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime, timedelta
from typing import Any

from tap_pipedrive import errors
from tap_pipedrive.times import to_text

#: Errors that may concern one parent and not the stream.
PARENT_ERRORS = (
    errors.ForbiddenError,
    errors.NotFoundError,
    errors.UnexpectedAnswerError,
    errors.HollowAnswerError,
    errors.OperationFailingError,
)
ParentError = (
    errors.ForbiddenError
    | errors.NotFoundError
    | errors.UnexpectedAnswerError
    | errors.HollowAnswerError
    | errors.OperationFailingError
)
#: Refusals in a row after which the stream may be refused.
REFUSALS_IN_A_ROW = 5
MOST_NOTED = 200
MOST_RETRIED = 20
MOST_TRIES = 6
_FIRST_DELAY = timedelta(hours=1)
_GROWTH = 4


class Refusals:
    """Distinguishes refused parents from a refused stream."""

    def __init__(self, can_read_another: Callable[[], bool] | None = None) -> None:
        """Start without a call.

        Args:
            can_read_another: reads a parent that could be read before; None if none is known.

        """
        self._can_read_another = can_read_another
        self._last: errors.TapError | None = None
        self._in_a_row = 0
        self.successes = 0

    def succeeded(self) -> None:
        """Note a parent that could be read."""
        self.successes += 1
        self._in_a_row = 0

    def refused(self, error: errors.TapError, *, is_deleted: bool = False) -> None:
        """Note a parent that could not be read.

        Args:
            error: the refusal.
            is_deleted: whether the parent is deleted: then a 404 says nothing about the stream.

        Raises:
            TapError: the error, if it concerns the stream.

        """
        if is_deleted and isinstance(error, errors.NotFoundError):
            return
        self._last = error
        self._in_a_row += 1
        if self._in_a_row >= REFUSALS_IN_A_ROW:
            self._decide(error)

    def finish(self) -> None:
        """Decide after the last parent.

        Raises:
            TapError: all of them were refused, and so is the stream.

        """
        if not self.successes and self._last is not None:
            self._decide(self._last)

    def _decide(self, error: errors.TapError) -> None:
        if self._can_read_another is None or not self._can_read_another():
            raise error
        self.succeeded()


class Parents:
    """The parents of one stream: refused in this run, and to be read again in later runs."""

    def __init__(
        self,
        state: dict[str, Any],
        can_read: Callable[[Any], bool],
        now: Callable[[], datetime],
        logger: logging.Logger,
    ) -> None:
        """Continue from a state.

        Args:
            state: the state of the stream, with the keys ``again`` and ``readable_parent``.
            can_read: reads one parent, and returns whether it can be read.
            now: the source's time.
            logger: reports parents that are not read again.

        """
        self._state = state
        self._can_read = can_read
        self._now = now
        self._logger = logger
        known = state.get("readable_parent")
        self.refusals = Refusals(None if known is None else lambda: can_read(known))
        self._noted_now: set[str] = set()

    def succeeded(self, parent_id: Hashable) -> None:
        """Note a parent that could be read, completely or not."""
        if not self.refusals.successes:
            self._state["readable_parent"] = parent_id
        self.refusals.succeeded()

    def complete(self, parent_id: Any) -> None:
        """Note a parent that was read completely."""
        again = self._state.get("again")
        if again and again.pop(str(parent_id), None) and not again:
            del self._state["again"]

    def incomplete(self, parent_id: Any, *known: Any) -> None:
        """Note a parent that will be read again.

        Args:
            parent_id: its id.
            known: facts about it that the next read needs.

        """
        again = self._state.setdefault("again", {})
        name = str(parent_id)
        tries = again[name][0] + 1 if name in again and name not in self._noted_now else 0
        self._noted_now.add(name)
        if tries >= MOST_TRIES:
            self._logger.warning("%s is not read again until it changes", name)
            self.complete(parent_id)
        elif name in again or len(again) < MOST_NOTED:
            delay = _FIRST_DELAY * _GROWTH ** (tries - 1) if tries else timedelta()
            again[name] = [tries, to_text(self._now() + delay), parent_id, *known]
        else:
            self._logger.warning("%s is incomplete, and too many others are to be read again", name)

    def due(self) -> Iterator[tuple[Any, list[Any]]]:
        """Yield the parents that are due, fewest tries first, with the facts about them."""
        again = self._state.get("again") or {}
        now = to_text(self._now())
        ready = [
            (tries, name, parent_id, known)
            for name, (tries, at, parent_id, *known) in again.items()
            if at <= now and name not in self._noted_now
        ]
        for _, _, parent_id, known in sorted(ready, key=lambda r: r[:2])[:MOST_RETRIED]:
            yield parent_id, known
