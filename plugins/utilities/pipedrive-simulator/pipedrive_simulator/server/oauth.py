"""The part of OAuth that a data pipeline needs: a refresh token gives access tokens that expire."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

import msgspec

from pipedrive_simulator.server.reply import Reply

PATH = "/oauth/token"
LIFETIME_SECONDS = 3600


@dataclass
class OAuthSettings:
    """The only registered app, and its refresh token. `access_token` never expires."""

    client_id: str = "demo-client"
    client_secret: str = "demo-secret"
    refresh_token: str = "demo-refresh"
    access_token: str = "demo-bearer"


class OAuth:
    """Grants access tokens; they expire by the account's clock."""

    def __init__(self, settings: OAuthSettings, now: Callable[[], int]) -> None:
        self.settings = settings
        self._now = now
        self._numbers = itertools.count(1)
        self._expires: dict[str, int] = {}

    def accepts(self, token: str) -> bool:
        """Return whether an access token is valid now."""
        if token == self.settings.access_token:
            return True
        return self._expires.get(token, 0) > self._now()

    def grant(self, headers: dict[bytes, bytes], form: bytes, base_url: str) -> Reply:
        """Answer `POST /oauth/token`; the refresh token stays the same, as in the real API."""
        given = {name: values[-1] for name, values in parse_qs(form.decode("latin-1")).items()}
        if self._client(headers) != (self.settings.client_id, self.settings.client_secret):
            return _refusal(401, "invalid_client")
        if given.get("grant_type") != "refresh_token":
            return _refusal(400, "unsupported_grant_type")
        if given.get("refresh_token") != self.settings.refresh_token:
            return _refusal(400, "invalid_grant")
        token = f"sim-access-{next(self._numbers):06d}"
        self._expires[token] = self._now() + LIFETIME_SECONDS
        granted = {
            "access_token": token,
            "token_type": "Bearer",
            "refresh_token": self.settings.refresh_token,
            "scope": "base deals:read activities:read contacts:read products:read users:read",
            "expires_in": LIFETIME_SECONDS,
            "api_domain": base_url,
        }
        return Reply(200, msgspec.json.encode(granted))

    def _client(self, headers: dict[bytes, bytes]) -> tuple[str, str]:
        scheme, _, encoded = headers.get(b"authorization", b"").partition(b" ")
        try:
            text = base64.b64decode(encoded, validate=True).decode("latin-1")
        except binascii.Error:
            return "", ""
        client, _, secret = text.partition(":")
        return (client, secret) if scheme.lower() == b"basic" else ("", "")


def _refusal(status: int, error: str) -> Reply:
    body = {"success": False, "error": error, "message": error.replace("_", " ")}
    return Reply(status, msgspec.json.encode(body))
