"""Running every card on the server, and comparing its API with what we know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipeboard_metabase.openapi import refresh
from pipeboard_metabase.openapi.compare import differences, facts, properties, responses, types
from provision_helpers import ROOT, Command, Site
from standin_contract import document


def test_smoke_runs_every_card_bare_and_with_the_defaults_of_its_filters(
    applied: Site, run: Command
) -> None:
    site = applied
    assert run("smoke") == 0, site.err
    assert site.out.endswith("smoke         3 of 3 cards answer\n")
    assert "api           as known" in site.out
    queries = [body for _, path, body in site.standin.log if path.endswith("/query")]
    assert len(queries) == 4
    (with_default,) = [body["parameters"] for body in queries if body["parameters"]]
    assert with_default == [
        {
            "type": "date/all-options",
            "target": ["dimension", ["template-tag", "period"]],
            "value": "past12months~",
        }
    ]
    assert site.standin.writes == []


def test_a_card_that_fails_is_named_with_metabases_message(applied: Site, run: Command) -> None:
    site = applied

    def fail(card: dict[str, Any]) -> dict[str, Any]:
        if card["display"] == "combo":
            return {"status": "failed", "error": 'ERROR: relation "marts.x"\n does not exist'}
        return {"status": "completed", "row_count": 0}

    site.standin.run_query = fail
    assert run("smoke") == 65
    assert "by_owner" in site.out and 'relation "marts.x" does not exist' in site.out
    assert "2 of 3 cards answer" in site.out


def test_another_api_is_reported_and_missing_cards_are_an_error(
    applied: Site, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = applied
    changed = document()
    del changed["paths"]["/api/card"]["post"]
    body = changed["paths"]["/api/dashboard"]["post"]["requestBody"]["content"]["application/json"]
    body["schema"]["properties"]["name"] = {"type": "integer"}
    body["schema"]["required"] = ["name", "owner"]
    monkeypatch.setattr("standin.document", lambda: changed)
    assert run("smoke") == 0
    assert "POST /api/card is not there" in site.out
    assert "POST /api/dashboard: name is ['integer'], not ['string']" in site.out
    assert "POST /api/dashboard: needs owner" in site.out
    site.standin.cards.clear()
    assert run("smoke") == 65
    assert "is not in Metabase" in site.err


def test_facts_can_be_made_from_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server serves gives the same facts again."""
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document()))
    monkeypatch.setattr(refresh, "FACTS_FILE", tmp_path / "facts.json")
    assert refresh.main([str(file)]) == 0
    assert json.loads((tmp_path / "facts.json").read_text()) == facts()
    assert refresh.main([]) == 64
    del (some := document())["paths"]["/api/card"]
    with pytest.raises(SystemExit, match="no GET /api/card, POST /api/card"):
        refresh.facts_from(some)


def test_references_nullables_and_defaults_are_understood() -> None:
    given = {
        "components": {
            "schemas": {"a": {"$ref": "#/components/schemas/b"}, "b": {"type": "string"}}
        }
    }
    schema = {
        "type": "object",
        "required": ["x", "y", "z"],
        "properties": {
            "x": {"$ref": "#/components/schemas/a"},
            "y": {"type": "boolean", "default": False},
            "z": {"type": "integer", "nullable": True},
        },
    }
    assert refresh.trim(schema, given) == {
        "type": "object",
        "required": ["x", "z"],
        "properties": {
            "x": {"type": "string"},
            "y": {"type": "boolean"},
            "z": {"type": ["integer", "null"]},
        },
        "additionalProperties": False,
    }


def test_every_operation_has_facts_and_answers() -> None:
    assert set(facts()) == set(responses()) == {*refresh.OPERATIONS, *refresh.UNDOCUMENTED}


# --- The official documents --------------------------------------------------------------------


@pytest.fixture(scope="module")
def official() -> dict[str, Any]:
    """Metabase's document, or a part of it, as JSON or YAML."""
    named = os.environ.get("METABASE_OPENAPI")
    path = Path(named) if named else ROOT.parent / "shared" / "bi" / "metabase-api-subset.yaml"
    if not path.is_file():
        pytest.skip(
            f"no OpenAPI document of Metabase at {path}: name one in METABASE_OPENAPI, such as the "
            "one that a running Metabase serves at /api/docs/openapi.json"
        )
    text = path.read_text(encoding="utf-8")
    return dict(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text))


def is_whole(official: dict[str, Any]) -> bool:
    return "/api/card" in official["paths"] or "/api/card/" in official["paths"]


def test_what_we_send_is_what_the_document_takes(official: dict[str, Any]) -> None:
    known = {name for name, _ in refresh.operations(official)} & set(refresh.OPERATIONS)
    assert len(known) >= 20
    found = differences(official, whole=is_whole(official))
    # A part of the document is made for one kind of database; known is another.
    assert [line for line in found if "engine allows ['bigquery-cloud-sdk']" not in line] == []


def test_what_we_read_is_what_the_document_gives(official: dict[str, Any]) -> None:
    """As far as it says anything about answers."""
    compared = 0
    for name, operation in refresh.operations(official):
        given = operation.get("responses", {})
        content = given.get("200", given.get(200, given.get("2XX", {}))).get("content", {})
        if name not in responses() or "application/json" not in content:
            continue
        published = refresh.trim(content["application/json"]["schema"], official)
        compared += compare_answer(name, responses()[name], published)
    assert compared >= 60 or is_whole(official)


def compare_answer(path: str, known: dict[str, Any], published: dict[str, Any]) -> int:
    """Compare every field that both know; return how many."""
    if types(known) and types(published):
        assert types(known) & types(published), f"{path}: {types(published)}, not {types(known)}"
    compared = 1
    published_fields = properties(published)
    for name, schema in properties(known).items():
        if name in published_fields:
            compared += compare_answer(f"{path}.{name}", schema, published_fields[name])
    for one, other in ((known.get("items"), published.get("items")),):
        if one and other:
            compared += compare_answer(f"{path}[]", one, other)
    return compared


def test_a_server_that_does_not_describe_its_api_is_no_failure(applied: Site, run: Command) -> None:
    site = applied
    site.standin.faults.append(("GET docs/openapi.json", 404))
    assert run("smoke") == 0, site.err
    assert "this Metabase does not describe its API (404)" in site.out


def test_what_another_version_lacks_or_allows_is_named() -> None:
    other = document()
    del other["paths"]["/api/collection/{id}/items"]["get"]["parameters"]
    body = other["paths"]["/api/dashboard"]["post"]["requestBody"]["content"]["application/json"]
    del body["schema"]["properties"]["collection_id"]
    card = other["paths"]["/api/card"]["post"]["requestBody"]["content"]["application/json"]
    card["schema"]["properties"]["type"] = {"type": "string", "enum": ["cube"]}
    found = differences(other)
    assert "GET /api/collection/{}/items: has no parameter models" in found
    assert "POST /api/dashboard: collection_id is not known" in found
    assert "POST /api/card: type allows ['cube']" in found
    # A part of a document may lack all of that.
    assert differences(other, whole=False) == ["POST /api/card: type allows ['cube']"]


def test_routes_of_made_up_databases_and_notes_on_a_path_are_no_operations() -> None:
    listed = {"paths": {
        "/api/card": {"summary": "Cards", "get": {}},
        "/api/database/{virtual-db}/metadata": {"get": {}},
    }}  # fmt: skip
    assert [name for name, _ in refresh.operations(listed)] == ["GET /api/card"]


def test_a_schema_that_allows_anything_says_nothing() -> None:
    target = "#/components/schemas/metabase.lib.schema.parameter.target"
    assert refresh.trim({"$ref": target}, {}) == {"type": "array"}
    assert refresh.trim({"anyOf": [{"type": "string"}, {}]}, {}) == {}
    choice = {"oneOf": [{"type": "string"}, {"type": "integer"}], "nullable": True}
    assert refresh.trim(choice, {}) == {
        "anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]
    }


def test_the_command_that_makes_facts_names_its_document() -> None:
    command = [sys.executable, "-m", "pipeboard_metabase.openapi.refresh"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stdout) == (64, "")
    assert "refresh DOCUMENT.json" in outcome.stderr
