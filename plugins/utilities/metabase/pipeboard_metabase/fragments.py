"""SQL that several cards share: `definitions/fragments/NAME.sql`, in a card `NAME(argument, ...)`.

The first line of a fragment is a comment with its name and parameters. A parameter stands in the
text with a $ before it; `$table.` in front of a column is left out where the argument is empty.
"""

from __future__ import annotations

import re
from functools import cache

from pipeboard_metabase.translations import DEFINITIONS, DefinitionError

HEAD = re.compile(r"-- ([a-z_]+)\(([a-z_, ]*)\)\n")
#: Fragments stand in fragments; one that stands in itself is refused.
DEEPEST = 5


def expand(sql: str) -> str:
    """Return a select with its fragments written out, each at the indent of its line.

    Raises:
        DefinitionError: when the arguments of a fragment are not as many as its parameters.
    """
    known = fragments()
    call = re.compile(rf"(?m)^( *)([^\n]*?)\b({'|'.join(known)})\(")
    for _ in range(DEEPEST):
        found = call.search(sql)
        while found:
            indent, before, name = found.groups()
            arguments, end = _arguments(sql, found.end())
            text = _written(name, arguments).replace("\n", f"\n{indent}")
            sql = f"{sql[: found.start()]}{indent}{before}{text}{sql[end:]}"
            found = call.search(sql, found.start() + len(indent) + len(before) + len(text))
        if not call.search(sql):
            return sql
    message = f"fragments stand in each other more than {DEEPEST} deep"
    raise DefinitionError(message)


@cache
def fragments() -> dict[str, tuple[tuple[str, ...], str]]:
    """Return name -> parameters and text.

    Raises:
        DefinitionError: when the first line of a file does not name it.
    """
    known = {}
    for file in sorted((DEFINITIONS / "fragments").glob("*.sql")):
        text = file.read_text(encoding="utf-8")
        head = HEAD.match(text)
        if not head or head[1] != file.stem:
            message = f"fragments/{file.name} must begin with `-- {file.stem}(parameter, ...)`"
            raise DefinitionError(message)
        known[file.stem] = (tuple(filter(None, head[2].split(", "))), text[head.end() :].strip())
    return known


def _written(name: str, arguments: list[str]) -> str:
    parameters, text = fragments()[name]
    arguments = arguments if parameters else list(filter(None, arguments))
    if len(arguments) != len(parameters):
        message = f"{name}({', '.join(parameters)}) has the arguments ({', '.join(arguments)})"
        raise DefinitionError(message)
    for parameter, argument in zip(parameters, arguments, strict=True):
        text = text if argument else text.replace(f"${parameter}.", "")
        text = text.replace(f"${parameter}", argument)
    return text


def _arguments(sql: str, begin: int) -> tuple[list[str], int]:
    """Return the arguments after an opening parenthesis, and where its closing one ends."""
    found, depth = [""], 0
    for place in range(begin, len(sql)):
        character = sql[place]
        if character == ")" and not depth:
            return [each.strip() for each in found], place + 1
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            found.append("")
        else:
            found[-1] += character
    message = f"a parenthesis is not closed: {sql[begin : begin + 40]}"
    raise DefinitionError(message)
