"""A tap for the list of deals as the Singer SDK's template gives it: RESTStream, cursor, schema.

With SDK_TAP=tuned in the environment it declares what the SDK offers to be faster: the writer that
uses msgspec, and no pass that makes records conform to their schema.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.pagination import JSONPathPaginator


class Deals(RESTStream[str]):
    """GET /api/v2/deals."""

    name = "deals"
    path = "/api/v2/deals"
    primary_keys = ("id",)
    replication_key = "update_time"
    records_jsonpath = "$.data[*]"

    @property
    def url_base(self) -> str:
        return str(self.config["api_url"])

    @property
    def authenticator(self) -> APIKeyAuthenticator:
        return APIKeyAuthenticator(key="x-api-token", value=self.config["api_token"])

    def get_new_paginator(self) -> JSONPathPaginator:
        return JSONPathPaginator("$.additional_data.next_cursor")

    def get_url_params(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        params = {"limit": 500, "sort_by": "update_time", "status": "open,won,lost,deleted"}
        params["include_fields"] = self.config["include_fields"]
        if next_page_token:
            params["cursor"] = next_page_token
        return params


class TunedDeals(Deals):
    """The same, without the pass that makes records conform."""

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE


class TapSdk(Tap):
    """One stream of Pipedrive."""

    name = "tap-sdk"
    config_jsonschema = th.PropertiesList(
        th.Property("api_token", th.StringType, required=True, secret=True),
        th.Property("api_url", th.StringType, required=True),
        th.Property("include_fields", th.StringType, required=True),
        th.Property("schema_file", th.StringType, required=True),
    ).to_dict()

    stream_class = Deals

    def discover_streams(self) -> list[Deals]:
        schema = json.loads(Path(self.config["schema_file"]).read_text())
        return [self.stream_class(self, schema=schema)]


class TunedTapSdk(TapSdk):
    """The same stream, tuned."""

    message_writer_class = MsgSpecWriter
    stream_class = TunedDeals


if __name__ == "__main__":
    (TunedTapSdk if os.environ.get("SDK_TAP") == "tuned" else TapSdk).cli()
