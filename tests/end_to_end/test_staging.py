"""What one room emits, the next one reads: every stream of the tap has its staging model."""

from __future__ import annotations

import json
import subprocess

from conftest import COMMANDS, ROOT


def test_every_stream_is_staged() -> None:
    answer = subprocess.run(
        [str(COMMANDS / "tap-pipedrive"), "--discover", "--config=/dev/stdin"],
        input='{"api_token": "none", "company_domain": "nobody"}',
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    streams = {stream["tap_stream_id"] for stream in json.loads(answer)["streams"]}
    models = (ROOT / "transform" / "models" / "staging").rglob("stg_pipedrive__*.sql")
    assert {model.stem.removeprefix("stg_pipedrive__") for model in models} == streams
