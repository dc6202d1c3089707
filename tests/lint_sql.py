"""sqlfluff, made faster: what several files or rules need is made once, without a collector.

`python tests/lint_sql.py lint -q FILE...`: the command line is sqlfluff's own.
"""

from __future__ import annotations

import gc
from typing import Any

from jinja2 import Environment
from sqlfluff.cli.commands import cli
from sqlfluff.utils.reflow import ReflowSequence

_compile = Environment.compile
_sequence_of = ReflowSequence.from_root
#: The code of a template by its text: sqlfluff's environments have the same options.
_code: dict[str, Any] = {}
#: The tree of a file, and its sequence.
_last: tuple[Any, ReflowSequence] | None = None


def compile_once(self: Environment, source: Any, *names: Any, **options: Any) -> Any:
    """Compile a template; a text that was compiled before has its code already."""
    if not isinstance(source, str) or any(names) or options:
        return _compile(self, source, *names, **options)
    if source not in _code:
        _code[source] = _compile(self, source)
    return _code[source]


def sequence_once(root_segment: Any, config: Any) -> ReflowSequence:
    """Return what the four rules of layout begin with; they make new sequences of it."""
    global _last
    if _last is None or _last[0] is not root_segment:
        _last = root_segment, _sequence_of(root_segment, config)
    return _last[1]


if __name__ == "__main__":
    Environment.compile = compile_once  # type: ignore[method-assign]
    ReflowSequence.from_root = sequence_once  # type: ignore[method-assign]
    # The trees of a share of the files take some 500 MB; it would go through them again and again.
    gc.disable()
    cli()
