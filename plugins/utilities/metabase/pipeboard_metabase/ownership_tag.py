"""The ownership tag in the description of a managed object; it replaces a state file.

It is a link reference of Markdown that nothing refers to, so readers do not see it:

    Value of the deals open now.

    [pipeboard]: # "card/open_value spec:3f5a... seen:9c1b..."

`spec` is a hash of the object as the files define it: it differs when the definition changed.
`seen` is a hash of the object as Metabase stored it, read back right afterwards: it differs when a
user changed the object since. Metabase rewrites queries when it stores them, so a comparison of the
stored object with its definition would always find differences.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

_TAG = re.compile(
    r'\n*^\[pipeboard\]: # "([a-z]+)/([a-z0-9_]+) spec:([0-9a-f]+)(?: seen:([0-9a-f]+))?"\s*$',
    re.MULTILINE,
)


@dataclass(frozen=True)
class OwnershipTag:
    """Key and state of a managed object; `seen` is empty until the object was read back."""

    kind: str
    key: str
    spec: str
    seen: str = ""

    def on(self, text: str) -> str:
        """Return a description with this tag at its end."""
        seen = f" seen:{self.seen}" if self.seen else ""
        return f'{text}\n\n[pipeboard]: # "{self.kind}/{self.key} spec:{self.spec}{seen}"'


def read_tag(description: str | None) -> OwnershipTag | None:
    """Find the tag in a description."""
    found = _TAG.search(description or "")
    return OwnershipTag(found[1], found[2], found[3], found[4] or "") if found else None


def without_tag(description: str | None) -> str:
    """Return a description as people write and read it."""
    return _TAG.sub("", description or "").strip()


def fingerprint(value: Any) -> str:
    """Return a hash of JSON that does not depend on the order of its fields."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
