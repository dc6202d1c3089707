"""The site has every page and loads nothing from elsewhere; mkdocs itself refuses dead links."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


sys.path.insert(0, str(ROOT / "docs" / "site"))
import messages  # noqa: E402
from build import render  # noqa: E402


@pytest.mark.parametrize(
    ("link", "code"), [("b.md#there", 0), ("b.md#nowhere", 1), ("nowhere.md", 1)]
)
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, link: str, code: int) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.md").write_text(f"# A\n\n[b]({link})\n")
    (source / "b.md").write_text("# B\n\n## There\n")
    assert render(source, tmp_path / "site", ["index.md", "b.md"]) == code


@pytest.fixture(scope="module")
def site() -> Path:
    done = subprocess.run(
        [sys.executable, "docs/site/build.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "site"


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r"<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=\"?(?:https?:)?//[^>]*")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 100
    found = {page.name: loaded.findall(page.read_text(encoding="utf-8")) for page in pages}
    assert {name: links for name, links in found.items() if links} == {}


def test_generated_pages_have_settings_and_tables(site: Path) -> None:
    settings = (site / "docs" / "settings.html").read_text(encoding="utf-8")
    names = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M)
    assert names
    assert [name for name in names if f"<code>{name}</code>" not in settings] == []
    tables = (site / "docs" / "tables.html").read_text(encoding="utf-8")
    marts = {path.stem for path in (ROOT / "transform" / "models" / "marts").rglob("*.sql")}
    assert {name for name in marts if f'id="{name}"' not in tables} == set()


def test_the_page_of_messages_has_the_output_of_programs(site: Path, tmp_path: Path) -> None:
    page = html.unescape((site / "docs" / "messages.html").read_text(encoding="utf-8"))
    listed = {
        (int(code), ".*".join(map(re.escape, re.sub(r"</?code>", "`", text).split(messages.VALUE))))
        for code, text in re.findall(r"<td>(\d+)</td>\n<td>(.*?)</td>", page)
    }
    assert len(listed) > 150
    config = {"api_token": "x", "company_domain": "a b"}
    config["sqlalchemy_url"] = "postgresql+psycopg://u:p@127.0.0.1:1/d"
    (tmp_path / "config.json").write_text(json.dumps(config))
    for program, arguments in (
        ("pipeboard", ["run", "nothing"]),
        ("tap-pipedrive", ["--config", str(tmp_path / "config.json")]),
        ("target-postgres", ["--config", str(tmp_path / "config.json")]),
    ):
        done = subprocess.run(
            [str(ROOT / ".pipeboard" / "bin" / program), *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        output = " ".join(done.stderr.split())
        assert [t for code, t in listed if code == done.returncode and re.search(t, output)], output


def test_search_finds_both_languages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert index["config"]["lang"] == ["en", "pt"]
    titles = {entry["title"] for entry in index["docs"]}
    assert {"Threat model", "Experimente: dois comandos", "Settings"} <= titles
