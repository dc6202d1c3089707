"""Make the environments of an image smaller: no tests, and each file and its bytecode once.

The environments share many packages. Equal files become hard links, which an image stores once. A
module is compiled once, and each of its copies gets a link to the bytecode. Python does not compare
that bytecode with the module: the image is read-only.
"""

from __future__ import annotations

import hashlib
import py_compile
import shutil
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from importlib.util import cache_from_source
from pathlib import Path


def main(project: Path) -> None:
    """Shrink the environments below `project`, and compile all of its modules."""
    remove_tests(project / ".pipeboard" / "env")
    files = [path for path in project.rglob("*") if path.is_file() and not path.is_symlink()]
    saved = link_equal(files)
    modules = [path for path in files if path.suffix == ".py"]
    print(
        f"image         {saved / 1e6:.0f} MB in equal files, {compiled(modules)} modules compiled"
    )


def remove_tests(environments: Path) -> None:
    """Delete the tests of installed packages. dbt's folders `tests` hold definitions: they stay."""
    for packages in environments.glob("*/lib/python*/site-packages"):
        for name in ("test", "tests"):
            for folder in list(packages.rglob(name)):
                if any(folder.glob("test_*.py")) or (folder / "conftest.py").exists():
                    shutil.rmtree(folder)


def link_equal(files: list[Path]) -> int:
    """Replace files that are equal in content and mode by hard links; return the bytes saved."""
    saved = 0
    first: dict[tuple[int, bytes], Path] = {}
    for path in files:
        status = path.stat()
        key = (status.st_mode, hashlib.sha256(path.read_bytes()).digest())
        twin = first.setdefault(key, path)
        if twin is not path and not twin.samefile(path):
            path.unlink()
            path.hardlink_to(twin)
            saved += status.st_size
    return saved


def compiled(modules: list[Path]) -> int:
    """Compile each distinct module once; return how many there were."""
    copies: dict[int, list[Path]] = defaultdict(list)
    for module in modules:
        copies[module.stat().st_ino].append(module)
    with ProcessPoolExecutor() as pool:
        return sum(pool.map(compile_and_link, copies.values(), chunksize=50))


def compile_and_link(copies: list[Path]) -> bool:
    """Compile a module that has these paths; return whether it is valid for this Python."""
    # The path inside is a short one: at import, Python replaces it by that of the copy.
    targets = [Path(cache_from_source(str(copy))) for copy in copies]
    try:
        py_compile.compile(
            *(str(copies[0]), str(targets[0])),
            dfile=copies[0].name,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    except py_compile.PyCompileError:  # a template, or for another version of Python
        return False
    for target in targets[1:]:
        target.parent.mkdir(exist_ok=True)
        target.hardlink_to(targets[0])
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
