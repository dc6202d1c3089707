"""A stream needs a run context, and not the tap of this package."""

from __future__ import annotations

import io
import sys
from collections import Counter, defaultdict
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from singer_sdk import Tap
from tap_runs import Output

from tap_pipedrive.api.openapi import Operation
from tap_pipedrive.api.responses import Page
from tap_pipedrive.api.usage import Usage
from tap_pipedrive.context import RunContext
from tap_pipedrive.errors import ConfigurationError, ForbiddenError, ShareSpentError
from tap_pipedrive.messages import PageWriter
from tap_pipedrive.streams.base import Streams
from tap_pipedrive.streams.catalog import Stages
from tap_pipedrive.streams.outcomes import Outcome

NOON = datetime(2026, 6, 15, 12, tzinfo=timezone.utc)


class FakeClient:
    """Returns the next of some pages for each call, or raises it if it is an error."""

    def __init__(self, *responses: Page | Exception) -> None:
        self.responses = list(responses)
        self.usage: defaultdict[str, Usage] = defaultdict(Usage)
        self.api = SimpleNamespace(requests=Counter({("v2 /stages", "2xx"): 1}))
        self.source_now = NOON
        self.source_day = "2026-06-15"

    def get(self, operation: Operation, **_: Any) -> Page:
        answer = self.responses.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class OtherTap(Tap):
    """A plugin of the SDK that has only one stream of this package."""

    name = "other-tap"
    config_jsonschema: dict[str, Any] = {"type": "object", "properties": {}}  # noqa: RUF012

    def discover_streams(self) -> list[Any]:
        streams = Streams()
        return [Stages(self, self.run_context, streams)]


def stages(monkeypatch: pytest.MonkeyPatch, *responses: Page | Exception) -> tuple[Stages, Any]:
    """Make the stream `stages` with a context whose client has these responses."""
    context = RunContext({}, {}, PageWriter(), lambda state: None)
    context.__dict__["client"] = FakeClient(*responses)
    context.__dict__["definitions"] = SimpleNamespace(
        last_read=lambda _: None, observe=lambda *_: None
    )
    monkeypatch.setattr(OtherTap, "run_context", context, raising=False)
    stream = OtherTap(config={}, message_writer=context.writer).streams["stages"]
    assert isinstance(stream, Stages)
    return stream, context


def read(stream: Stages) -> Output:
    real, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        stream.sync()
        sys.stdout.flush()
        return Output.parse(sys.stdout.buffer.getvalue())  # type: ignore[attr-defined]
    finally:
        sys.stdout = real


def test_a_stream_reads_with_a_fake_context(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page([{"id": 4, "name": "Won over"}, {"name": "without an id"}], answered_at=NOON)
    stream, context = stages(monkeypatch, page)
    output = read(stream)
    assert [record["id"] for record in output.records["stages"]] == [4]
    assert output.records["tap_quarantine"][0]["reason"] == "has no usable id"
    assert stream.result.outcome is Outcome.COMPLETE
    assert context.client.usage.keys() == {"stages"}


def test_a_refused_essential_stream_ends_the_run_with_a_fake_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, _ = stages(monkeypatch, ForbiddenError("403"))
    with pytest.raises(Exception, match="every report depends on it"):
        read(stream)
    assert stream.result.outcome is Outcome.REFUSED


def test_a_context_opens_nothing_before_it_is_used() -> None:
    context = RunContext({}, {}, PageWriter(), lambda state: None)
    context.close(wait=True)
    assert not context.has_client
    with pytest.raises(ConfigurationError, match="api_token"):
        _ = context.client


def test_a_missing_setting_has_its_default() -> None:
    context = RunContext({"windows": None, "page_size": 7}, {}, PageWriter(), lambda state: None)
    assert (context.windows, context.page_size, context.history_share) == (16, 7, 0.5)


def test_a_per_record_call_beyond_the_history_share_is_refused() -> None:
    config = {"api_token": "0" * 40, "api_url": "http://127.0.0.1:9", "daily_tokens": 100}
    context = RunContext(config, {}, PageWriter(), lambda state: None)
    context.require_history_budget(50)
    with pytest.raises(ShareSpentError, match="50%"):
        context.require_history_budget(51)


def test_a_checkpoint_writes_the_state_of_the_context() -> None:
    states: list[Any] = []
    state = {"bookmarks": {"deals": {"replication_key_value": "2026-01-01T00:00:00Z"}}}
    context = RunContext({}, state, PageWriter(), states.append)
    context.checkpoint()
    assert states == [state]
