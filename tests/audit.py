"""Look for known faults of the pinned packages: `make audit`. Asks PyPI's advisories.

Exit codes: 0 none found, 1 found, or PyPI did not answer. `--dry-run` only reads the pins.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).resolve().parent.parent / "requirements"
#: A rival of the loader, only for `make bench`: it wants old versions.
LEFT_OUT = "bench-pipelinewise"
#: Advisories that do not concern this project, each with its reason.
IGNORED: dict[str, str] = {}


def main(options: list[str]) -> int:
    """Audit all pins, file by file, since files may pin different versions of a package."""
    failed = []
    for path in sorted(PINS.glob("*.txt")):
        if path.stem == LEFT_OUT:
            continue
        print(f"#### {path.name}", flush=True)
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(path), *options]
        # Strict: a package that the advisories do not know was not audited.
        command += ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--strict"]
        command += [word for advisory in IGNORED for word in ("--ignore-vuln", advisory)]
        if subprocess.run(command, check=False).returncode:
            failed.append(path.name)
    if failed:
        print(f"not content: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
