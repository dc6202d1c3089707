"""Write ../dashboards/*.json: `python k8s/components/grafana/generate`."""

from __future__ import annotations

import json
from pathlib import Path

from dashboards import ALL

TARGET = Path(__file__).resolve().parent.parent / "dashboards"


def rendered() -> dict[str, str]:
    """Return the text of every file."""
    return {
        f"{dashboard.name}.json": json.dumps(dashboard.json(), indent=2, ensure_ascii=False) + "\n"
        for dashboard in ALL
    }


if __name__ == "__main__":
    TARGET.mkdir(exist_ok=True)
    for name, text in rendered().items():
        (TARGET / name).write_text(text, encoding="utf-8")
