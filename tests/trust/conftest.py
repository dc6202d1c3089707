"""The tests of the matrix use the Redis of the tap's tests, stories to the marts those of dbt."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tap-pipedrive" / "tests"), str(ROOT / "tests" / "warehouse")]
