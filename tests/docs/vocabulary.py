"""Refuse words that the project has replaced, in names and in prose.

Part of `make lint`; prints one line for each finding: file, line, word, and what to use instead.
The check covers all files of the repository but those of `IGNORED`; an exception names a file, a
word and a reason.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

#: Not written by hand, or a record of the past.
IGNORED = (
    "*.json",
    "*.png",
    "*.svg",
    "*.lock",
    "LICENSE",
    "requirements/*",
    "tests/docs/*vocabulary.py",
)

#: Refused everywhere: in prose, in names of things and in names of files.
EVERYWHERE = {
    "lane": "run lock, concurrency group (supervisor) or encoder (loader)",
    "lanes": "run locks, concurrency groups or encoders",
    "keeper": "watchdog",
    "world": "environment",
    "worlds": "environments",
    "beginnings": "prefetch",
    "dear": "per-record (stream)",
    "spare share": "require_history_budget",
    "courier": "batch dispatcher",
    "checkup": "doctor",
    "first look": "static dashboard",
    "somebody": "name who it is",
    "whoever": "name who it is",
    "ours": "name whose it is",
    "theirs": "name whose it is",
    "at work": "running",
}

#: Refused as a part of a name; in prose each is an ordinary word.
IN_NAMES = {
    "look ahead": "prefetch",
    "in step": "group_by_position",
    "overflown": "exceeds_buffer",
    "as they are": "raw_rows",
    "told by deal": "incremental_by_deal",
    "stands on": "rebuild_when_changed",
    "build marks": "build_watermarks",
    "built through": "watermark",
    "take one": "on_record",
    "words": "message, text, translations",
    "said": "message, output",
    "told": "reported, message",
    "asked": "requested",
    "kept": "stored",
    "patience": "timeout_seconds",
    "goodbye": "timeout_seconds",
    "left alone": "a descriptive name",
    "site under test": "project_under_test",
}

#: Refused as a whole name, of a thing or of a file.
WHOLE_NAMES = {
    "birth": "create_time",
    "born": "create_time",
    "clocked": "what the rows are",
    "dated": "what the rows are",
    "feed": "on_page",
    "priced": "what the rows are",
    "weighed": "what the rows are",
}

#: Refused as the name of a class, written exactly so.
CLASSES = {
    "Background": "Daemon",
    "Beginning": "Prefetch",
    "Ended": "CommandResult",
    "FedStream": "SharedScanStream",
    "Home": "LimitStore",
    "ListStream": "FullTableStream",
    "LocalHome": "LocalStore",
    "Mark": "OwnershipTag",
    "Measures": "MetricSet",
    "NewestFirst": "NewestFirstStream",
    "PerHundred": "BatchedChildStream",
    "PerRecord": "ChildStream",
    "Problem": "PipeboardError",
    "Recipe": "ServiceSpec",
    "RedisHome": "RedisStore",
    "UpdatedStream": "IncrementalStream",
    "Verdict": "FlowState",
    "Walk": "SharedScan",
}

#: Refused as the name of a file or a folder.
FILES = {
    "answers": "responses, demo_queries",
    "asking": "query_params",
    "ground": "bench_env",
    "kinds": "stream_types",
    "kit": "helpers",
    "living": "generator",
    "look": "card_style",
    "measures": "metric_set",
    "probes": "service_checks",
    "problems": "errors",
    "rivals": "baselines",
    "truth": "oracle",
    "verdict": "run_result",
    "warehouse kit": "warehouse_helpers",
}


class Allowed(NamedTuple):
    """One use of an old word that stays."""

    files: str
    word: str
    reason: str


METABASE = "plugins/utilities/metabase/"
RECONCILIATION = "a column of ops.ops_reconciliation, which people query"
#: Variables and files that a running program of an older release passes on or reads.
_COMPATIBLE = "a name that older releases use, too"
EXCEPTIONS: tuple[Allowed, ...] = (
    Allowed("orchestrate/pipeboard/run/*", "lane", "the column that the release before writes"),
    Allowed(
        "orchestrate/tests/test_history.py", "lane", "the column that the release before writes"
    ),
    *(
        Allowed(file, "world", _COMPATIBLE)
        for file in (
            "docker/build.sh",
            "orchestrate/bootstrap.py",
            "orchestrate/flows/supervised.py",
            "orchestrate/pipeboard/environments.py",
            "orchestrate/pipeboard/local/prefect_service.py",
            "tests/docker/test_image.py",
            "tests/lint.py",
            "tests/prefect/conftest.py",
            "tests/warehouse/warehouse_helpers.py",
        )
    ),
    *(
        Allowed(file, word, RECONCILIATION)
        for file in (
            f"{METABASE}pipeboard_metabase/definitions/cards/data_quality/reconciliation.sql",
            f"{METABASE}pipeboard_metabase/definitions/translations/columns.yml",
            "transform/models/ops/ops_reconciliation.*",
            "transform/tests/assert_reconciled.sql",
        )
        for word in ("ours", "theirs", "asked")
    ),
    *(
        Allowed("tests/warehouse/test_lifetime.py", word, RECONCILIATION)
        for word in ("ours", "theirs")
    ),
    Allowed(
        "transform/macros/incremental/build_incrementally.sql",
        "build marks",
        "the table of version 0.1, which a build drops",
    ),
    Allowed(
        f"{METABASE}pipeboard_metabase/static_dashboard/command.py",
        "first look",
        "the command's name in earlier releases still works",
    ),
)


class Finding(NamedTuple):
    """One old word in one line of a file; `line` is 0 for the name of the file itself."""

    file: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.word!r}; use instead: {self.instead}"


def main() -> int:
    """Check all files; return 1 if there is anything to change."""
    findings: list[Finding] = []
    used: set[Allowed] = set()
    for file in files():
        for finding in in_file(file, (ROOT / file).read_text(encoding="utf-8")):
            allowed = [
                each
                for each in EXCEPTIONS
                if each.word == finding.word and fnmatch(finding.file, each.files)
            ]
            used.update(allowed)
            findings += [] if allowed else [finding]
    for finding in findings:
        print(finding)
    unused = [each for each in EXCEPTIONS if each not in used]
    for each in unused:
        print(f"{each.files}: {each.word!r} is allowed but does not occur: remove the exception")
    return 1 if findings or unused else 0


def files() -> list[str]:
    """Return the text files to check, as git lists them (new ones too), in order."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [
        name
        for name in sorted(set(listed))
        if (ROOT / name).is_file() and not any(fnmatch(name, each) for each in IGNORED)
    ]


def in_file(file: str, text: str) -> Iterator[Finding]:
    """Find old words in a file's name, its prose and its names, in the order of lines."""
    parts = [part.split(".")[0] for part in Path(file).parts]
    in_path = [*found(plain(file), EVERYWHERE), *found_in_names(parts)]
    in_path += [(word, FILES[word]) for part in parts if (word := plain(part).strip()) in FILES]
    for word, instead in in_path:
        yield Finding(file, 0, word, instead)
    names = names_of(file, text)
    for nr, line in enumerate(text.splitlines(), 1):
        for word, instead in [*found(plain(line), EVERYWHERE), *found_in_names(names.get(nr, []))]:
            yield Finding(file, nr, word, instead)


def found(text: str, words: dict[str, str]) -> list[tuple[str, str]]:
    """Return the words that occur in a plain text, each with its replacement."""
    return [(word, instead) for word, instead in words.items() if f" {word} " in text]


def found_in_names(names: list[str]) -> list[tuple[str, str]]:
    """Return the words that are names or parts of names, each with its replacement."""
    texts = [plain(name) for name in names]
    return [
        *found(".".join(texts), IN_NAMES),
        *((word, WHOLE_NAMES[word]) for text in texts if (word := text.strip()) in WHOLE_NAMES),
        *((name, CLASSES[name]) for name in names if name in CLASSES),
    ]


def plain(text: str) -> str:
    """Reduce a text to lower-case words: `LocalHome`, `local_home` and "local home" are one."""
    words = re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text))
    return f" {' '.join(words).lower()} "


def names_of(file: str, text: str) -> dict[int, list[str]]:
    """Return the identifiers of a file by line.

    In Python these are the names that the tokenizer finds, in SQL all words outside comments; in
    other files, words written like `two_words` or `TwoWords`.
    """
    names: dict[int, list[str]] = {}
    if file.endswith(".py"):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                names.setdefault(token.start[0], []).append(token.string)
        return names
    like_a_name = re.compile(r"[^\W_]_[^\W_]|[a-z][A-Z]")
    for nr, line in enumerate(text.splitlines(), 1):
        words = re.findall(r"\w+", line.split("--")[0])
        if not file.endswith(".sql"):
            words = [word for word in words if like_a_name.search(word)]
        names[nr] = words
    return names


if __name__ == "__main__":
    sys.exit(main())
