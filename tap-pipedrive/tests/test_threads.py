"""A thread that is lost for lack of memory ends the run; without that, others would wait for ever.

What the system does without memory is stood in for here: a thread ends where its first, or next,
allocation fails. tests/trust takes the memory of real processes.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from tap_pipedrive import threads
from tap_pipedrive.api.prefetch import Prefetcher
from tap_pipedrive.errors import OutOfMemoryError
from tap_pipedrive.sync.windows import Listing, Windows


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LOOK_SECONDS", 0.05)


def no_memory(*_: object) -> None:
    raise MemoryError


def test_a_thread_that_never_begins_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "START_SECONDS", 0.05)
    # Where CPython's thread begins: it ends here if there is no memory for its first frame.
    monkeypatch.setattr(threads.Thread, "_bootstrap", lambda _: None)
    with pytest.raises(OutOfMemoryError):
        threads.Thread(lambda: None).start()


def test_a_thread_without_memory_ends_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    thread = threads.Thread(no_memory)
    thread.start()
    thread.join()
    assert capsys.readouterr() == ("", "")


def test_what_a_lost_thread_should_do_is_not_waited_for() -> None:
    thread = threads.Thread(no_memory)
    thread.start()
    with pytest.raises(OutOfMemoryError):
        threads.result(Future(), [thread])


def test_a_prefetcher_notices_that_a_thread_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prefetcher, "_answer", no_memory)
    prefetcher: Prefetcher[int, int] = Prefetcher(lambda number: number, 2)
    prefetcher.expect([1, 2, 3])
    with pytest.raises(OutOfMemoryError):
        prefetcher.result(1)
    prefetcher.close()


def test_windows_notice_that_a_thread_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Windows, "_work", no_memory)
    listings: list[Listing[Any]] = []
    with pytest.raises(OutOfMemoryError), Windows(listings, width=2) as windows:
        monkeypatch.setattr("tap_pipedrive.sync.windows.CLOSE_TIMEOUT_SECONDS", 0.05)
        list(windows)
