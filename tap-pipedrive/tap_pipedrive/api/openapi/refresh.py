"""Trim Pipedrive's official OpenAPI documents to the facts this tap needs.

Usage::

    python -m tap_pipedrive.api.openapi.refresh V1.json V2.json

Reads the two full documents (JSON) and rewrites ``facts.json`` beside this file: per
operation its token cost, its query parameters and the top-level properties of one record
with their JSON types. Names, types and costs only; no prose, no examples.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FACTS_FILE = Path(__file__).with_name("facts.json")

#: Every operation this tap calls (version, path). A new stream adds its line.
OPERATIONS: tuple[tuple[str, str], ...] = (
    ("v1", "/users/me"),
    ("v1", "/activityTypes"),
    ("v1", "/callLogs"),
    ("v1", "/currencies"),
    ("v1", "/deals/summary"),
    ("v1", "/deals/{id}/changelog"),
    ("v1", "/deals/{id}/participants"),
    ("v1", "/files"),
    ("v1", "/filters"),
    ("v1", "/goals/find"),
    ("v1", "/goals/{id}/results"),
    ("v1", "/leadFields"),
    ("v1", "/leadLabels"),
    ("v1", "/leadSources"),
    ("v1", "/leads"),
    ("v1", "/leads/archived"),
    ("v1", "/legacyTeams"),
    ("v1", "/mailbox/mailThreads"),
    ("v1", "/mailbox/mailThreads/{id}/mailMessages"),
    ("v1", "/noteFields"),
    ("v1", "/notes"),
    ("v1", "/notes/{id}/comments"),
    ("v1", "/organizationRelationships"),
    ("v1", "/organizations/{id}/changelog"),
    ("v1", "/permissionSets"),
    ("v1", "/persons/{id}/changelog"),
    ("v1", "/pipelines/{id}/conversion_statistics"),
    ("v1", "/pipelines/{id}/movement_statistics"),
    ("v1", "/roles"),
    ("v1", "/roles/{id}/assignments"),
    ("v1", "/users"),
    ("v1", "/webhooks"),
    ("v2", "/activities"),
    ("v2", "/activityFields"),
    ("v2", "/boards"),
    ("v2", "/dealFields"),
    ("v2", "/deals"),
    ("v2", "/deals/archived"),
    ("v2", "/deals/installments"),
    ("v2", "/deals/products"),
    ("v2", "/deals/{id}/discounts"),
    ("v2", "/deals/{id}/followers"),
    ("v2", "/organizationFields"),
    ("v2", "/organizations"),
    ("v2", "/personFields"),
    ("v2", "/persons"),
    ("v2", "/phases"),
    ("v2", "/pipelines"),
    ("v2", "/productFields"),
    ("v2", "/products"),
    ("v2", "/products/{id}/variations"),
    ("v2", "/projectFields"),
    ("v2", "/projectTemplates"),
    ("v2", "/projects"),
    ("v2", "/projects/archived"),
    ("v2", "/stages"),
    ("v2", "/tasks"),
)


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
    """Find the schema of one record in a list (or single) answer of an operation."""
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


def trim(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Build the whole content of ``facts.json``: ``{"v2 /deals": {...}, ...}``."""
    return {f"{version} {path}": facts_of(documents[version], path) for version, path in OPERATIONS}


def main(arguments: list[str]) -> int:
    """Rewrite ``facts.json`` from the two full documents named on the command line."""
    if len(arguments) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 64
    documents = {
        version: json.loads(Path(name).read_text(encoding="utf-8"))
        for version, name in zip(("v1", "v2"), arguments, strict=True)
    }
    text = json.dumps(trim(documents), indent=1, sort_keys=True, ensure_ascii=False)
    FACTS_FILE.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
