"""Trim Metabase's OpenAPI document to the facts about the operations that we call.

Usage::

    python -m pipeboard_metabase.openapi.refresh DOCUMENT.json

The document is the one that a running Metabase serves at /api/docs/openapi.json. `facts.json`
beside this file is rewritten: per operation its query parameters and the schema of its body. Names
and types only; no prose, no examples. The document says next to nothing about answers, and leaves
some bodies open: `responses.json` holds what we read, `ADDED` below what we send beyond it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FACTS_FILE = Path(__file__).with_name("facts.json")
RESPONSES_FILE = Path(__file__).with_name("responses.json")

#: Every operation that we call. Names of path parameters differ between versions, so we name none.
OPERATIONS = (
    "DELETE /api/session",
    "GET /api/api-key",
    "GET /api/card",
    "GET /api/card/{}",
    "GET /api/collection",
    "GET /api/collection/graph",
    "GET /api/collection/{}",
    "GET /api/collection/{}/items",
    "GET /api/dashboard",
    "GET /api/dashboard/{}",
    "GET /api/database",
    "GET /api/database/{}",
    "GET /api/database/{}/healthcheck",
    "GET /api/database/{}/metadata",
    "GET /api/permissions/graph",
    "GET /api/permissions/group",
    "GET /api/session/properties",
    "GET /api/setting",
    "GET /api/user/current",
    "POST /api/api-key",
    "POST /api/card",
    "POST /api/card/{}/query",
    "POST /api/collection",
    "POST /api/dashboard",
    "POST /api/database",
    "POST /api/database/{}/sync_schema",
    "POST /api/permissions/group",
    "POST /api/session",
    "POST /api/setup",
    "PUT /api/api-key/{}/regenerate",
    "PUT /api/card/{}",
    "PUT /api/collection/graph",
    "PUT /api/collection/{}",
    "PUT /api/dashboard/{}",
    "PUT /api/database/{}",
    "PUT /api/field/{}",
    "PUT /api/permissions/graph",
    "PUT /api/setting/{}",
    "PUT /api/table/{}",
)

#: Served beside the API proper, so no document names them.
UNDOCUMENTED = ("GET /api/docs/openapi.json", "GET /api/health")

#: What we send although the document says nothing of it: these maps are open there.
ADDED: dict[str, dict[str, Any]] = {
    "POST /api/card/{}/query": {"parameters": {"type": "array", "items": {"type": "object"}}},
    "PUT /api/permissions/graph": {
        "revision": {"type": "integer"},
        "groups": {"type": "object"},
    },
    "PUT /api/dashboard/{} dashcards": {
        "card_id": {"type": ["integer", "null"], "minimum": 1},
        "dashboard_tab_id": {"type": ["integer", "null"]},
        "visualization_settings": {"type": "object"},
    },
}

_SCHEMA_KEYS = ("type", "enum", "const", "minLength", "minimum", "pattern")
#: References that lead into the grammar of queries, which cards written in SQL need none of.
_STOP = "metabase.lib.schema.parameter.target"


def normal(path: str) -> str:
    """Write a path as `OPERATIONS` do: below /api, no names in braces, no slash at the end."""
    parts = path.strip("/").split("/")
    parts = parts if parts[0] == "api" else ["api", *parts]
    return "/" + "/".join("{}" if part.startswith("{") else part for part in parts)


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every operation of a document by its normal name."""
    for path, methods in document["paths"].items():
        # Routes of a made-up database, under the same paths as those of real ones.
        if "{virtual-db}" in path:
            continue
        for method, operation in methods.items():
            if isinstance(operation, dict):
                yield f"{method.upper()} {normal(path)}", operation


def trim(schema: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce a schema to names and types, with its references written out.

    What has a default need not be sent, although documents call it required.
    """
    while "$ref" in schema:
        if schema["$ref"].endswith(_STOP):
            return {"type": "array"}
        node: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        schema = node
    if parts := schema.get("oneOf") or schema.get("anyOf"):
        branches = [trim(part, document) for part in parts]
        if schema.get("nullable"):
            branches.append({"type": "null"})
        return either(branches)
    found: dict[str, Any] = {key: schema[key] for key in _SCHEMA_KEYS if key in schema}
    if schema.get("properties"):
        properties = schema["properties"]
        found["properties"] = {name: trim(part, document) for name, part in properties.items()}
        needed = [n for n in schema.get("required", []) if "default" not in properties.get(n, {})]
        if needed:
            found["required"] = sorted(needed)
        # Metabase ignores what it does not know. We would rather know, too.
        found["additionalProperties"] = False
    if "items" in schema:
        found["items"] = trim(schema["items"], document)
    return either([found, {"type": "null"}]) if schema.get("nullable") else found


def either(branches: list[dict[str, Any]]) -> dict[str, Any]:
    """Unite branches; one type or null needs no branches to say so."""
    if {} in branches:
        return {}
    if (
        len(branches) == 2
        and branches[1] == {"type": "null"}
        and isinstance(branches[0].get("type"), str)
    ):
        schema = {**branches[0], "type": [branches[0]["type"], "null"]}
        return {**schema, "enum": [*schema["enum"], None]} if "enum" in schema else schema
    return {"anyOf": branches}


def facts_of(
    name: str, operation: Mapping[str, Any], document: Mapping[str, Any]
) -> dict[str, Any]:
    """Reduce one operation to its query parameters and its body."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    facts: dict[str, Any] = {
        "query": {
            parameter["name"]: trim(parameter["schema"], document)
            for parameter in operation.get("parameters", [])
            if parameter["in"] == "query"
        }
    }
    if "schema" in body:
        facts["body"] = trim(body["schema"], document)
        add(name, facts["body"])
    return facts


def add(name: str, body: dict[str, Any]) -> None:
    """Put what `ADDED` knows into the schema of a body."""
    if name in ADDED:
        body["type"] = "object"
        body.setdefault("properties", {}).update(ADDED[name])
        body["additionalProperties"] = False
    for part in ("dashcards",):
        if f"{name} {part}" in ADDED:
            items = body["properties"][part]["items"]
            items["properties"].update(ADDED[f"{name} {part}"])


def facts_from(document: Mapping[str, Any]) -> dict[str, Any]:
    """Build the whole content of facts.json.

    Raises:
        SystemExit: when the document has not every operation that we call.
    """
    known = dict(operations(document))
    if missing := set(OPERATIONS) - set(known):
        message = f"the document has no {', '.join(sorted(missing))}"
        raise SystemExit(message)
    facts = {name: facts_of(name, known[name], document) for name in OPERATIONS}
    return {**facts, **{name: {"query": {}} for name in UNDOCUMENTED}}


def main(arguments: list[str]) -> int:
    """Rewrite facts.json from the document named on the command line."""
    if len(arguments) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 64
    document = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    text = json.dumps(facts_from(document), indent=1, sort_keys=True, ensure_ascii=False)
    FACTS_FILE.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
