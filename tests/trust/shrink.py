"""Makes a story that breaks a promise shorter: what is not needed for it goes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from story import Story, Sync

#: A story is played at most so often while it is shrunk.
MOST_PLAYS = 60


def shrink(story: Story, breaks: Callable[[Story], bool]) -> Story:
    """Return a shorter story that breaks a promise too; the story itself, if none is found."""
    plays = 0
    shorter = True
    while shorter and plays < MOST_PLAYS:
        shorter = False
        for candidate in _shorter(story):
            plays += 1
            if breaks(candidate):
                story, shorter = candidate, True
                break
            if plays >= MOST_PLAYS:
                break
    return story


def _shorter(story: Story) -> Iterator[Story]:
    """Yield stories with a part less, the largest parts first."""
    count = len(story.syncs)
    for size in sorted({count // 2, count // 4, 1} - {0}, reverse=True):
        for start in range(0, count, size):
            yield _with(story, story.syncs[:start] + story.syncs[start + size :])
    for number, sync in enumerate(story.syncs):
        for less in _less(sync):
            yield _with(story, [*story.syncs[:number], less, *story.syncs[number + 1 :]])


def _with(story: Story, syncs: list[Sync]) -> Story:
    changed = copy.deepcopy(story)
    changed.syncs = copy.deepcopy(syncs)
    return changed


def _less(sync: Sync) -> Iterator[Sync]:
    for name, empty in (
        ("tap_ends", None), ("loader_ends", None), ("session_ends", None), ("daily_tokens", None),
        ("loses_state_folder", False), ("loses_state", False), ("clock_error", 0),
        ("database", None), ("threads", 1),
        ("edits_during", {}), ("edits", []), ("faults", []), ("damages", []),
    ):  # fmt: skip
        if getattr(sync, name) != empty:
            less = copy.deepcopy(sync)
            setattr(less, name, copy.deepcopy(empty))
            yield less
    for name in ("edits", "faults", "damages"):
        values = getattr(sync, name)
        for at in range(len(values)) if len(values) > 1 else ():
            less = copy.deepcopy(sync)
            del getattr(less, name)[at]
            yield less
