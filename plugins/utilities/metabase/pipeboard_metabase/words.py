"""Every word that people read on a card or a dashboard, in each language we speak.

`definitions/words.yml` maps a key to its text per language: `dashboard.<key>`,
`dashboard.<key>.description`, `tab.<key>`, `card.<key>`, `card.<key>.description`,
`column.<column>`, `filter.<key>`, `value.<column>.<value>` for values that we named ourselves, and
`phrase.<key>` for what is put together from parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HOME = Path(__file__).parent / "definitions"
LANGUAGES = ("en", "pt")


class DefinitionError(ValueError):
    """A definition that contradicts itself; the message names the file and the field."""


@dataclass(frozen=True)
class Words:
    """The map from keys to texts."""

    texts: Mapping[str, Mapping[str, str]]

    def __contains__(self, key: object) -> bool:
        return key in self.texts

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def text(self, key: str, language: str) -> str:
        """Return a text.

        Raises:
            DefinitionError: when the key, or the language, has no text.
        """
        try:
            return self.texts[key][language]
        except KeyError:
            message = f"words.yml: {key} has no text in {language!r}; languages are {LANGUAGES}"
            raise DefinitionError(message) from None

    def values(self, column: str, language: str) -> dict[str, str]:
        """Return the texts of the values that we named ourselves in a column, by value."""
        start = f"value.{column}."
        return {
            key.removeprefix(start): self.text(key, language)
            for key in self.texts
            if key.startswith(start)
        }


def load_words() -> Words:
    """Read and check words.yml."""
    return words_of(yaml.safe_load((HOME / "words.yml").read_text(encoding="utf-8")))


def words_of(texts: Any) -> Words:
    """Check a map of words.

    Raises:
        DefinitionError: when a text is missing, blank or in a language we do not know.
    """
    if not isinstance(texts, dict):
        message = "words.yml must map keys to {en: ..., pt: ...}"
        raise DefinitionError(message)
    for key, by_language in texts.items():
        if not isinstance(by_language, dict) or set(by_language) != set(LANGUAGES):
            message = f"words.yml: {key} must have exactly the languages {', '.join(LANGUAGES)}"
            raise DefinitionError(message)
        for language, text in by_language.items():
            if not isinstance(text, str) or not text.strip():
                message = f"words.yml: {key} has no text in {language!r}"
                raise DefinitionError(message)
    return Words(texts)
