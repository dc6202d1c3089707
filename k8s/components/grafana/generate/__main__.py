"""Write ../dashboards/*.json: `python k8s/components/grafana/generate [FOLDER]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dashboards import ALL

DASHBOARDS = Path(__file__).resolve().parent.parent / "dashboards"


def main(arguments: list[str]) -> None:
    """Write one file per dashboard into the folder, by default the one that Grafana loads."""
    folder = Path(arguments[0]) if arguments else DASHBOARDS
    folder.mkdir(exist_ok=True)
    for dashboard in ALL:
        text = json.dumps(dashboard.json(), indent=2, ensure_ascii=False) + "\n"
        (folder / f"{dashboard.name}.json").write_text(text, encoding="utf-8")


main(sys.argv[1:])
