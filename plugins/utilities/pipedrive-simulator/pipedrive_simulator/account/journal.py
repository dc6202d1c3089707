"""The journal: every change of an account as one JSON line, so that a restart can repeat it.

The first line has the parameters of the account; each further line is a mutation with all its
arguments and the account's time. Mutations draw random numbers only from the account's seed and
their line number, so the same lines give the same account.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

#: Names of all mutations, as used in journal lines and by `POST /_control/edit`.
MUTATIONS: set[str] = set()


def mutation(function: F) -> F:
    """Make a method of the account a journaled mutation.

    It runs under the account's lock and gets `at` (an instant; the account's present if left out).
    A mutation called by another mutation is part of it and writes no line of its own. A refused
    one writes no line, so the ids that it took become free again: a replay would not take them.
    """
    parameters = inspect.signature(function)
    MUTATIONS.add(function.__name__)

    @functools.wraps(function)
    def journaled(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            if self.mutation_depth:
                return function(self, *args, **kwargs)
            if kwargs.get("at") is None:
                kwargs["at"] = self.clock.text()
            self.mutation_depth += 1
            last_ids = dict(self.last_ids)
            try:
                result = function(self, *args, **kwargs)
            except BaseException:
                self.last_ids = last_ids
                raise
            finally:
                self.mutation_depth -= 1
            arguments = dict(parameters.bind(self, *args, **kwargs).arguments)
            del arguments["self"]
            extra = arguments.pop(_var_keyword(parameters), {})
            self.mutation_count += 1
            if self.journal is not None:
                self.journal.write({"op": function.__name__, **arguments, **extra})
            return result

    return cast(F, journaled)


def _var_keyword(signature: inspect.Signature) -> str:
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            return parameter.name
    return ""


class StateFileInUseError(ValueError):
    """A state file that another running simulator writes to."""


@contextlib.contextmanager
def locked(path: Path | None) -> Iterator[None]:
    """Lock a state file while it is served: two writers would corrupt it.

    The operating system releases the lock when the process ends. Systems without such locks
    (Windows) lock nothing.

    Raises:
        StateFileInUseError: another simulator has locked the file.

    """
    try:
        import fcntl
    except ImportError:  # pragma: no cover: Windows
        path = None
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = (
                f"the state file {path} is in use by another running simulator; "
                "stop that one, or use another state file"
            )
            raise StateFileInUseError(msg) from None
        try:
            yield
        finally:
            # If the account cannot be created, no file stays.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size == 0:
                    path.unlink()


class Journal:
    """An append-only file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[dict[str, Any]]:
        """Read all lines; an incomplete last line, after a crash, is removed from the file."""
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        good = content.rfind(b"\n") + 1
        if good != len(content):
            os.truncate(self.path, good)
        return [json.loads(line) for line in content[:good].splitlines()]

    def write(self, line: dict[str, Any]) -> None:
        """Append one line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
