"""Compare what we know of Metabase's API with a document about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pipeboard_metabase.openapi.refresh import (
    FACTS_FILE,
    OPERATIONS,
    RESPONSES_FILE,
    UNDOCUMENTED,
    add,
    operations,
    trim,
)


@lru_cache(maxsize=1)
def facts() -> Mapping[str, Any]:
    """Return facts.json: query parameters and body by operation."""
    return dict(json.loads(FACTS_FILE.read_text(encoding="utf-8")))


@lru_cache(maxsize=1)
def responses() -> Mapping[str, Any]:
    """Return responses.json: the schema of what we read of an answer, by operation."""
    return dict(json.loads(RESPONSES_FILE.read_text(encoding="utf-8")))


def differences(document: Mapping[str, Any], *, whole: bool = True) -> list[str]:
    """Return what a document says otherwise than our facts, one line each.

    A document that is not `whole` may lack operations and fields; what it has must fit.
    """
    known = dict(operations(document))
    found: list[str] = []
    for name in OPERATIONS:
        if name not in known:
            found += [f"{name} is not there"] if whole else []
            continue
        found += [f"{name}: {line}" for line in _in_operation(name, known[name], document, whole)]
    return found


def _in_operation(
    name: str, operation: Mapping[str, Any], document: Mapping[str, Any], whole: bool
) -> Iterator[str]:
    known = facts()[name]
    requested = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
    if whole:
        for parameter in set(known["query"]) - requested:
            yield f"has no parameter {parameter}"
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    official = trim(content["schema"], document) if "schema" in content else {}
    if whole and official:
        add(name, official)
    yield from _in_schema(known.get("body", {}), official, "", whole)


def _in_schema(
    known: Mapping[str, Any], official: Mapping[str, Any], path: str, whole: bool
) -> Iterator[str]:
    """Compare two schemas: each thing that they need must be known to us, and types must meet."""
    if not known or not official:
        return
    if types(known) and types(official) and not types(known) & types(official):
        yield f"{path or 'body'} is {sorted(types(official))}, not {sorted(types(known))}"
        return
    if allowed(known) and allowed(official) and not allowed(known) & allowed(official):
        yield f"{path or 'body'} allows {sorted(allowed(official))}"
    official_properties = properties(official)
    for name, schema in properties(known).items():
        inner = f"{path}.{name}".strip(".")
        if name in official_properties:
            yield from _in_schema(schema, official_properties[name], inner, whole)
        elif whole and official_properties:
            yield f"{inner} is not known"
    for name in set(needed(official)) - set(properties(known)):
        yield f"{path} needs {name}".strip()
    for one, other in ((item(known), item(official)),):
        if one and other:
            yield from _in_schema(one, other, f"{path}[]", whole)


def _branches(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(schema.get("anyOf", [schema]))


def types(schema: Mapping[str, Any]) -> set[str]:
    """Return the JSON types that a schema allows, null left out: documents disagree about it."""
    found: set[str] = set()
    for branch in _branches(schema):
        if "anyOf" in branch:
            found |= types(branch)
            continue
        types_named = branch.get("type", [])
        found |= {types_named} if isinstance(types_named, str) else set(types_named)
    return found - {"null"}


def allowed(schema: Mapping[str, Any]) -> set[str]:
    """Return the words that a schema allows, if it lists them."""
    found = [branch.get("enum") for branch in _branches(schema) if types(branch)]
    return {w for choices in found for w in choices or () if w} if all(found) else set()


def properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the properties of an object, through its branches."""
    found: dict[str, Any] = {}
    for branch in _branches(schema):
        found.update(branch.get("properties", {}))
    return found


def needed(schema: Mapping[str, Any]) -> list[str]:
    """Return what an object must have, whichever of its branches it is."""
    objects = [set(b.get("required", [])) for b in _branches(schema) if types(b)]
    return sorted(set.intersection(*objects)) if objects else []


def item(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of the items of a list."""
    for branch in _branches(schema):
        if "items" in branch:
            return dict(branch["items"])
    return {}


__all__ = ["UNDOCUMENTED", "differences", "facts", "responses"]
