"""The part of Metabase's SQL templates that cards use, for PostgreSQL and for Metabase.

`[[and ... {{filter}} ...]]` is a clause that is left out when the filter has no value. `{{filter}}`
stands for a condition on the column that the filter maps to. `translated(column)` is an addition of
this project: the column, with the values that this project named in the reader's language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast

from pipeboard_metabase.definitions import CLAUSE, GRAIN, TAG, Card, Column, filters_in
from pipeboard_metabase.translations import DefinitionError, Translations

TRANSLATED = re.compile(r"\btranslated\(\s*((?:[a-z_][a-z0-9_]*\.)*([a-z_][a-z0-9_]*))\s*\)")

#: The same with the name that the column has in the result.
TRANSLATED_AS = re.compile(
    r"\btranslated\(\s*(?:[a-z_][a-z0-9_]*\.)*([a-z_][a-z0-9_]*)\s*\) as ([a-z0-9_]+)"
)


@dataclass(frozen=True)
class Between:
    """A period, first and last day included; None is without end."""

    first: date | None = None
    last: date | None = None


#: What a filter may be set to: a period, or the values to keep.
Value = Between | Sequence[str]


def render(
    card: Card,
    values: Mapping[str, Value] | None = None,
    translations: Translations | None = None,
    language: str | None = None,
) -> tuple[str, list[object]]:
    """Return the select for psycopg and its parameters.

    Filters without a value fall away. Without a language, values stay as the marts have them.

    Raises:
        DefinitionError: when a value is given for a filter that the card does not have.
    """
    given = {GRAIN: ["month"], **(values or {})}
    if unknown := {key for key in values or {} if not card.obeys(key)}:
        message = f"card {card.key} has no filter {', '.join(sorted(unknown))}"
        raise DefinitionError(message)
    parameters: list[object] = []

    def clause(found: re.Match[str]) -> str:
        return found.group(1) if set(filters_in(found.group(1))) <= set(given) else ""

    def condition(found: re.Match[str]) -> str:
        tag = found.group(1)
        if tag == GRAIN:
            parameters.extend(cast("Sequence[str]", given[GRAIN]))
            return "%s"
        text, more = _condition(card.filters[tag], given[tag])
        parameters.extend(more)
        return text

    # psycopg reads every % as the begin of a parameter
    text = translate(card.sql, translations, language).replace("%", "%%")
    return TAG.sub(condition, CLAUSE.sub(clause, text)), parameters


def template(card: Card, translations: Translations, language: str) -> str:
    """Return the select for Metabase, which fills in the filters itself."""
    return translate(card.sql, translations, language)


def tags(card: Card) -> tuple[str, ...]:
    """Return the filters in the order in which the select names them, each once."""
    return tuple(dict.fromkeys(TAG.findall(card.sql)))


def translate(sql: str, translations: Translations | None, language: str | None) -> str:
    """Write out translated(column); without a language that is the column itself.

    Raises:
        DefinitionError: when the column has no texts of the column.
    """

    def written_out(found: re.Match[str]) -> str:
        expression, column = found.groups()
        if translations is None or language is None:
            return expression
        texts = translations.values(column, language)
        if not texts:
            message = f"translations have no value.{column}.<value>, but a card translates {column}"
            raise DefinitionError(message)
        cases = " ".join(f"when {_literal(v)} then {_literal(t)}" for v, t in texts.items())
        return f"case {expression} {cases} else {expression} end"

    return TRANSLATED.sub(written_out, sql)


def _condition(column: Column, value: Value) -> tuple[str, list[object]]:
    name = ".".join(f'"{part}"' for part in (column.schema, column.relation, column.name))
    if not isinstance(value, Between):
        return f"{name} = any(%s)", [list(value)]
    parts, parameters = [], []
    for operator, day in ((">=", value.first), ("<=", value.last)):
        if day is not None:
            parts.append(f"{name} {operator} %s")
            parameters.append(day)
    return " and ".join(parts) or "true", list(parameters)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
