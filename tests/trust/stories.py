"""Plays many stories side by side."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

import pipeline
from play import BrokenPromiseError, Play
from story import Story, write_story


@dataclass
class Result:
    """What became of one story."""

    seed: int
    outcomes: list[str]
    faults: int
    kills: int
    broken: str | None
    log: list[str]


def play(story: Story, url: str) -> Result:
    """Play one story."""
    pipeline.quiet()
    playing = Play(story, url)
    broken = None
    try:
        playing.run()
    except BrokenPromiseError as error:
        broken = str(error)
    except Exception as error:  # a story that cannot be played is a finding too
        broken = f"seed {story.seed}: {type(error).__name__}: {error}"
        playing.log.append(f"BROKEN: {broken}")
    syncs = story.syncs
    faults = sum(len(s.faults) + bool(s.session_ends) + bool(s.daily_tokens) for s in syncs)
    kills = sum(bool(s.tap_ends) + bool(s.loader_ends) for s in syncs)
    return Result(story.seed, playing.outcomes, faults, kills, broken, playing.log)


def play_all(seeds: range, syncs: int, url: str, jobs: int) -> Iterator[Result]:
    """Play many stories side by side, in any order."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = [pool.submit(play, write_story(seed, syncs), url) for seed in seeds]
        for future in as_completed(futures):
            yield future.result()
