"""Every stream of the tap has its staging model."""

from __future__ import annotations

import json
import re
import subprocess

import yaml
from conftest import COMMANDS, ROOT

TRANSFORM = ROOT / "transform"
STAGING = {
    path.stem.removeprefix("stg_pipedrive__"): path.read_text()
    for path in (TRANSFORM / "models" / "staging").rglob("stg_pipedrive__*.sql")
}


def test_every_stream_is_staged() -> None:
    answer = subprocess.run(
        [str(COMMANDS / "tap-pipedrive"), "--discover", "--config=/dev/stdin"],
        input='{"api_token": "none", "company_domain": "nobody"}',
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    streams = {stream["tap_stream_id"] for stream in json.loads(answer)["streams"]}
    assert set(STAGING) == streams


def test_staging_models_of_streams_that_nothing_loads_or_reads_are_off() -> None:
    plugins = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]
    selected = {
        rule.split(".")[0] for plugin in plugins["extractors"] for rule in plugin.get("select", [])
    }
    read = {
        stream
        for path in TRANSFORM.rglob("*.sql")
        for stream in re.findall(r"'stg_pipedrive__(\w+)'", path.read_text())
    }
    off = {
        stream
        for stream, text in STAGING.items()
        if text.startswith(f"{{{{ config(enabled='{stream}' in var('extra_streams')) }}}}\n")
    }
    assert off == set(STAGING) - selected - read
    assert {"call_logs", "files", "projects"} <= off


def test_every_raw_table_may_have_another_name() -> None:
    (source,) = yaml.safe_load((TRANSFORM / "models" / "staging" / "__sources.yml").read_text())[
        "sources"
    ]
    assert {table["name"]: table["identifier"] for table in source["tables"]} == {
        stream: f"{{{{ var('pipedrive_tables').get('{stream}', '{stream}') }}}}"
        for stream in STAGING
    }
