"""The tap is a good citizen: another public Singer target loads its output unchanged."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psycopg
from conftest import COMMANDS, ROOT, Checkout, Run, truth

from pipeboard.local.simulator import Simulator

# The stock target, as its authors ship it: its own command line, without code of this project.
PYTHON = ROOT / ".pipeboard" / "env" / "loader" / "bin" / "python"
STOCK = "from target_postgres.target import TargetPostgres; TargetPostgres.cli()"


def test_the_stock_target_loads_the_taps_output(
    checkout: Checkout,
    first_sync: Run,
    own_account: Simulator,
    own_environ: dict[str, str],
    tmp_path: Path,
) -> None:
    assert first_sync.code == 0
    urls = checkout.services.postgres.urls("pipeboard")
    assert urls is not None
    url = urls["pipeboard"]
    source = {
        "api_token": own_environ["PIPEDRIVE_API_TOKEN"],
        "api_url": own_environ["PIPEDRIVE_API_URL"],
        "changelog_mode": "off",
    }
    sink = {
        "sqlalchemy_url": url.replace("postgresql://", "postgresql+psycopg://"),
        "default_target_schema": "elsewhere",
        "use_copy": True,
        "validate_records": True,
    }
    environ = checkout.environ({"TZ": "UTC", "PYTHONWARNINGS": "ignore"})
    files = {"source": tmp_path / "source.json", "sink": tmp_path / "sink.json"}
    files["source"].write_text(json.dumps(source))
    files["sink"].write_text(json.dumps(sink))
    tap = subprocess.Popen(
        [COMMANDS / "tap-pipedrive", "--config", files["source"]],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ,
    )  # fmt: skip
    target = subprocess.run(
        [PYTHON, "-c", STOCK, "--config", files["sink"]],
        stdin=tap.stdout, capture_output=True, text=True, env=environ, check=False,
    )  # fmt: skip
    assert target.returncode == 0, target.stderr[-2000:]
    assert tap.wait() == 0
    deals = {deal["id"] for deal in truth(own_account, "deals") if deal["_listed"]}
    with psycopg.connect(url) as connection:
        for stream in ("deals", "organizations", "products", "deal_products"):
            (loaded,) = connection.execute(f"select count(*) from elsewhere.{stream}").fetchone()
            listed = [
                record
                for record in truth(own_account, stream)
                # Parts of a deal that was deleted long ago cannot be read, either.
                if record.get("_listed", True) and record.get("deal_id", None) in {None, *deals}
            ]
            assert loaded == len(listed), stream
        connection.execute("drop schema elsewhere cascade")
