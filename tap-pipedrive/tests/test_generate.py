"""The generated files equal what the declarations of streams and settings give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from tap_pipedrive import generate
from tap_pipedrive.api import openapi
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.streams.stream_types import FullTableStream

COMMAND = "run: python -m tap_pipedrive.generate"
#: Files of the tree of these tests; the package may be installed from a wheel, which has none.
ROOM = Path(__file__).resolve().parents[1]


def test_the_readme_is_up_to_date() -> None:
    text = (ROOM / "README.md").read_text(encoding="utf-8")
    assert generate.render(text) == text, COMMAND
    assert "| `deals` |" in text and "| `api_token` |" in text


def test_the_sources_of_dbt_are_up_to_date() -> None:
    folder = ROOM.parent / "transform" / "models" / "staging"
    text = (folder / "__sources.yml").read_text(encoding="utf-8")
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
    readme, catalog, facts, empty, v2 = (tmp_path / name for name in ("r", "c", "f", "e", "v2"))
    for module in ("tap_pipedrive.generate", "tap_pipedrive.tap"):
        monkeypatch.setattr(f"{module}.STREAMS", (Paints,))
    monkeypatch.setattr(generate, "README", readme)
    monkeypatch.setattr(generate, "CATALOG", catalog)
    monkeypatch.setattr(generate, "SOURCES", tmp_path / "no sources")
    monkeypatch.setattr(openapi, "FACTS_FILE", facts)
    facts.write_text('{"v2 /old": {"cost": 3}}', encoding="utf-8")
    readme.write_text("<!-- streams -->\n<!-- /streams -->", encoding="utf-8")
    empty.write_text(json.dumps(document()), encoding="utf-8")
    v2.write_text(yaml.safe_dump(document("/paints", "/old")), encoding="utf-8")
    assert generate.main([]) == 64
    output = capsys.readouterr().err
    assert output.startswith("facts.json does not have v2 /paints, which paints declares: save ")
    assert "run make generate V2=<the file>" in output
    assert generate.main(["--v2", str(empty)]) == 64
    assert f"{empty} does not have v2 /paints" in capsys.readouterr().err
    try:
        assert generate.main(["--v2", str(v2)]) == 0
    finally:
        openapi.forget_facts()
    found = json.loads(facts.read_text(encoding="utf-8"))
    costs = {key: fact["cost"] for key, fact in found.items()}
    assert costs == {"v2 /paints": 7, "v2 /old": 3}, "the facts that were known stay"
    assert json.loads(catalog.read_text(encoding="utf-8"))["paints"]["properties"] == {
        "_extra": "object/null",
        "colour": "string/null",
        "id": "integer",
    }
    openapi.forget_facts()
    sources = tmp_path / "sources"
    sources.write_text(generate.SOURCES_MARK, encoding="utf-8")
    monkeypatch.setattr(generate, "SOURCES", sources)
    try:
        assert generate.main([]) == 0, "no operation lacks its facts now"
    finally:
        openapi.forget_facts()
    assert "      - name: paints\n" in sources.read_text(encoding="utf-8")
    row = "| `paints` | `id` | whole list, sent when it changed | `v2 /paints` (7) | on | yes |"
    assert row in readme.read_text(encoding="utf-8")


def test_a_key_that_the_operation_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PipedriveStream, "declared", [])

    class Followers(FullTableStream):
        """GET /api/v2/stages."""

        name = "followers"
        operations = ("v2 /stages",)
        primary_keys: ClassVar = ("id", "user")  # type: ignore[misc]

    monkeypatch.setattr("tap_pipedrive.tap.STREAMS", (Followers,))
    with pytest.raises(TypeError, match=r"key 'user'\. Add the key and its type to more"):
        generate.catalog()
