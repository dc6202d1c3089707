"""Keep secrets out of whatever is shown or logged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from pipeboard.launch import SECRET_NAME, secrets_in_url

HIDDEN = "***"
SHORTEST = 4


class Redactor:
    """Replaces every known secret in a text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        variants = {
            variant
            for secret in secrets
            for variant in (secret, quote(secret, safe=""), unquote(secret))
            # A one-letter "password" would tear every log line apart.
            if len(secret) >= SHORTEST
        }
        longest_first = sorted(variants, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if variants else None

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
