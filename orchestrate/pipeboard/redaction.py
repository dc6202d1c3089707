"""Keep secrets out of whatever is shown or logged."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO
from urllib.parse import quote, unquote

from pipeboard.launch import SECRET_NAME, secrets_in_url

HIDDEN = "***"
SHORTEST = 4


def _pattern(secret: str) -> str:
    """Return the pattern of a secret; one that is a plain word must not match inside others."""
    if secret.isalpha():
        return rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])"
    return re.escape(secret)


class Redactor:
    """Replaces every known secret in a text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        variants = {
            variant
            for secret in secrets
            for variant in (
                *(secret, quote(secret, safe=""), unquote(secret)),
                # In the encoding of a JSON log.
                *(json.dumps(secret, ensure_ascii=ascii)[1:-1] for ascii in (True, False)),
            )
            # A password of one letter would redact too much of each line.
            if len(secret) >= SHORTEST
        }
        longest_first = sorted(variants, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_pattern, longest_first))) if variants else None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Redactor:
        """Collect the secrets of an environment: by the name, and inside URLs."""
        secrets = [value for name, value in environ.items() if SECRET_NAME.search(name)]
        for value in environ.values():
            secrets += secrets_in_url(value)
        return cls(secrets)

    def __call__(self, text: str) -> str:
        """Return the text without its secrets."""
        return self._pattern.sub(HIDDEN, text) if self._pattern else text


class RedactedStream:
    """A text stream that never shows a secret; for the rest it is the stream it wraps."""

    def __init__(self, stream: TextIO, redact: Redactor) -> None:
        self.unredacted = stream
        self._redact = redact

    def write(self, text: str) -> int:
        """Write a text without its secrets."""
        self.unredacted.write(self._redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return whatever else the stream has."""
        return getattr(self.unredacted, name)


@contextmanager
def redacted_output(redact: Redactor) -> Iterator[None]:
    """Redact all output of this process, messages and tracebacks alike."""
    originals = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (RedactedStream(stream, redact) for stream in originals)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = originals
