"""The README's tables are those of the declarations."""

from __future__ import annotations

from pathlib import Path

from tap_pipedrive.docs import render

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_readme_is_up_to_date() -> None:
    text = README.read_text(encoding="utf-8")
    assert render(text) == text, "run: python -m tap_pipedrive.docs tap-pipedrive/README.md"
    assert "| `deals` |" in text and "| `api_token` |" in text
