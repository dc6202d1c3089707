"""Ask a few questions ahead, and take the answers in order.

A log costs one round trip a deal. At 300 ms each, one after the other makes three deals a
second, where the smallest plan allows ten. So while one deal's answer is being written, the
next few are under way; the burst window still decides how many may be.
"""

from __future__ import annotations

import contextvars
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from tap_pipedrive import termination

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")


class LookAhead(Generic[Question, Answer]):
    """Keeps up to ``width`` questions under way, in the order in which they will be taken."""

    def __init__(self, ask: Callable[[Question], Answer], width: int) -> None:
        """Start no thread before there is a question.

        Args:
            ask: asks one question; called in other threads.
            width: questions under way at the most; 1 asks each one when it is taken.

        """
        self._ask = ask
        self._width = width
        self._threads: ThreadPoolExecutor | None = None
        self._coming: Iterator[Question] = iter(())
        self._under_way: OrderedDict[Question, Future[Answer]] = OrderedDict()

    def expect(self, questions: Iterable[Question]) -> None:
        """Say what will be taken next; what was expected before is given up."""
        self._give_up()
        self._coming = iter(questions)
        self._fill()

    def take(self, question: Question) -> Answer:
        """Return the answer to a question; one that nobody expected is asked now."""
        future = self._under_way.pop(question, None)
        if future is None:
            return self._ask(question)
        self._fill()
        with termination.at_once():
            return future.result()

    def close(self, *, wait: bool = True) -> None:
        """Give up what is under way, and wait for the threads that are asking."""
        self._give_up()
        if self._threads is not None:
            self._threads.shutdown(wait=wait, cancel_futures=True)
            self._threads = None

    def _fill(self) -> None:
        if self._width <= 1:
            return
        while len(self._under_way) < self._width:
            question = next(self._coming, None)
            if question is None:
                return
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._width, thread_name_prefix="look-ahead")
            # Each thread logs in the context (run, page) the question was asked in.
            context = contextvars.copy_context()
            self._under_way[question] = self._threads.submit(context.run, self._ask, question)

    def _give_up(self) -> None:
        self._coming = iter(())
        for future in self._under_way.values():
            future.cancel()
        self._under_way.clear()
