"""The mark that our objects bear in their description, in place of a file of state.

It is a link reference of Markdown that nothing refers to, so readers never see it:

    Value of the deals open now.

    [pipeboard]: # "card/open_value spec:3f5a... seen:9c1b..."

`spec` is a hash of what we asked for: another one means that the definition changed. `seen` is a
hash of what Metabase made of it, read back right afterwards: another one means that somebody
changed the object since. Metabase rewrites what it stores (queries above all), so comparing what
it has with what we asked for would find differences for ever.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

_MARK = re.compile(
    r'\n*^\[pipeboard\]: # "([a-z]+)/([a-z0-9_]+) spec:([0-9a-f]+)(?: seen:([0-9a-f]+))?"\s*$',
    re.MULTILINE,
)


@dataclass(frozen=True)
class Mark:
    """Whose an object is, and in which state we left it; `seen` is empty until that is known."""

    kind: str
    key: str
    spec: str
    seen: str = ""

    def on(self, text: str) -> str:
        """Return a description with this mark at its end."""
        seen = f" seen:{self.seen}" if self.seen else ""
        return f'{text}\n\n[pipeboard]: # "{self.kind}/{self.key} spec:{self.spec}{seen}"'


def read_mark(description: str | None) -> Mark | None:
    """Find the mark in a description."""
    found = _MARK.search(description or "")
    return Mark(found[1], found[2], found[3], found[4] or "") if found else None


def without_mark(description: str | None) -> str:
    """Return what people wrote and read of a description."""
    return _MARK.sub("", description or "").strip()


def fingerprint(value: Any) -> str:
    """Return a hash of JSON that does not depend on the order of its fields."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
