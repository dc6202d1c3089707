"""How a request proves who it comes from.

Only the header is used: a token in the query string ends up in logs and proxies.
Source: securitySchemes of both OpenAPI documents (``x-api-token``).
"""

from __future__ import annotations

from requests import PreparedRequest
from requests.auth import AuthBase


class ApiTokenAuth(AuthBase):
    """A personal API token, sent as the ``x-api-token`` header."""

    def __init__(self, token: str) -> None:
        """Keep the token out of ``repr`` and of every message."""
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header to one request."""
        request.headers["x-api-token"] = self._token
        return request

    def __repr__(self) -> str:
        """Never show the token."""
        return "ApiTokenAuth(***)"
