"""The cost page computes what the tap's own plan computes, for the same numbers of records."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pipeboard_metabase.static_dashboard.bundle import node_in

from tap_pipedrive.reporting.plan import Plan
from tap_pipedrive.streams.stream_types import IncrementalStream
from tap_pipedrive.tap import TapPipedrive

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "site"))
from costs import script, selected_streams  # noqa: E402


@pytest.mark.parametrize("records", [0, 1, 499, 2_001, 50_000, 1_000_001])
def test_the_page_and_the_plan_agree(records: int) -> None:
    tap = TapPipedrive(config={"api_token": "x", "company_domain": "x"})
    streams = [stream for stream in selected_streams(tap) if stream.operations]
    plan = Plan(tap.run_context, tap.stream_set)
    # The numbers that it would look up.
    plan._size = {s.name: (records, "given") for s in streams if isinstance(s, IncrementalStream)}
    planned = {each.stream: each.tokens for each in map(plan._estimate, streams)}

    given = json.dumps(dict.fromkeys(planned, records))
    code = script() + (ROOT / "docs" / "site" / "cost.js").read_text(encoding="utf-8")
    code += f"\nconsole.log(JSON.stringify(tokensOf({given})));"
    node = node_in(ROOT / ".pipeboard" / "env" / "look")
    shown = subprocess.run([node, "-"], input=code, capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout) == planned
    assert planned["deal_changelog"] == 20 * records

    page = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    factors = re.search(r"= ([\d.]+) x deals \+ (\d+) x pages of 500 .* \+ ([\d,]+), at most", page)
    assert factors
    per_deal, per_page, fixed = (float(number.replace(",", "")) for number in factors.groups())
    pages = math.ceil(records / 500) * len(plan._size)
    assert sum(planned.values()) <= per_deal * records + per_page * pages + fixed
