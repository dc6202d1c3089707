"""The page of error messages: what each program can say, from its code, with the exit code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import pipeboard_metabase.errors
import pipeboard_target_postgres.errors

import pipeboard.errors
import tap_pipedrive.errors

ROOT = Path(__file__).resolve().parents[2]
#: The programs, the folder of each, and the module of its errors.
PROGRAMS = (
    ("pipeboard", "orchestrate/pipeboard", pipeboard.errors),
    ("tap-pipedrive", "tap-pipedrive/tap_pipedrive", tap_pipedrive.errors),
    (
        "pipeboard-target-postgres",
        "plugins/loaders/target-postgres/pipeboard_target_postgres",
        pipeboard_target_postgres.errors,
    ),
    (
        "pipeboard-metabase",
        "plugins/utilities/metabase/pipeboard_metabase",
        pipeboard_metabase.errors,
    ),
)
#: Stands for a value that is known only when the error occurs.
VALUE = "…"


class Message(NamedTuple):
    """An error that a program can end with."""

    text: str
    exit_code: int


def page() -> str:
    """Render the messages of all programs."""
    lines = [
        "# Messages",
        "",
        f"The errors of each program, with their exit codes. {VALUE} stands for a value. See also "
        "[troubleshooting](troubleshooting.md) and [exit codes](observability.md#exit-codes).",
        "",
    ]
    for program, folder, errors in PROGRAMS:
        codes = {
            name: int(kind.exit_code)
            for name, kind in vars(errors).items()
            if isinstance(kind, type) and hasattr(kind, "exit_code")
        }
        exit_codes = getattr(errors, "ExitCode", None)
        found = {
            message
            for path in sorted((ROOT / folder).rglob("*.py"))
            for message in messages_of(path.read_text(encoding="utf-8"), codes, exit_codes)
        }
        lines += [f"## {program}", "", "| exit code | message |", "|---|---|"]
        lines += [f"| {each.exit_code} | {cell(each.text)} |" for each in sorted(found, key=order)]
        lines.append("")
    return "\n".join(lines)


def messages_of(
    code: str, exit_codes: dict[str, int], enumeration: type[IntEnum] | None
) -> Iterator[Message]:
    """Yield the errors that a module makes.

    Args:
        code: the text of the module.
        exit_codes: the classes whose exit code is their own, by name.
        enumeration: the exit codes that are given with the error, as its last argument.

    """
    for function in ast.walk(ast.parse(code)):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        assigned = assignments(function)
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            known = {name: value for line, name, value in assigned if line < call.lineno}
            given = [text_of(argument, known) for argument in call.args]
            if call.func.id in exit_codes and given:
                text, number = given[0], exit_codes[call.func.id]
            elif call.func.id == "PipeboardError" and enumeration and len(given) == 3:
                name = call.args[2].attr if isinstance(call.args[2], ast.Attribute) else ""
                if name not in enumeration.__members__:
                    continue
                remedy = "" if given[1] == VALUE else given[1]
                text, number = f"{given[0]}. {remedy}" if remedy else given[0], enumeration[name]
            else:
                continue
            # Not one whose text another program or a library gives.
            if len(text.replace(VALUE, "").strip()) > 8:
                yield Message(text, int(number))


def assignments(function: ast.AST) -> list[tuple[int, str, ast.expr]]:
    """Return line, name and value of each assignment in a function, in the order of the code."""
    found: list[tuple[int, str, ast.expr]] = []
    for node in sorted(
        (n for n in ast.walk(function) if isinstance(n, (ast.Assign, ast.AugAssign))),
        key=lambda n: n.lineno,
    ):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if not isinstance(target, ast.Name):
            continue
        value = node.value
        before = [known for _, name, known in found if name == target.id]
        if isinstance(node, ast.AugAssign) and before:
            value = ast.BinOp(before[-1], ast.Add(), value)
        found.append((node.lineno, target.id, value))
    return found


def order(message: Message) -> tuple[int, str]:
    """Sort by exit code, then by the first word that is always the same."""
    return message.exit_code, message.text.lstrip(f"{VALUE} :").lower()


def text_of(value: ast.expr, known: dict[str, ast.expr]) -> str:
    """Return a text as the code writes it; VALUE where it is computed."""
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.JoinedStr):
        return "".join(text_of(part, {}) for part in value.values)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return text_of(value.left, known) + text_of(value.right, known)
    if isinstance(value, ast.Name) and value.id in known:
        others = {name: text for name, text in known.items() if name != value.id}
        return text_of(known[value.id], others)
    return VALUE


def cell(text: str) -> str:
    """Return a text as a cell of a table."""
    text = " ".join(text.split())
    return text.replace("|", "\\|").replace("<", "&lt;").replace("{", "&#123;")
