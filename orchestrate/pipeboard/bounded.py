"""A limit in seconds for calls that have none of their own, such as reading a slow answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, what: str, action: Callable[[], T]) -> T:
    """Run an action in a thread, and wait at most so many seconds for it.

    Raises:
        TimeoutError: it is not done; the thread is left behind and ends with the process.

    """
    done: list[T] = []
    failed: list[BaseException] = []

    def act() -> None:
        try:
            done.append(action())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=act, daemon=True, name=what)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        message = f"{what} was not done within {seconds:.0f} s"
        raise TimeoutError(message)
    return done[0]
