"""Authentication of requests: an API token, or OAuth 2.

The token is sent in a header: in the query string it would appear in logs and proxies. Source:
securitySchemes of both OpenAPI documents (``x-api-token``; OAuth 2 authorization code).
"""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest
from requests.auth import AuthBase

from tap_pipedrive.errors import ConfigurationError, RetriableError

TOKEN_URL = "https://oauth.pipedrive.com/oauth/token"
#: Seconds before the end of an access token at which a new one is requested.
MARGIN_SECONDS = 60.0


class ApiTokenAuth(AuthBase):
    """A personal API token, sent as the ``x-api-token`` header."""

    def __init__(self, token: str) -> None:
        """Keep the token, without showing it in ``repr`` or a message."""
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header to one request."""
        request.headers["x-api-token"] = self._token
        return request

    def __repr__(self) -> str:
        """Never show the token."""
        return "ApiTokenAuth(***)"


class OAuth(AuthBase):
    """An app's access to a company, renewed from its refresh token.

    The refresh token stays the same; it dies after 60 days without use.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        *,
        token_url: str = TOKEN_URL,
        timeout: float = 60.0,
    ) -> None:
        """Request no access token before the first request needs it."""
        self._credentials = (client_id, client_secret)
        self._refresh_token = refresh_token
        self._token_url = token_url
        self._timeout = timeout
        self._access_token = ""
        self._ends = 0.0
        self._api_domain = ""
        self._renewing = threading.Lock()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header to one request, with a valid access token."""
        with self._renewing:  # one thread requests a token, the others wait for it
            if time.monotonic() > self._ends:
                self.renew()
        request.headers["Authorization"] = f"Bearer {self._access_token}"
        return request

    def __repr__(self) -> str:
        """Never show a secret."""
        return "OAuth(***)"

    @property
    def api_domain(self) -> str:
        """Base URL of the company that installed the app, ``https://acme.pipedrive.com``."""
        if not self._api_domain:
            self.renew()
        return self._api_domain

    def renew(self) -> None:
        """Get a new access token. POST /oauth/token, grant_type=refresh_token.

        Raises:
            ConfigurationError: Pipedrive refuses the app or its refresh token.
            RetriableError: a temporary fault.

        """
        host = urlsplit(self._token_url).netloc
        try:
            answer = requests.post(
                self._token_url,
                data={"grant_type": "refresh_token", "refresh_token": self._refresh_token},
                auth=self._credentials,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            msg = f"OAuth: {type(error).__name__} while talking to {host}"
            raise RetriableError(msg) from None
        if answer.status_code == 429 or answer.status_code >= 500:
            msg = f"OAuth: {host} answers {answer.status_code}"
            raise RetriableError(msg)
        try:
            token = answer.json()
        except ValueError:
            token = {}
        if answer.status_code != 200 or not token.get("access_token"):
            why = token.get("error") or answer.status_code
            msg = (
                f"OAuth: {host} refuses the app ({why}). Check oauth.client_id and "
                "oauth.client_secret; a refresh token unused for 60 days must be granted anew"
            )
            raise ConfigurationError(msg)
        self._access_token = token["access_token"]
        self._ends = time.monotonic() + float(token.get("expires_in", 3600)) - MARGIN_SECONDS
        self._api_domain = str(token.get("api_domain", "")).rstrip("/")

    def expire(self) -> None:
        """Forget the access token: the server says that it is no longer valid."""
        self._ends = 0.0
