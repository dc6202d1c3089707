"""The texts of cards and dashboards, in each language.

The files of `definitions/translations/` map a key to its text per language: `dashboard.<key>`,
`dashboard.<key>.description`, `tab.<key>`, `card.<key>`, `card.<key>.description`,
`column.<column>`, `filter.<key>`, `value.<column>.<value>` for values that this project named, and
`phrase.<key>` for texts that are put together from parts. Each dashboard has a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEFINITIONS = Path(__file__).parent / "definitions"
LANGUAGES = ("en", "pt")
#: libyaml, where PyYAML is built with it: it takes a tenth of the time that Python takes.
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DefinitionError(ValueError):
    """A definition that contradicts itself; the message names the file and the field."""


@dataclass(frozen=True)
class Translations:
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
            message = f"translations: {key} has no text in {language!r}; languages are {LANGUAGES}"
            raise DefinitionError(message) from None

    def values(self, column: str, language: str) -> dict[str, str]:
        """Return the texts of the values that this project named in a column, by value."""
        start = f"value.{column}."
        return {
            key.removeprefix(start): self.text(key, language)
            for key in self.texts
            if key.startswith(start)
        }


def parsed(text: str) -> Any:
    """Return what a YAML text describes.

    Raises:
        yaml.YAMLError: when it is none.
    """
    return yaml.load(text, YAML_LOADER)


def load_translations() -> Translations:
    """Read and check the files of `definitions/translations/`.

    Raises:
        DefinitionError: when a text is missing or blank, or two files have the same key.
    """
    texts: dict[str, Mapping[str, str]] = {}
    for file in sorted((DEFINITIONS / "translations").glob("*.yml")):
        where = f"translations/{file.name}"
        found = translations_of(where, parsed(file.read_text(encoding="utf-8"))).texts
        if twice := texts.keys() & found.keys():
            message = f"{where}: {', '.join(sorted(twice))} is in another file too"
            raise DefinitionError(message)
        texts.update(found)
    return Translations(texts)


def translations_of(where: str, texts: Any) -> Translations:
    """Check a map of texts.

    Raises:
        DefinitionError: when a text is missing, blank or in an unknown language.
    """
    if not isinstance(texts, dict):
        message = f"{where} must map keys to {{en: ..., pt: ...}}"
        raise DefinitionError(message)
    for key, by_language in texts.items():
        if not isinstance(by_language, dict) or set(by_language) != set(LANGUAGES):
            message = f"{where}: {key} must have exactly the languages {', '.join(LANGUAGES)}"
            raise DefinitionError(message)
        for language, text in by_language.items():
            if not isinstance(text, str) or not text.strip():
                message = f"{where}: {key} has no text in {language!r}"
                raise DefinitionError(message)
    return Translations(texts)
