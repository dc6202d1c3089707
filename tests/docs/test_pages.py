"""Pages name commands that exist and link to what is there; all commands are documented."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pipeboard.cli import command

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    # The changelog also names what was removed since; its next section is in files of their own.
    if (ROOT / name).exists()
    and name != "CHANGELOG.md"
    and (not name.startswith("changelog.d/") or name.endswith("/README.md"))
]
CODE = re.compile(r"^```[^`]*^```|^ {4}[^\n]*$|`[^`\n]+`", re.M)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def named_in_code(name: str, program: str) -> set[str]:
    """Return the words that follow a program's name in the code of a page."""
    code = "\n".join(CODE.findall(text_of(name)))
    begin = r"(?:^ *|`|&& )(?:[*/\d]+ )*(?:[A-Z_]+=\S* )*(?:\S*/)?"
    return set(re.findall(rf"{begin}{re.escape(program)} (?:-\S+ )*([a-z][\w-]*)", code, re.M))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", text_of("Makefile"), re.M))


def run_project_commands() -> set[str]:
    """Return the commands as the usage line names them: `[up|deploy|...]` or `{up,deploy,...}`."""
    shown = subprocess.run(
        [ROOT / "run_project.sh", "--help"], capture_output=True, text=True, check=True
    ).stdout
    choice = re.search(r"[\[{]([a-z]+(?:[|,][a-z]+)+)[\]}]", shown)
    assert choice, shown
    return set(re.split(r"[|,]", choice[1]))


COMMANDS = {
    "make": make_targets(),
    "pipeboard": set(command.commands),
    "run_project.sh": run_project_commands(),
}


@pytest.mark.parametrize("program", COMMANDS)
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_exist(page: str, program: str) -> None:
    assert named_in_code(page, program) - COMMANDS[program] == set()


@pytest.mark.parametrize("program", COMMANDS)
def test_every_command_is_documented(program: str) -> None:
    named = set().union(*(named_in_code(page, program) for page in PAGES))
    assert COMMANDS[program] - named == set()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = [link for link in LINK.findall(text_of(page)) if not re.match(r"[a-z]+:", link)]
    assert [link for link in links if not leads_somewhere(page, link)] == []


def leads_somewhere(page: str, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target.read_text(encoding="utf-8"))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_a_link_to_a_missing_page_or_heading_is_found() -> None:
    assert leads_somewhere("README.md", "docs/observability.md#exit-codes")
    assert not leads_somewhere("README.md", "docs/observability.md#no-such-heading")
    assert not leads_somewhere("README.md", "docs/no-such-page.md")


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 130
