"""Build the documentation as a site: `make docs-site` writes build/site.

The pages stay where they are; here they are copied with their folders, so that all links work as
on a code host, and pages are added that follow from code: the settings of `.env`, the tables,
the error messages, the list of runbooks and the numbers of the cost page. The table of
docs/README.md is the navigation. mkdocs runs in strict mode: a link or an anchor that leads nowhere
fails the build. Nothing is downloaded.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import costs
import messages
import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]+)?\)")


def main() -> int:
    """Copy and generate the pages, and run mkdocs."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    # Files of changelog.d link as the page that they become a part of.
    pages = [
        name
        for name in tracked("*.md")
        if not name.startswith("changelog.d/") or name == "changelog.d/README.md"
    ]
    for name in pages:
        write(name, links_of_the_site(name, (ROOT / name).read_text(encoding="utf-8")))
    for name in tracked("docs/images/*"):
        target = SOURCE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    write("docs/settings.md", settings())
    write("docs/tables.md", tables())
    write("docs/messages.md", messages.page())
    write("docs/runbooks/README.md", runbooks())
    cost = (ROOT / "docs" / "site" / "cost.js").read_text(encoding="utf-8")
    write("docs/site/cost.js", costs.script() + cost)
    shutil.copy2(ROOT / "docs" / "site" / "site.css", SOURCE / "docs" / "site")
    return render(SOURCE, SITE, navigation())


def render(source: Path, site: Path, pages: list[Any]) -> int:
    """Run mkdocs in strict mode, and return its exit code."""
    config = (ROOT / "docs" / "site" / "mkdocs.yml").read_text(encoding="utf-8")
    added = {"docs_dir": str(source), "site_dir": str(site), "nav": pages}
    path = source.with_name(f"{source.name}.yml")
    path.write_text(config + yaml.safe_dump(added, sort_keys=False), encoding="utf-8")
    # Not `--quiet`: that hides the warnings from strict mode, too.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean"]
    command += ["--config-file", str(path)]
    # The theme advertises its successor at each build.
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode


def tracked(pattern: str) -> list[str]:
    """Return the files of the repository that match, new ones too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [
        name
        for name in names.stdout.splitlines()
        if (ROOT / name).is_file() and not name.startswith(".github/")
    ]


def write(name: str, text: str) -> None:
    """Write a page of the source of the site."""
    path = SOURCE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def links_of_the_site(name: str, text: str) -> str:
    """Let links to folders lead to their page, and links to files to a copy."""

    def link(found: re.Match[str]) -> str:
        address, anchor = found[1], found[2] or ""
        target = (ROOT / name).parent / address
        if ":" in address or not target.exists() or target.suffix == ".md":
            return found[0]
        if target.name == ".env.example":
            return (
                f"]({address.replace('.env.example', 'docs/settings.md').replace('../docs/', '')})"
            )
        if target.is_dir():
            return f"]({address.rstrip('/')}/README.md{anchor})"
        copied = SOURCE / target.resolve().relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(target, copied)
        return found[0]

    return LINK.sub(link, text)


def navigation() -> list[Any]:
    """Return the pages by purpose, as the table of docs/README.md has them."""
    table = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    sections: dict[str, list[Any]] = {}
    purpose = ""
    for row in re.findall(r"^\| *(.*?) *\| (.*) \|$", table, re.M)[1:]:
        purpose = row[0] or purpose
        pages = sections.setdefault(purpose, [])
        for title, address in re.findall(r"\[([^]]+)\]\(([^)#]+)", row[1]):
            page = (ROOT / "docs" / address).resolve().relative_to(ROOT).as_posix()
            if address == "runbooks/":
                names = [f"docs/{address}README.md", *tracked("docs/runbooks/*.md")]
                pages.append({title: names})
            elif address == "../.env.example":
                pages.append({title: "docs/settings.md"})
            elif "decisions" in address:
                pages.append({title: [page, *tracked("docs/decisions/0*.md")]})
            else:
                pages.append({title: page})
    sections["Reference"].append({"Tables": "docs/tables.md"})
    sections["Reference"].append({"Messages": "docs/messages.md"})
    sections["Reference"].append({"Changes": "CHANGELOG.md"})
    return [{"Overview": "docs/README.md"}, *({name: pages} for name, pages in sections.items())]


def settings() -> str:
    """Render the settings of `.env.example`."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    lines = ["# Settings", "", "Every variable of `.env`, as `.env.example` describes them.", ""]
    comment: list[str] = []
    for line in text.splitlines():
        if heading := re.match(r"# --- (.*?) -+$", line):
            lines += [f"## {heading[1]}", ""]
            comment = []
        elif variable := re.match(r"(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", line):
            default = f" = `{variable[2]}`" if variable[2] else ""
            lines += [f"**`{variable[1]}`**{default}", "", " ".join(comment), ""]
        elif line.startswith("#"):
            comment.append(line.lstrip("# "))
        else:
            comment = []
    return "\n".join(lines) + "\n"


def tables() -> str:
    """Render the marts with their columns, from the descriptions of dbt."""
    lines = ["# Tables", "", "The tables of schema `marts`. `make docs` writes all models.", ""]
    for path in sorted((ROOT / "transform" / "models" / "marts").rglob("*.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            lines += [f"## {model['name']}", "", one_line(model), ""]
            columns = [c for c in model.get("columns", []) if c.get("description")]
            if columns:
                lines += ["| column | type | meaning |", "|---|---|---|"]
            lines += [
                f"| `{c['name']}` | {c.get('data_type', '')} | {one_line(c)} |" for c in columns
            ]
            lines.append("")
    return "\n".join(lines)


def one_line(entry: dict[str, Any]) -> str:
    """Return a description as one cell of a table."""
    text = " ".join(str(entry.get("description", "")).split())
    return text.replace("|", "\\|").replace("<", "&lt;")


def runbooks() -> str:
    """List the runbooks with their alerts."""
    lines = ["# Runbooks", "", "One page per alert.", ""]
    for name in tracked("docs/runbooks/*.md"):
        lines.append(f"- [{Path(name).stem}]({Path(name).name})")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
