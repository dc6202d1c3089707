"""The tests of the matrix use the Redis of the tap's tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tap-pipedrive" / "tests"))
