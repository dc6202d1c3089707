"""Holds every request and every answer of the stand-in against what we know of Metabase's API."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from pipeboard_metabase.openapi.compare import facts, responses, types


class Violation(Exception):
    """A request that Metabase's document does not provide for."""


@lru_cache(maxsize=200)
def _body(operation: str) -> Draft202012Validator | None:
    schema = facts()[operation].get("body")
    return Draft202012Validator(schema) if schema else None


@lru_cache(maxsize=200)
def _answer(operation: str) -> Draft202012Validator:
    return Draft202012Validator(responses()[operation])


def check_request(operation: str, query: dict[str, list[str]], body: Any) -> dict[str, Any]:
    """Return the query's parameters with their types.

    Raises:
        Violation: at the first thing that no document knows.
    """
    if operation not in facts():
        msg = f"{operation} is not in facts.json"
        raise Violation(msg)
    validator = _body(operation)
    if validator is None and body is not None:
        msg = f"{operation} takes no body, and got {body}"
        raise Violation(msg)
    for error in validator.iter_errors({} if body is None else body) if validator else ():
        place = ".".join(map(str, error.absolute_path)) or "body"
        msg = f"{operation}: {place}: {error.message[:300]}"
        raise Violation(msg)
    known = facts()[operation]["query"]
    typed = {}
    for name, values in query.items():
        if name not in known:
            msg = f"{operation} has no parameter {name}"
            raise Violation(msg)
        typed[name] = _typed(known[name], values)
        for error in Draft202012Validator(known[name]).iter_errors(typed[name]):
            msg = f"{operation}: {name}: {error.message}"
            raise Violation(msg)
    return typed


def check_answer(operation: str, body: Any) -> None:
    """The stand-in must not tell what we never saw Metabase tell."""
    for error in _answer(operation).iter_errors(body):
        place = ".".join(map(str, error.absolute_path)) or "answer"
        msg = f"the stand-in's {operation}: {place}: {error.message[:300]}"
        raise AssertionError(msg)


def _typed(schema: dict[str, Any], values: list[str]) -> Any:
    if "array" in types(schema):
        return values
    (value,) = values
    if "boolean" in types(schema) and value in ("true", "false"):
        return value == "true"
    return int(value) if "integer" in types(schema) and value.lstrip("-").isdigit() else value


def document() -> dict[str, Any]:
    """Return facts.json as a document in OpenAPI's form, as a server would serve it."""
    paths: dict[str, Any] = {}
    for operation, fact in facts().items():
        method, path = operation.split()
        described: dict[str, Any] = {
            "parameters": [
                {"in": "query", "name": name, "schema": schema}
                for name, schema in fact["query"].items()
            ]
        }
        if "body" in fact:
            content = {"application/json": {"schema": _open(fact["body"])}}
            described["requestBody"] = {"content": content}
        paths.setdefault(path.replace("{}", "{id}"), {})[method.lower()] = described
    return {"openapi": "3.1.0", "components": {"schemas": {}}, "paths": paths}


def _open(schema: Any) -> Any:
    """Write types and null as OpenAPI documents do."""
    if isinstance(schema, list):
        return [_open(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {k: _open(v) for k, v in schema.items() if k != "additionalProperties"}
    if isinstance(found.get("type"), list):
        (type_name,) = [t for t in found["type"] if t != "null"]
        inner = {**found, "type": type_name}
        if "enum" in inner:
            inner["enum"] = [word for word in inner["enum"] if word is not None]
        return {"oneOf": [inner, {"type": "null"}]}
    return found
