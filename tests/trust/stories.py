"""Plays many stories side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

import pipeline
from play import BrokenPromiseError, Play
from story import Story, write_story


@dataclass
class Result:
    """What became of one story.

    Attributes:
        outcomes: of its runs.
        faults: how many it has, of the API, the database and the machine.
        kills: how often a process is killed, or ended by a signal.
        lost: records and changes that are missing where they must not be.
        doubled: those that are stored twice, or are not in the account.
        cpu_seconds: of this process, without the server's.
        broken: the promise that is broken, if any.
        is_played: whether it could be played to its end, or until the promise was broken.

    """

    seed: int
    outcomes: list[str]
    faults: int
    kills: int
    lost: int
    doubled: int
    cpu_seconds: float
    broken: str | None
    is_played: bool
    log: list[str]


def play(story: Story, url: str) -> Result:
    """Play one story."""
    return result_of(Play(story, url))


def result_of(playing: Play) -> Result:
    """Play a story to its end, or until a promise is broken."""
    pipeline.quiet()
    began = time.process_time()
    story = playing.story
    broken, is_played = None, True
    try:
        playing.run()
    except BrokenPromiseError as error:
        broken = str(error)
    except Exception as error:  # a story that cannot be played is a finding too
        broken, is_played = f"seed {story.seed}: {type(error).__name__}: {error}", False
        playing.log.append(f"BROKEN: {broken}")
    syncs = story.syncs
    faults = sum(
        len(s.faults)
        + len(s.damages)
        + sum(map(bool, (s.session_ends, s.daily_tokens, s.clock_error, s.database, s.loses_state)))
        for s in syncs
    )
    kills = sum(bool(s.tap_ends) + bool(s.loader_ends) for s in syncs)
    wrong = playing.differences
    return Result(
        story.seed,
        playing.outcomes,
        faults,
        kills,
        lost=sum(line.endswith("missing") for line in wrong),
        doubled=sum("not in the account" in line for line in wrong),
        cpu_seconds=time.process_time() - began,
        broken=broken,
        is_played=is_played,
        log=playing.log,
    )


def play_all(seeds: range, syncs: int, url: str, jobs: int) -> Iterator[Result]:
    """Play many stories side by side, in any order."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = [pool.submit(play, write_story(seed, syncs), url) for seed in seeds]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:  # a play that is stopped waits for stories that have begun, not for all
            pool.shutdown(wait=False, cancel_futures=True)
