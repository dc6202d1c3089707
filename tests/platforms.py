"""Write into docs/platforms.md for which machines and Pythons every pinned package has a wheel.

`make lock` runs it. uv resolves each file of pins for each machine, and installs nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "orchestrate"))

import bootstrap  # noqa: E402

UV = bootstrap.ENVIRONMENTS_HOME / "uv" / "bin" / "uv"
PAGE = ROOT / "docs" / "platforms.md"
BEGIN, END = "<!-- wheels: written by make lock -->", "<!-- end of wheels -->"
#: The name of a machine in uv, and on the page.
MACHINES = {
    "x86_64-manylinux_2_28": "Linux x86_64, glibc 2.28",
    "aarch64-manylinux_2_28": "Linux aarch64, glibc 2.28",
    "x86_64-unknown-linux-musl": "Linux x86_64, musl",
    "aarch64-unknown-linux-musl": "Linux aarch64, musl",
    "aarch64-apple-darwin": "macOS on Apple silicon",
    "x86_64-apple-darwin": "macOS on Intel",
    "x86_64-pc-windows-msvc": "Windows x86_64",
}
#: What is built by which command, by the names of the environments.
USES = {
    "sync": [each.name for each in bootstrap.RUN if each.name != "demo"],
    "`make demo`": ["demo"],
    "`make prefect`": ["prefect"],
    "metrics server": ["metrics"],
    "`make test`": ["dev", *(each.name for each in bootstrap.TOOLS), "look"],
}
MISSING = re.compile(r"Because (\S+?)==\S+\s+has no\s+(?:usable )?wheels?")


def missing(machine: str, python: tuple[int, int], environment: str) -> str:
    """Return the first pinned package without a wheel, or nothing."""
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(
            [str(UV), "pip", "install", "--dry-run", "--no-build", "--no-deps"]
            + ["--python-platform", machine, "--python-version", ".".join(map(str, python))]
            + ["--target", nowhere, "--require-hashes"]
            + ["--requirements", str(bootstrap.REQUIREMENTS / f"{environment}.txt")],
            env=bootstrap.clean_environ(),
            text=True,
            capture_output=True,
            check=False,
        )
    if done.returncode == 0:
        return ""
    found = MISSING.search(done.stderr)
    if not found:
        msg = f"{machine}, {python}, {environment}:\n{done.stderr}"
        raise SystemExit(msg)
    return found[1]


def table(first: str, rows: dict[str, tuple[str, tuple[int, int]]]) -> list[str]:
    """Return a table: a row per machine or Python, a column per use."""
    lines = ["| " + " | ".join([first, *USES]) + " |", "|---" * (len(USES) + 1) + "|"]
    with ThreadPoolExecutor(2) as pool:
        for label, (machine, python) in rows.items():
            cells = []
            for names in USES.values():
                found = pool.map(partial(missing, machine, python), names)
                without = sorted({package for package in found if package})
                cells.append("no " + ", ".join(without) if without else "yes")
            lines.append("| " + " | ".join([label, *cells]) + " |")
    return lines


def main() -> None:
    """Write both tables into the page."""
    middle = (3, 12)
    machines = {label: (machine, middle) for machine, label in MACHINES.items()}
    pythons = {
        f"Python 3.{minor}": (next(iter(MACHINES)), (3, minor))
        for minor in range(bootstrap.OLDEST[1], bootstrap.NEWEST[1] + 2)
    }
    text = [*table("machine, with Python 3.12", machines), ""]
    text += table("on Linux x86_64", pythons)
    page = PAGE.read_text()
    head, _, rest = page.partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(head + "\n".join([BEGIN, "", *text, "", END]) + tail)


if __name__ == "__main__":
    main()
