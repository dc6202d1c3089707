"""Generate the files that follow from the declarations of streams and settings.

``make generate`` runs it. It rewrites the tables of ``README.md``, ``tests/catalog.json`` and the
sources of the dbt project beside this package, if there is one; all belong to a source tree.

A stream with a new operation needs the facts of that operation, too. They are read from Pipedrive's
OpenAPI documents, one per version of the API, and added to ``api/openapi/facts.json``. The facts of
other operations stay: documents of another day would change the types of raw tables that exist.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tap_pipedrive.api import openapi
from tap_pipedrive.api.openapi import documents, operation
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.streams.stream_types import (
    BatchedChildStream,
    ChildStream,
    IncrementalStream,
    NewestFirstStream,
)
from tap_pipedrive.tap import TapPipedrive

ROOM = Path(__file__).resolve().parent.parent
README = ROOM / "README.md"
CATALOG = ROOM / "tests" / "catalog.json"
SOURCES = ROOM.parent / "transform" / "models" / "staging" / "__sources.yml"
#: Pipedrive's OpenAPI documents, by version of the API.
DOCUMENTS = {
    "v1": "https://developers.pipedrive.com/docs/api/v1/openapi.yaml",
    "v2": "https://developers.pipedrive.com/docs/api/v1/openapi-v2.yaml",
}
#: Below this line the sources are generated, for the streams that are not above it.
SOURCES_MARK = "      # Generated from the streams of the tap: make generate.\n"
SOURCE = """\
      - name: NAME
        identifier: "{{ var('pipedrive_tables').get('NAME', 'NAME') }}"
        description: TEXT
"""


class LackingError(Exception):
    """Operations without facts; one line each, with what to do."""


def how_it_is_read(stream: PipedriveStream) -> str:
    """Describe in a few words how a stream is read."""
    if stream.name == "deal_changelog":
        return "a call for each deal that may have moved"
    if stream.name.endswith("_sync"):
        return f"comes with `{stream.name.removesuffix('_sync')}`"
    if stream.name == "deal_summary_daily":
        return "one call a day"
    if isinstance(stream, IncrementalStream):
        return "updated since the bookmark"
    if isinstance(stream, BatchedChildStream):
        parent = stream.parent
        return f"a call for each 100 updated {parent}"
    if isinstance(stream, ChildStream):
        parent = stream.parent
        return f"a call for each of the updated {parent}"
    if isinstance(stream, NewestFirstStream):
        return "newest first, down to the bookmark"
    return "whole list, sent when it changed"


def streams_table() -> str:
    """Render the table of streams."""
    rows = [
        "| Stream | Key | How it is read | Operations (tokens a call) | Default | Swept |",
        "|---|---|---|---|---|---|",
    ]
    for stream in TapPipedrive(config={}, validate_config=False).stream_set:
        operations = [operation(key) for key in stream.operations]
        costs = ", ".join(f"`{op.key}` ({op.cost})" for op in operations) or "(0)"
        keys = ", ".join(f"`{key}`" for key in stream.primary_keys)
        default = "on" if stream.selected_by_default else "off"
        swept = "yes" if stream.is_swept else ""
        cells = (f"`{stream.name}`", keys, how_it_is_read(stream), costs, default, swept)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def settings_table() -> str:
    """Render the table of settings, with those of nested objects."""
    rows = ["| Setting | Default | What it is |", "|---|---|---|"]
    properties: dict[str, Any] = TapPipedrive.config_jsonschema["properties"]
    for name, schema in properties.items():
        for nested, inner in dict(schema.get("properties") or {"": schema}).items():
            full = f"{name}.{nested}" if nested else name
            default = inner.get("default")
            default = str(default).lower() if isinstance(default, bool) else default
            shown = "" if default is None else f"`{default}`"
            rows.append(f"| `{full}` | {shown} | {inner.get('description', '')} |")
    return "\n".join(rows)


def render(text: str) -> str:
    """Replace the marked parts of a README."""
    for name, table in (("streams", streams_table()), ("settings", settings_table())):
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = marked.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)  # type: ignore[misc]
    return text


def by_name() -> dict[str, type[PipedriveStream]]:
    """Return the class of each stream."""
    return {str(vars(stream)["name"]): stream for stream in STREAMS}


def description(stream: type[PipedriveStream]) -> str:
    """Return the first sentence of what a class says about its stream."""
    text = " ".join((stream.__doc__ or "").split()).replace("``", "`")
    return re.split(r"(?<=\.) ", text, maxsplit=1)[0]


def sources(text: str) -> str:
    """Replace the generated part of the sources of dbt."""
    head, mark, _ = text.partition(SOURCES_MARK)
    by_hand = set(re.findall(r"^      - name: (\w+)$", head, re.M))
    tables = [
        SOURCE.replace("NAME", name).replace("TEXT", json.dumps(description(stream)))
        for name, stream in by_name().items()
        if name not in by_hand
    ]
    return "".join([head, mark, *tables])


def facts_lacking(known: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the operations without facts, and the streams that declare them."""
    lacking: dict[str, list[str]] = {}
    for name, stream in by_name().items():
        for key in stream.operations:
            if key not in known:
                lacking.setdefault(key, []).append(name)
    return lacking


def add_facts(files: Mapping[str, Path]) -> None:
    """Add the operations without facts to ``facts.json``.

    Args:
        files: the OpenAPI documents, JSON or YAML, by version: ``{"v2": Path("openapi-v2.yaml")}``.

    Raises:
        LackingError: an operation is in no given document.

    """
    known = json.loads(openapi.FACTS_FILE.read_text(encoding="utf-8"))
    if not (lacking := facts_lacking(known)):
        return
    # Not at the top: the tap itself does not need it. Every JSON document is a YAML document.
    import yaml

    read = {
        version: yaml.load(
            file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
        for version, file in files.items()
    }
    problems = []
    for key, streams in lacking.items():
        version, path = key.split(" ", 1)
        declared = f"{key}, which {', '.join(streams)} declares"
        if version not in read:
            problems.append(
                f"facts.json does not have {declared}: save {DOCUMENTS.get(version, version)} "
                f"and run make generate {version.upper()}=<the file>"
            )
        elif path not in read[version].get("paths", {}):
            problems.append(f"{files[version]} does not have {declared}")
        else:
            known.update(documents.trim(read, [key]))
    if problems:
        raise LackingError("\n".join(problems))
    text = json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False)
    openapi.FACTS_FILE.write_text(text + "\n", encoding="utf-8")
    openapi.forget_facts()


def catalog() -> dict[str, Any]:
    """Return the keys and the property types of each stream, for a comparison of versions."""
    tap = TapPipedrive(config={}, validate_config=False)
    return {
        entry["tap_stream_id"]: {
            "key_properties": list(entry["key_properties"]),
            "replication_key": entry.get("replication_key"),
            "properties": {
                name: "/".join([*schema["type"], *filter(None, [schema.get("format")])])
                for name, schema in entry["schema"]["properties"].items()
            },
        }
        for entry in tap.catalog_dict["streams"]
    }


def main(arguments: list[str]) -> int:
    """Rewrite the generated files; return 64 if facts of an operation are lacking."""
    parser = argparse.ArgumentParser(prog="python -m tap_pipedrive.generate")
    for version, address in DOCUMENTS.items():
        parser.add_argument(f"--{version}", type=Path, help=f"a copy of {address}")
    given = {version: file for version, file in vars(parser.parse_args(arguments)).items() if file}
    try:
        add_facts(given)
    except LackingError as error:
        sys.stderr.write(f"{error}\n")
        return 64
    README.write_text(render(README.read_text(encoding="utf-8")), encoding="utf-8")
    text = json.dumps(catalog(), indent=1, sort_keys=True)
    CATALOG.write_text(text + "\n", encoding="utf-8")
    if SOURCES.exists():
        SOURCES.write_text(sources(SOURCES.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":  # pragma: no cover: the call of a script, which rewrites the tree
    raise SystemExit(main(sys.argv[1:]))
