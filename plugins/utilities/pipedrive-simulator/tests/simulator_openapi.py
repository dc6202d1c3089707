"""Converts the official OpenAPI documents to JSON Schema.

They under-declare nullability: open deals have no won_time, stages never edited no update_time, and
so on, although the documents say otherwise. So every schema is taken as nullable here. Properties
may be absent unless `required`. That is exactly how the tap reads the documents, too.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from pipedrive_simulator.operations import OPERATIONS

_SCHEMAS = ("properties", "items", "allOf", "oneOf", "anyOf", "required", "enum", "type",
         "additionalProperties")  # fmt: skip
#: Where the operations of a version are served.
PREFIXES = {"v1": "/v1", "v2": "/api/v2"}
# Shown by the official examples, missing from the official schemas.
EXAMPLE_ONLY = {
    "getDeals": {"creator_user_id", "archive_time", "local_won_date", "local_lost_date",
                 "local_close_date"},
    "getNotes": {"pinned_to_lead_flag"},
    "getFiles": {"log_id", "file_type"},
    "getMailThreadMessages": {"draft_flag"},
}  # fmt: skip
for _name in ("getArchivedDeals", "getDeal"):
    EXAMPLE_ONLY[_name] = EXAMPLE_ONLY["getDeals"]


@lru_cache(maxsize=4)
def document(folder: Path, version: str) -> dict[str, Any]:
    (path,) = folder.glob(f"pipedrive-{version}-openapi-*.json")
    return json.loads(path.read_text(encoding="utf-8"))


def operation(folder: Path, version: str, path: str) -> dict[str, Any]:
    return document(folder, version)["paths"][path]["get"]


@lru_cache(maxsize=200)
def validator(folder: Path, version: str, path: str) -> Draft202012Validator:
    answer = operation(folder, version, path)["responses"]["200"]
    return Draft202012Validator(convert(answer["content"]["application/json"]["schema"]))


def convert(schema: Any) -> Any:
    """Return JSON Schema with null allowed everywhere."""
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for name in _SCHEMAS:
        if name not in schema:
            continue
        value = schema[name]
        if name == "properties":
            out[name] = {key: convert(part) for key, part in value.items()}
        elif name in ("allOf", "oneOf", "anyOf"):
            # oneOf would refuse a null that several branches accept.
            out["anyOf" if name == "oneOf" else name] = [convert(part) for part in value if part]
        elif name in ("items", "additionalProperties"):
            out[name] = convert(value)
        elif name == "enum":
            out[name] = [*value, None]
        elif name == "type":
            out[name] = [value, "null"]
        else:
            out[name] = value
    return out


def served(folder: Path) -> dict[str, Any]:
    """Return one document of all operations that the simulator serves, with these schemas."""
    paths: dict[str, Any] = {}
    for op in OPERATIONS:
        found = operation(folder, op.version, op.path)
        responses = {
            status: {"description": status, "content": _converted(answer.get("content", {}))}
            for status, answer in found["responses"].items()
        }
        paths[PREFIXES[op.version] + op.path] = {
            "get": {
                "operationId": f"{op.version} {op.id}",
                "parameters": found.get("parameters", []),
                "responses": responses,
            }
        }
    return {"openapi": "3.1.0", "info": {"title": "Pipedrive", "version": "1"}, "paths": paths}


def _converted(content: dict[str, Any]) -> dict[str, Any]:
    return {kind: {"schema": convert(body["schema"])} for kind, body in content.items()}


def property_names(schema: Any) -> set[str]:
    """Names of the properties of a record, through allOf."""
    names = set(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        names |= property_names(part)
    return names


def record_schema(folder: Path, version: str, path: str) -> Any:
    """Return the schema of one item of `data`."""
    answer = operation(folder, version, path)["responses"]["200"]
    found = _data(answer["content"]["application/json"]["schema"])
    return found.get("items", found)


def _data(schema: Any) -> Any:
    if "data" in schema.get("properties", {}):
        return schema["properties"]["data"]
    for part in schema.get("allOf", []):
        if part and (found := _data(part)):
            return found
    return {}
