"""Write the plugin definitions for Meltano Hub and for `meltano add --from-ref`.

What a plugin says of itself (`--about`) is their only source; `make generate` calls this. The line
`repo`, which `make release` adds, stays.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

HUB = Path(__file__).resolve().parent
#: Module, file, and what a plugin cannot say of itself.
PLUGINS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "tap_pipedrive",
        "extractors/tap-pipedrive/pipeboard.yml",
        {
            "label": "Pipedrive",
            "namespace": "tap_pipedrive",
            "pip_url": "pipeboard-tap-pipedrive",
            "domain_url": "https://developers.pipedrive.com/docs/api/v1",
            "settings_group_validation": [
                ["api_token", "company_domain"],
                ["api_token", "api_url"],
                ["oauth.client_id", "oauth.client_secret", "oauth.refresh_token"],
            ],
        },
    ),
    (
        "pipeboard_target_postgres",
        "loaders/target-postgres/pipeboard.yml",
        {
            "label": "PostgreSQL",
            "namespace": "target_postgres",
            "pip_url": "pipeboard-target-postgres",
            # The stock target, a dependency, brings the other name.
            "executable": "pipeboard-target-postgres",
            "dialect": "postgres",
            "domain_url": "https://www.postgresql.org/",
            "settings_group_validation": [["sqlalchemy_url"], ["host", "user", "database"]],
        },
    ),
)
KINDS = {"integer": "integer", "boolean": "boolean", "number": "decimal"}
KINDS |= {"object": "object", "array": "array"}


def main() -> int:
    """Write all definitions."""
    for module, name, facts in PLUGINS:
        path = HUB / name
        path.parent.mkdir(parents=True, exist_ok=True)
        known = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(text_of(module, facts, known), encoding="utf-8")
    return 0


def text_of(module: str, facts: dict[str, Any], known: str = "") -> str:
    """Return the text of one definition."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--about", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    about = json.loads(done.stdout)
    definition = {
        "name": about["name"],
        "variant": "pipeboard",
        "executable": about["name"],
        "description": about["description"],
        **facts,
        "keywords": ["meltano_sdk"],
        "maintenance_status": "active",
        "quality": "silver",
        "capabilities": about["capabilities"],
        "settings": list(settings(about["settings"]["properties"])),
    }
    if repo := re.search(r"^repo: (\S+)$", known, re.M):
        definition["repo"] = repo[1]
    head = "# Written by `make generate` from what the plugin says of itself.\n"
    return head + yaml.safe_dump(definition, sort_keys=False, allow_unicode=True, width=110)


def settings(properties: dict[str, Any], prefix: str = "") -> Any:
    """Yield the settings of a plugin, those of nested objects by their full names."""
    for name, schema in properties.items():
        if nested := schema.get("properties"):
            yield from settings(nested, f"{prefix}{name}.")
            continue
        setting = {"name": f"{prefix}{name}", "label": schema.get("title") or label(name)}
        setting |= kind(schema)
        if schema.get("default") is not None:
            setting["value"] = schema["default"]
        if schema.get("secret") or schema.get("writeOnly"):
            setting["sensitive"] = True
        yield {**setting, "description": schema.get("description", "")}


def label(name: str) -> str:
    """Return a name for people: `batch_size_rows` becomes `Batch size rows`."""
    return name.replace("_", " ").replace(".", " ").capitalize()


def kind(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the kind of a setting; a string is the default and has none."""
    if values := schema.get("enum"):
        options = [{"label": label(str(each)), "value": each} for each in values if each]
        return {"kind": "options", "options": options}
    if schema.get("format") == "date-time":
        return {"kind": "date_iso8601"}
    types = schema.get("type", "string")
    known = next(each for each in ([types] if isinstance(types, str) else types) if each != "null")
    return {"kind": KINDS[known]} if known in KINDS else {}


if __name__ == "__main__":
    sys.exit(main())
