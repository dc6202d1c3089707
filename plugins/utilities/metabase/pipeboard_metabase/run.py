"""One pass over all managed objects; one place decides whether it writes.

`plan` is the same walk as `apply`, only that nothing is sent. So what a plan says is what an apply
does, and an object that is yet to be made is known by a number below zero until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pipeboard_metabase.client import Client
from pipeboard_metabase.console import Console
from pipeboard_metabase.definitions import Definitions
from pipeboard_metabase.settings import Settings
from pipeboard_metabase.warehouse import Contents

SIGNS = {"create": "+", "update": "~", "restore": "~", "archive": "-"}


@dataclass(frozen=True)
class Change:
    """One thing that differs: what to do, to which object, and why."""

    action: str
    kind: str
    name: str
    details: tuple[str, ...] = ()


@dataclass
class Run:
    """What every step needs, and the changes so far."""

    #: None where Metabase is not set up yet: there is nothing to read, and everything to make.
    client: Client | None
    settings: Settings
    definitions: Definitions
    contents: Contents
    console: Console
    dry: bool
    changes: list[Change] = field(default_factory=list)
    _unmade: count[int] = field(default_factory=lambda: count(-1, -1))

    @property
    def language(self) -> str:
        """The language of the texts in this Metabase."""
        return self.settings.language

    def text(self, key: str) -> str:
        """Return a text in the language of this Metabase."""
        return self.definitions.translations.text(key, self.language)

    def get(self, path: str, nothing: Any, **query: Any) -> Any:
        """Read, or return `nothing` from a Metabase that is not set up."""
        return self.client.get(path, **query) if self.client else nothing

    def change(
        self,
        action: str,
        kind: str,
        name: str,
        do: Callable[[Client], Any],
        details: Iterable[str] = (),
    ) -> Any:
        """Note a change, show it, and unless this is a plan, make it; return what `do` returned."""
        change = Change(action, kind, name, tuple(details))
        self.changes.append(change)
        sign = self.console.paint(SIGNS[action], SIGNS[action])
        self.console.line(f"  {sign} {action:<8} {kind:<11} {name}")
        for detail in change.details:
            self.console.line(f"      {detail}")
        if self.dry or self.client is None:
            return None
        return do(self.client)

    def unmade(self) -> int:
        """Return a number for an object that this plan would make."""
        return next(self._unmade)
