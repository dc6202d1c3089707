"""What is read per parent record: one that cannot be read is left for later, by itself.

A deal's log, a product's variations: 403, 404 or 410 for one of them, or pages that lead nowhere,
say nothing about the others. Such a parent is counted as incomplete, noted in the state and asked
again: in the next run, then after one hour, four, sixteen and so on, at most
:data:`MOST_TRIES` times. So a state holds at most :data:`MOST_NOTED` parents, and a run asks at
most :data:`MOST_ASKED_AGAIN` of them.

When every parent is refused, the stream is. Several refusals in a row are checked with a parent
that could be read before; if there is none, or it is refused too, the error is the stream's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime, timedelta
from typing import Any

from tap_pipedrive import errors
from tap_pipedrive.times import to_text

#: What one parent may answer without meaning the stream.
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
#: Refusals in a row that may be about the stream.
REFUSALS_IN_A_ROW = 5
MOST_NOTED = 200
MOST_ASKED_AGAIN = 20
MOST_TRIES = 6
_FIRST_DELAY = timedelta(hours=1)
_GROWTH = 4


class Refusals:
    """Tells a refused parent from a refused stream."""

    def __init__(self, can_read_another: Callable[[], bool] | None = None) -> None:
        """Nothing was asked yet.

        Args:
            can_read_another: asks for a parent that could be read before; None if none is known.

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
        """Note a parent that could not.

        Args:
            error: what was answered.
            is_deleted: whether the parent is deleted: that it is gone then says nothing more.

        Raises:
            TapError: the error, if it is about the stream.

        """
        if is_deleted and isinstance(error, errors.NotFoundError):
            return
        self._last = error
        self._in_a_row += 1
        if self._in_a_row >= REFUSALS_IN_A_ROW:
            self._decide()

    def finish(self) -> None:
        """Come to the end of the parents.

        Raises:
            TapError: all of them were refused, and the stream is.

        """
        if not self.successes and self._in_a_row:
            self._decide()

    def _decide(self) -> None:
        if self._can_read_another is not None and self._can_read_another():
            self.succeeded()
        elif self._last is not None:
            raise self._last


class Parents:
    """The parents of one stream: which are refused in this run, which are to be asked again."""

    def __init__(
        self,
        state: dict[str, Any],
        can_read: Callable[[Any], bool],
        now: Callable[[], datetime],
        logger: logging.Logger,
    ) -> None:
        """Go on from a state.

        Args:
            state: the stream's own; ``again`` and ``readable_parent`` in it are kept here.
            can_read: asks for one parent, to see whether it is refused.
            now: the source's time.
            logger: where a parent that is given up is named.

        """
        self._state = state
        self._can_read = can_read
        self._now = now
        self._logger = logger
        known = state.get("readable_parent")
        self.refusals = Refusals(None if known is None else lambda: can_read(known))
        self._noted_now: set[str] = set()

    def succeeded(self, parent_id: Hashable) -> None:
        """Note a parent that could be read, whole or not."""
        if not self.refusals.successes:
            self._state["readable_parent"] = parent_id
        self.refusals.succeeded()

    def complete(self, parent_id: Any) -> None:
        """Note a parent that was read whole."""
        again = self._state.get("again")
        if again and again.pop(str(parent_id), None) and not again:
            del self._state["again"]

    def incomplete(self, parent_id: Any, *known: Any) -> None:
        """Note a parent that is to be asked again.

        Args:
            parent_id: its id.
            known: what is to be known about it then.

        """
        again = self._state.setdefault("again", {})
        name = str(parent_id)
        tries = again[name][0] + 1 if name in again and name not in self._noted_now else 0
        self._noted_now.add(name)
        if tries >= MOST_TRIES:
            self._logger.warning("%s is not asked again until it changes", name)
            self.complete(parent_id)
        elif name in again or len(again) < MOST_NOTED:
            delay = _FIRST_DELAY * _GROWTH ** (tries - 1) if tries else timedelta()
            again[name] = [tries, to_text(self._now() + delay), parent_id, *known]
        else:
            self._logger.warning("%s is incomplete, and too many are to be asked again", name)

    def due(self) -> Iterator[tuple[Any, list[Any]]]:
        """Yield the parents whose time has come, fewest tries first, with what is known of them."""
        again = self._state.get("again") or {}
        now = to_text(self._now())
        ready = [
            (tries, name, parent_id, known)
            for name, (tries, at, parent_id, *known) in again.items()
            if at <= now and name not in self._noted_now
        ]
        for _, _, parent_id, known in sorted(ready, key=lambda r: r[:2])[:MOST_ASKED_AGAIN]:
            yield parent_id, known
