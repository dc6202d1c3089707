"""The generated files equal what the declarations of streams and settings give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tap_pipedrive import generate
from tap_pipedrive.api import openapi
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.streams.stream_types import FullTableStream

COMMAND = "run: python -m tap_pipedrive.generate"


def test_the_readme_is_up_to_date() -> None:
    text = generate.README.read_text(encoding="utf-8")
    assert generate.render(text) == text, COMMAND
    assert "| `deals` |" in text and "| `api_token` |" in text


def test_the_sources_of_dbt_are_up_to_date() -> None:
    text = generate.SOURCES.read_text(encoding="utf-8")
    assert generate.sources(text) == text, COMMAND
    assert text.count("      - name: ") == len(generate.STREAMS)
    without_one = text.replace("      - name: goals\n", "").partition(generate.SOURCES_MARK)[0]
    assert "      - name: goals\n" in generate.sources(without_one + generate.SOURCES_MARK)


def document(*paths: str) -> dict[str, Any]:
    """Make an OpenAPI document whose lists have records of an id and a colour."""
    properties = {"id": {"type": "integer"}, "colour": {"type": "string"}}
    record = {"type": "object", "properties": properties}
    data = {"type": "object", "properties": {"data": {"type": "array", "items": record}}}
    answer = {"200": {"content": {"application/json": {"schema": data}}}}
    return {"paths": {path: {"get": {"x-token-cost": 7, "responses": answer}} for path in paths}}


def test_a_new_stream_needs_its_class_and_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PipedriveStream, "declared", [])

    class Paints(FullTableStream):
        """GET /api/v2/paints."""

        name = "paints"
        operations = ("v2 /paints",)
        primary_keys: ClassVar = ("id",)  # type: ignore[misc]

    assert PipedriveStream.declared == [Paints]
    readme, catalog, facts, v1, v2 = (tmp_path / name for name in ("r", "c", "f", "v1", "v2"))
    for module in ("tap_pipedrive.generate", "tap_pipedrive.tap"):
        monkeypatch.setattr(f"{module}.STREAMS", (Paints,))
    monkeypatch.setattr(generate, "README", readme)
    monkeypatch.setattr(generate, "CATALOG", catalog)
    monkeypatch.setattr(generate, "SOURCES", tmp_path / "no sources")
    monkeypatch.setattr(openapi, "FACTS_FILE", facts)
    facts.write_text("{}", encoding="utf-8")
    readme.write_text("<!-- streams -->\n<!-- /streams -->", encoding="utf-8")
    v1.write_text(json.dumps(document()), encoding="utf-8")
    v2.write_text(json.dumps(document("/paints", "/more")), encoding="utf-8")
    assert generate.main([]) == 64
    assert "no facts of v2 /paints, which paints declares" in capsys.readouterr().err
    try:
        assert generate.main([str(v1), str(v2)]) == 0
    finally:
        openapi.forget_facts()
    found = json.loads(facts.read_text(encoding="utf-8"))
    assert {key: fact["cost"] for key, fact in found.items()} == {"v2 /paints": 7}
    assert json.loads(catalog.read_text(encoding="utf-8"))["paints"]["properties"] == {
        "_extra": "object/null",
        "colour": "string/null",
        "id": "integer",
    }
    row = "| `paints` | `id` | whole list, sent when it changed | `v2 /paints` (7) | on | yes |"
    assert row in readme.read_text(encoding="utf-8")


def test_wrong_arguments_show_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["one.json"]) == 64
    assert "python -m tap_pipedrive.generate" in capsys.readouterr().err
