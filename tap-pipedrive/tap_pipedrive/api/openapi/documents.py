"""Reduce Pipedrive's official OpenAPI documents to the facts that the tap needs.

Per operation: its token cost, its query parameters, and the top-level properties of one record with
their JSON types. Names, types and costs only; no prose, no examples.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def merged(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Resolve ``$ref`` and fold ``allOf``/``oneOf``/``anyOf`` into one object schema."""
    while "$ref" in schema:
        node: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        schema = node
    result = {k: v for k, v in schema.items() if k not in ("allOf", "oneOf", "anyOf")}
    result["properties"] = dict(result.get("properties", {}))
    for keyword in ("allOf", "oneOf", "anyOf"):
        for part in schema.get(keyword, []):
            branch = merged(part, document)
            result["properties"].update(branch.pop("properties"))
            for key, value in branch.items():
                result.setdefault(key, value)
    return result


def json_type(schema: dict[str, Any], document: dict[str, Any]) -> str:
    """Name the JSON type of a property: integer, number, boolean, string, date, array, object."""
    flat = merged(schema, document)
    if flat.get("format") in ("date", "date-time"):
        return str(flat["format"])
    if "type" in flat:
        return str(flat["type"])
    return "object" if flat["properties"] else "string"


def record_schema(operation: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Find the schema of one record in the response of an operation."""
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    data = merged(merged(answer, document)["properties"]["data"], document)
    return merged(data["items"], document) if data.get("type") == "array" else data


def facts_of(document: dict[str, Any], path: str) -> dict[str, Any]:
    """Reduce one GET operation to cost, parameters and record properties."""
    operation = document["paths"][path]["get"]
    properties = record_schema(operation, document)["properties"]
    return {
        "cost": operation["x-token-cost"],
        "parameters": {
            p["name"]: merged(p["schema"], document).get("enum", [])
            for p in operation.get("parameters", [])
            if p["in"] == "query"
        },
        "record": {name: json_type(schema, document) for name, schema in properties.items()},
    }


def trim(documents: dict[str, dict[str, Any]], operations: Iterable[str]) -> dict[str, Any]:
    """Build the content of ``facts.json``: ``{"v2 /deals": {...}, ...}``.

    Args:
        documents: the full OpenAPI documents, by version: ``{"v1": {...}, "v2": {...}}``.
        operations: the keys of the operations.

    Raises:
        KeyError: a document has no such operation.

    """
    found = {}
    for key in operations:
        version, path = key.split(" ", 1)
        found[key] = facts_of(documents[version], path)
    return found
